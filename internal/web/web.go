// Package web is what every HTTP surface of Berth shares: the outermost
// handler with request ids, panic recovery, access log, metrics and progress
// deadlines; the address a client reached us by; bounded bodies and JSON.
//
// It knows no route: a surface registers its routes with Metrics and renders
// its own errors.
package web

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Options are the limits and the outlets of a Server.
type Options struct {
	Log     *slog.Logger // access log; default: none
	Metrics *Metrics     // default: counted, shown nowhere
	Origin  *Origin      // default: what the client used, no trusted proxies

	Progress      time.Duration // longest pause between two reads or two writes that move; default 30 s
	HeaderTimeout time.Duration // to send a request's header; default 10 s
	Idle          time.Duration // between two requests of one connection; default 2 min
	MaxHeader     int           // bytes of a request's header; default 32 KiB
	MaxInFlight   int           // requests served at once, more get 503; default 4096
}

// Mount is a handler and the paths it answers: one path, or everything below
// it where the path ends in a slash.
type Mount struct {
	Path    string
	Handler http.Handler
}

// Server is the outermost handler. It finds the handler for a path by plain
// comparison, the longest mount first: no path is cleaned and nothing is ever
// redirected, since clients of these protocols do not follow redirects.
type Server struct {
	o       Options
	mounts  []Mount
	unknown *Route
	gate    *Gate
}

// New assembles a Server.
func New(o Options, mounts ...Mount) *Server {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Metrics = cmp.Or(o.Metrics, NewMetrics(nil))
	o.Origin = cmp.Or(o.Origin, &Origin{})
	o.Progress = cmp.Or(o.Progress, 30*time.Second)
	o.HeaderTimeout = cmp.Or(o.HeaderTimeout, 10*time.Second)
	o.Idle = cmp.Or(o.Idle, 2*time.Minute)
	o.MaxHeader = cmp.Or(o.MaxHeader, 32<<10)
	o.MaxInFlight = cmp.Or(o.MaxInFlight, 4096)
	m := slices.Clone(mounts)
	slices.SortStableFunc(m, func(a, b Mount) int { return len(b.Path) - len(a.Path) })
	return &Server{o: o, mounts: m, unknown: o.Metrics.Route("unknown", plainError), gate: newGate(&o.Metrics.inFlight, int64(o.MaxInFlight))}
}

// HTTP returns the server to run on a listener, with the limits that only
// net/http can keep. Its write timeout is where each answer's progress deadline
// starts; it does not bound an answer as a whole.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.o.HeaderTimeout,
		WriteTimeout:      s.o.Progress,
		IdleTimeout:       s.o.Idle,
		MaxHeaderBytes:    s.o.MaxHeader,
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	res := s.response(w, r)
	defer s.finish(res)
	if !s.gate.enter() {
		w.Header()["Retry-After"] = retrySoon
		plainAnswer(res, http.StatusServiceUnavailable, "UNAVAILABLE", "Too many requests are being served; try again.")
		return
	}
	s.handler(r.URL.Path).ServeHTTP(res, res.r)
}

// Drained is for the time after the server was shut down or closed: it waits
// until no request is being served any more or ctx ends. One that still comes
// is refused.
func (s *Server) Drained(ctx context.Context) error { return s.gate.Close(ctx) }

var retrySoon = []string{"1"}

func (s *Server) handler(path string) http.Handler {
	for i := range s.mounts {
		m := &s.mounts[i]
		if m.Path == path || m.Path[len(m.Path)-1] == '/' && strings.HasPrefix(path, m.Path) {
			return m.Handler
		}
	}
	return http.HandlerFunc(notFound)
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	plainAnswer(w, http.StatusNotFound, "NOT_FOUND", "Nothing is served at this address.")
}

// plainError answers a panic where no surface is responsible.
func plainError(w http.ResponseWriter, _ *http.Request, _ error) {
	plainAnswer(w, http.StatusInternalServerError, "UNKNOWN", "Something went wrong inside the server.")
}

// plainAnswer is an error where no surface is responsible, in the form that
// registry clients read.
func plainAnswer(w http.ResponseWriter, status int, code, message string) {
	type problem struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	WriteJSON(w, status, map[string][]problem{"errors": {{code, message}}})
}

// errPanic is the error a surface renders after one of its handlers panicked.
var errPanic = errors.New("a handler panicked")
