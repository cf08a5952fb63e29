package db_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/fault"
)

// sqliteOnce opens an SQLite database whose closures run once, so that they
// may wait for the test.
func sqliteOnce(t testing.TB, set ...func(*db.Options)) *db.DB {
	t.Helper()
	return dbtest.OpenURL(t, dbtest.SQLite(t), append(set, once)...)
}

// hold keeps the writer busy until the returned function is called. What waits
// meanwhile is not of the same group.
func hold(t testing.TB, d *db.DB) (release func()) {
	t.Helper()
	inside, leave, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_, err := db.Update(context.Background(), d, func(*db.Tx) (int, error) {
			close(inside)
			<-leave
			db.SetGroupTime(d, 0)
			return 0, nil
		})
		if err != nil {
			t.Errorf("the closure in front: %v", err)
		}
	}()
	<-inside
	return sync.OnceFunc(func() { close(leave); <-done })
}

// together queues the closures in order behind a busy writer, so that they
// form one group, and returns their outcomes.
func together(t testing.TB, d *db.DB, closures ...func(*db.Tx) (int64, error)) []error {
	t.Helper()
	release := hold(t, d)
	errs := make([]error, len(closures))
	var wg sync.WaitGroup
	for i, fn := range closures {
		wg.Go(func() {
			_, errs[i] = db.Update(context.Background(), d, func(tx *db.Tx) (int64, error) {
				db.SetGroupTime(d, time.Minute)
				return fn(tx)
			})
		})
		eventually(t, "a closure in the queue", func() bool { return d.Stats().Queue == i+1 })
	}
	release()
	wg.Wait()
	return errs
}

func putter(key string, n int64) func(*db.Tx) (int64, error) {
	return func(tx *db.Tx) (int64, error) { return n, put(tx, key, n) }
}

// What is acknowledged is on the disk: the settings that make it so hold on
// the connection that writes, also on the one opened after a failure.
func TestDurableSettings(t *testing.T) {
	d := sqliteOnce(t)
	for range 2 {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
			got, err := db.Update(context.Background(), d, func(tx *db.Tx) (string, error) {
				return db.One[string](tx.Context(), tx, "SELECT CAST("+pragma+" AS TEXT) FROM pragma_"+pragma)
			})
			if err != nil || got != want {
				t.Errorf("%s: %q, %v; want %q", pragma, got, err, want)
			}
		}
		_, _ = db.Update(context.Background(), d, func(tx *db.Tx) (int64, error) { // breaks the connection
			ctx, cancel := context.WithCancel(tx.Context())
			cancel()
			tx.SetContext(ctx)
			return tx.Exec("DELETE FROM epoch")
		})
	}
	if d.Stats().Failures == 0 {
		t.Error("the connection was not replaced")
	}
}

func TestGroupOutcomes(t *testing.T) {
	d := sqliteOnce(t)
	own := errors.New("own")
	commits := d.Stats().Commits
	errs := together(t, d,
		putter("a", 1),
		func(tx *db.Tx) (int64, error) { return 0, errors.Join(put(tx, "b", 1), own) },
		func(tx *db.Tx) (int64, error) {
			_, _ = tx.Exec("INSERT INTO epoch (account, n) VALUES ('c', NULL)")
			return 0, nil
		},
		func(tx *db.Tx) (int64, error) { // sees what those in front of it wrote, and nothing else
			n, err := db.One[int64](tx.Context(), tx, "SELECT count(*) FROM epoch")
			return n, errors.Join(err, put(tx, "d", n))
		},
	)
	if errs[0] != nil || !errors.Is(errs[1], own) || errs[2] == nil || errs[3] != nil {
		t.Errorf("outcomes: %v", errs)
	}
	if fault.CodeOf(errs[2]) != fault.Internal {
		t.Errorf("a failed statement has the code %s", fault.CodeOf(errs[2]))
	}
	if a, b, c, d := get(t, d, "a"), get(t, d, "b"), get(t, d, "c"), get(t, d, "d"); a != 1 || b != -1 || c != -1 || d != 1 {
		t.Errorf("a %d, b %d, c %d, d %d", a, b, c, d)
	}
	if s := d.Stats(); s.Commits-commits != 2 || s.Retries != 0 || s.Failures != 0 {
		t.Errorf("one commit for the holder and one for the group: %+v", s)
	}
}

func TestGroupsRunInOrder(t *testing.T) {
	d := sqliteOnce(t)
	var order []int // guarded by there being one writer
	var closures []func(*db.Tx) (int64, error)
	for i := range 3 * db.GroupSize {
		closures = append(closures, func(tx *db.Tx) (int64, error) {
			order = append(order, i)
			return 0, put(tx, fmt.Sprint(i), 0)
		})
	}
	if err := errors.Join(together(t, d, closures...)...); err != nil {
		t.Fatal(err)
	}
	if len(order) != len(closures) || !slices.IsSorted(order) {
		t.Errorf("order: %v", order)
	}
	if n := d.Stats().Commits; n != 1+3 {
		t.Errorf("%d commits for the holder and three full groups", n)
	}
}

