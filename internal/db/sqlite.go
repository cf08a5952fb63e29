package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// sqliteDB is an SQLite file in WAL mode: one connection that writes, and a
// few that read. The driver's connections contend for its allocator, so more
// readers than cores make reading slower.
type sqliteDB struct {
	d       *DB
	path    string
	o       Options
	clock   clock
	readers chan *conn
	w       *writer
	closing sync.Once
	closed  chan struct{}
}

func openSQLite(ctx context.Context, d *DB, path string, o Options) (_ *sqliteDB, err error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("db: sqlite: needs the path of a file, as in sqlite:/var/lib/berth/berth.db")
	}
	s := &sqliteDB{
		d: d, path: path, o: o,
		clock:   clock{source: o.Now},
		readers: make(chan *conn, o.Readers),
		closed:  make(chan struct{}),
	}
	if s.clock.source == nil {
		s.clock.source = time.Now
	}
	c, err := s.connect(true)
	if err != nil {
		return nil, err
	}
	opened := []*conn{c}
	defer func() {
		if err != nil {
			for _, c := range opened {
				err = errors.Join(err, c.close())
			}
		}
	}()
	if err := s.prepare(ctx, c); err != nil {
		return nil, err
	}
	for range o.Readers {
		r, err := s.connect(false)
		if err != nil {
			return nil, err
		}
		opened = append(opened, r)
		s.readers <- r
	}
	if s.w, err = startWriter(s, c); err != nil {
		return nil, err
	}
	return s, nil
}

// prepare checks what the file system must provide and migrates.
func (s *sqliteDB) prepare(ctx context.Context, c *conn) error {
	mode := ""
	err := c.query(ctx, "PRAGMA journal_mode", nil, func(r *row) (bool, error) { return false, scan(r, &mode) })
	if err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("db: sqlite: %s: the file system does not support write-ahead logging (journal mode %q)", s.path, mode)
	}
	return migrate(ctx, c, SQLite, s.clock.now())
}

const (
	busyTries = 200
	busyPause = 10 * time.Millisecond
)

// isBusy reports that another connection has the file locked.
func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_BUSY
}

// connect opens a connection with the settings that belong to a connection
// rather than to the file.
func (s *sqliteDB) connect(write bool) (*conn, error) {
	q := url.Values{"_dqs": {"0"}}
	pragma := func(format string, args ...any) { q.Add("_pragma", fmt.Sprintf(format, args...)) }
	pragma("busy_timeout(10000)")
	pragma("foreign_keys(1)")
	pragma("temp_store(2)")
	if write {
		pragma("journal_mode(wal)")
		pragma("synchronous(full)")
		pragma("cache_size(-%d)", writerCache>>10)
		pragma("wal_autocheckpoint(%d)", checkpointPages)
		pragma("journal_size_limit(%d)", 4*checkpointPages*4096)
		if s.o.MaxPages > 0 {
			pragma("max_page_count(%s)", strconv.FormatInt(s.o.MaxPages, 10))
		}
	} else {
		pragma("query_only(1)")
		pragma("cache_size(-%d)", readerCache>>10)
	}
	dsn := "file:" + (&url.URL{Path: s.path}).EscapedPath() + "?" + q.Encode()
	raw, err := new(sqlite.Driver).Open(dsn)
	// Turning a new file to its log does not wait for who does the same.
	for try := 0; try < busyTries && isBusy(err); try++ {
		time.Sleep(busyPause)
		raw, err = new(sqlite.Driver).Open(dsn)
	}
	if err != nil {
		return nil, fmt.Errorf("db: sqlite: %s: %w", s.path, err)
	}
	return &conn{
		raw:        raw,
		stmts:      map[string]driver.Stmt{},
		plans:      &s.d.plans,
		statements: &s.d.statements,
		row:        row{plans: &s.d.plans},
	}, nil
}

const (
	// Bytes, taken as they are needed. After a COMMIT that has split pages
	// SQLite walks over all it has cached: with 16 MiB a twentieth of the
	// processor time of a push, and what is not cached is in the kernel's memory.
	writerCache = 6 << 20
	readerCache = 8 << 20

	// A checkpoint copies each page once, however often it was written since
	// the last one, and syncs twice: rare ones are cheaper. 16 MiB of log.
	checkpointPages = 4096
)

// reader takes a connection from the pool; it goes back by s.readers <- c.
func (s *sqliteDB) reader(ctx context.Context) (*conn, error) {
	select {
	case c := <-s.readers:
		return c, nil
	default:
	}
	select {
	case c := <-s.readers:
		return c, nil
	case <-ctx.Done():
		return nil, notStarted(ctx)
	case <-s.closed:
		return nil, closed()
	}
}

// read runs without cancellation, which would cost the driver a goroutine for
// each statement; statements are short by construction.
func (s *sqliteDB) read(ctx context.Context, use func(context.Context, *conn) error) error {
	c, err := s.reader(ctx)
	if err != nil {
		return err
	}
	defer func() { s.readers <- c }()
	return sqliteFault(use(context.WithoutCancel(ctx), c))
}

func (s *sqliteDB) view(ctx context.Context, fn func(*Tx) error) error {
	c, err := s.reader(ctx)
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	defer func() {
		// It fails only if an error already ended the transaction.
		_, _ = c.exec(ctx, "ROLLBACK")
		s.readers <- c
	}()
	if _, err := c.exec(ctx, "BEGIN"); err != nil {
		return sqliteFault(err)
	}
	tx := s.d.newTx(ctx, c, s.clock.now())
	err = fn(tx)
	if bad := tx.endView(); bad != nil {
		err = sqliteFault(bad)
	}
	return err
}

func (s *sqliteDB) update(ctx context.Context, fn func(*Tx) error) error { return s.w.update(ctx, fn) }

func (s *sqliteDB) waiting() int { return len(s.w.queue) }

func (s *sqliteDB) close() (err error) {
	s.closing.Do(func() {
		close(s.closed)
		for range cap(s.readers) {
			err = errors.Join(err, (<-s.readers).close())
		}
		err = errors.Join(err, s.w.close()) // last: closing the last connection folds the log into the file
	})
	return err
}

// ownError reports that a statement failed without harm to the transaction
// around it. Any other error may have rolled the whole transaction back, and
// what follows would be committed statement by statement.
func ownError(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, driver.ErrBadConn)
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_ERROR, lib.SQLITE_CONSTRAINT, lib.SQLITE_MISMATCH, lib.SQLITE_RANGE, lib.SQLITE_TOOBIG, lib.SQLITE_AUTH:
		return true
	}
	return false
}

// sqliteFault gives errors of the machine their code; defects stay as they are.
func sqliteFault(err error) error {
	if err == nil || ownError(err) {
		return err
	}
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_FULL {
		return full(err)
	}
	return unavailable(err)
}
