package blob

import "io"

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
