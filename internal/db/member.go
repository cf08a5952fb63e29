package db

import (
	"context"
	"sync/atomic"
)

// member is an Update closure on its way through the writer. The caller's
// goroutine runs the closure itself whenever the writer lends it the
// connection: a panic unwinds the stack it belongs to, and runtime.Goexit ends
// the right goroutine.
type member struct {
	ctx   context.Context
	fn    func(*Tx) error
	state atomic.Int32
	turn  chan bool // true: run, the connection is yours; false: answered

	// Written by whoever holds the connection.
	conn   *conn
	tx     *Tx   // of the last run
	err    error // outcome of the last run, then the answer
	broken bool  // the last run broke the whole transaction
	gone   bool  // the closure panicked, nobody waits any more
}

// States of a member.
const (
	waiting int32 = iota
	started
	dropped
)

// start claims a waiting member for a group; false if its caller gave up.
func (m *member) start() bool { return m.state.CompareAndSwap(waiting, started) }

func (m *member) drop() bool { return m.state.CompareAndSwap(waiting, dropped) }

// update queues a closure and returns its outcome.
func (w *writer) update(ctx context.Context, fn func(*Tx) error) error {
	if ctx.Err() != nil {
		return notStarted(ctx)
	}
	m := &member{ctx: context.WithoutCancel(ctx), fn: fn, turn: make(chan bool, 1)}
	select {
	case w.queue <- m:
	case <-ctx.Done():
		return notStarted(ctx)
	case <-w.stopped:
		return closed()
	}
	run := false
	select {
	case run = <-m.turn:
	case <-ctx.Done():
		if m.drop() {
			return notStarted(ctx)
		}
		run = <-m.turn
	case <-w.stopped:
		if m.drop() {
			return closed()
		}
		run = <-m.turn
	}
	for run {
		m.run(w)
		run = <-m.turn
	}
	if m.err != nil {
		return m.err
	}
	for _, fn := range m.tx.after {
		fn()
	}
	return nil
}

// run runs the closure on the connection and passes the connection on, also
// when the closure panics.
func (m *member) run(w *writer) {
	m.err, m.broken, m.gone = nil, false, true
	defer w.pass(m)
	if w.s.o.Twice {
		m.savepoint(w, false)
	}
	if !m.broken {
		m.savepoint(w, true)
	}
	m.gone = false
}

// savepoint runs the closure in a savepoint, which is undone if the closure
// fails or is not to be kept.
func (m *member) savepoint(w *writer, keep bool) {
	if !m.frame("SAVEPOINT member") {
		return
	}
	m.tx = w.s.d.newTx(m.ctx, m.conn, w.s.clock.now())
	m.tx.exact, m.tx.group = true, w.keys
	undo := true
	defer func() {
		if bad := m.tx.end(); bad != nil {
			undo = true
			m.err = bad // counts even if the closure kept it to itself
			if !ownError(bad) {
				m.broken = true
				return
			}
		}
		if undo && !m.frame("ROLLBACK TO member") {
			return
		}
		m.frame("RELEASE member")
	}()
	m.err = m.fn(m.tx)
	undo = m.err != nil || !keep
}

// frame runs a statement around the closure. Its failure means that the
// transaction it belongs to is no more.
func (m *member) frame(text string) bool {
	if _, err := m.conn.exec(m.ctx, text); err != nil {
		m.err, m.broken = err, true
	}
	return !m.broken
}
