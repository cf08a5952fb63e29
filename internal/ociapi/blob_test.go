package ociapi_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestBlobs(t *testing.T) {
	w := open(t, options{})
	for _, size := range []int{0, 100, large, 200 << 10} {
		b := string(bytesOf("blob", size))
		d := w.pushBlob("acme/app", []byte(b))
		path := "/v2/acme/app/blobs/" + d
		full := map[string]string{"Content-Length": fmt.Sprint(size), "Content-Type": "application/octet-stream", "Docker-Content-Digest": d,
			"Etag": `"` + d + `"`, "Accept-Ranges": "bytes", "Content-Range": "", "X-Content-Type-Options": "nosniff"}
		unchanged := map[string]string{"Etag": `"` + d + `"`, "Docker-Content-Digest": d}
		for _, tt := range []struct {
			name, method string
			header       map[string]string
			want         want
		}{
			{"GET", "GET", nil, want{200, full, b}},
			{"HEAD", "HEAD", nil, want{200, full, ""}},
			{"HEAD with a range", "HEAD", map[string]string{"Range": "bytes=0-1"}, want{200, full, ""}},
			{"GET unchanged", "GET", map[string]string{"If-None-Match": `"` + d + `"`}, want{304, unchanged, ""}},
			{"HEAD unchanged", "HEAD", map[string]string{"If-None-Match": `"x", W/"` + d + `"`}, want{304, unchanged, ""}},
			{"GET changed", "GET", map[string]string{"If-None-Match": `"sha256:x"`}, want{200, full, b}},
			{"several ranges", "GET", map[string]string{"Range": "bytes=0-1,3-4"}, want{200, full, b}},
			{"another unit", "GET", map[string]string{"Range": "lines=0-1"}, want{200, full, b}},
			{"a range behind the end", "GET", map[string]string{"Range": fmt.Sprintf("bytes=%d-", size)}, want{416, map[string]string{"Content-Range": fmt.Sprintf("bytes */%d", size)}, ""}},
			{"a range of nothing", "GET", map[string]string{"Range": "bytes=5-2"}, want{416, map[string]string{"Content-Range": fmt.Sprintf("bytes */%d", size)}, ""}},
			{"a malformed range", "GET", map[string]string{"Range": "bytes=x"}, want{416, map[string]string{"Content-Range": fmt.Sprintf("bytes */%d", size)}, ""}},
		} {
			w.check(fmt.Sprintf("%s of %d bytes", tt.name, size), w.send(request{tt.method, path, "reader", tt.header, nil, 0}), tt.want)
		}
		if size == 0 {
			continue
		}
		for in, at := range map[string][2]int{
			"0-0": {0, 1}, "0-": {0, size}, "10-": {10, size}, "10-19": {10, 20}, "-7": {size - 7, size}, "-999999999": {0, size}, "90-999999999": {90, size},
		} {
			part := b[at[0]:at[1]]
			header := map[string]string{"Content-Range": fmt.Sprintf("bytes %d-%d/%d", at[0], at[1]-1, size), "Content-Length": fmt.Sprint(len(part)), "Etag": `"` + d + `"`}
			w.check("range "+in, w.send(request{"GET", path, "reader", map[string]string{"Range": "bytes=" + in}, nil, 0}), want{206, header, part})
			w.check("range if the same "+in, w.send(request{"GET", path, "reader", map[string]string{"Range": "bytes=" + in, "If-Range": `"` + d + `"`}, nil, 0}), want{206, header, part})
			w.check("range if another "+in, w.send(request{"GET", path, "reader", map[string]string{"Range": "bytes=" + in, "If-Range": `"x"`}, nil, 0}), want{200, full, b})
		}
	}
	absent := "/v2/acme/app/blobs/" + digestOf([]byte("absent"))
	w.check("GET of what is absent", w.send(request{"GET", absent, "reader", nil, nil, 0}),
		want{404, nil, refused("BLOB_UNKNOWN", "The repository acme/app has no blob "+digestOf([]byte("absent"))+".")})
	w.check("HEAD of what is absent", w.send(request{"HEAD", absent, "reader", nil, nil, 0}), want{status: 404})
}

