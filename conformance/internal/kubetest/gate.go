package kubetest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A Gate is a way to the API server that can be closed, as by a network that is
// down.
type Gate struct {
	Addr string // host:port, of loopback

	to       string
	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
}

// Gate opens one until the test ends.
func (c *Cluster) Gate(t testing.TB) *Gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{Addr: l.Addr().String(), to: c.Addr, open: map[net.Conn]bool{}}
	g.serve(l)
	t.Cleanup(g.Close)
	return g
}

// Close cuts every connection, and refuses new ones until Open.
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		_ = g.listener.Close()
		g.listener = nil
	}
	for c := range g.open {
		_ = c.Close()
		delete(g.open, c)
	}
}

// Open lets connections through again.
func (g *Gate) Open(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	g.serve(l)
}

func (g *Gate) serve(l net.Listener) {
	g.mu.Lock()
	g.listener = l
	g.mu.Unlock()
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", g.to)
			if err != nil {
				_ = in.Close()
				continue
			}
			g.mu.Lock()
			g.open[in], g.open[out] = true, true
			g.mu.Unlock()
			go g.copy(in, out)
			go g.copy(out, in)
		}
	}()
}

func (g *Gate) copy(to, from net.Conn) {
	_, _ = io.Copy(to, from) // until either side ends
	_, _ = to.Close(), from.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, to)
	delete(g.open, from)
}
