package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// request sends what a script asks for, as LOGIN and with TOKEN where they are set.
func request(ts *testscript.TestScript, method, url, contentType string, body io.Reader) (*http.Response, []byte) {
	req, err := http.NewRequest(method, url, body)
	ts.Check(err)
	if user, password, ok := strings.Cut(ts.Getenv("LOGIN"), ":"); ok {
		req.SetBasicAuth(user, password)
	}
	if token := ts.Getenv("TOKEN"); token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	client := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	ts.Check(err)
	return res, text
}

func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: http METHOD URL [BODY]")
	}
	var body io.Reader
	if len(args) == 3 {
		body = strings.NewReader(args[2])
	}
	res, text := request(ts, args[0], args[1], "", body)
	if token := res.Header.Get("X-Subject-Token"); token != "" {
		ts.Setenv("SUBJECT", token)
	}
	fmt.Fprintf(ts.Stdout(), "%d\n%s\n", res.StatusCode, text)
}

// cmdUpload sends a file.
func cmdUpload(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: upload URL FILE")
	}
	res, text := request(ts, http.MethodPost, args[0], "", strings.NewReader(ts.ReadFile(args[1])))
	fmt.Fprintf(ts.Stdout(), "%d\n%s\n", res.StatusCode, text)
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// image is a small image made of a name: its config and layer, and the
// manifest that names both.
func image(name string) (blobs map[string][]byte, manifest []byte) {
	blobs = map[string][]byte{}
	add := func(mediaType string, content []byte) map[string]any {
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
		blobs[digest] = content
		return map[string]any{"mediaType": mediaType, "digest": digest, "size": len(content)}
	}
	config := add("application/vnd.oci.image.config.v1+json", []byte(`{"name":"`+name+`"}`))
	layer := add("application/vnd.oci.image.layer.v1.tar", bytes.Repeat([]byte(name), 4<<10))
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": []any{layer}})
	if err != nil {
		panic(err)
	}
	return blobs, manifest
}

func cmdPush(ts *testscript.TestScript, neg bool, args []string) {
	repo, tag, _ := strings.Cut(args[0], ":")
	base := ts.Getenv("URL") + "/v2/" + repo
	blobs, manifest := image(args[0])
	want := func(status int, res *http.Response, text []byte) {
		if (res.StatusCode == status) == neg {
			ts.Fatalf("push: %s %s", res.Status, text)
		}
	}
	for digest, content := range blobs {
		res, text := request(ts, "POST", base+"/blobs/uploads/?digest="+digest, "application/octet-stream", bytes.NewReader(content))
		if want(http.StatusCreated, res, text); neg {
			fmt.Fprintf(ts.Stdout(), "%d\n%s\n", res.StatusCode, text)
			return
		}
	}
	res, text := request(ts, "PUT", base+"/manifests/"+tag, manifestType, bytes.NewReader(manifest))
	want(http.StatusCreated, res, text)
}

func cmdPull(ts *testscript.TestScript, neg bool, args []string) {
	repo, tag, _ := strings.Cut(args[0], ":")
	base := ts.Getenv("URL") + "/v2/" + repo
	blobs, manifest := image(args[0])
	res, text := request(ts, "GET", base+"/manifests/"+tag, "", nil)
	if bytes.Equal(text, manifest) == neg {
		ts.Fatalf("manifest: %s %s", res.Status, text)
	}
	if neg {
		return
	}
	for digest, content := range blobs {
		if res, text := request(ts, "GET", base+"/blobs/"+digest, "", nil); !bytes.Equal(text, content) {
			ts.Fatalf("blob %s: %s, %d bytes", digest, res.Status, len(text))
		}
	}
}

// cmdDrain opens an upload in a repository, sends half of a body, tells the
// server to end, sees that it accepts nothing more, and sends the other half.
func cmdDrain(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: drain NAME REPOSITORY")
	}
	p := scriptOf(ts).take(ts, args)
	res, text := request(ts, "POST", ts.Getenv("URL")+"/v2/"+args[1]+"/blobs/uploads/", "", nil)
	if res.StatusCode != http.StatusAccepted {
		ts.Fatalf("upload: %s %s", res.Status, text)
	}
	body, in := io.Pipe()
	req, err := http.NewRequest("PATCH", res.Header.Get("Location"), body)
	ts.Check(err)
	user, password, _ := strings.Cut(ts.Getenv("LOGIN"), ":")
	req.SetBasicAuth(user, password)
	req.Header.Set("Expect", "100-continue") // what is written is read by the server from now on
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	defer client.CloseIdleConnections()
	answered := make(chan string, 1)
	go func() {
		res, err := client.Do(req)
		if err != nil {
			answered <- err.Error()
			return
		}
		res.Body.Close()
		answered <- res.Status + " " + res.Header.Get("Range")
	}()
	half := bytes.Repeat([]byte("x"), 50<<10)
	_, err = in.Write(half)
	ts.Check(err)
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("tcp", ts.Getenv("HOST"))
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			ts.Fatalf("connections are still accepted")
		}
	}
	_, err = in.Write(half)
	ts.Check(err)
	in.Close()
	if got := <-answered; got != "202 Accepted 0-102399" {
		ts.Fatalf("answer %s", got)
	}
	p.ended(ts)
}
