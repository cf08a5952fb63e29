package ociapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// large does not fit a row: it goes through storage.
const large = blob.InlineMax + 5000

// startUpload opens an upload and returns its address.
func (w *world) startUpload(as, query string) string {
	w.t.Helper()
	a := w.send(request{method: "POST", path: "/v2/acme/app/blobs/uploads/" + query, as: as})
	w.check("start of an upload", a, want{status: 202, header: map[string]string{"Range": "0-0", "Content-Length": "0"}})
	at := a.Header.Get("Location")
	if !strings.HasPrefix(at, "http://"+w.host+"/v2/acme/app/blobs/uploads/") {
		w.t.Fatalf("an upload at %q", at)
	}
	return at
}

// pulled checks that the repository now has the blob.
func (w *world) pulled(repo string, b []byte, d string) {
	w.t.Helper()
	a := w.send(request{method: "GET", path: "/v2/" + repo + "/blobs/" + d, as: "admin"})
	if a.StatusCode != 200 || a.body != string(b) {
		w.t.Errorf("%s: %d, %d bytes, want %d", d, a.StatusCode, len(a.body), len(b))
	}
}

func created(repo, d string) want {
	return want{status: 201, header: map[string]string{"Location": "http://HOST/v2/" + repo + "/blobs/" + d, "Docker-Content-Digest": d, "Content-Length": "0"}}
}

// unsized hides the length of a body, which is then sent in chunks.
type unsized struct{ io.Reader }

func TestUploads(t *testing.T) {
	w := open(t, options{})
	for _, size := range []int{0, 1, 2000, large, 3 << 20} {
		for _, algorithm := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
			t.Run(fmt.Sprintf("%d bytes, %s", size, algorithm), func(t *testing.T) {
				content := func(way string) ([]byte, string) {
					b := bytesOf(way+string(algorithm), size)
					return b, string(algorithm.FromBytes(b))
				}
				octets := map[string]string{"Content-Type": "application/octet-stream"}

				b, d := content("one POST")
				w.check("POST", w.send(request{"POST", "/v2/acme/app/blobs/uploads/?digest=" + d, "writer", octets, b, 0}), created("acme/app", d))
				w.pulled("acme/app", b, d)

				b, d = content("POST and PUT")
				at := w.startUpload("writer", "")
				w.check("PUT", w.send(request{"PUT", at + "?digest=" + d, "writer", octets, b, 0}), created("acme/app", d))
				w.check("PUT again", w.send(request{"PUT", at + "?digest=" + d, "writer", octets, nil, 0}), created("acme/app", d))
				w.pulled("acme/app", b, d)

				b, d = content("streamed")
				at = w.startUpload("writer", "?digest-algorithm="+string(algorithm))
				w.check("PATCH", w.send(request{"PATCH", at, "writer", octets, unsized{bytes.NewReader(b)}, 0}),
					want{status: 202, header: map[string]string{"Range": fmt.Sprintf("0-%d", max(size-1, 0))}})
				w.check("PUT", w.send(request{"PUT", at + "?digest=" + d, "writer", octets, nil, 0}), created("acme/app", d))
				w.pulled("acme/app", b, d)

				b, d = content("streamed PUT")
				at = w.startUpload("writer", "")
				w.check("PUT", w.send(request{"PUT", at + "?digest=" + d, "writer", octets, unsized{bytes.NewReader(b)}, 0}), created("acme/app", d))
				w.pulled("acme/app", b, d)

				for _, last := range []string{"in a PATCH", "in the PUT"} {
					b, d = content("chunks, the last " + last)
					at = w.startUpload("writer", "")
					w.inChunks(at, b, d, last == "in the PUT")
					w.pulled("acme/app", b, d)
				}
			})
		}
	}
}

