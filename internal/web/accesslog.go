package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// statusAborted counts answers whose client left before they began.
const statusAborted = 499

const (
	maxLogged = 512      // bytes of a path or agent in a log line
	maxError  = 16 << 10 // likewise of an error, which may hold the stack of a panic
)

// finish ends a request: it turns a panic into an answer, counts, and logs.
// It must be deferred itself, since it recovers.
func (s *Server) finish(w *Response) {
	p := recover()
	s.gate.leave()
	if p != nil && !aborted(p) {
		w.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		if w.status == 0 {
			w.route.fail(w, w.r, errPanic)
			p = nil
		} else {
			p = http.ErrAbortHandler // what has been sent cannot become whole
		}
	}
	status := w.status
	if status == 0 {
		status = http.StatusOK
		if w.r.Context().Err() != nil {
			status = statusAborted
		}
	}
	took, received := time.Since(w.start), int64(0)
	if w.body != nil {
		received = w.body.received.Load()
	}
	w.route.count(status, took, w.sent, received)
	s.log(w, status, took, received)
	if p != nil {
		panic(p)
	}
}

// aborted reports whether a handler panicked on purpose, to cut its answer off.
func aborted(p any) bool {
	err, ok := p.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

// log writes the access log: what changed something or failed, at info;
// successful reads and single steps, by far the most, at debug; our own failures
// at error.
func (s *Server) log(w *Response, status int, took time.Duration, received int64) {
	r := w.r
	level := slog.LevelInfo
	switch {
	case status >= 500, w.err != nil && status < 400 && r.Context().Err() == nil && !isTimeout(w.err):
		level = slog.LevelError // also an answer that broke off for a reason of ours
	case status < 400 && (w.route.Quiet || r.Method == http.MethodGet || r.Method == http.MethodHead):
		level = slog.LevelDebug
	}
	ctx := r.Context()
	if !s.o.Log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("id", w.id[0]),
		slog.String("route", w.route.name),
		slog.String("method", r.Method),
		slog.String("path", clip(shown(r.URL.Path, w.route.Secret), maxLogged)),
		slog.Int("status", status),
		slog.Duration("took", took),
		slog.Int64("received", received),
		slog.Int64("sent", w.sent),
		slog.String("from", s.o.Origin.Client(r)),
		slog.String("agent", clip(r.UserAgent(), maxLogged)),
	}
	if !w.caller.Anonymous() {
		attrs = append(attrs, slog.String("caller", w.caller.String()))
	}
	if w.err != nil {
		attrs = append(attrs, slog.String("err", clip(w.err.Error(), maxError)))
	}
	s.o.Log.LogAttrs(ctx, level, "request", attrs...)
}

// uploads is what stands before the id of an upload, with which whoever reads
// it could meddle. A path may hold one and be of no route: the method was
// wrong, or something follows.
const uploads = "/blobs/uploads/"

// shown is a path without its secrets.
func shown(path string, secret bool) string {
	end := len(path)
	if secret {
		end = strings.LastIndexByte(path, '/') + 1
	}
	if i := strings.Index(path, uploads); i >= 0 {
		end = min(end, i+len(uploads))
	}
	if end == len(path) {
		return path
	}
	return path[:end] + "…"
}

func clip(s string, most int) string {
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
