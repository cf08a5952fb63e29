package iamapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/iam/iamtest"
	"berth.dev/berth/internal/iamapi"
	"berth.dev/berth/internal/web"
)

// world is the API behind a real listener. The first account has its
// administrator, the account acme has boss, who administers it, and alice.
// Passwords are "<name>-password".
type world struct {
	t     testing.TB
	iam   *iam.Authority
	host  string
	later atomic.Int64 // how far the clock is ahead
	log   logged
	acme  iam.Account
	users map[string]iam.User
}

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

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.later.Load())) }

func open(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, users: map[string]iam.User{}}
	log := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	w.iam, err = iam.New(t.Context(), dbtest.Open(t), iam.Options{Master: bytes.Repeat([]byte{7}, 32), Argon: iam.Argon{Memory: 64, Passes: 1}, Now: w.now, Log: log})
	w.must(err)
	t.Cleanup(func() { w.must(w.iam.Close()) })
	_, _, err = w.iam.Bootstrap(t.Context(), "admin-password")
	w.must(err)
	w.users["admin"], err = w.iam.User(t.Context(), iam.Operator(), "", "admin")
	w.must(err)
	w.acme, err = w.iam.CreateAccount(t.Context(), iam.Operator(), "acme")
	w.must(err)
	w.user("boss", true)
	w.user("alice", false)

	api := iamapi.New(w.iam, iamapi.Options{})
	s := web.New(web.Options{Log: log}, web.Mount{Path: "/v3", Handler: api}, web.Mount{Path: "/v3/", Handler: api}, web.Mount{Path: "/v3.0/", Handler: api})
	srv := s.HTTP()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.host = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) user(name string, admin bool) {
	w.t.Helper()
	u, err := w.iam.CreateUser(w.t.Context(), iam.Operator(), "acme", name, name+"-password", admin)
	w.must(err)
	w.users[name] = u
}

// answer is what a request got.
type answer struct {
	*http.Response
	body []byte
	t    testing.TB
}

// do sends a request. Every answer must be whole: the content type, the ids,
// JSON where there is a body, and never a redirect or a failure of ours.
func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	w.must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	w.must(err)
	a := answer{res, b, w.t}
	what := r.Method + " " + r.URL.RequestURI()
	if res.StatusCode >= 500 || res.StatusCode >= 300 && res.StatusCode < 400 {
		w.t.Errorf("%s: %s %s", what, res.Status, b)
	}
	if id := res.Header.Get("X-Request-Id"); id == "" || res.Header.Get("X-IAM-Trace-Id") != id {
		w.t.Errorf("%s: ids %q and %q", what, id, res.Header.Get("X-IAM-Trace-Id"))
	}
	switch {
	case res.StatusCode == http.StatusNoContent && len(b) > 0:
		w.t.Errorf("%s: 204 with %q", what, b)
	case res.StatusCode != http.StatusNoContent && res.Header.Get("Content-Type") != "application/json":
		w.t.Errorf("%s: content type %q", what, res.Header.Get("Content-Type"))
	case res.StatusCode != http.StatusNoContent && r.Method != "HEAD" && !json.Valid(b):
		w.t.Errorf("%s: %q is no JSON", what, b)
	}
	return a
}

func (w *world) request(method, path, body string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequest(method, "http://"+w.host+path, strings.NewReader(body))
	w.must(err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json;charset=utf-8")
	}
	return r
}

// as sends a request with a token.
func (w *world) as(token, method, path, body string) answer {
	w.t.Helper()
	r := w.request(method, path, body)
	r.Header.Set("X-Auth-Token", token)
	return w.do(r)
}

// signed sends a request signed by a key.
func (w *world) signed(access, secret, method, path, body string, header ...string) answer {
	w.t.Helper()
	r := w.request(method, path, "")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	iamtest.Sign(r, access, secret, w.now(), []byte(body))
	return w.do(r)
}

// login fetches a token for a user of acme, or for admin.
func (w *world) login(name string) string {
	w.t.Helper()
	a := w.do(w.request("POST", "/v3/auth/tokens", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"`+w.users[name].ID+`","password":"`+name+`-password"}}}}}`))
	a.status(http.StatusCreated)
	return a.Header.Get("X-Subject-Token")
}

func (a answer) status(want int) answer {
	a.t.Helper()
	if a.StatusCode != want {
		a.t.Errorf("%s %s: %d, want %d: %s", a.Request.Method, a.Request.URL.RequestURI(), a.StatusCode, want, a.body)
	}
	return a
}

// fails checks status and code of an error, and its whole shape.
func (a answer) fails(status int, code string) answer {
	a.t.Helper()
	a.status(status)
	var e struct {
		Error struct {
			Code           int
			Message, Title string
		}
		ErrorCode string `json:"error_code"`
		ErrorMsg  string `json:"error_msg"`
	}
	if err := json.Unmarshal(a.body, &e); err != nil || e.Error.Code != status || e.Error.Title != http.StatusText(status) || e.Error.Message == "" || e.Error.Message != e.ErrorMsg || e.ErrorCode != code {
		a.t.Errorf("%s %s: %s, want the code %s", a.Request.Method, a.Request.URL.RequestURI(), a.body, code)
	}
	return a
}

// get returns a member by its path: "token.user.name", "projects.0.id".
func (a answer) get(path string) any {
	a.t.Helper()
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.t.Fatalf("%q: %v", a.body, err)
	}
	for part := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i := int(part[0] - '0')
			if part == "#" {
				return len(x)
			}
			if i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (a answer) has(path string, want any) answer {
	a.t.Helper()
	if got := a.get(path); got != want {
		a.t.Errorf("%s %s: %s is %v, want %v: %s", a.Request.Method, a.Request.URL.RequestURI(), path, got, want, a.body)
	}
	return a
}

func (a answer) text(path string) string {
	a.t.Helper()
	s, ok := a.get(path).(string)
	if !ok {
		a.t.Fatalf("%s is no text: %s", path, a.body)
	}
	return s
}
