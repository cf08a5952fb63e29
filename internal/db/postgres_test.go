package db_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/fault"
)

// Two that find nothing and insert the same: the one that loses is run again
// and finds it.
func TestUniqueViolationIsRetried(t *testing.T) {
	d := dbtest.OpenURL(t, dbtest.Postgres(t), once)
	ctx := context.Background()
	var runs atomic.Int32
	var both sync.WaitGroup
	both.Add(2)
	find := func(tx *db.Tx) (string, error) {
		how := "inserted"
		if _, err := db.One[int64](ctx, tx, "SELECT n FROM epoch WHERE account = 'a'"); err == nil {
			return "found", nil
		} else if !errors.Is(err, db.ErrNone) {
			return "", err
		}
		if runs.Add(1) <= 2 {
			both.Done()
			both.Wait() // both have looked
		}
		_, err := tx.Exec("INSERT INTO epoch (account, n) VALUES ('a', 1)")
		return how, err
	}
	how := make(chan string, 2)
	for range 2 {
		go func() {
			h, err := db.Update(ctx, d, find)
			if err != nil {
				t.Error(err)
			}
			how <- h
		}()
	}
	if a, b := <-how, <-how; a == b {
		t.Errorf("both %q", a)
	}
	if n := d.Stats().Retries; n != 1 {
		t.Errorf("%d retries", n)
	}
}

// Two that lock in opposite order: the server ends one, which is run again.
func TestDeadlockIsRetried(t *testing.T) {
	d := dbtest.OpenURL(t, dbtest.Postgres(t), once)
	ctx := context.Background()
	if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('a', 0), ('b', 0)"); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Add(2)
	var runs atomic.Int32
	raise := func(first, second string) error {
		_, err := db.Update(ctx, d, func(tx *db.Tx) (int, error) {
			const add = "UPDATE epoch SET n = n + 1 WHERE account = $1"
			if _, err := tx.Exec(add, first); err != nil {
				return 0, err
			}
			if runs.Add(1) <= 2 {
				both.Done()
				both.Wait()
			}
			_, err := tx.Exec(add, second)
			return 0, err
		})
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := raise("a", "b"); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := raise("b", "a"); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	if a, b := get(t, d, "a"), get(t, d, "b"); a != 2 || b != 2 {
		t.Errorf("a %d, b %d", a, b)
	}
	if n := d.Stats().Retries; n == 0 {
		t.Error("no retry")
	}
}

// Retries end. The error tells the client to come again, and nothing is left.
func TestConflictWithoutEnd(t *testing.T) {
	d := dbtest.OpenURL(t, dbtest.Postgres(t), once)
	if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('a', 0)"); err != nil {
		t.Fatal(err)
	}
	runs := 0
	_, err := db.Update(context.Background(), d, func(tx *db.Tx) (int, error) {
		runs++
		if err := put(tx, "b", 1); err != nil {
			return 0, err
		}
		_, _ = tx.Exec("INSERT INTO epoch (account, n) VALUES ('a', 1)") // its failure counts all the same
		return 0, nil
	})
	if !fault.Is(err, fault.Unavailable) || runs != 1+db.Retries || get(t, d, "b") != -1 {
		t.Errorf("%v after %d runs, b %d", err, runs, get(t, d, "b"))
	}
}

// A closure's own error is never taken for a conflict.
func TestOwnErrorIsNotRetried(t *testing.T) {
	d := dbtest.OpenURL(t, dbtest.Postgres(t), once)
	runs := 0
	_, err := db.Update(context.Background(), d, func(tx *db.Tx) (int, error) {
		runs++
		return 0, context.DeadlineExceeded
	})
	if err != context.DeadlineExceeded || runs != 1 {
		t.Errorf("%v after %d runs", err, runs)
	}
}

// Text from outside that no column takes is its sender's mistake, should it
// ever come this far.
func TestValuesThatPostgresRefuses(t *testing.T) {
	d := dbtest.OpenURL(t, dbtest.Postgres(t), once)
	ctx := context.Background()
	for _, bad := range []string{"a\x00b", "a\xffb"} {
		_, err := db.One[int64](ctx, d, "SELECT n FROM epoch WHERE account = $1", bad)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("a read of %q: %v", bad, err)
		}
		_, err = db.Update(ctx, d, func(tx *db.Tx) (int, error) { return 0, put(tx, bad, 1) })
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("a write of %q: %v", bad, err)
		}
	}
	if n := d.Stats().Retries; n != 0 {
		t.Errorf("%d retries", n)
	}
}

// kill ends the other connections to the database, as a failing server does.
func kill(t testing.TB, tx *db.Tx) {
	t.Helper()
	if _, err := db.All[bool](tx.Context(), tx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
		t.Error(err)
	}
}

