package bare

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
)

func TestBothWaysOfReceivingStoreAndHashTheBody(t *testing.T) {
	dir := t.TempDir()
	s := httptest.NewServer(&handler{dir: dir})
	defer s.Close()
	for _, path := range []string{PathStep, PathPipelined} {
		for _, size := range []int64{16, 1 << 20, 20<<20 + 3} {
			b := content.NewBlob(path, size)
			req, err := http.NewRequest("PATCH", s.URL+path, &reader{s: b.Stream()})
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("Docker-Content-Digest"); got != b.Digest {
				t.Errorf("%s of %d bytes: digest %s, want %s", path, size, got, b.Digest)
			}
			stored, err := os.ReadFile(filepath.Join(dir, uploadName))
			if err != nil || content.Digest(stored) != b.Digest {
				t.Errorf("%s of %d bytes: stored something else (%v)", path, size, err)
			}
		}
	}
}

func TestServesWhatWasPut(t *testing.T) {
	s := httptest.NewServer(&handler{dir: t.TempDir()})
	defer s.Close()
	e, err := raw.NewEndpoint(s.URL, "", "")
	if err != nil {
		t.Fatal(err)
	}
	c := e.New()
	defer c.Close()
	body := content.Index("x")
	for _, r := range []raw.Request{
		{Method: "PUT", Path: PathManifest, ContentType: content.TypeIndex, Body: body},
		{Method: "HEAD", Path: "/v2/a/b/manifests/c"},
		{Method: "GET", Path: "/v2/a/b/manifests/c", Keep: true},
	} {
		resp, err := c.Do(&r)
		if err != nil || resp.Status > 201 {
			t.Fatalf("%s: %v %v", r.Method, resp, err)
		}
		if r.Method != "PUT" && resp.Length != int64(len(body)) || r.Keep && string(resp.Body) != string(body) {
			t.Errorf("%s: %d bytes, %q", r.Method, resp.Length, resp.Body)
		}
	}
}

type reader struct {
	s    *content.Stream
	rest []byte
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		b := r.s.Next()
		if b == nil {
			return 0, io.EOF
		}
		for _, x := range b {
			r.rest = append(r.rest, x...)
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
