// Package db holds Berth's metadata: it opens SQLite or PostgreSQL, keeps the
// schema current, and runs transactions. One set of SQL texts serves both
// engines ($1 placeholders, RETURNING, ON CONFLICT). Nothing else in the
// program imports database/sql.
//
// On SQLite one connection writes, and transactions that wait together are
// committed together (writer.go). On PostgreSQL each transaction is its own
// and conflicts are retried (postgres.go).
package db

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"berth.dev/berth/internal/fault"
)

// Engine names a kind of database.
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// Options are the settings of Open; the zero value is ready for use.
type Options struct {
	Readers  int              // SQLite: connections that read (default: one per core); PostgreSQL: connections in all (default 16)
	Log      *slog.Logger     // default: none
	Now      func() time.Time // the transactions' clock; default: time.Now on SQLite, the database's own on PostgreSQL
	Twice    bool             // for tests: run each Update closure twice, the first time rolled back, and find nested use
	MaxPages int64            // for tests: on SQLite, bound of the file in pages; 0: none
}

// DB is an open database. Its methods may be used concurrently.
type DB struct {
	engine  Engine
	log     *slog.Logger
	plans   plans
	nesting nesting
	counters
	backend backend

	mu    sync.Mutex
	hooks atomic.Pointer[[]func([]any)]
}

// backend is what the engines do differently. Their errors are ready for the
// callers of the package.
type backend interface {
	read(ctx context.Context, use func(context.Context, *conn) error) error
	view(ctx context.Context, fn func(*Tx) error) error
	update(ctx context.Context, fn func(*Tx) error) error
	waiting() int
	close() error
}

// Open opens the database at url, "sqlite:PATH" or "postgres://...", and
// brings its schema up to date. It refuses a schema that is newer than this
// program understands. An SQLite file is created if need be; its directory
// must exist and must not be on a network file system.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &DB{log: o.Log, nesting: nesting{strict: o.Twice}}
	var err error
	scheme, rest, _ := strings.Cut(url, ":")
	switch scheme {
	case "sqlite":
		if o.Readers == 0 {
			o.Readers = runtime.GOMAXPROCS(0)
		}
		d.engine = SQLite
		d.backend, err = openSQLite(ctx, d, rest, o)
	case "postgres", "postgresql":
		if o.Readers == 0 {
			o.Readers = 16
		}
		d.engine = Postgres
		d.backend, err = openPostgres(ctx, d, url, o)
	default: // the text is not repeated: it may hold a password
		return nil, errors.New("db: the database must be sqlite:PATH or a postgres:// address")
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Close waits for the transactions that run, refuses those that wait with
// fault.Unavailable, and closes the database.
func (d *DB) Close() error { return d.backend.close() }

// Engine tells the kind of database.
func (d *DB) Engine() Engine { return d.engine }

// Exact reports that this process is the only one that writes, so that a cache
// which obeys OnInvalidate is never stale.
func (d *DB) Exact() bool { return d.engine == SQLite }

// OnInvalidate has fn called after every COMMIT with the keys that its
// transactions gave to Tx.Invalidate, before any of them is answered, and with
// nil when everything may have changed: after a COMMIT with an unknown
// outcome, and after another program wrote to the SQLite file. fn must be
// quick and must not use the database; it may be called concurrently.
func (d *DB) OnInvalidate(fn func(keys []any)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var hooks []func([]any)
	if old := d.hooks.Load(); old != nil {
		hooks = append(hooks, *old...)
	}
	hooks = append(hooks, fn)
	d.hooks.Store(&hooks)
}

func (d *DB) invalidate(keys []any) {
	if hooks := d.hooks.Load(); hooks != nil {
		for _, fn := range *hooks {
			fn(keys)
		}
	}
}

// query runs one statement outside any transaction.
func (d *DB) query(ctx context.Context, text string, args []any, each func(*row) (bool, error)) error {
	d.nesting.checkGoroutine()
	return d.backend.read(ctx, func(ctx context.Context, c *conn) error {
		return c.query(ctx, text, args, each)
	})
}

func (d *DB) newTx(ctx context.Context, c *conn, now int64) *Tx {
	return &Tx{ctx: d.nesting.mark(ctx), engine: d.engine, conn: c, now: now}
}

// counters are what Stats reports.
type counters struct {
	commits, closures, statements, retries, failures atomic.Int64
}

// Stats are counters since Open, and the present length of the queue.
type Stats struct {
	Commits    int64 // transactions committed; on SQLite each of those that wrote is one fsync
	Closures   int64 // Update closures that were run and answered
	Statements int64 // statements run, those of the transactions' frame included
	Retries    int64 // Update closures run again after a conflict or a failed group
	Failures   int64 // failed COMMITs and transactions lost with their connection
	Queue      int   // Update closures that wait: for the writer on SQLite, for a connection on PostgreSQL
}

// Stats returns the counters.
func (d *DB) Stats() Stats {
	return Stats{
		Commits:    d.commits.Load(),
		Closures:   d.closures.Load(),
		Statements: d.statements.Load(),
		Retries:    d.retries.Load(),
		Failures:   d.failures.Load(),
		Queue:      d.backend.waiting(),
	}
}

// What clients are told; causes are for the log.

func unavailable(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the database is not available, try again later")
}

func full(err error) error {
	return fault.Wrap(fault.Full, err, "the database has no storage left")
}

func closed() error {
	return fault.New(fault.Unavailable, "the server is shutting down")
}

// notStarted is the error of what was given up before it began: ctx's own, with
// the reason where one was given.
func notStarted(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return fmt.Errorf("db: not started: %w", cause)
	}
	return fmt.Errorf("db: not started: %w: %w", err, cause)
}
