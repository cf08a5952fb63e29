package db

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Tx is a transaction: the argument of a View or Update closure, valid until
// the closure returns and in its goroutine only.
//
// The first statement that fails, for whatever reason but an absent row,
// poisons the transaction: later statements return the same error and the
// transaction is rolled back even if the closure returns nil. Where a conflict
// is to be expected, write ON CONFLICT.
type Tx struct {
	ctx    context.Context
	engine Engine
	conn   *conn
	now    int64 // microseconds
	err    error // why no further statement is run
	keys   []any
	group  []any // keys of earlier transactions that commit with this one
	exact  bool  // caches are
	after  []func()
	rows   []appended
}

var errEnded = errors.New("db: transaction used after its end")

// View runs fn on one snapshot of the database, which fn must not write to,
// and returns its result. fn does no I/O: on SQLite it holds one of few
// connections. It is not run again.
//
// Calling View, Update, or a statement on d itself from inside a transaction
// is a defect of the program; View and Update panic.
func View[T any](ctx context.Context, d *DB, fn func(*Tx) (T, error)) (T, error) {
	return run(ctx, d, fn, d.backend.view)
}

// Update runs fn in a transaction and returns its result once the transaction
// is durable.
//
// fn does no I/O, touches at most about a thousand rows, and returns results
// by return only, since it may run several times: after a conflict with other
// transactions on PostgreSQL, after a failed group on SQLite, and twice in any
// case with Options.Twice. An error of fn rolls its transaction back and is
// returned as it is; a panic rolls back and goes on in the caller's goroutine.
// fn is not started once ctx has ended, and is not interrupted by ctx later.
//
// fault.Unavailable means that the outcome is not known (a failed COMMIT) or
// that nothing was written (conflicts without end, no connection); fault.Full
// that the storage of the database is exhausted.
func Update[T any](ctx context.Context, d *DB, fn func(*Tx) (T, error)) (T, error) {
	return run(ctx, d, fn, d.backend.update)
}

func run[T any](ctx context.Context, d *DB, fn func(*Tx) (T, error),
	how func(context.Context, func(*Tx) error) error) (T, error) {

	d.nesting.check(ctx)
	var out T
	err := how(ctx, func(tx *Tx) (err error) {
		defer d.nesting.enter()()
		out, err = fn(tx)
		return err
	})
	if err != nil {
		var zero T
		return zero, err
	}
	return out, nil
}

func (tx *Tx) query(_ context.Context, text string, args []any, each func(*row) (bool, error)) error {
	if tx.err != nil {
		return tx.err
	}
	tx.err = tx.conn.query(tx.ctx, text, args, each)
	return tx.err
}

// Exec runs a statement that returns no rows and tells how many rows it
// changed. The arguments are those of One.
func (tx *Tx) Exec(sql string, args ...any) (affected int64, err error) {
	if tx.err != nil {
		return 0, tx.err
	}
	affected, tx.err = tx.conn.exec(tx.ctx, sql, args...)
	return affected, tx.err
}

// Context is the transaction's own context, for functions that ask for one. It
// carries the values of the caller's, but does not end with it in an Update.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Now is the time of the transaction in UTC, in whole microseconds: fixed for
// the transaction and never before that of an earlier one of this process. On
// PostgreSQL it is the database's time, the same for all nodes.
func (tx *Tx) Now() time.Time { return time.UnixMicro(tx.now).UTC() }

// Micros is Now in microseconds since 1970, as the BIGINT columns hold it.
func (tx *Tx) Micros() int64 { return tx.now }

// ForUpdate is " FOR UPDATE" on PostgreSQL and "" on SQLite, where there is
// one writer; it is appended to a SELECT.
func (tx *Tx) ForUpdate() string { return tx.onPostgres(" FOR UPDATE") }

// ForShare is " FOR SHARE" on PostgreSQL and "" on SQLite.
func (tx *Tx) ForShare() string { return tx.onPostgres(" FOR SHARE") }

// ForKeyShare is " FOR KEY SHARE" on PostgreSQL and "" on SQLite: it keeps a
// row from being deleted, or locked FOR UPDATE, and lets others change it.
func (tx *Tx) ForKeyShare() string { return tx.onPostgres(" FOR KEY SHARE") }

// ForNoKeyUpdate is " FOR NO KEY UPDATE" on PostgreSQL and "" on SQLite: the lock
// of an UPDATE, beside which others may hold a row ForKeyShare.
func (tx *Tx) ForNoKeyUpdate() string { return tx.onPostgres(" FOR NO KEY UPDATE") }

// SkipLocked is " SKIP LOCKED" on PostgreSQL and "" on SQLite; it goes behind
// ForUpdate or ForShare.
func (tx *Tx) SkipLocked() string { return tx.onPostgres(" SKIP LOCKED") }

func (tx *Tx) onPostgres(s string) string {
	if tx.engine == Postgres {
		return s
	}
	return ""
}

// Invalidate has the keys delivered to the functions of OnInvalidate after
// COMMIT and before Update returns, unless the transaction is rolled back.
func (tx *Tx) Invalidate(keys ...any) { tx.keys = append(tx.keys, keys...) }

// Settled reports that a cache may be asked instead of the database: it is
// exact (DB.Exact), and no key for which changed is true has been invalidated by
// this transaction or by an earlier one that commits together with it.
func (tx *Tx) Settled(changed func(key any) bool) bool {
	return tx.exact && !slices.ContainsFunc(tx.keys, changed) && !slices.ContainsFunc(tx.group, changed)
}

// AfterCommit has fn called after COMMIT, before Update returns and in its
// goroutine. It is for waking somebody up: work that must not be lost is a row.
func (tx *Tx) AfterCommit(fn func()) { tx.after = append(tx.after, fn) }

// end makes later use of the transaction an error, and returns the error that
// poisoned it.
func (tx *Tx) end() error {
	err := tx.err
	tx.err = errEnded
	return err
}

// endView is end for a transaction that must not write.
func (tx *Tx) endView() error {
	if tx.err == nil && len(tx.rows) > 0 {
		tx.err = errAppendView
	}
	return tx.end()
}
