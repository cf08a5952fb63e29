package ociapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/ociapi"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/web"
)

// world is a registry behind a real listener. In the organization acme its
// users may do what their names say: reader 1, writer 3, manager 7, nobody
// nothing; admin is the account's administrator. Passwords are "<name>-password".
type world struct {
	t     testing.TB
	reg   *registry.Registry
	iam   *iam.Authority
	blobs *fsblob.Driver
	dir   string // of blobs
	srv   *http.Server
	host  string       // host:port
	later atomic.Int64 // how far the clock is ahead
}

// options of a world; the zero value will do.
type options struct {
	origin   *web.Origin
	progress time.Duration
	around   func(http.Handler) http.Handler
}

func open(t testing.TB, o options) *world {
	t.Helper()
	w := &world{t: t}
	now := func() time.Time { return time.Now().Add(time.Duration(w.later.Load())) }
	database := dbtest.Open(t)
	var err error
	w.iam, err = iam.New(t.Context(), database, iam.Options{Master: bytes.Repeat([]byte{7}, 32), Argon: iam.Argon{Memory: 64, Passes: 1}, Now: now})
	w.must(err)
	t.Cleanup(func() { w.must(w.iam.Close()) })
	w.dir = filepath.Join(t.TempDir(), "blobs")
	w.blobs, err = fsblob.Open(w.dir, fsblob.Options{})
	w.must(err)
	t.Cleanup(func() { w.must(w.blobs.Close()) })
	w.reg = registry.New(database, w.iam, blob.New(w.blobs, blob.Options{}), registry.Options{})
	t.Cleanup(w.fsck)
	w.people()

	api := ociapi.New(w.reg, w.iam, ociapi.Options{Origin: o.origin, Now: now})
	log := slog.New(slog.NewTextHandler(io.Discard, nil)) // at info, as in production
	s := web.New(web.Options{Origin: o.origin, Progress: o.progress, Log: log},
		web.Mount{Path: "/v2", Handler: api}, web.Mount{Path: "/v2/", Handler: api}, web.Mount{Path: ociapi.TokenPath, Handler: api.TokenHandler()})
	w.srv = s.HTTP()
	if o.around != nil {
		w.srv.Handler = o.around(s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.host = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = w.srv.Close()
		<-done
	})
	return w
}

func (w *world) people() {
	w.t.Helper()
	_, _, err := w.iam.Bootstrap(w.t.Context(), "admin-password")
	w.must(err)
	admin, err := w.iam.Password(w.t.Context(), "admin", "admin-password", "")
	w.must(err)
	_, err = w.reg.CreateOrg(w.t.Context(), admin, "acme")
	w.must(err)
	for name, right := range map[string]iam.Right{"reader": iam.Read, "writer": iam.Edit, "manager": iam.Manage, "nobody": iam.None} {
		_, err := w.iam.CreateUser(w.t.Context(), iam.Operator(), "admin", name, name+"-password", false)
		w.must(err)
		if right != iam.None {
			w.must(w.reg.GrantOrg(w.t.Context(), admin, "acme", name, right))
		}
	}
}

// fsck proves after each test that nothing was left behind.
func (w *world) fsck() {
	if _, err := w.reg.Fsck(context.Background(), iam.Operator(), true, func(f registry.Finding) {
		w.t.Errorf("fsck: %s: %s: %s", f.Check, f.Subject, f.Detail)
	}); err != nil {
		w.t.Errorf("fsck: %v", err)
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// request is what a test sends. As is a user's name, "" for anonymous, or
// "Bearer …" for a token.
type request struct {
	method, path, as string
	header           map[string]string
	body             any // string, []byte or io.Reader
	length           int64
}

// answer is a response read to its end.
type answer struct {
	*http.Response
	body string
}

func (w *world) send(q request) answer {
	w.t.Helper()
	a, err := w.try(q)
	w.must(err)
	return a
}

func (w *world) try(q request) (answer, error) {
	target := q.path
	if strings.HasPrefix(target, "/") {
		target = "http://" + w.host + target
	}
	var body io.Reader
	switch b := q.body.(type) {
	case string:
		body = strings.NewReader(b)
	case []byte:
		body = bytes.NewReader(b)
	case io.Reader:
		body = b
	}
	r, err := http.NewRequestWithContext(w.t.Context(), q.method, target, body)
	if err != nil {
		return answer{}, err
	}
	switch {
	case strings.HasPrefix(q.as, "Bearer "):
		r.Header.Set("Authorization", q.as)
	case q.as != "":
		r.SetBasicAuth(q.as, q.as+"-password")
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
		if k == "Host" {
			r.Host = v
		}
	}
	if q.length != 0 {
		r.ContentLength = q.length
	}
	resp, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b)}, err
}

