package raw

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
)

func serve(t *testing.T, h http.HandlerFunc) *Endpoint {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	e, err := NewEndpoint(s.URL, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func client(t *testing.T, e *Endpoint) *Client {
	t.Helper()
	c := e.New()
	t.Cleanup(c.Close)
	return c
}

func TestOneConnectionCarriesAllKindsOfAnswers(t *testing.T) {
	var connections atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/length":
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "hello")
		case "/chunked":
			for i := range 3 {
				fmt.Fprintf(w, "part %d;", i)
				w.(http.Flusher).Flush()
			}
		case "/large":
			w.Header().Set("Content-Length", fmt.Sprint(1<<20))
			w.Write(make([]byte, 1<<20))
		case "/none":
			w.Header().Set("Location", "/here")
			w.WriteHeader(204)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	e, err := NewEndpoint(s.URL, "", "")
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, e)
	for range 2 {
		for _, want := range []struct {
			method, path string
			keep         bool
			status       int
			received     int64
			body         string
		}{
			{"GET", "/length", true, 200, 5, "hello"},
			{"HEAD", "/length", true, 200, 0, ""},
			{"GET", "/chunked", true, 200, 21, "part 0;part 1;part 2;"},
			{"GET", "/chunked", false, 200, 21, ""},
			{"GET", "/large", false, 200, 1 << 20, ""},
			{"GET", "/none", true, 204, 0, ""},
		} {
			r, err := c.Do(&Request{Method: want.method, Path: want.path, Keep: want.keep})
			if err != nil {
				t.Fatalf("%s %s: %v", want.method, want.path, err)
			}
			if r.Status != want.status || r.Received != want.received || string(r.Body) != want.body {
				t.Errorf("%s %s: status %d, %d bytes, %q", want.method, want.path, r.Status, r.Received, r.Body)
			}
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

type twoBlocks struct{ n int }

func (b *twoBlocks) Size() int64 { return 10 }
func (b *twoBlocks) Next() net.Buffers {
	if b.n++; b.n > 2 {
		return nil
	}
	return net.Buffers{[]byte("he"), []byte("llo")}
}

func TestStreamsArriveWhole(t *testing.T) {
	c := client(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %s", r.ContentLength, b)
	}))
	for _, chunked := range []bool{true, false} {
		r, err := c.Do(&Request{Method: "PATCH", Path: "/", Stream: &twoBlocks{}, Chunked: chunked, Keep: true})
		if err != nil {
			t.Fatal(err)
		}
		want := "10 hellohello"
		if chunked {
			want = "-1 hellohello"
		}
		if string(r.Body) != want {
			t.Errorf("chunked %v: the server got %q, want %q", chunked, r.Body, want)
		}
	}
}

func TestRedialsAClosedConnectionOnce(t *testing.T) {
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	c := client(t, e)
	if _, err := c.Do(&Request{Method: "GET", Path: "/"}); err != nil {
		t.Fatal(err)
	}
	c.conn.Close()
	if r, err := c.Do(&Request{Method: "GET", Path: "/"}); err != nil || r.Status != 200 {
		t.Errorf("after the close: %v, %v", r, err)
	}
}

func TestTokenFlow(t *testing.T) {
	var fetched atomic.Int64
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			user, password, _ := r.BasicAuth()
			if user != "u" || password != "p" || r.URL.Query().Get("scope") != "repository:a/b:pull" || r.URL.Query().Get("service") != "reg" {
				w.WriteHeader(401)
				return
			}
			fmt.Fprintf(w, `{"token":"t%d"}`, fetched.Add(1))
			return
		}
		if r.Header.Get("Authorization") != "Bearer t1" {
			w.Header().Add("WWW-Authenticate", `Basic realm="x"`)
			w.Header().Add("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="reg",scope="repository:a/b:pull"`)
			w.WriteHeader(401)
		}
	})
	e.User, e.Password = "u", "p"
	c := client(t, e)
	for range 3 {
		r, err := c.Do(&Request{Method: "GET", Path: "/v2/a/b", Scope: "repository:a/b:pull"})
		if err != nil || r.Status != 200 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	if n := fetched.Load(); n != 1 {
		t.Errorf("%d tokens were fetched, want 1", n)
	}
}

func TestParseChallenge(t *testing.T) {
	for in, want := range map[string]map[string]string{
		`Bearer realm="http://h/t",service="s",scope="repository:a/b:pull,push"`: {"": "bearer", "realm": "http://h/t", "service": "s", "scope": "repository:a/b:pull,push"},
		`Basic realm=x`:   {"": "basic", "realm": "x"},
		`Basic`:           {"": "basic"},
		`Bearer realm="x`: {"": "bearer", "realm": "x"},
	} {
		scheme, got := parseChallenge(in)
		got[""] = scheme
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", in, got, want)
		}
	}
}

func TestRefusesWhatIsNotHTTP(t *testing.T) {
	for _, answer := range []string{"SSH-2.0-x\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			conn.Read(make([]byte, 1024))
			io.WriteString(conn, answer)
		}()
		e, err := NewEndpoint("http://"+l.Addr().String(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		c := e.New()
		if r, err := c.Do(&Request{Method: "GET", Path: "/"}); err == nil {
			t.Errorf("%s was taken for %+v", strings.TrimSpace(answer), r)
		}
		c.Close()
		l.Close()
	}
}
