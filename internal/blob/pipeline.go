package blob

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
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

// run sends head and then b through a pipeline.
func (s *Store) run(ctx context.Context, p pipeline, head []byte, b *body, checkpoint func(Upload) error) (Upload, error) {
	if err := checkState(p.at.Driver); err != nil {
		return p.safe, err
	}
	p.store = s
	p.ring = make(chan struct{}, ringSize)
	// Never full: a mark follows a buffer at least, and the last mark ends it.
	p.hashes, p.writes = make(chan item, 2*ringSize+1), make(chan item, 2*ringSize+1)
	p.saves, p.failed = make(chan Upload, 1), make(chan struct{})

	// What was received is kept even if the client has gone away.
	drain, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, stop) })()
	p.drain = drain

	var wg sync.WaitGroup
	err := p.receive(ctx, head, b, checkpoint, func() {
		wg.Go(p.hashAll)
		wg.Go(p.writeAll)
	})
	close(p.hashes)
	close(p.writes)
	wg.Wait()
	if err == nil {
		err = p.err
	}
	return p.safe, err
}

// receive fills buffers until the body ends or something fails, and starts the
// rest of the pipeline with the first byte.
func (p *pipeline) receive(ctx context.Context, head []byte, b *body, checkpoint func(Upload) error, start func()) (err error) {
	segment := 0
	defer func() {
		if segment > 0 {
			p.end(true)
		}
	}()
	for started := false; ; {
		c, err := p.store.buffers.take(ctx, p.ring)
		if err != nil {
			return err
		}
		n := copy(c.data[:], head)
		head = nil
		c.n, err = fill(b, c.data[:min(len(c.data), p.store.every-segment)], n)
		if c.n == 0 {
			p.store.buffers.give(c)
			return end(err)
		}
		if !started {
			started = true
			start()
		}
		segment += c.n
		c.refs.Store(2)
		p.hashes <- item{buffer: c}
		p.writes <- item{buffer: c}
		if err != nil {
			return end(err)
		}
		if segment == p.store.every {
			segment = 0
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
	st, parts, err := p.store.driver.Append(p.drain, u.Key, u.Driver, seg)
	if err != nil {
		return u, err
	}
	if err := checkState(st); err != nil {
		return u, err
	}
	if seg.mark == nil {
		return u, fmt.Errorf("blob: the driver left bytes of %s unread", u.Key)
	}
	<-seg.mark.ready
	u.Size += seg.size
	u.Hash, u.Driver = seg.mark.hash, st
	u.Parts = append(u.Parts[:len(u.Parts):len(u.Parts)], parts...)
	return u, seg.mark.err
}

// segment is what the driver reads: buffers up to the next mark. Drivers that
// copy by io.Copy get whole buffers.
type segment struct {
	p    *pipeline
	c    *buffer // being read, nil: fetch the next
	off  int     // read of c
	size int64   // bytes read in all
	mark *mark   // set at the end
}

// next makes c the next buffer with unread bytes, or sets mark.
func (g *segment) next() bool {
	for g.mark == nil {
		if g.c != nil {
			if g.off < g.c.n {
				return true
			}
			g.drop()
		}
		it := <-g.p.writes
		g.c, g.mark = it.buffer, it.mark
	}
	return false
}

func (g *segment) drop() {
	g.p.store.buffers.release(g.c)
	g.c, g.off = nil, 0
}

func (g *segment) take(n int) {
	g.off += n
	g.size += int64(n)
}

func (g *segment) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !g.next() {
		return 0, io.EOF
	}
	n := copy(p, g.c.data[g.off:g.c.n])
	g.take(n)
	return n, nil
}

// WriteTo writes every buffer in one call.
func (g *segment) WriteTo(w io.Writer) (int64, error) {
	before := g.size
	for g.next() {
		n, err := w.Write(g.c.data[g.off:g.c.n])
		g.take(n)
		if err != nil {
			return g.size - before, err
		}
	}
	return g.size - before, nil
}

// drain drops the buffer that the driver left behind.
func (g *segment) drain() {
	if g.c != nil {
		g.drop()
	}
}
