package db

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// A transaction that has begun does not end with its caller, so that no
	// connection is lost each time a client goes away. It ends with this.
	transactionTime = 30 * time.Second

	// A node whose machine is gone in the middle of a transaction holds its locks
	// until the server sees that nothing comes any more; by TCP that may take hours.
	idleInTransaction = "idle_in_transaction_session_timeout"
	idleLimit         = "60s"

	retries    = 5
	retryPause = 5 * time.Millisecond // doubled each time, then drawn from half to one and a half of it
)

// postgresDB is a PostgreSQL database, which other processes may share.
type postgresDB struct {
	d     *DB
	pool  *sql.DB
	o     Options
	clock clock
	queue atomic.Int64 // callers that wait for a connection
}

func openPostgres(ctx context.Context, d *DB, url string, o Options) (*postgresDB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("db: %w", err) // pgx takes the password out
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "berth"
	}
	var opened []stdlib.OptionOpenDB
	if config.RuntimeParams[idleInTransaction] == "" {
		// Not as a parameter of the connection, which a pooler in between would refuse.
		opened = append(opened, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, "SET "+idleInTransaction+" = '"+idleLimit+"'")
			return err
		}))
	}
	p := &postgresDB{d: d, pool: stdlib.OpenDB(*config, opened...), o: o, clock: clock{source: o.Now}}
	p.pool.SetMaxOpenConns(o.Readers)
	p.pool.SetMaxIdleConns(o.Readers)
	p.pool.SetConnMaxIdleTime(5 * time.Minute)
	p.pool.SetConnMaxLifetime(time.Hour)
	err = p.lend(ctx, func(c *conn, raw *stdlib.Conn) error {
		if e := raw.Conn().PgConn().ParameterStatus("server_encoding"); e != "UTF8" {
			return fmt.Errorf("db: the encoding of the PostgreSQL database is %s, it must be UTF8", e)
		}
		return migrate(ctx, c, Postgres, time.Now().UnixMicro())
	})
	if err != nil {
		_ = p.pool.Close() // the reason it did not open is the one to tell
		return nil, err
	}
	return p, nil
}

// lend takes a connection from the pool while use runs. A panic of use
// discards it, and the server rolls back.
func (p *postgresDB) lend(ctx context.Context, use func(*conn, *stdlib.Conn) error) error {
	p.queue.Add(1)
	pooled, err := p.pool.Conn(ctx)
	p.queue.Add(-1)
	if err != nil {
		return &lostError{err: err}
	}
	defer pooled.Close()
	return pooled.Raw(func(raw any) error {
		r := raw.(*stdlib.Conn)
		c := &conn{
			raw:        r,
			plans:      &p.d.plans,
			statements: &p.d.statements,
			row:        row{plans: &p.d.plans},
		}
		err := use(c, r)
		if err != nil && r.Conn().IsClosed() {
			return &lostError{err: err, stale: !c.delivered}
		}
		return err
	})
}

// read repeats the statement while it finds connections of the pool dead.
func (p *postgresDB) read(ctx context.Context, use func(context.Context, *conn) error) error {
	if ctx.Err() != nil {
		return notStarted(ctx)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	for try := 0; ; try++ {
		err := p.lend(ctx, func(c *conn, _ *stdlib.Conn) error { return use(ctx, c) })
		if !stale(err) || try == p.o.Readers {
			return postgresFault(err)
		}
	}
}

// bounded makes a context that outlives its caller's, but not for long.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), transactionTime)
}

func (p *postgresDB) view(ctx context.Context, fn func(*Tx) error) (err error) {
	if ctx.Err() != nil {
		return notStarted(ctx)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	var own error
	_, err = p.transaction(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", func(tx *Tx) (bool, error) {
		own = fn(tx)
		return false, tx.endView()
	})
	if err != nil {
		return postgresFault(err)
	}
	return own
}

// update retries what lost against other transactions.
func (p *postgresDB) update(ctx context.Context, fn func(*Tx) error) error {
	for try := 0; ; try++ {
		if ctx.Err() != nil {
			return notStarted(ctx)
		}
		tx, own, err := p.attempt(ctx, fn)
		if conflict(err) && try < retries {
			p.d.retries.Add(1)
			p.pause(ctx, try)
			continue
		}
		p.d.closures.Add(1)
		switch {
		case conflict(err):
			return unavailable(err)
		case err != nil:
			return postgresFault(err)
		case own != nil:
			return own
		}
		for _, fn := range tx.after {
			fn()
		}
		return nil
	}
}