func TestLostConnections(t *testing.T) {
	url := dbtest.Postgres(t)
	d, killer := dbtest.OpenURL(t, url, once), dbtest.OpenURL(t, url, once)
	ctx := context.Background()
	killAll := func() {
		must[int](t)(db.Update(ctx, killer, func(tx *db.Tx) (int, error) { kill(t, tx); return 0, nil }))
	}
	// Before anything ran: all pass over the dead connections of the pool.
	fill := func() {
		var all, wg sync.WaitGroup
		all.Add(3)
		for range 3 {
			wg.Go(func() {
				must[int](t)(db.View(ctx, d, func(*db.Tx) (int, error) { all.Done(); all.Wait(); return 0, nil }))
			})
		}
		wg.Wait()
		killAll()
	}
	fill()
	if n := must[int64](t)(db.One[int64](ctx, d, "SELECT 5")); n != 5 {
		t.Error(n)
	}
	fill()
	must[int64](t)(db.View(ctx, d, func(tx *db.Tx) (int64, error) { return db.One[int64](ctx, tx, "SELECT 1") }))
	fill()
	if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('a', 0)"); err != nil || d.Stats().Retries != 0 {
		t.Errorf("%v, %+v", err, d.Stats())
	}
	// In the middle of an Update: it is run again.
	runs := 0
	if _, err := db.Update(ctx, d, func(tx *db.Tx) (int, error) {
		if runs++; runs == 1 {
			killAll()
		}
		return 0, put(tx, "a", int64(runs))
	}); err != nil || runs != 2 || get(t, d, "a") != 2 {
		t.Errorf("%v after %d runs, a %d", err, runs, get(t, d, "a"))
	}
	// At its COMMIT: the outcome is unknown, so it is not, and caches start anew.
	var told atomic.Bool
	d.OnInvalidate(func(keys []any) { told.Store(keys == nil) })
	runs = 0
	_, err := db.Update(ctx, d, func(tx *db.Tx) (int, error) {
		runs++
		tx.Invalidate("a")
		err := put(tx, "b", 1)
		killAll()
		return 0, err
	})
	if !fault.Is(err, fault.Unavailable) || runs != 1 || !told.Load() {
		t.Errorf("lost COMMIT: %v after %d runs, caches told %v", err, runs, told.Load())
	}
	// In a View, whose closure is not run again.
	runs = 0
	_, err = db.View(ctx, d, func(tx *db.Tx) (int64, error) {
		runs++
		killAll()
		return db.One[int64](ctx, tx, "SELECT 1")
	})
	if !fault.Is(err, fault.Unavailable) || runs != 1 {
		t.Errorf("View: %v after %d runs", err, runs)
	}
}

func TestPostgresFailedCommit(t *testing.T) {
	d := dbtest.OpenURL(t, dbtest.Postgres(t), once)
	if err := exec(d, "CREATE TABLE late (id BIGINT REFERENCES organization(id) DEFERRABLE INITIALLY DEFERRED)"); err != nil {
		t.Fatal(err)
	}
	told := 0
	d.OnInvalidate(func(keys []any) {
		if keys == nil {
			told++
		}
	})
	err := exec(d, "INSERT INTO late VALUES (1)")
	if !fault.Is(err, fault.Unavailable) || told != 1 || d.Stats().Failures != 1 {
		t.Errorf("%v, caches told %d times, %+v", err, told, d.Stats())
	}
	if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('later', 1)"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A View keeps its snapshot while others commit.
func TestViewIsOneSnapshot(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		count := func(tx *db.Tx) int64 {
			return must[int64](t)(db.One[int64](ctx, tx, "SELECT count(*) FROM epoch"))
		}
		must[int](t)(db.View(ctx, d, func(tx *db.Tx) (int, error) {
			before := count(tx)
			written := make(chan error)
			go func() { written <- exec(d, "INSERT INTO epoch (account, n) VALUES ('a', 0)") }()
			if err := <-written; err != nil {
				t.Error(err)
			}
			if after := count(tx); before != 0 || after != 0 {
				t.Errorf("%d rows before, %d after", before, after)
			}
			return 0, nil
		}))
		if get(t, d, "a") != 0 {
			t.Error("not written")
		}
	})
}

// The server ends the transaction of a node of which nothing comes any more,
// and with it the locks, after a minute or as the address says.
func TestLostNodeLetsGo(t *testing.T) {
	url := dbtest.Postgres(t)
	with := url + "?"
	if strings.Contains(url, "?") {
		with = url + "&"
	}
	for address, want := range map[string]string{url: "1min", with + "idle_in_transaction_session_timeout=5000": "5s"} {
		d := dbtest.OpenURL(t, address)
		if got := must[string](t)(db.One[string](context.Background(), d, "SELECT current_setting('idle_in_transaction_session_timeout')")); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// The time is the server's, read in the round trip that begins.
func TestDatabaseClock(t *testing.T) {
	d := dbtest.OpenURL(t, dbtest.Postgres(t))
	ctx := context.Background()
	for range 3 {
		type times struct{ Before, Now, After int64 }
		const clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
		before := must[int64](t)(db.One[int64](ctx, d, clock))
		now := must[time.Time](t)(db.Update(ctx, d, func(tx *db.Tx) (time.Time, error) { return tx.Now(), nil }))
		after := must[int64](t)(db.One[int64](ctx, d, clock))
		if now.UnixMicro() < before || now.UnixMicro() > after {
			t.Errorf("%+v", times{before, now.UnixMicro(), after})
		}
	}
}

// Callers beyond the number of connections wait, and are seen waiting.
func TestWaitingForAConnection(t *testing.T) {
	d := dbtest.OpenURL(t, dbtest.Postgres(t), once, func(o *db.Options) { o.Readers = 1 })
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = db.Update(context.Background(), d, func(*db.Tx) (int, error) { close(inside); <-leave; return 0, nil })
	})
	<-inside
	wg.Go(func() {
		if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('a', 0)"); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "one that waits", func() bool { return d.Stats().Queue == 1 })
	close(leave)
	wg.Wait()
	if n := d.Stats().Queue; n != 0 {
		t.Errorf("%d wait", n)
	}
}
