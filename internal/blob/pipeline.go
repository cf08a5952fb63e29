package blob

import (
	"context"
	"strings"
	"sync"
	"time"

	"berth.dev/berth/internal/fault"
)

// drainTime is how long the driver may go on with what was received when the
// request has ended.
const drainTime = 10 * time.Second

// A pipeline overlaps the three steps of an upload: the caller's goroutine
// receives into buffers, one goroutine hashes them, one hands them to the
// driver. Both get every buffer, in order, and the slower one gives it back.
//
// The bytes are cut into segments of CheckpointEvery. At the end of each the
// hash and the driver stand at the same byte, so that an Upload can be made of
// the two.
type pipeline struct {
	safe Upload    // the last consistent state; the writer's until it has ended
	at   Upload    // where the first segment starts
	done int       // bytes of this body before it
	hash resumable // the hasher's

	store  *Store
	drain  context.Context // of the driver
	ring   chan struct{}
	hashes chan item
	writes chan item
	saves  chan Upload   // states to checkpoint, at most the newest
	failed chan struct{} // closed once err is set by the writer
	err    error
}

// item is one element of a queue: a buffer, or the end of a segment.
type item struct {
	buffer *buffer
	mark   *mark
}

// mark is the end of a segment.
type mark struct {
	last  bool          // the body ends here, too
	ready chan struct{} // closed once hash is set
	hash  []byte
	err   error
}

// run sends head and then b to the driver: the beginning directly, what is
// longer through a pipeline.
func (s *Store) run(ctx context.Context, p pipeline, head []byte, b *body, checkpoint func(Upload) error) (Upload, error) {
	if err := checkState(p.at.Driver); err != nil {
		return p.safe, err
	}
	// What was received is kept even if the client has gone away.
	drain, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, stop) })()

	u, more, err := s.begin(ctx, drain, p.safe, p.at, p.hash, head, b)
	if err != nil || !more {
		return u, err
	}
	before, at := p.safe, p.at
	p.done = int(u.Size - p.at.Size)
	p.safe, p.at = u, u
	p.store, p.drain = s, drain
	p.ring = make(chan struct{}, ringSize)
	// Never full: a mark follows a buffer at least, and the last mark ends it.
	p.hashes, p.writes = make(chan item, 2*ringSize+1), make(chan item, 2*ringSize+1)
	p.saves, p.failed = make(chan Upload, 1), make(chan struct{})
	if err = p.receive(ctx, b, checkpoint); err == nil {
		err = p.err
	}
	if fault.Is(err, fault.Full) && p.safe.Size == u.Size {
		// Nobody is helped by the beginning: a full disk gets it back at once.
		if _, _, undo := s.append(drain, at, strings.NewReader("")); undo == nil {
			return before, err
		}
	}
	return p.safe, err
}

// receive fills buffers until the body ends or something fails. It starts the
// other goroutines with the first byte, and has waited for them when it leaves,
// be it by a panic of the body.
func (p *pipeline) receive(ctx context.Context, b *body, checkpoint func(Upload) error) error {
	var (
		wg      sync.WaitGroup
		c       *buffer // not handed on yet
		started bool
		segment int // bytes since the last mark
		every   = p.store.every - p.done
	)
	if every <= 0 {
		every = p.store.every
	}
	defer func() {
		if c != nil {
			p.store.buffers.give(c)
		}
		if segment > 0 {
			p.end(true)
		}
		close(p.hashes)
		close(p.writes)
		wg.Wait()
	}()
	for {
		var err error
		if c, err = p.store.buffers.take(ctx, p.ring); err != nil {
			return err
		}
		var n int
		n, err = fill(b, c.data[:min(len(c.data), every-segment)], 0)
		if n == 0 {
			return end(err)
		}
		if !started {
			started = true
			wg.Go(p.hashAll)
			wg.Go(p.writeAll)
		}
		p.send(c, n)
		c = nil
		segment += n
		if err != nil {
			return end(err)
		}
		if segment == every {
			segment, every = 0, p.store.every
			p.end(false)
			if err := p.store.room(ctx, 0); err != nil {
				return err
			}
		}
		select {
		case <-p.failed:
			return p.err
		case u := <-p.saves:
			if err := checkpoint(u); err != nil {
				return err
			}
		default:
		}
	}
}

// send hands a buffer with n bytes to both readers.
func (p *pipeline) send(c *buffer, n int) {
	c.n = n
	c.refs.Store(2)
	p.hashes <- item{buffer: c}
	p.writes <- item{buffer: c}
}

// end ends a segment, which is never empty.
func (p *pipeline) end(last bool) {
	m := &mark{last: last, ready: make(chan struct{})}
	p.hashes <- item{mark: m}
	p.writes <- item{mark: m}
}

func (p *pipeline) hashAll() {
	for it := range p.hashes {
		if it.mark != nil {
			it.mark.hash, it.mark.err = p.hash.MarshalBinary()
			close(it.mark.ready)
			continue
		}
		p.hash.Write(it.buffer.data[:it.buffer.n])
		p.store.buffers.release(it.buffer)
	}
}

// writeAll hands segment after segment to the driver.
func (p *pipeline) writeAll() {
	u := p.at
	for first := range p.writes {
		seg := &segment{p: p, c: first.buffer}
		var err error
		if u, err = p.write(u, seg); err != nil {
			p.err = err
			close(p.failed)
			seg.drain()
			for it := range p.writes {
				if it.buffer != nil {
					p.store.buffers.release(it.buffer)
				}
			}
			return
		}
		p.safe = u
		if seg.mark.last {
			continue
		}
		select {
		case <-p.saves: // overtaken
		default:
		}
		p.saves <- u
	}
}

// write hands one segment to the driver and returns the upload at its end.
func (p *pipeline) write(u Upload, seg *segment) (Upload, error) {
	st, parts, err := p.store.append(p.drain, u, seg)
	if err != nil {
		return u, err
	}
	if seg.mark == nil {
		return u, unread(u.Key)
	}
	<-seg.mark.ready
	u.Size += seg.size
	u.Hash, u.Driver = seg.mark.hash, st
	u.Parts = append(u.Parts[:len(u.Parts):len(u.Parts)], parts...)
	return u, seg.mark.err
}