// Nobody is answered, and no cache told, before the COMMIT.
func TestAnsweredAfterCommit(t *testing.T) {
	d := sqliteOnce(t)
	var told atomic.Bool
	d.OnInvalidate(func([]any) {
		if get(t, d, "b") != 1 {
			t.Error("told before the COMMIT")
		}
		told.Store(true)
	})
	errs := together(t, d,
		func(tx *db.Tx) (int64, error) { tx.Invalidate("a"); return 0, put(tx, "a", 1) },
		func(tx *db.Tx) (int64, error) {
			if told.Load() || get(t, d, "a") != -1 {
				t.Error("the first of the group is visible already")
			}
			return 0, put(tx, "b", 1)
		},
	)
	if errs[0] != nil || errs[1] != nil || !told.Load() {
		t.Errorf("%v, told %v", errs, told.Load())
	}
}

func TestPanicInGroup(t *testing.T) {
	d := sqliteOnce(t)
	release := hold(t, d)
	var wg sync.WaitGroup
	recovered := make(chan any, 1)
	wg.Go(func() {
		defer func() { recovered <- recover() }()
		_, _ = db.Update(context.Background(), d, func(tx *db.Tx) (int, error) {
			_ = put(tx, "a", 1)
			panic("value")
		})
	})
	eventually(t, "the panicking one in the queue", func() bool { return d.Stats().Queue == 1 })
	var err error
	wg.Go(func() { _, err = db.Update(context.Background(), d, putter("b", 1)) })
	eventually(t, "both in the queue", func() bool { return d.Stats().Queue == 2 })
	release()
	wg.Wait()
	if p := <-recovered; p != "value" || err != nil {
		t.Errorf("recovered %v, the other: %v", p, err)
	}
	if get(t, d, "a") != -1 || get(t, d, "b") != 1 {
		t.Errorf("a %d, b %d", get(t, d, "a"), get(t, d, "b"))
	}
}