// inChunks uploads in three chunks, following the Location of each answer.
func (w *world) inChunks(at string, b []byte, d string, put bool) {
	w.t.Helper()
	size := len(b)/3 + 1
	for off := 0; off < len(b); off += size {
		end := min(off+size, len(b))
		header := map[string]string{"Content-Range": fmt.Sprintf("%d-%d", off, end-1)}
		if put && end == len(b) {
			w.check("PUT of the last chunk", w.send(request{"PUT", at + "?digest=" + d, "writer", header, b[off:end], 0}), created("acme/app", d))
			return
		}
		// A chunk that is out of its place tells where to go on.
		wrong := map[string]string{"Content-Range": fmt.Sprintf("%d-%d", off+7, end+6)}
		w.check("a misplaced chunk", w.send(request{"PATCH", at, "writer", wrong, b[off:end], 0}),
			want{416, map[string]string{"Location": at, "Range": fmt.Sprintf("0-%d", max(off-1, 0))},
				fmt.Sprintf(`{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"The upload goes on at byte %d, not %d.","detail":{"offset":%d}}]}`, off, off+7, off)})
		w.check("a misplaced last chunk", w.send(request{"PUT", at + "?digest=" + d, "writer", wrong, b[off:end], 0}),
			want{416, map[string]string{"Location": at, "Range": fmt.Sprintf("0-%d", max(off-1, 0))}, "*"})
		w.check("status", w.send(request{"GET", at, "writer", nil, nil, 0}),
			want{status: 204, header: map[string]string{"Location": at, "Range": fmt.Sprintf("0-%d", max(off-1, 0))}})
		a := w.send(request{"PATCH", at, "writer", header, b[off:end], 0})
		w.check("PATCH", a, want{status: 202, header: map[string]string{"Range": fmt.Sprintf("0-%d", end-1)}})
		at = a.Header.Get("Location")
	}
	w.check("PUT", w.send(request{"PUT", at + "?digest=" + d, "writer", nil, nil, 0}), created("acme/app", d))
}

func TestUploadsRefused(t *testing.T) {
	w := open(t, options{})
	b := []byte("content")
	d, other := digestOf(b), digestOf([]byte("other"))
	post := func(query string) request {
		return request{"POST", "/v2/acme/app/blobs/uploads/" + query, "writer", nil, b, 0}
	}
	for _, tt := range []struct {
		name string
		request
		status int
		code   string
	}{
		{"another digest", post("?digest=" + other), 400, "DIGEST_INVALID"},
		{"a malformed digest", post("?digest=sha256:x"), 400, "DIGEST_INVALID"},
		{"an unknown algorithm", post("?digest=md5:9a0364b9e99bb480dd25e1f0284c8555"), 400, "DIGEST_INVALID"},
		{"an unknown digest-algorithm", post("?digest-algorithm=md5"), 400, "DIGEST_INVALID"},
		{"a malformed mount", post("?mount=x&from=acme/app"), 400, "DIGEST_INVALID"},
		{"a malformed query", post("?digest=%zz"), 400, "UNSUPPORTED"},
		{"PUT without a digest", request{"PUT", "UPLOAD", "writer", nil, b, 0}, 400, "DIGEST_INVALID"},
		{"PUT with a malformed digest", request{"PUT", "UPLOAD?digest=x", "writer", nil, b, 0}, 400, "DIGEST_INVALID"},
		{"PUT with another digest", request{"PUT", "UPLOAD?digest=" + other, "writer", nil, b, 0}, 400, "DIGEST_INVALID"},
		{"PATCH with a malformed Content-Range", request{"PATCH", "UPLOAD", "writer", map[string]string{"Content-Range": "bytes 0-6/7"}, b, 0}, 400, "BLOB_UPLOAD_INVALID"},
		{"PATCH with a Content-Range of another length", request{"PATCH", "UPLOAD", "writer", map[string]string{"Content-Range": "0-7"}, b, 0}, 400, "SIZE_INVALID"},
		{"PATCH of a stream shorter than its Content-Range", request{"PATCH", "UPLOAD", "writer", map[string]string{"Content-Range": "0-9"}, unsized{bytes.NewReader(b)}, 0}, 400, "SIZE_INVALID"},
		{"PATCH of a stream longer than its Content-Range", request{"PATCH", "UPLOAD", "writer", map[string]string{"Content-Range": "0-2"}, unsized{bytes.NewReader(b)}, 0}, 400, "SIZE_INVALID"},
		{"an upload that never was", request{"PATCH", "/v2/acme/app/blobs/uploads/made-up", "writer", nil, b, 0}, 404, "BLOB_UPLOAD_UNKNOWN"},
		{"status of an upload that never was", request{"GET", "/v2/acme/app/blobs/uploads/made-up", "writer", nil, nil, 0}, 404, "BLOB_UPLOAD_UNKNOWN"},
		{"cancel of an upload that never was", request{"DELETE", "/v2/acme/app/blobs/uploads/made-up", "writer", nil, nil, 0}, 404, "BLOB_UPLOAD_UNKNOWN"},
	} {
		if strings.HasPrefix(tt.path, "UPLOAD") {
			tt.path = w.startUpload("writer", "") + strings.TrimPrefix(tt.path, "UPLOAD")
		}
		if a := w.send(tt.request); a.StatusCode != tt.status || !strings.Contains(a.body, `"`+tt.code+`"`) {
			t.Errorf("%s: %d %s", tt.name, a.StatusCode, a.body)
		}
	}
	for _, x := range []string{d, other} {
		if a := w.send(request{method: "HEAD", path: "/v2/acme/app/blobs/" + x, as: "admin"}); a.StatusCode != 404 {
			t.Errorf("a refused upload left the blob %s: %d", x, a.StatusCode)
		}
	}
	at := w.startUpload("writer", "")
	elsewhere := strings.Replace(at, "/acme/app/", "/acme/other/", 1)
	if a := w.send(request{"PUT", elsewhere + "?digest=" + d, "writer", nil, b, 0}); a.StatusCode != 404 {
		t.Errorf("an upload was finished in another repository: %d %s", a.StatusCode, a.body)
	}
}

