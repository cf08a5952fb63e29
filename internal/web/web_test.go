package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"berth.dev/berth/internal/fault"
)

// logged is a log that a test can read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newLog(level slog.Level) (*slog.Logger, *logged) {
	l := &logged{}
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level})), l
}

func handle(f func(w http.ResponseWriter, r *http.Request)) http.Handler { return http.HandlerFunc(f) }

func do(h http.Handler, method, path string, body io.Reader) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, path, body))
	return rec
}

func TestMounts(t *testing.T) {
	say := func(s string) http.Handler {
		return handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) })
	}
	s := New(Options{}, Mount{"/", say("root")}, Mount{"/v2", say("version")}, Mount{"/v2/", say("oci")}, Mount{"/auth/token", say("token")})
	for path, want := range map[string]string{
		"/": "root", "/v2": "version", "/v2/": "oci", "/v2/a/../b": "oci", "/v2//x": "oci", "/auth/token": "token",
		"/auth/token/": "root", "/v3": "root", "//v2/": "root",
	} {
		if rec := do(s, "GET", path, nil); rec.Code != 200 || rec.Body.String() != want {
			t.Errorf("%s: %d %s, want %s", path, rec.Code, rec.Body, want)
		}
	}
	if rec := do(New(Options{}, Mount{"/v2", say("")}), "GET", "/v2/", nil); rec.Code != 404 || !strings.HasPrefix(rec.Body.String(), `{"errors":[{"code":"NOT_FOUND"`) {
		t.Errorf("a path that nobody has: %d %s", rec.Code, rec.Body)
	}
}

func TestRequestID(t *testing.T) {
	origin, _ := NewOrigin("", proxies)
	var inside string
	s := New(Options{Origin: origin}, Mount{"/", handle(func(w http.ResponseWriter, _ *http.Request) { inside = Of(w).RequestID() })})
	id := regexp.MustCompile(`^[0-9a-f]{16}$`)
	ask := func(from, given string) string {
		rec, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = from
		r.Header.Set("X-Request-Id", given)
		s.ServeHTTP(rec, r)
		got := rec.Header().Get("X-Request-Id")
		if got != inside {
			t.Errorf("the handler sees id %s, the client %s", inside, got)
		}
		return got
	}
	a, b := ask("192.0.2.1:1", "mine"), ask("192.0.2.1:1", "mine")
	if !id.MatchString(a) || !id.MatchString(b) || a == b {
		t.Errorf("ids %s and %s", a, b)
	}
	if got := ask("10.0.0.1:1", "of-the-proxy"); got != "of-the-proxy" {
		t.Errorf("a trusted proxy's id became %s", got)
	}
	if got := ask("10.0.0.1:1", "two\nlines"); !id.MatchString(got) {
		t.Errorf("a malformed id became %q", got)
	}
}

func TestPanicBecomesAnAnswer(t *testing.T) {
	log, out := newLog(slog.LevelInfo)
	m := NewMetrics(nil)
	rt := m.Route("broken", func(w http.ResponseWriter, _ *http.Request, _ error) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "sorry")
	})
	s := New(Options{Log: log, Metrics: m}, Mount{"/", handle(func(w http.ResponseWriter, r *http.Request) {
		Of(w).Serve(rt)
		if r.URL.Path == "/late" {
			_, _ = io.WriteString(w, "half")
		}
		panic("out of cheese")
	})})
	rec := do(s, "GET", "/", nil)
	if rec.Code != 500 || rec.Body.String() != "sorry" {
		t.Errorf("answer: %d %s", rec.Code, rec.Body)
	}
	for _, want := range []string{"level=ERROR", "out of cheese", "web_test.go", "route=broken", "id=" + rec.Header().Get("X-Request-Id")} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %s: %s", want, out)
		}
	}
	defer func() {
		if p := recover(); !aborted(p) {
			t.Errorf("a panic in the middle of an answer ended as %v", p)
		}
		if n := m.inFlight.Load(); n != 0 {
			t.Errorf("%d requests in flight", n)
		}
	}()
	do(s, "GET", "/late", nil)
}

