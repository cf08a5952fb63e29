package ociapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/ociapi"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/web"
)

// benched is a whole server with one image, acme/app:v1, and a token to pull it.
type benched struct {
	handler  http.Handler
	server   *http.Server
	token    string
	manifest []byte
}

func newBenched(b *testing.B) *benched {
	b.Helper()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	ctx := b.Context()
	database := dbtest.Open(b, func(o *db.Options) { o.Twice = false })
	authority, err := iam.New(ctx, database, iam.Options{Master: bytes.Repeat([]byte{7}, 32), Argon: iam.Argon{Memory: 64, Passes: 1}})
	must(err)
	b.Cleanup(func() { must(authority.Close()) })
	blobs, err := fsblob.Open(filepath.Join(b.TempDir(), "blobs"), fsblob.Options{})
	must(err)
	b.Cleanup(func() { must(blobs.Close()) })
	reg := registry.New(database, authority, blob.New(blobs, blob.Options{}), registry.Options{})
	_, _, err = authority.Bootstrap(ctx, "admin-password")
	must(err)
	admin, err := authority.Password(ctx, "admin", "admin-password", "")
	must(err)
	_, err = reg.CreateOrg(ctx, admin, "acme")
	must(err)

	api := ociapi.New(reg, authority, ociapi.Options{})
	s := web.New(web.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}, web.Mount{Path: "/v2/", Handler: api})
	x := &benched{handler: s, server: s.HTTP(), manifest: bytes.Replace(image(`,"annotations":{"x":"PAD"}`), []byte("PAD"), bytes.Repeat([]byte("x"), 1700), 1)}
	put := func(method, path string, body []byte) {
		r := httptest.NewRequest(method, path, bytes.NewReader(body))
		r.SetBasicAuth("admin", "admin-password")
		r.Header.Set("Content-Type", imageType)
		rec := httptest.NewRecorder()
		x.handler.ServeHTTP(rec, r)
		if rec.Code != 201 {
			b.Fatal(rec.Code, rec.Body)
		}
	}
	put("POST", "/v2/acme/app/blobs/uploads/?digest="+emptyConfig, []byte("{}"))
	put("PUT", "/v2/acme/app/manifests/v1", x.manifest)
	t, err := authority.Issue(ctx, admin, []iam.Access{{Type: "repository", Name: "acme/app", Actions: []string{"pull"}}})
	must(err)
	x.token = "Bearer " + t.Value
	return x
}

// bare answers with the same bytes and the headers a client needs.
func bare(m []byte) http.Handler {
	d := digestOf(m)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", imageType)
		h.Set("Docker-Content-Digest", d)
		h.Set("Content-Length", strconv.Itoa(len(m)))
		_, _ = w.Write(m)
	})
}

// nothing is the cheapest possible ResponseWriter.
type nothing struct{ h http.Header }

func (n *nothing) Header() http.Header         { return n.h }
func (n *nothing) Write(p []byte) (int, error) { return len(p), nil }
func (n *nothing) WriteHeader(int)             {}

// BenchmarkHandler is the work of one manifest GET without net/http.
func BenchmarkHandler(b *testing.B) {
	x := newBenched(b)
	r := httptest.NewRequest("GET", "/v2/acme/app/manifests/v1", nil)
	r.Header.Set("Authorization", x.token)
	r.Body = http.NoBody
	for name, h := range map[string]http.Handler{"berth": x.handler, "bare": bare(x.manifest)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			w := &nothing{http.Header{}}
			for b.Loop() {
				clear(w.h)
				h.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkManifest is a manifest by tag over loopback, beside a bare handler.
func BenchmarkManifest(b *testing.B) {
	x := newBenched(b)
	for _, method := range []string{"GET", "HEAD"} {
		for _, clients := range []int{16, 64} {
			for _, s := range []struct {
				name string
				srv  *http.Server
			}{{"bare", &http.Server{Handler: bare(x.manifest)}}, {"berth", x.server}} {
				b.Run(fmt.Sprintf("%s/c=%d/%s", method, clients, s.name), func(b *testing.B) {
					benchRequests(b, s.srv, clients, method, x.token)
				})
			}
		}
	}
}

func benchRequests(b *testing.B, srv *http.Server, clients int, method, token string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() { _ = srv.Serve(l) }()
	request := fmt.Appendf(nil, "%s /v2/acme/app/manifests/v1 HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\n\r\n", method, l.Addr(), token)
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for i := range clients {
		n := b.N / clients
		if i < b.N%clients {
			n++
		}
		wg.Go(func() {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			br := bufio.NewReader(c)
			for range n {
				if err := roundTrip(c, br, request, method == "HEAD"); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// roundTrip is a client that costs little beside the server.
func roundTrip(c net.Conn, br *bufio.Reader, request []byte, head bool) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	length := 0
	for first := true; ; first = false {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
			return fmt.Errorf("%s", line)
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(v)))
		}
		if len(line) == 2 {
			break
		}
	}
	if head {
		return nil
	}
	_, err := br.Discard(length)
	return err
}