// One that fills the file up fails with fault.Full; the rest of its group is
// run again without it.
func TestFull(t *testing.T) {
	pages := func(o *db.Options) { o.MaxPages = 400 }
	for _, swallow := range []bool{false, true} {
		d := sqliteOnce(t, pages)
		var invalidated atomic.Int64
		d.OnInvalidate(func(keys []any) {
			if keys == nil {
				invalidated.Add(1)
			}
		})
		var runs [3]int
		huge := make([]byte, 4<<20)
		errs := together(t, d,
			func(tx *db.Tx) (int64, error) { runs[0]++; return 0, put(tx, "a", 1) },
			func(tx *db.Tx) (int64, error) {
				runs[1]++
				if err := put(tx, "b", 1); err != nil {
					return 0, err
				}
				_, err := tx.Exec("INSERT INTO setting (name, value) VALUES ('huge', $1)", huge)
				if swallow {
					_, later := tx.Exec("DELETE FROM epoch")
					if later == nil {
						t.Error("a statement ran after the transaction was lost")
					}
					return 0, nil
				}
				return 0, err
			},
			func(tx *db.Tx) (int64, error) { runs[2]++; return 0, put(tx, "c", 1) },
		)
		if errs[0] != nil || !fault.Is(errs[1], fault.Full) || errs[2] != nil {
			t.Errorf("outcomes: %v", errs)
		}
		if get(t, d, "a") != 1 || get(t, d, "b") != -1 || get(t, d, "c") != 1 {
			t.Errorf("a %d, b %d, c %d", get(t, d, "a"), get(t, d, "b"), get(t, d, "c"))
		}
		if runs[0] != 2 || runs[1] != 2 {
			t.Errorf("runs: %v", runs)
		}
		if s := d.Stats(); s.Failures == 0 || s.Retries < 2 || invalidated.Load() == 0 {
			t.Errorf("%+v, %d invalidations", s, invalidated.Load())
		}
		if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('later', 1)"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
}

// An interrupted statement ends the whole transaction: the members of the
// group are run again, alone, and get there.
func TestInterruptRerunsTheGroup(t *testing.T) {
	d := sqliteOnce(t)
	var runs atomic.Int32
	endless := "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) INSERT INTO epoch (account, n) SELECT CAST(x AS TEXT), x FROM c WHERE x < 0"
	errs := together(t, d,
		putter("a", 1),
		func(tx *db.Tx) (int64, error) {
			if err := put(tx, "b", 1); err != nil {
				return 0, err
			}
			if runs.Add(1) > 1 {
				return 0, nil
			}
			ctx, cancel := context.WithCancel(tx.Context())
			tx.SetContext(ctx)
			go cancel()
			_, err := tx.Exec(endless)
			return 0, err
		},
		putter("c", 1),
	)
	if err := errors.Join(errs...); err != nil {
		t.Errorf("outcomes: %v", errs)
	}
	if get(t, d, "a") != 1 || get(t, d, "b") != 1 || get(t, d, "c") != 1 || runs.Load() != 2 {
		t.Errorf("a %d, b %d, c %d, %d runs", get(t, d, "a"), get(t, d, "b"), get(t, d, "c"), runs.Load())
	}
}

// What breaks the transaction again when it is run alone is given up.
func TestInterruptedTwice(t *testing.T) {
	d := sqliteOnce(t)
	errs := together(t, d,
		func(tx *db.Tx) (int64, error) {
			ctx, cancel := context.WithCancel(tx.Context())
			cancel()
			tx.SetContext(ctx)
			return 0, put(tx, "a", 1)
		},
		putter("b", 1),
	)
	if !fault.Is(errs[0], fault.Unavailable) || errs[1] != nil || get(t, d, "a") != -1 || get(t, d, "b") != 1 {
		t.Errorf("outcomes: %v; a %d, b %d", errs, get(t, d, "a"), get(t, d, "b"))
	}
}

// A COMMIT that fails leaves nobody with a success, not even those who wrote
// nothing, and the caches empty.
func TestFailedCommit(t *testing.T) {
	d := sqliteOnce(t)
	if err := exec(d, "CREATE TABLE late (id BIGINT REFERENCES organization(id) DEFERRABLE INITIALLY DEFERRED)"); err != nil {
		t.Fatal(err)
	}
	var told [][]any
	d.OnInvalidate(func(keys []any) { told = append(told, keys) })
	errs := together(t, d,
		func(tx *db.Tx) (int64, error) { tx.Invalidate("a"); return 0, put(tx, "a", 1) },
		func(tx *db.Tx) (int64, error) { return tx.Exec("INSERT INTO late VALUES (1)") },
		func(tx *db.Tx) (int64, error) { return db.One[int64](tx.Context(), tx, "SELECT count(*) FROM epoch") },
		func(*db.Tx) (int64, error) { return 0, errRefused },
	)
	for i, err := range errs {
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("outcome %d: %v", i, err)
		}
	}
	if len(told) != 1 || told[0] != nil {
		t.Errorf("caches were told %v", told)
	}
	if get(t, d, "a") != -1 {
		t.Error("written all the same")
	}
	if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('later', 1)"); err != nil || get(t, d, "later") != 1 {
		t.Errorf("afterwards: %v", err)
	}
}

// A caller that leaves the queue is answered at once and its closure not run.
func TestLeavingTheQueue(t *testing.T) {
	d := sqliteOnce(t)
	release := hold(t, d)
	defer release()
	ctx, cancel := context.WithCancel(context.Background())
	answer := make(chan error, 1)
	go func() {
		_, err := db.Update(ctx, d, putter("a", 1))
		answer <- err
	}()
	eventually(t, "a closure in the queue", func() bool { return d.Stats().Queue == 1 })
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("answer: %v", err)
	}
	release()
	if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('b', 1)"); err != nil {
		t.Fatal(err)
	}
	if get(t, d, "a") != -1 {
		t.Error("a dropped closure was run")
	}
}

// Close lets the running group end and refuses those who wait.
func TestCloseWithQueue(t *testing.T) {
	d := must[*db.DB](t)(db.Open(context.Background(), dbtest.SQLite(t), db.Options{}))
	release := hold(t, d)
	waiting := make(chan error, 1)
	go func() {
		_, err := db.Update(context.Background(), d, putter("a", 1))
		waiting <- err
	}()
	eventually(t, "a closure in the queue", func() bool { return d.Stats().Queue == 1 })
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	eventually(t, "the closing of the readers", func() bool {
		_, err := db.One[int64](context.Background(), d, "SELECT 1")
		return fault.Is(err, fault.Unavailable)
	})
	release()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := <-waiting; !fault.Is(err, fault.Unavailable) && err != nil {
		t.Errorf("the one who waited: %v", err)
	}
}

// Another program's write is noticed, and the caches are emptied.
func TestForeignWrite(t *testing.T) {
	url := dbtest.SQLite(t)
	d := dbtest.OpenURL(t, url)
	if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('own', 1)"); err != nil {
		t.Fatal(err)
	}
	var told atomic.Bool
	d.OnInvalidate(func(keys []any) { told.Store(keys == nil) })
	other, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Exec("INSERT INTO epoch (account, n) VALUES ('foreign', 1)"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the caches are told", told.Load)
}
