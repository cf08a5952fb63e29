package db

import (
	"context"
	"errors"
	"runtime"
	"time"
)

const (
	queueSize = 1024 // closures that may wait; more wait in front of the queue
	groupSize = 64   // closures committed together
	groupTime = 5 * time.Millisecond
)

// writer owns the one connection that writes to an SQLite file and commits
// closures in groups: a COMMIT costs an fsync, and those who wait share it.
//
// The closures of a group run in the order of the queue, each in a savepoint
// and in the goroutine of its caller, who is lent the connection and passes it
// on (member.go).
// Nothing is held back to make a group larger: it is what came in while the
// last one was being synced.
//
// Nobody is answered before the COMMIT, not even a closure that failed by
// itself or wrote nothing: it may have read what another one of the group
// wrote. If a statement fails in a way that ends the whole transaction, or if
// what the members appended (Tx.Append) cannot be written, the connection is
// given up and each member is run once more, alone.
type writer struct {
	s       *sqliteDB
	conn    *conn // nil: to be opened before the next group
	queue   chan *member
	back    chan struct{} // the member returns the connection
	stop    chan struct{}
	stopped chan struct{}
	group   []*member
	begun   time.Time     // of the group
	single  bool          // the group takes nobody else
	keys    []any         // what the group has invalidated so far
	rows    []appended    // what it is going to append
	limit   time.Duration // how long a group takes members
	version int64         // data_version when last looked at
}

func startWriter(s *sqliteDB, c *conn) (*writer, error) {
	w := &writer{
		s:       s,
		conn:    c,
		queue:   make(chan *member, queueSize),
		back:    make(chan struct{}),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
		limit:   groupTime,
	}
	var err error
	if w.version, err = c.number(context.Background(), "PRAGMA data_version"); err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

func (w *writer) run() {
	defer close(w.stopped)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		default:
		}
		select {
		case m := <-w.queue:
			w.serve(m)
		case <-tick.C:
			w.watch()
		case <-w.stop:
			return
		}
	}
}

// close waits for the group that runs; members that wait see w.stopped.
func (w *writer) close() error {
	close(w.stop)
	<-w.stopped
	if w.conn == nil {
		return nil
	}
	return w.conn.close()
}

// serve runs and commits one group that begins with m.
func (w *writer) serve(m *member) {
	w.group, w.keys, w.rows = w.group[:0], nil, w.rows[:0]
	defer func() { clear(w.group); clear(w.rows) }() // or they would live until the next large group
	w.begun, w.single = time.Now(), false
	if !m.start() {
		return
	}
	if err := w.begin(); err != nil {
		w.answer(m, err)
		return
	}
	w.group = append(w.group, m)
	w.lend(m)
	if last := w.group[len(w.group)-1]; last.broken {
		w.scatter(last.err)
		return
	}
	if err := w.append(); err != nil {
		w.scatter(err)
		return
	}
	w.commit(w.group)
}

// scatter gives up the group's transaction and runs each member alone.
func (w *writer) scatter(cause error) {
	w.abandon(cause)
	for _, m := range w.group {
		w.alone(m)
	}
}

// append writes what the members have queued.
func (w *writer) append() error { return w.conn.appendAll(context.Background(), w.rows) }

// next returns who else is waiting, if the group has room.
func (w *writer) next() *member {
	if w.single || len(w.group) == groupSize || time.Since(w.begun) > w.limit {
		return nil
	}
	select {
	case m := <-w.queue:
		return m
	default:
	}
	// Those who were answered last may be about to come again: give way once
	// before paying for a COMMIT.
	runtime.Gosched()
	select {
	case m := <-w.queue:
		return m
	default:
		return nil
	}
}

