package ociapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
)

// benched is a whole server with one image, acme/app:v1.
type benched struct {
	*world
	token    string // to pull it
	manifest []byte
}

func newBenched(b *testing.B) *benched {
	b.Helper()
	w := open(b, options{})
	w.pushBlob("acme/app", []byte("{}"))
	m := bytes.Replace(image(`,"annotations":{"x":"PAD"}`), []byte("PAD"), bytes.Repeat([]byte("x"), 1700), 1)
	w.pushManifest("acme/app", "v1", imageType, m)
	return &benched{w, w.token("reader", "repository:acme/app:pull"), m}
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
	for name, h := range map[string]http.Handler{"berth": x.srv.Handler, "bare": bare(x.manifest)} {
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
			}{{"bare", &http.Server{Handler: bare(x.manifest)}}, {"berth", x.srv}} {
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
