package blob

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"berth.dev/berth/internal/fault"
)

const (
	// BufferSize is the size of one buffer of an upload, in bytes. Smaller ones
	// cost more hand-overs, larger ones more memory and less overlap.
	BufferSize = 512 << 10
	// DefaultBuffers is how many buffers all uploads share unless configured.
	DefaultBuffers = 96
	// ringSize is how many buffers one upload may fill before it has to wait
	// for the slower of hash and storage.
	ringSize = 8
	// bufferWait is how long an upload waits for a buffer.
	bufferWait = 30 * time.Second
)

// buffer is memory on its way from the network to the hash and to storage.
type buffer struct {
	data [BufferSize]byte
	n    int          // bytes in use
	refs atomic.Int32 // who still reads
	ring chan struct{}
}

// buffers hands out buffers to all uploads, at most so many at a time. Unused
// ones go with the garbage collector, so an idle Store holds none.
type buffers struct {
	slots chan struct{}
	pool  sync.Pool
	heads sync.Pool
}

func newBuffers(n int) *buffers {
	return &buffers{
		slots: make(chan struct{}, n),
		pool:  sync.Pool{New: func() any { return new(buffer) }},
		heads: sync.Pool{New: func() any { return new([InlineMax + 1]byte) }},
	}
}

// take waits for a buffer, first for one of the upload's own share (ring may be
// nil), then for one of everybody's. Nobody who waits here holds a buffer that
// is not already on its way back, so waiting always ends.
func (b *buffers) take(ctx context.Context, ring chan struct{}) (*buffer, error) {
	if ring != nil {
		select {
		case ring <- struct{}{}:
		case <-ctx.Done():
			return nil, interrupted(ctx)
		}
	}
	select {
	case b.slots <- struct{}{}:
	default:
		if err := b.wait(ctx); err != nil {
			if ring != nil {
				<-ring
			}
			return nil, err
		}
	}
	c := b.pool.Get().(*buffer)
	c.n, c.ring = 0, ring
	return c, nil
}

func (b *buffers) wait(ctx context.Context) error {
	t := time.NewTimer(bufferWait)
	defer t.Stop()
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return interrupted(ctx)
	case <-t.C:
		return fault.New(fault.Unavailable, "Too many uploads are going on; try again later.")
	}
}

// give returns a buffer that nobody reads any more.
func (b *buffers) give(c *buffer) {
	ring := c.ring
	c.ring = nil
	b.pool.Put(c)
	<-b.slots
	if ring != nil {
		<-ring
	}
}

// release gives c back once all its readers have released it.
func (b *buffers) release(c *buffer) {
	if c.refs.Add(-1) == 0 {
		b.give(c)
	}
}

// interrupted is the error of work whose context has ended.
func interrupted(ctx context.Context) error {
	return fault.Wrap(fault.Unavailable, context.Cause(ctx), "The request was interrupted.")
}