func TestUploadCancelled(t *testing.T) {
	w := open(t, options{})
	at := w.startUpload("writer", "")
	w.check("PATCH", w.send(request{"PATCH", at, "writer", nil, bytesOf("x", large), 0}), want{status: 202})
	w.check("DELETE", w.send(request{"DELETE", at, "writer", nil, nil, 0}), want{status: 204})
	for _, q := range []request{{method: "GET"}, {method: "PATCH", body: "x"}, {method: "DELETE"}} {
		q.path, q.as = at, "writer"
		if a := w.send(q); a.StatusCode != 404 {
			t.Errorf("%s after the end: %d %s", q.method, a.StatusCode, a.body)
		}
	}
}

func TestMount(t *testing.T) {
	w := open(t, options{})
	b := bytesOf("mounted", large)
	d := w.pushBlob("acme/lib", b)
	admin, err := w.iam.Password(t.Context(), "admin", "admin-password", "")
	w.must(err)
	_, err = w.reg.CreateOrg(t.Context(), admin, "closed")
	w.must(err)
	hidden := w.pushBlob("closed/lib", []byte("hidden"))
	mount := func(query, as string) answer {
		return w.send(request{method: "POST", path: "/v2/acme/app/blobs/uploads/" + query, as: as})
	}
	w.check("with from", mount("?mount="+d+"&from=acme/lib", "writer"), created("acme/app", d))
	w.pulled("acme/app", b, d)
	w.check("once more", mount("?mount="+d+"&from=acme/lib", "writer"), created("acme/app", d))
	w.must(w.reg.DeleteBlob(t.Context(), admin, "acme/app", oci.Digest(d)))
	w.check("without from", mount("?mount="+d, "writer"), created("acme/app", d))
	token := w.token("writer", "repository:acme/app:pull,push repository:acme/lib:pull")
	w.must(w.reg.DeleteBlob(t.Context(), admin, "acme/app", oci.Digest(d)))
	w.check("without from, with a token for both", mount("?mount="+d, token), created("acme/app", d))
	w.must(w.reg.DeleteBlob(t.Context(), admin, "acme/app", oci.Digest(d)))
	w.check("without from, with a token for the target alone", mount("?mount="+d, w.token("writer", "repository:acme/app:pull,push")), want{status: 202})
	w.check("with a token for both", mount("?mount="+d+"&from=acme/lib", token), created("acme/app", d))

	// What cannot be mounted is to be uploaded, and no answer tells why.
	for name, query := range map[string]string{
		"absent":              "?mount=" + digestOf([]byte("absent")) + "&from=acme/lib",
		"not linked there":    "?mount=" + d + "&from=acme/empty",
		"forbidden":           "?mount=" + hidden + "&from=closed/lib",
		"forbidden, no from":  "?mount=" + hidden,
		"no such repository":  "?mount=" + d + "&from=nowhere/lib",
		"a name of elsewhere": "?mount=" + d + "&from=busybox",
	} {
		for _, as := range []string{"writer", w.token("writer", "repository:acme/app:pull,push", "repository:acme/lib:pull", "repository:acme/empty:pull", "repository:closed/lib:pull")} {
			a := mount(query, as)
			if a.StatusCode != 202 || !strings.Contains(a.Header.Get("Location"), "/v2/acme/app/blobs/uploads/") || a.body != "" {
				t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
			}
		}
	}
}

