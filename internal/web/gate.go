package web

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"sync/atomic"
	"time"
)

// A Gate counts the requests inside a handler and can be closed behind them.
// http.Server.Close cuts their connections off and does not wait for the
// handlers, which still use what is to be closed next.
type Gate struct {
	inside *atomic.Int64
	limit  atomic.Int64
}

// NewGate returns a Gate that lets everyone in.
func NewGate() *Gate { return newGate(new(atomic.Int64), math.MaxInt64) }

func newGate(inside *atomic.Int64, limit int64) *Gate {
	g := &Gate{inside: inside}
	g.limit.Store(limit)
	return g
}

// enter counts a request in; leave must follow in any case. false: it is one
// too many, or the gate is closed.
func (g *Gate) enter() bool { return g.inside.Add(1) <= g.limit.Load() }

func (g *Gate) leave() { g.inside.Add(-1) }

// Around lets requests through to h. Those that come when the gate is closed
// are answered 503.
func (g *Gate) Around(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer g.leave()
		if !g.enter() {
			http.Error(w, "the server is shutting down", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// gateLook is how often a closing gate looks whether all have left.
const gateLook = 5 * time.Millisecond

// Close lets nobody in any more and waits until all have left or ctx ends.
func (g *Gate) Close(ctx context.Context) error {
	g.limit.Store(0)
	if g.inside.Load() == 0 {
		return nil
	}
	look := time.NewTicker(gateLook)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if g.inside.Load() == 0 {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("%d requests are still being served: %w", g.inside.Load(), ctx.Err())
		}
	}
}