func TestAccessLog(t *testing.T) {
	fail := func(http.ResponseWriter, *http.Request, error) {}
	m := NewMetrics(nil)
	open, hidden := m.Route("open", fail), m.Route("hidden", fail)
	hidden.Secret = true
	tests := []struct {
		method, path string
		status       int
		err          error
		want         string // "" no line at info
		never        string
	}{
		{"GET", "/open/a", 200, nil, "", ""},
		{"HEAD", "/open/a", 304, nil, "", ""},
		{"GET", "/open/a?token=s3cret", 404, fault.New(fault.TagUnknown, "no tag"), `level=INFO .* err="tag_unknown: no tag"`, "s3cret"},
		{"PUT", "/open/a", 201, nil, `level=INFO .*route=open method=PUT path=/open/a status=201`, ""},
		{"GET", "/open/a", 503, errors.New("disk"), `level=ERROR .*err=disk`, ""},
		{"GET", "/open/a", 200, errors.New("torn"), `level=ERROR .*err=torn`, ""},
		{"PATCH", "/hidden/s3cret", 202, nil, `path=/hidden/… `, "s3cret"},
		{"POST", "/v2/a/b/blobs/uploads/s3cret", 405, nil, `path=/v2/a/b/blobs/uploads/… `, "s3cret"},
		{"PATCH", "/v2/a/b/blobs/uploads/s3cret/more", 404, nil, `path=/v2/a/b/blobs/uploads/… `, "s3cret"},
		{"PATCH", "/hidden/blobs/uploads/s3cret/more", 404, nil, `path=/hidden/blobs/uploads/… `, "s3cret"},
		{"POST", "/v2/a/b/blobs/uploads/", 202, nil, `path=/v2/a/b/blobs/uploads/ `, ""},
		{"PUT", "/open/" + strings.Repeat("x", 2000), 201, nil, `path=/open/x{506}… `, ""},
	}
	for _, tt := range tests {
		log, out := newLog(slog.LevelInfo)
		s := New(Options{Log: log, Metrics: m}, Mount{"/", handle(func(w http.ResponseWriter, r *http.Request) {
			rt := open
			if strings.HasPrefix(r.URL.Path, "/hidden/") {
				rt = hidden
			}
			Of(w).Serve(rt)
			if tt.err != nil {
				Of(w).Failed(tt.err)
			}
			w.WriteHeader(tt.status)
		})})
		do(s, tt.method, tt.path, nil)
		if tt.want == "" && out.String() != "" || !regexp.MustCompile(tt.want).MatchString(out.String()) {
			t.Errorf("%s %.20s %d logs %q, want %s", tt.method, tt.path, tt.status, out, tt.want)
		}
		if tt.never != "" && strings.Contains(out.String(), tt.never) {
			t.Errorf("the log tells a secret: %s", out)
		}
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	rt := m.Route("echo", nil)
	s := New(Options{Metrics: m, MaxInFlight: 1}, Mount{"/", handle(func(w http.ResponseWriter, r *http.Request) {
		Of(w).Serve(rt)
		if n := m.inFlight.Load(); n != 1 {
			t.Errorf("%d requests in flight", n)
		}
		_, _ = io.Copy(w, r.Body)
	})})
	do(s, "POST", "/", strings.NewReader("hello"))
	do(s, "POST", "/", strings.NewReader("hi"))
	for _, status := range []int{299, 451, 599, 999} {
		rt.code(status).Inc()
	}
	got := gather(t, reg)
	for name, want := range map[string]float64{
		"berth_http_requests_total{code=200,route=echo}": 2,
		"berth_http_requests_total{code=451,route=echo}": 1,
		"berth_http_requests_total{code=999,route=echo}": 1,
		"berth_http_received_bytes_total{route=echo}":    7,
		"berth_http_sent_bytes_total{route=echo}":        7,
		"berth_http_request_seconds{route=echo}":         2,
		"berth_http_requests_in_flight{}":                0,
		"berth_http_request_seconds{route=unknown}":      0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}

// gather returns every value by name and labels; of a histogram its count.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			got[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}

func TestTooManyInFlight(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := New(Options{MaxInFlight: 1}, Mount{"/", handle(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	})})
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(s, "GET", "/", nil)
	}()
	<-entered
	if rec := do(s, "GET", "/", nil); rec.Code != 503 || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), `"UNAVAILABLE"`) {
		t.Errorf("one request too many: %d %v", rec.Code, rec.Header())
	}
	close(leave)
	<-done
}