func TestExpiredTokenEndsItsUpload(t *testing.T) {
	w := open(t, options{})
	const scope = "repository:acme/app:pull,push"
	token, reading, stranger := w.token("writer", scope), w.token("writer", "repository:acme/app:pull"), w.token("manager", scope)
	b := bytesOf("late", large)
	d := digestOf(b)
	at := w.startUpload(token, "")
	late := w.startUpload(token, "")
	w.check("PATCH in time", w.send(request{"PATCH", at, token, nil, b[:large/2], 0}), want{status: 202})

	w.later.Store(int64(2 * time.Hour))
	expired := `,error="invalid_token"`
	for _, q := range []request{
		{method: "GET", path: "/v2/"}, {method: "GET", path: "/v2/acme/app/tags/list"}, {method: "POST", path: "/v2/acme/app/blobs/uploads/"},
		{method: "PUT", path: "/v2/acme/app/manifests/v1", body: "{}"}, {method: "DELETE", path: at}, {method: "GET", path: "/v2/_catalog"},
	} {
		q.as = token
		if a := w.send(q); a.StatusCode != 401 || !strings.HasSuffix(a.Header.Get("Www-Authenticate"), expired) {
			t.Errorf("%s %s with an expired token: %d %s", q.method, q.path, a.StatusCode, a.body)
		}
	}
	w.check("the upload of someone else", w.send(request{"PATCH", at, stranger, nil, b, 0}), want{404, nil, "*"})
	if a := w.send(request{"GET", at, reading, nil, nil, 0}); a.StatusCode != 401 {
		t.Errorf("an expired token for pull: %d %s", a.StatusCode, a.body)
	}
	w.check("GET", w.send(request{"GET", at, token, nil, nil, 0}), want{status: 204, header: map[string]string{"Range": fmt.Sprintf("0-%d", large/2-1)}})
	w.check("PATCH", w.send(request{"PATCH", at, token, nil, b[large/2:], 0}), want{status: 202})
	w.check("PUT", w.send(request{"PUT", at + "?digest=" + d, token, nil, nil, 0}), created("acme/app", d))
	w.pulled("acme/app", b, d)

	w.must(w.iam.SetUserEnabled(t.Context(), iam.Operator(), "admin", "writer", false))
	if a := w.send(request{"PATCH", late, token, nil, b, 0}); a.StatusCode != 401 {
		t.Errorf("a disabled user's upload: %d %s", a.StatusCode, a.body)
	}
	w.must(w.iam.SetUserEnabled(t.Context(), iam.Operator(), "admin", "writer", true))
	w.later.Store(int64(26 * time.Hour))
	if a := w.send(request{"PATCH", late, token, nil, b, 0}); a.StatusCode != 401 {
		t.Errorf("a token that expired a day ago: %d %s", a.StatusCode, a.body)
	}
}

// dial opens a connection that the test speaks HTTP on by hand.
func (w *world) dial() net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.host)
	w.must(err)
	w.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// put sends the head of a request with a body that is announced as n bytes.
func (w *world) put(c net.Conn, method, path, as, extra string, n int) {
	w.t.Helper()
	r, err := http.NewRequest(method, "http://"+w.host, nil)
	w.must(err)
	r.SetBasicAuth(as, as+"-password")
	_, err = fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Length: %d\r\n%s\r\n",
		method, strings.TrimPrefix(path, "http://"+w.host), w.host, r.Header.Get("Authorization"), n, extra)
	w.must(err)
}