func TestDeleteBlob(t *testing.T) {
	w := open(t, options{})
	w.pushImage("acme/app", "v1")
	used, free := digestOf([]byte("layer of v1")), w.pushBlob("acme/app", []byte("free"))
	path := "/v2/acme/app/blobs/"
	w.check("a blob in use", w.send(request{"DELETE", path + used, "manager", nil, nil, 0}), want{405, map[string]string{"Allow": "GET, HEAD"}, "*"})
	w.check("a free blob", w.send(request{"DELETE", path + free, "manager", nil, nil, 0}), want{status: 202})
	w.check("once more", w.send(request{"DELETE", path + free, "manager", nil, nil, 0}), want{404, nil, "*"})
	w.check("GET", w.send(request{"GET", path + free, "manager", nil, nil, 0}), want{404, nil, "*"})
}

// watched is a response writer below web's own, as net/http's is, that notes
// the source of every ReadFrom.
type watched struct {
	http.ResponseWriter
	seen func(io.Reader)
}

func (w *watched) ReadFrom(r io.Reader) (int64, error) {
	w.seen(r)
	return w.ResponseWriter.(io.ReaderFrom).ReadFrom(r)
}

func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestBlobsLeaveBySendfile(t *testing.T) {
	var mu sync.Mutex
	var sources []io.Reader
	w := open(t, options{around: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(&watched{rw, func(src io.Reader) {
				mu.Lock()
				defer mu.Unlock()
				sources = append(sources, src)
			}}, r)
		})
	}})
	b := bytesOf("file", 1<<20)
	d := w.pushBlob("acme/app", b)
	for _, header := range []map[string]string{nil, {"Range": "bytes=1000-500000"}} {
		mu.Lock()
		sources = nil
		mu.Unlock()
		if a := w.send(request{"GET", "/v2/acme/app/blobs/" + d, "reader", header, nil, 0}); a.StatusCode/100 != 2 {
			t.Fatal(a.StatusCode)
		}
		mu.Lock()
		if len(sources) != 1 {
			t.Errorf("%d calls of ReadFrom", len(sources))
		}
		for _, src := range sources {
			limited, ok := src.(*io.LimitedReader)
			if !ok {
				t.Errorf("the source is %T", src)
				continue
			}
			if _, ok := limited.R.(*os.File); !ok {
				t.Errorf("the source reads %T: not by sendfile", limited.R)
			}
		}
		mu.Unlock()
	}
}

// TestStorageFails damages the stored file of a blob.
func TestStorageFails(t *testing.T) {
	w := open(t, options{})
	b := bytesOf("damaged", 1<<20)
	d := w.pushBlob("acme/app", b)
	var file string
	for info, err := range w.blobs.List(t.Context(), "") {
		w.must(err)
		file = info.Key
	}
	file = filepath.Join(w.dir, file)
	whole, err := os.ReadFile(file)
	w.must(err)
	t.Cleanup(func() { _ = os.WriteFile(file, whole, 0o600) }) // fsck is last

	path := "/v2/acme/app/blobs/" + d
	w.must(os.Truncate(file, 0))
	w.check("an empty file", w.send(request{"GET", path, "reader", nil, nil, 0}),
		want{500, map[string]string{"Docker-Content-Digest": "", "Etag": "", "Content-Type": "application/json"}, "*"})
	w.must(os.Truncate(file, 1<<19))
	if a, err := w.try(request{"GET", path, "reader", nil, nil, 0}); err == nil {
		t.Errorf("a torn file was sent as a whole answer: %d, %d bytes", a.StatusCode, len(a.body))
	}
	w.must(os.Remove(file))
	if a := w.send(request{"GET", path, "reader", nil, nil, 0}); a.StatusCode < 500 || strings.Contains(a.body, file) {
		t.Errorf("no file: %d %s", a.StatusCode, a.body)
	}
}

func TestClientThatDoesNotRead(t *testing.T) {
	w := open(t, options{progress: 100 * time.Millisecond})
	b := bytesOf("unread", 64<<20)
	d := w.pushBlob("acme/app", b)
	c := w.dial()
	w.put(c, "GET", "/v2/acme/app/blobs/"+d, "reader", "", 0)
	// The server gives up on its own; then what is in the buffers comes, and
	// no more.
	time.Sleep(500 * time.Millisecond)
	n, _ := io.Copy(io.Discard, c)
	if n >= int64(len(b)) {
		t.Errorf("%d bytes came after half a second of silence", n)
	}
}