// sink stands for net/http's own writer and notes what it is asked to send.
type sink struct {
	http.ResponseWriter
	from io.Reader
}

func (s *sink) ReadFrom(r io.Reader) (int64, error) {
	s.from = r
	return io.Copy(io.Discard, r)
}

func TestReadFromReachesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	under := &sink{ResponseWriter: httptest.NewRecorder()}
	s := New(Options{}, Mount{"/", handle(func(w http.ResponseWriter, _ *http.Request) {
		if n, err := io.CopyN(w, f, 90); n != 90 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if res := Of(w); res.sent != 90 || res.status != 200 {
			t.Errorf("counted %d bytes, status %d", res.sent, res.status)
		}
	})})
	s.ServeHTTP(under, httptest.NewRequest("GET", "/", nil))
	limited, ok := under.from.(*io.LimitedReader)
	if !ok || limited.R != io.Reader(f) {
		t.Errorf("net/http got %T and cannot use sendfile", under.from)
	}
}

func TestReadBody(t *testing.T) {
	body := strings.Repeat("x", 200<<10)
	for _, tt := range []struct {
		announced int64
		limit     int64
		want      fault.Code
	}{
		{int64(len(body)), int64(len(body)), ""},
		{-1, int64(len(body)), ""},
		{int64(len(body)), int64(len(body)) - 1, fault.TooLarge},
		{-1, int64(len(body)) - 1, fault.TooLarge},
	} {
		r := httptest.NewRequest("PUT", "/", strings.NewReader(body))
		r.ContentLength = tt.announced
		got, err := ReadBody(r, tt.limit)
		if fault.CodeOf(err) != tt.want || err == nil && string(got) != body {
			t.Errorf("%d of %d: %d bytes, %v", tt.announced, tt.limit, len(got), err)
		}
	}
	if got, err := ReadBody(httptest.NewRequest("GET", "/", nil), 10); len(got) != 0 || err != nil {
		t.Errorf("no body: %q, %v", got, err)
	}
}

func TestJSON(t *testing.T) {
	type point struct{ X int }
	for in, want := range map[string]fault.Code{
		`{"X":1}`: "", ` {"X":1} `: "", ``: fault.Invalid, `{`: fault.Invalid, `{"X":1}{}`: fault.Invalid, `{"X":"a"}`: fault.Invalid, `{"X":1}         `: fault.TooLarge,
	} {
		var p point
		if err := ReadJSON(httptest.NewRequest("POST", "/", strings.NewReader(in)), 12, &p); fault.CodeOf(err) != want || err == nil && p.X != 1 {
			t.Errorf("%q: %+v, %v", in, p, err)
		}
	}
	rec := httptest.NewRecorder()
	WriteJSON(rec, 201, map[string]string{"a": "<&>"})
	if rec.Code != 201 || rec.Body.String() != `{"a":"<&>"}` || rec.Header().Get("Content-Length") != "11" || rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	rec = httptest.NewRecorder()
	WriteJSON(rec, 200, func() {})
	if rec.Code != 500 || strings.Contains(rec.Body.String(), "func") {
		t.Errorf("a value that is no JSON: %d %s", rec.Code, rec.Body)
	}
}

func TestNilResponse(t *testing.T) {
	res := Of(httptest.NewRecorder())
	res.Serve(nil)
	res.Failed(context.Canceled)
	if res.RequestID() != "" || res.BodyFailed() != nil {
		t.Error("an id or a fault from nowhere")
	}
}
