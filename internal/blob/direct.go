package blob

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
)

const (
	// directMax is how many bytes of a body go the direct way, before a
	// pipeline takes over: for a short one its goroutines cost more than the
	// overlap brings.
	directMax = 2 << 20
	// directChunk is little enough to stay in a core's own cache from the
	// network to the hash and to storage.
	directChunk = 256 << 10
)

// direct is what a driver reads of the beginning of a body: bytes that were
// hashed on their way, in the goroutine of the caller.
type direct struct {
	b    *body
	hash hash.Hash
	buf  []byte
	n    int   // bytes of buf that were hashed and not read yet
	left int   // bytes that may still be received
	size int64 // bytes read
	err  error // why no more come: that of the body, or io.EOF at directMax
}

// fill receives and hashes the next bytes, behind n that are in buf already.
func (d *direct) fill(n int) {
	size := min(len(d.buf), n+d.left)
	var err error
	d.n, err = fill(d.b, d.buf[:size], n)
	d.left -= d.n - n
	d.hash.Write(d.buf[:d.n])
	if d.err = err; err == nil && d.left == 0 {
		d.err = io.EOF
	}
}

// next reports whether there is something to read.
func (d *direct) next() bool {
	if d.n == 0 && d.err == nil {
		d.fill(0)
	}
	return d.n > 0
}

func (d *direct) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !d.next() {
		return 0, io.EOF
	}
	n := copy(p, d.buf[:d.n])
	d.n = copy(d.buf, d.buf[n:d.n])
	d.size += int64(n)
	return n, nil
}

// WriteTo writes what was received in one call each.
func (d *direct) WriteTo(w io.Writer) (int64, error) {
	before := d.size
	for d.next() {
		n, err := w.Write(d.buf[:d.n])
		d.size += int64(n)
		if err != nil {
			return d.size - before, err
		}
		d.n = 0
	}
	return d.size - before, nil
}

// begin sends head and the first bytes of b to the driver, and returns the
// upload behind them. more says that b has not ended. On an error that is the
// driver's, safe is returned. drain is the driver's context.
func (s *Store) begin(ctx, drain context.Context, safe, at Upload, h resumable, head []byte, b *body) (u Upload, more bool, err error) {
	c, err := s.buffers.take(ctx, nil)
	if err != nil {
		return safe, false, err
	}
	defer s.buffers.give(c)
	d := &direct{b: b, hash: h, buf: c.data[:directChunk], left: min(directMax, s.every) - len(head)}
	if d.fill(copy(d.buf, head)); d.n == 0 {
		return safe, false, end(d.err)
	}
	st, parts, err := s.append(drain, at, d)
	if err != nil {
		return safe, false, err
	}
	if d.n > 0 || d.err == nil {
		return safe, false, unread(at.Key)
	}
	u = at
	u.Size += d.size
	u.Driver, u.Parts = st, append(u.Parts[:len(u.Parts):len(u.Parts)], parts...)
	if u.Hash, err = h.MarshalBinary(); err != nil {
		return safe, false, err
	}
	return u, d.left == 0 && b.err == nil, end(d.err)
}

// append hands r to the driver and returns the state behind it.
func (s *Store) append(ctx context.Context, u Upload, r io.Reader) (State, []Part, error) {
	st, parts, err := s.driver.Append(ctx, u.Key, u.Driver, r)
	if errors.Is(err, ErrAbsent) {
		err = lost(err)
	}
	if err == nil {
		err = checkState(st)
	}
	return st, parts, err
}

func unread(key string) error { return fmt.Errorf("blob: the driver left bytes of %s unread", key) }