// pause waits longer with each try, and not as long as the others.
func (p *postgresDB) pause(ctx context.Context, try int) {
	t := time.NewTimer(time.Duration((0.5 + rand.Float64()) * float64(retryPause<<try)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// attempt runs fn in one transaction and commits it. own is what fn itself
// returned, err what the database said; err counts.
func (p *postgresDB) attempt(ctx context.Context, fn func(*Tx) error) (tx *Tx, own, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	tx, err = p.transaction(ctx, "BEGIN", func(tx *Tx) (bool, error) {
		if p.o.Twice {
			if err := p.rehearse(tx, fn); err != nil {
				return false, err
			}
		}
		own = fn(tx)
		if own == nil && tx.err == nil {
			tx.err = tx.conn.appendAll(tx.ctx, tx.rows)
		}
		bad := tx.end() // counts even if the closure kept it to itself
		return own == nil && bad == nil, bad
	})
	return tx, own, err
}

// rehearse runs fn once and rolls it back.
func (p *postgresDB) rehearse(tx *Tx, fn func(*Tx) error) error {
	if _, err := tx.conn.exec(tx.ctx, "SAVEPOINT rehearsal"); err != nil {
		return err
	}
	first := p.d.newTx(tx.ctx, tx.conn, tx.now)
	_ = fn(first) // the second run is the one that counts
	_ = first.end()
	_, err := tx.conn.exec(tx.ctx, "ROLLBACK TO rehearsal")
	return err
}

// transaction runs fn between begin and, if fn says so, COMMIT. Connections of
// the pool that prove dead at the beginning are passed over.
func (p *postgresDB) transaction(ctx context.Context, begin string, fn func(*Tx) (commit bool, err error)) (tx *Tx, err error) {
	for try := 0; ; try++ {
		err := p.lend(ctx, func(c *conn, raw *stdlib.Conn) error {
			pg := raw.Conn().PgConn()
			now, err := p.begin(ctx, pg, begin)
			if err != nil {
				return err
			}
			tx = p.d.newTx(ctx, c, now)
			commit, err := fn(tx)
			if !commit {
				// Should it fail, the pool discards the connection.
				_, _ = p.simple(ctx, pg, "ROLLBACK")
				return err
			}
			return p.commit(ctx, pg, tx)
		})
		if tx != nil || !stale(err) || try == p.o.Readers {
			return tx, err
		}
	}
}

// begin starts a transaction and returns its time in microseconds, in one
// round trip.
func (p *postgresDB) begin(ctx context.Context, pg *pgconn.PgConn, text string) (int64, error) {
	if p.clock.source != nil {
		_, err := p.simple(ctx, pg, text)
		return p.clock.now(), err
	}
	results, err := p.simple(ctx, pg, text+"; SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
	if err != nil {
		return 0, err
	}
	now, err := strconv.ParseInt(string(results[1].Rows[0][0]), 10, 64)
	if err != nil {
		return 0, failed(err, "clock_timestamp()")
	}
	return p.clock.atLeast(now), nil
}

func (p *postgresDB) commit(ctx context.Context, pg *pgconn.PgConn, tx *Tx) error {
	results, err := p.simple(ctx, pg, "COMMIT")
	if err == nil && results[0].CommandTag.String() != "COMMIT" {
		err = errNotCommitted // the server answers ROLLBACK where a statement had failed
	}
	if conflict(err) && !lost(err) {
		return err // the server says that nothing was done
	}
	if err != nil {
		p.d.failures.Add(1)
		p.d.log.Error("COMMIT failed", "err", err)
		p.d.invalidate(nil)
		if sqlState(err) == "53100" {
			return full(err)
		}
		return unavailable(err)
	}
	p.d.commits.Add(1)
	if len(tx.keys) > 0 {
		p.d.invalidate(tx.keys)
	}
	return nil
}

// simple runs statements without arguments in one round trip.
func (p *postgresDB) simple(ctx context.Context, pg *pgconn.PgConn, text string) ([]*pgconn.Result, error) {
	p.d.statements.Add(1)
	results, err := pg.Exec(ctx, text).ReadAll()
	if err != nil {
		return nil, failed(err, text)
	}
	return results, nil
}

func (p *postgresDB) waiting() int { return int(p.queue.Load()) }

func (p *postgresDB) close() error { return p.pool.Close() }
