package blob

import (
	"context"
	"fmt"
	"io"
	"iter"

	"berth.dev/berth/internal/fault"
)

// Options configure a Store. The zero value is usable.
type Options struct {
	// Buffers bounds the memory of all uploads together, counted in buffers of
	// BufferSize bytes; an upload uses up to eight, and at least one. Zero means
	// DefaultBuffers.
	Buffers int
	// Space tells how many bytes of the storage are free and how many there are
	// in all. Nil: storage without such a limit.
	Space func(context.Context) (free, total int64, err error)
	// Reserve is what uploads must leave free.
	Reserve Reserve
}

// Reserve is free space that uploads may not use, so that there is always
// enough to delete something. The larger of the two counts.
type Reserve struct {
	Bytes   int64
	Percent int // of the whole storage
}

// Store keeps blobs by means of a Driver. It holds no state between calls
// besides buffers, and may be used concurrently; the caller makes sure that
// only one call at a time works on an upload.
type Store struct {
	driver  Driver
	buffers *buffers
	space   func(context.Context) (free, total int64, err error)
	reserve Reserve
	every   int // CheckpointEvery outside tests
}

// New returns a Store on d.
func New(d Driver, o Options) *Store {
	if o.Buffers <= 0 {
		o.Buffers = DefaultBuffers
	}
	return &Store{driver: d, buffers: newBuffers(o.Buffers), space: o.Space, reserve: o.Reserve, every: CheckpointEvery}
}

// Abort removes what an upload has stored. Doing so again is fine.
func (s *Store) Abort(ctx context.Context, u Upload) error {
	if u.Key == "" {
		return nil
	}
	return s.driver.Abort(ctx, u.Key, u.Driver)
}

// Open returns a reader of the bytes under key that stands at byte off. n is
// how many bytes the caller will ask for, -1 for all: the reader may hold more
// than that. On a directory it is an *os.File, so that a response can be sent
// without copying. A key that is not stored is ErrAbsent.
func (s *Store) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if off < 0 || n < -1 {
		return nil, fmt.Errorf("blob: open %s: range %d+%d", key, off, n)
	}
	return s.driver.Open(ctx, key, off, n)
}

// Stat describes the bytes under key. A key that is not stored is ErrAbsent.
func (s *Store) Stat(ctx context.Context, key string) (Info, error) { return s.driver.Stat(ctx, key) }

// Delete removes the bytes under key for good. An absent key is not an error.
func (s *Store) Delete(ctx context.Context, key string) error { return s.driver.Delete(ctx, key) }

// List yields everything in storage behind the key after, in byte order,
// unfinished uploads included. An error ends it.
func (s *Store) List(ctx context.Context, after string) iter.Seq2[Info, error] {
	return s.driver.List(ctx, after)
}

// Free is nil while uploads may use more storage. Errors: Full, Unavailable.
func (s *Store) Free(ctx context.Context) error { return s.room(ctx, 0) }

// room is nil while need more bytes leave the reserve untouched.
func (s *Store) room(ctx context.Context, need int64) error {
	if s.space == nil {
		return nil
	}
	free, total, err := s.space(ctx)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "The storage does not answer.")
	}
	keep := max(s.reserve.Bytes, total/100*int64(s.reserve.Percent))
	if free-need < keep {
		return fault.New(fault.Full, "The storage of this registry is full.")
	}
	return nil
}
