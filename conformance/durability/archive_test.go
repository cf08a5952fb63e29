package durability

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
)

// archived uploads one archive to a server that dies again and again.
type archived struct {
	t     *testing.T
	s     *berthtest.Server
	token string
	path  string // of the upload
	rng   *rand.Rand
}

// send answers the status and the body; 0 where the server is gone.
func (a *archived) send(method, path string, body []byte) (*http.Response, []byte) {
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.s.URL()+path, bytes.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if a.token != "" {
		r.Header.Set("X-Auth-Token", a.token)
	}
	resp, err := a.s.Client().Do(r)
	if err != nil {
		return &http.Response{}, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return &http.Response{}, nil
	}
	return resp, b
}

type archiveState struct {
	State  string
	Offset int
	Images []struct{ Tag string }
	Error  any
}

func (a *archived) state() archiveState {
	a.t.Helper()
	resp, b := a.send("GET", a.path, nil)
	var s archiveState
	if resp.StatusCode != 200 || json.Unmarshal(b, &s) != nil {
		a.t.Fatalf("state: %s %s", resp.Status, b)
	}
	return s
}

// die kills the server after a moment, while work goes on, and starts it anew.
func (a *archived) die(within time.Duration, work func()) {
	a.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	time.Sleep(time.Duration(a.rng.Int64N(int64(within))))
	if err := a.s.Kill(); err != nil {
		a.t.Fatal(err)
	}
	<-done
	if err := a.s.Run(); err != nil {
		a.t.Fatal(err)
	}
}

// tags is how many tags the archive's repository has.
func (a *archived) tags() int {
	a.t.Helper()
	resp, b := a.send("GET", "/v2/manage/namespaces/archives/repos/app/tags", nil)
	var list []any
	if resp.StatusCode == 404 {
		return 0
	}
	if resp.StatusCode != 200 || json.Unmarshal(b, &list) != nil {
		a.t.Fatalf("tags: %s %s", resp.Status, b)
	}
	return len(list)
}

// The server dies while an archive of several images comes and while it is
// unpacked. Parts that were acknowledged stay, what was finished becomes
// images, and until then there is none.
func TestKillOverAnArchive(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { archiveKilled(t, berthtest.Options{}) })
	t.Run("postgres", func(t *testing.T) { archiveKilled(t, berthtest.Options{Postgres: true}) })
}

func archiveKilled(t *testing.T, o berthtest.Options) {
	a := &archived{t: t, s: berthtest.Start(t, o), rng: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))}
	admin := a.s.Admin()
	if _, err := a.s.Command("", "org", "create", "archives", "--account", "admin"); err != nil {
		t.Fatal(err)
	}
	resp, b := a.send("POST", "/v3/auth/tokens", fmt.Appendf(nil,
		`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"password":%q,"domain":{"name":"admin"}}}}}}`, admin.User, admin.Password))
	if a.token = resp.Header.Get("X-Subject-Token"); a.token == "" {
		t.Fatalf("no token: %s %s", resp.Status, b)
	}
	content := threeImages(t)
	resp, b = a.send("POST", "/v2/manage/namespaces/archives/archives", fmt.Appendf(nil, `{"size":%d}`, len(content)))
	if a.path = resp.Header.Get("Location"); a.path == "" {
		t.Fatalf("start: %s %s", resp.Status, b)
	}
	const part = 8 << 20
	for offset := 0; offset < len(content); {
		acknowledged := 0
		a.die(60*time.Millisecond, func() {
			for at := offset; at < len(content); {
				end := min(at+part, len(content))
				if resp, _ := a.send("PATCH", fmt.Sprintf("%s?offset=%d", a.path, at), content[at:end]); resp.StatusCode != 200 {
					return
				}
				at, acknowledged = end, end
			}
		})
		s := a.state()
		if s.Offset < acknowledged || s.State != "open" {
			t.Fatalf("%d bytes were acknowledged, and it is %+v", acknowledged, s)
		}
		offset = s.Offset
	}
	sum := sha256.Sum256(content)
	finish := fmt.Appendf(nil, `{"sha256":%q}`, hex.EncodeToString(sum[:]))
	if resp, b := a.send("POST", a.path+"/finish?wait=0", finish); resp.StatusCode > 202 || resp.StatusCode < 200 {
		t.Fatalf("finish: %s %s", resp.Status, b)
	}
	// With PostgreSQL another process takes a claim over when its time is up.
	most, deadline := 60, time.Now().Add(2*time.Minute)
	if o.Postgres {
		most = 2
	}
	for kills := 0; ; {
		s, tags := a.state(), a.tags()
		if s.State == "done" {
			if tags != 3 || len(s.Images) != 3 {
				t.Errorf("done with %d tags: %+v", tags, s)
			}
			t.Logf("unpacked after %d kills", kills)
			break
		}
		if s.State != "unpacking" || time.Now().After(deadline) {
			t.Fatalf("after %d kills it is %+v", kills, s)
		}
		if tags != 0 && tags != 3 {
			t.Fatalf("%d of 3 images are there", tags)
		}
		if kills == most {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		kills++
		a.die(time.Duration(20*kills)*time.Millisecond, func() {})
	}
	if err := a.s.Fsck(); err != nil {
		t.Error(err)
	}
}

// threeImages is an archive of docker save with three images of 24 MiB in all.
func threeImages(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	var list []any
	for _, tag := range []string{"v1", "v2", "v3"} {
		docker := images.New(t.Name() + tag)
		docker.Docker = true
		file := filepath.Join(t.TempDir(), tag)
		if err := docker.Image(2, 4<<20).WriteDockerArchive(file, "app:"+tag); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for r := tar.NewReader(f); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if h.Name == "manifest.json" {
				var items []any
				if err := json.Unmarshal(b, &items); err != nil {
					t.Fatal(err)
				}
				list = append(list, items...)
				continue
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	b, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteHeader(&tar.Header{Name: "manifest.json", Mode: 0o644, Size: int64(len(b))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