func TestRefusedBeforeTheBody(t *testing.T) {
	w := open(t, options{})
	at := w.startUpload("writer", "")
	for _, tt := range []struct {
		method, path, as string
		want             string
	}{
		{"PUT", "/v2/acme/app/manifests/v1", "reader", "403"},
		{"PUT", "/v2/acme/app/manifests/v1", "stranger", "401"},
		{"PUT", "/v2/acme/app/manifests/v1", "writer", "100"},
		{"POST", "/v2/acme/app/blobs/uploads/?digest=" + digestOf(nil), "reader", "403"},
		{"POST", "/v2/acme/app/blobs/uploads/?digest=" + digestOf(nil), "writer", "100"},
		{"PATCH", at, "reader", "404"},
		{"PATCH", at, "writer", "100"},
	} {
		c := w.dial()
		w.put(c, tt.method, tt.path, tt.as, "Expect: 100-continue\r\n", 1000)
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+tt.want) {
			t.Errorf("%s %.40s as %s: %q, %v; want %s", tt.method, tt.path, tt.as, line, err, tt.want)
		}
		_ = c.Close()
	}
}

func TestUploadCutOff(t *testing.T) {
	left := make(chan struct{}, 10)
	w := open(t, options{around: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(rw, r)
			if r.Method == "PATCH" {
				left <- struct{}{}
			}
		})
	}})
	b := bytesOf("cut", 2*large)
	at := w.startUpload("writer", "")
	c := w.dial()
	w.put(c, "PATCH", at, "writer", "", len(b))
	_, err := c.Write(b[:large])
	w.must(err)
	_ = c.Close()
	<-left

	// What came is kept, and the upload goes on from there.
	a := w.send(request{"GET", at, "writer", nil, nil, 0})
	w.check("status", a, want{status: 204})
	var got int
	_, err = fmt.Sscanf(a.Header.Get("Range"), "0-%d", &got)
	w.must(err)
	if got++; got != large {
		t.Fatalf("%d bytes are left of %d", got, large)
	}
	header := map[string]string{"Content-Range": fmt.Sprintf("%d-%d", got, len(b)-1)}
	w.check("PATCH", w.send(request{"PATCH", at, "writer", header, b[got:], 0}), want{status: 202})
	w.check("PUT", w.send(request{"PUT", at + "?digest=" + digestOf(b), "writer", nil, nil, 0}), created("acme/app", digestOf(b)))
	w.pulled("acme/app", b, digestOf(b))
}

// TestUploadTakenOver lets a client come back while the server still waits for
// the rest of its first request.
func TestUploadTakenOver(t *testing.T) {
	w := open(t, options{})
	b := bytesOf("twice", 2*large)
	at := w.startUpload("writer", "")
	c := w.dial()
	w.put(c, "PATCH", at, "writer", "Expect: 100-continue\r\n", len(b))
	left := bufio.NewReader(c)
	if line, err := left.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err)
	}
	_, err := left.ReadString('\n') // the end of that answer
	w.must(err)
	began := time.Now()
	a := w.send(request{"GET", at, "writer", nil, nil, 0})
	w.check("status", a, want{status: 204, header: map[string]string{"Range": "0-0"}})
	w.check("PUT", w.send(request{"PUT", at + "?digest=" + digestOf(b), "writer", nil, b, 0}), created("acme/app", digestOf(b)))
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("taking over took %v", took)
	}
	first, err := http.ReadResponse(left, nil)
	w.must(err)
	defer first.Body.Close()
	if body, _ := io.ReadAll(first.Body); first.StatusCode != 400 || !strings.Contains(string(body), "BLOB_UPLOAD_INVALID") {
		t.Errorf("the request whose upload was taken over: %d %s", first.StatusCode, body)
	}
	w.pulled("acme/app", b, digestOf(b))
}

func TestUploadThatStands(t *testing.T) {
	w := open(t, options{progress: 100 * time.Millisecond})
	for _, path := range []string{w.startUpload("writer", ""), "/v2/acme/app/manifests/v1"} {
		method := "PATCH"
		if strings.HasPrefix(path, "/") {
			method = "PUT"
		}
		c := w.dial()
		w.put(c, method, path, "writer", "", 1000)
		_, err := io.WriteString(c, "some")
		w.must(err)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		w.must(err)
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 408 || !strings.Contains(string(body), "BLOB_UPLOAD_INVALID") {
			t.Errorf("%s: %d %s", method, resp.StatusCode, body)
		}
	}
}