// alone runs a member of a broken group in a transaction of its own.
func (w *writer) alone(m *member) {
	if m.gone {
		return
	}
	w.s.d.retries.Add(1)
	if err := w.begin(); err != nil {
		w.answer(m, err)
		return
	}
	clear(w.rows)
	w.keys, w.rows, w.single = nil, w.rows[:0], true
	if w.lend(m); m.broken {
		w.abandon(m.err)
		w.answer(m, sqliteFault(m.err))
		return
	}
	if err := w.append(); err != nil {
		w.abandon(err)
		w.answer(m, sqliteFault(err))
		return
	}
	w.commit([]*member{m})
}

// note keeps what a member has invalidated, for those behind it in the group
// and for the caches after COMMIT, and what it appends.
func (w *writer) note(m *member) {
	if m.err == nil && !m.gone {
		w.keys = append(w.keys, m.tx.keys...)
		w.rows = append(w.rows, m.tx.rows...)
	}
}

// begin starts a transaction, on a new connection if the last one was lost.
func (w *writer) begin() error {
	if w.conn == nil {
		if err := w.reopen(); err != nil {
			return unavailable(err)
		}
	}
	if _, err := w.conn.exec(context.Background(), "BEGIN IMMEDIATE"); err != nil {
		w.abandon(err)
		if ownError(err) {
			return unavailable(err)
		}
		return sqliteFault(err)
	}
	return nil
}

func (w *writer) reopen() error {
	c, err := w.s.connect(true)
	if err != nil {
		return err
	}
	if w.version, err = c.number(context.Background(), "PRAGMA data_version"); err != nil {
		return errors.Join(err, c.close())
	}
	w.conn = c
	return nil
}

// lend lets the member, and those behind it, run on the connection.
func (w *writer) lend(m *member) {
	w.hand(m)
	<-w.back
}

func (w *writer) hand(m *member) {
	m.conn = w.conn
	m.turn <- true
}

// pass hands the connection on, from a member that has run to the next one:
// the way over the writer's goroutine would be twice as long. The last one, and
// one that broke the transaction, returns it.
func (w *writer) pass(m *member) {
	if !m.broken {
		w.note(m)
		for n := w.next(); n != nil; n = w.next() {
			if n.start() {
				w.group = append(w.group, n)
				w.hand(n)
				return
			}
		}
	}
	w.back <- struct{}{}
}

// commit ends the transaction of the members and answers them.
func (w *writer) commit(members []*member) {
	d := w.s.d
	if _, err := w.conn.exec(context.Background(), "COMMIT"); err != nil {
		w.abandon(err)
		if ownError(err) {
			err = unavailable(err)
		} else {
			err = sqliteFault(err)
		}
		for _, m := range members {
			w.answer(m, err)
		}
		return
	}
	d.commits.Add(1)
	if len(w.keys) > 0 {
		d.invalidate(w.keys)
	}
	for _, m := range members {
		w.answer(m, m.err)
	}
}

// answer ends the wait of a member, unless a panic took it away.
func (w *writer) answer(m *member, err error) {
	w.s.d.closures.Add(1)
	if !m.gone {
		m.err = err
		m.turn <- false
	}
}

// abandon gives up the connection and the transaction on it. What was
// committed is not certain after a failed COMMIT, and another program's write
// would go unnoticed between two connections: caches start anew.
func (w *writer) abandon(cause error) {
	d := w.s.d
	d.failures.Add(1)
	d.log.Error("database transaction lost, opening a new connection", "err", cause)
	_, _ = w.conn.exec(context.Background(), "ROLLBACK") // fails if SQLite did it already
	if err := w.conn.close(); err != nil {
		d.log.Error("closing the lost database connection", "err", err)
	}
	w.conn = nil
	d.invalidate(nil)
}

// watch finds out whether another program wrote to the file, which nobody may:
// the caches of this process rest on it.
func (w *writer) watch() {
	if w.conn == nil {
		return
	}
	v, err := w.conn.number(context.Background(), "PRAGMA data_version")
	if err != nil {
		w.s.d.log.Error("looking at the database file", "err", err)
		return
	}
	if v != w.version {
		w.version = v
		w.s.d.log.Warn("another program wrote to the database file; while berth runs, nothing else may", "file", w.s.path)
		w.s.d.invalidate(nil)
	}
}
