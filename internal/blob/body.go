package blob

import (
	"context"
	"errors"
	"io"

	"berth.dev/berth/internal/fault"
)

// emptyReads is how often in a row a source may deliver nothing.
const emptyReads = 100

// body reads a source and holds it to its announced length. Every error but
// io.EOF is a fault, and an error once returned is returned for good.
type body struct {
	ctx   context.Context
	src   io.Reader
	left  int64 // bytes still announced, -1 if the length is unknown
	empty int
	err   error
}

func (b *body) Read(p []byte) (int, error) {
	if b.err == nil && b.ctx.Err() != nil {
		b.err = interrupted(b.ctx)
	}
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.left == 0 {
		b.err = b.atEnd()
		return 0, b.err
	}
	if b.left > 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.src.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	b.err = b.translate(n, err)
	return n, b.err
}

// atEnd makes sure that a source ends where it was announced to end.
func (b *body) atEnd() error {
	var one [1]byte
	for range emptyReads {
		n, err := b.src.Read(one[:])
		if n > 0 {
			return fault.New(fault.SizeInvalid, "The body is longer than announced.")
		}
		if err != nil {
			return b.failed(err)
		}
	}
	return b.failed(io.ErrNoProgress)
}

// translate gives the error of a read that brought n bytes its code.
func (b *body) translate(n int, err error) error {
	if err == nil && n > 0 {
		b.empty = 0
		return nil
	}
	if err == nil {
		if b.empty++; b.empty < emptyReads {
			return nil
		}
		err = io.ErrNoProgress
	}
	return b.failed(err)
}

func (b *body) failed(err error) error {
	var f *fault.Error
	var slow interface{ Timeout() bool }
	switch {
	case isEOF(err) && b.left <= 0:
		return io.EOF
	case b.ctx.Err() != nil:
		return interrupted(b.ctx)
	case errors.As(err, &f):
		return err
	case errors.As(err, &slow) && slow.Timeout():
		return fault.Wrap(fault.Timeout, err, "The body came too slowly.")
	default:
		return cut(err)
	}
}

// isEOF reports the EOF of a good end: the bare value, as io.Reader returns it.
// A body that broke off may have an EOF somewhere in its error's chain.
func isEOF(err error) bool { return any(err) == any(io.EOF) }

// cut is the error of a body that ended before it should.
func cut(err error) error {
	return fault.Wrap(fault.SizeInvalid, err, "The body ended before it was complete.")
}

// fill reads until p is full, n bytes of which already are, or r fails. It
// returns how much of p is full.
func fill(r io.Reader, p []byte, n int) (int, error) {
	var err error
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}
