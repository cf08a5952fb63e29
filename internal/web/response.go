package web

import (
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"berth.dev/berth/internal/iam"
)

// Response is the http.ResponseWriter that handlers below a Server get. It
// counts, keeps the progress deadline of each write, and passes ReadFrom on, so
// that a file still leaves by sendfile.
//
// The methods beyond http.ResponseWriter may be called on a nil *Response.
type Response struct {
	http.ResponseWriter
	s     *Server
	r     *http.Request
	route *Route

	id     [1]string // as a header's value
	caller iam.Caller
	err    error

	start  time.Time
	armed  time.Time // when the write deadline was set last
	sent   int64
	status int // 0: no header yet
	body   *body
}

// rearm is the part of the progress limit by which a deadline may be too
// short: setting it on every read and write would cost more than many of them.
const rearm = 30

// writeChunk is the most that is written under one deadline.
const writeChunk = 128 << 10

// Of returns the Response behind a handler's writer, nil where there is none.
func Of(w http.ResponseWriter) *Response {
	res, _ := w.(*Response)
	return res
}

func (s *Server) response(w http.ResponseWriter, r *http.Request) *Response {
	now := time.Now()
	res := &Response{ResponseWriter: w, s: s, r: r, route: s.unknown, start: now, armed: now}
	res.id[0] = s.requestID(r)
	w.Header()["X-Request-Id"] = res.id[:]
	if r.ProtoMajor > 1 {
		// An HTTP/2 stream whose write timeout passes is reset at once, even
		// while its request body is still coming.
		res.armed = time.Time{}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	}
	if r.Body != nil && r.Body != http.NoBody {
		res.body = &body{ReadCloser: r.Body, rc: http.NewResponseController(w), progress: s.o.Progress, answers: r.ProtoMajor == 1}
		res.body.arm(now)
		// The server's own request stays as it is: by the type of its body
		// net/http knows whether the client still waits for 100 Continue.
		res.r = new(http.Request)
		*res.r = *r
		res.r.Body = res.body
	}
	return res
}

// requestID is new for every request, unless a trusted proxy has given one.
func (s *Server) requestID(r *http.Request) string {
	if s.o.Origin.trusts(r) {
		if id := r.Header.Get("X-Request-Id"); plainToken(id) {
			return id
		}
	}
	var b [8]byte
	var x [16]byte
	for i, n := 0, rand.Uint64(); i < len(b); i, n = i+1, n>>8 {
		b[i] = byte(n)
	}
	hex.Encode(x[:], b[:])
	return string(x[:])
}

// plainToken reports whether a string from outside can stand in a log line.
func plainToken(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// Serve names the route that answers, for log, metrics and panics.
func (w *Response) Serve(rt *Route) {
	if w != nil {
		w.route = rt
	}
}

// Caller records who sent the request, for the log.
func (w *Response) Caller(who iam.Caller) {
	if w != nil {
		w.caller = who
	}
}

// Failed records what a handler rendered as an error, for the log alone.
func (w *Response) Failed(err error) {
	if w != nil {
		w.err = err
	}
}

// BodyFailed returns the fault of the client that ended the request's body, nil
// if none did. Reading is also how net/http notices that a client is gone; it
// then cancels the request, which hides the reason.
func (w *Response) BodyFailed() error {
	if w == nil || w.body == nil {
		return nil
	}
	if f := w.body.failed.Load(); f != nil {
		return f
	}
	return nil
}

// RequestID is the value of the answer's X-Request-Id.
func (w *Response) RequestID() string {
	if w == nil {
		return ""
	}
	return w.id[0]
}

// Unwrap serves http.ResponseController.
func (w *Response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *Response) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
		w.arm(w.s.o.Progress / rearm) // the header may be all that is written
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *Response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	total := 0
	for {
		part := p[total:]
		if len(part) > writeChunk {
			part = part[:writeChunk]
		}
		w.arm(w.s.o.Progress / rearm)
		n, err := w.ResponseWriter.Write(part)
		total += n
		w.sent += int64(n)
		if err != nil || total == len(p) {
			return total, err
		}
	}
}

// ReadFrom copies src into the answer. The copy is one sendfile loop in the
// kernel where src is a file, and it may last for hours: a deadline that passes
// after something moved only starts the next stretch.
func (w *Response) ReadFrom(src io.Reader) (int64, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	rf, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok || w.r.TLS != nil || w.r.ProtoMajor > 1 {
		// Written piece by piece, each with its deadline: after a timeout a
		// TLS connection could not go on.
		return io.CopyBuffer(onlyWriter{w}, src, make([]byte, 32<<10))
	}
	total := int64(0)
	for {
		w.arm(0)
		n, err := rf.ReadFrom(src)
		total += n
		w.sent += n
		if n == 0 || !isTimeout(err) || w.r.Context().Err() != nil {
			return total, err
		}
	}
}

type onlyWriter struct{ io.Writer }

func (w *Response) arm(age time.Duration) {
	now := time.Now()
	if now.Sub(w.armed) < age {
		return
	}
	w.armed = now
	// A writer without deadlines is one of a test.
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(now.Add(w.s.o.Progress))
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
