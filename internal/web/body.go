package web

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"berth.dev/berth/internal/fault"
)

// body is a request's body that is read under a progress deadline: a client
// may take as long as it likes as long as something comes. Errors of the
// connection become faults of the client: Timeout, SizeInvalid.
type body struct {
	io.ReadCloser
	rc          *http.ResponseController
	progress    time.Duration
	answers     bool // a read may write too: 100 Continue, before the first byte
	armed       time.Time
	received    atomic.Int64
	interrupted atomic.Bool
	failed      atomic.Pointer[fault.Error]
}

func (b *body) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.armed) >= b.progress/rearm {
		b.arm(now)
	}
	if b.interrupted.Load() {
		return 0, errInterrupted
	}
	n, err := b.ReadCloser.Read(p)
	b.received.Add(int64(n))
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		// From now on net/http itself reads the connection, to notice a
		// client that leaves: a deadline would look like one.
		_ = b.rc.SetReadDeadline(time.Time{})
		return n, io.EOF
	case isTimeout(err) && time.Since(b.armed) < b.progress:
		return n, b.fail(errInterrupted)
	case isTimeout(err):
		return n, b.fail(fault.Wrap(fault.Timeout, err, "Nothing of the body has come for %v.", b.progress))
	default:
		return n, b.fail(fault.Wrap(fault.SizeInvalid, err, "The connection ended before the body did."))
	}
	return n, err
}

func (b *body) fail(f *fault.Error) error {
	b.failed.Store(f)
	return f
}

// errInterrupted is what a Read returns after Interrupt.
var errInterrupted = fault.New(fault.UploadInvalid, "The request was given up before its body had come.")

// Interrupt makes a Read that waits return at once, and every later one fail.
// It is for another goroutine that has no use for the rest of the body.
func (b *body) Interrupt() {
	b.interrupted.Store(true)
	_ = b.rc.SetReadDeadline(time.Unix(1, 0))
}

func (b *body) arm(now time.Time) {
	b.armed = now
	_ = b.rc.SetReadDeadline(now.Add(b.progress))
	if b.answers {
		_ = b.rc.SetWriteDeadline(now.Add(b.progress))
	}
}

// ReadBody reads a whole request body of at most limit bytes. Memory grows with
// what comes, not with what is announced.
//
// Errors: fault.TooLarge, and those of the connection.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	tooLarge := fault.New(fault.TooLarge, "The body is larger than %d bytes.", limit)
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	if r.Body == nil {
		return nil, nil
	}
	b := make([]byte, 0, min(max(r.ContentLength, 0)+1, 64<<10))
	for {
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > limit:
			return nil, tooLarge
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, err
		case len(b) == cap(b):
			b = append(b, 0)[:len(b)]
		}
	}
}