// want is what an answer must have. A header "" must not be there. HOST stands
// for the server's address, and a body "*" for anything.
type want struct {
	status int
	header map[string]string
	body   string
}

func (w *world) check(name string, a answer, want want) {
	w.t.Helper()
	if a.StatusCode != want.status {
		w.t.Errorf("%s: status %d, want %d: %s", name, a.StatusCode, want.status, a.body)
	}
	for k, v := range want.header {
		if got := strings.Join(a.Header.Values(k), "|"); got != strings.ReplaceAll(v, "HOST", w.host) {
			w.t.Errorf("%s: %s is %q, want %q", name, k, got, v)
		}
	}
	if a.Header.Get("X-Request-Id") == "" || a.Request.URL.Path != ociapi.TokenPath && a.Header.Get("Docker-Distribution-Api-Version") != "registry/2.0" {
		w.t.Errorf("%s: headers of every answer are missing: %v", name, a.Header)
	}
	if want.body == "*" {
		return
	}
	if d := cmp.Diff(strings.ReplaceAll(want.body, "HOST", w.host), a.body); d != "" {
		w.t.Errorf("%s: body (-want +got):\n%s", name, d)
	}
}

// refused is the envelope with one error.
func refused(code, message string) string {
	return `{"errors":[{"code":"` + code + `","message":"` + message + `"}]}`
}

// token fetches a token for a user ("": anonymous) and returns it as the value
// of as.
func (w *world) token(as string, scopes ...string) string {
	w.t.Helper()
	a := w.send(request{method: "GET", path: ociapi.TokenPath + "?" + url.Values{"scope": scopes}.Encode(), as: as})
	var t struct{ Token string }
	if err := json.Unmarshal([]byte(a.body), &t); err != nil || a.StatusCode != 200 {
		w.t.Fatalf("no token: %d %s", a.StatusCode, a.body)
	}
	return "Bearer " + t.Token
}

func digestOf(b []byte) string { return string(oci.SHA256.FromBytes(b)) }

// bytesOf makes n bytes that depend on the seed.
func bytesOf(seed string, n int) []byte {
	b := bytes.Repeat([]byte(seed+"."), n/(len(seed)+1)+1)
	return b[:n]
}

func (w *world) pushBlob(repo string, b []byte) string {
	w.t.Helper()
	d := digestOf(b)
	w.check("push of a blob", w.send(request{"POST", "/v2/" + repo + "/blobs/uploads/?digest=" + d, "admin", nil, b, 0}), want{status: 201})
	return d
}

const (
	emptyConfig = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // {}
	imageType   = "application/vnd.oci.image.manifest.v1+json"
	indexType   = "application/vnd.oci.image.index.v1+json"
)

// image is an image manifest with a config {} and these layers. extra stands
// between its last member and its end.
func image(extra string, layers ...string) []byte {
	var list []string
	for _, l := range layers {
		list = append(list, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":1}`, l))
	}
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":2},"layers":[%s]%s}`,
		imageType, emptyConfig, strings.Join(list, ","), extra)
}

func (w *world) pushManifest(repo, ref, mediaType string, m []byte) string {
	w.t.Helper()
	w.check("push of a manifest", w.send(request{"PUT", "/v2/" + repo + "/manifests/" + ref, "admin", map[string]string{"Content-Type": mediaType}, m, 0}), want{status: 201})
	return digestOf(m)
}

// pushImage stores a small image under the tag and returns its digest.
func (w *world) pushImage(repo, tag string) string {
	w.t.Helper()
	w.pushBlob(repo, []byte("{}"))
	layer := w.pushBlob(repo, []byte("layer of "+tag))
	return w.pushManifest(repo, tag, imageType, image("", layer))
}

func publicPatch(on *bool) registry.RepoPatch { return registry.RepoPatch{Public: on} }
