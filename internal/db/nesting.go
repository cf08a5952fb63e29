package db

import (
	"bytes"
	"context"
	"runtime"
	"sync"
)

// nesting finds transactions that are started inside another one, which would
// wait for themselves. The context of a Tx carries a mark; a closure that uses
// its caller's context instead is found by its goroutine, and only where
// strict, since naming a goroutine costs microseconds.
type nesting struct {
	strict bool
	inside sync.Map // goroutine -> true
}

type insideKey struct{}

// mark returns the context for a Tx.
func (n *nesting) mark(ctx context.Context) context.Context {
	return context.WithValue(ctx, insideKey{}, true)
}

// check panics inside a closure.
func (n *nesting) check(ctx context.Context) {
	if ctx.Value(insideKey{}) != nil {
		panic("db: View or Update inside a transaction")
	}
	n.checkGoroutine()
}

// checkGoroutine is the half of check that costs nothing unless strict.
func (n *nesting) checkGoroutine() {
	if !n.strict {
		return
	}
	if _, ok := n.inside.Load(goroutine()); ok {
		panic("db: the database is used inside a transaction, beside its Tx")
	}
}

// enter notes that this goroutine runs a closure, until the returned function
// is called.
func (n *nesting) enter() func() {
	if !n.strict {
		return func() {}
	}
	g := goroutine()
	n.inside.Store(g, true)
	return func() { n.inside.Delete(g) }
}

// goroutine names the current goroutine: "goroutine 17".
func goroutine() string {
	var b [64]byte
	head, _, _ := bytes.Cut(b[:runtime.Stack(b[:], false)], []byte(" ["))
	return string(head)
}
