package db_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
)

func TestUpdateReturns(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		n, err := db.Update(ctx, d, func(tx *db.Tx) (int64, error) {
			return db.One[int64](ctx, tx, "INSERT INTO epoch (account, n) VALUES ('a', 5) RETURNING n + 1")
		})
		if n != 6 || err != nil || get(t, d, "a") != 5 {
			t.Errorf("%d, %v", n, err)
		}
		own := errors.New("own")
		n, err = db.Update(ctx, d, func(tx *db.Tx) (int64, error) { return 7, errors.Join(put(tx, "a", 9), own) })
		if n != 0 || !errors.Is(err, own) || get(t, d, "a") != 5 {
			t.Errorf("own error: %d, %v, %d", n, err, get(t, d, "a"))
		}
		affected, err := db.Update(ctx, d, func(tx *db.Tx) (int64, error) { return tx.Exec("DELETE FROM epoch") })
		if affected != 1 || err != nil {
			t.Errorf("Exec: %d, %v", affected, err)
		}
	})
}

// A failed statement ends the transaction, even if the closure does not say so.
func TestFailedStatementPoisons(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		var first, second, third error
		_, err := db.Update(ctx, d, func(tx *db.Tx) (int, error) {
			if err := put(tx, "a", 1); err != nil {
				return 0, err
			}
			_, first = tx.Exec("INSERT INTO epoch (account, n) VALUES ('b', NULL)")
			_, second = tx.Exec("DELETE FROM epoch")
			_, third = db.One[int64](ctx, tx, "SELECT 1")
			return 1, nil
		})
		if first == nil || second != first || third != first || err == nil || !errors.Is(err, first) {
			t.Errorf("statements: %v, %v, %v; Update: %v", first, second, third, err)
		}
		if n := get(t, d, "a"); n != -1 {
			t.Errorf("written all the same: %d", n)
		}
		if !strings.Contains(fmt.Sprint(err), "INSERT INTO epoch") {
			t.Errorf("the error does not name its statement: %v", err)
		}
	})
}

func TestPanicGoesOnInTheCaller(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		value := errors.New("value")
		stack := func() (stack string) {
			defer func() {
				if p := recover(); p != value {
					t.Errorf("recovered %v", p)
				}
				b := make([]byte, 64<<10)
				stack = string(b[:runtime.Stack(b, false)])
			}()
			_, _ = db.Update(context.Background(), d, func(tx *db.Tx) (int, error) {
				if err := put(tx, "a", 1); err != nil {
					t.Error(err)
				}
				deep(value)
				return 0, nil
			})
			return ""
		}()
		if !strings.Contains(stack, "db_test.deep") {
			t.Errorf("the panic lost its place:\n%s", stack)
		}
		if n := get(t, d, "a"); n != -1 {
			t.Errorf("written all the same: %d", n)
		}
		if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('a', 2)"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

//go:noinline
func deep(v error) { panic(v) }

// runtime.Goexit, as t.FailNow calls it, ends the caller and nothing else.
func TestGoexitInClosure(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = db.Update(context.Background(), d, func(tx *db.Tx) (int, error) {
				_ = put(tx, "a", 1)
				runtime.Goexit()
				return 0, nil
			})
		})
		wg.Wait()
		if n := get(t, d, "a"); n != -1 {
			t.Errorf("written all the same: %d", n)
		}
		if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('a', 2)"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestNestingPanics(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		outer := context.Background()
		none := func(*db.Tx) (int, error) { return 0, nil }
		inner := map[string]func(ctx context.Context){
			"Update": func(ctx context.Context) { _, _ = db.Update(ctx, d, none) },
			"View":   func(ctx context.Context) { _, _ = db.View(ctx, d, none) },
			"One":    func(ctx context.Context) { _, _ = db.One[int](ctx, d, "SELECT 1") },
		}
		for what, nested := range inner {
			for _, own := range []bool{false, true} {
				try := func(how func(context.Context, *db.DB, func(*db.Tx) (int, error)) (int, error)) {
					t.Helper()
					defer func() {
						if p := recover(); p == nil {
							t.Errorf("%s with the transaction's context %v: no panic", what, own)
						}
					}()
					_, _ = how(outer, d, func(tx *db.Tx) (int, error) {
						if own {
							nested(tx.Context())
						} else {
							nested(outer)
						}
						return 0, nil
					})
				}
				try(db.Update[int])
				try(db.View[int])
			}
		}
		if _, err := db.Update(outer, d, none); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestContextEndedBeforeStart(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(why)
		ran := false
		_, err := db.Update(ctx, d, func(tx *db.Tx) (int, error) { ran = true; return 0, nil })
		if !errors.Is(err, why) || ran {
			t.Errorf("Update: %v, ran %v", err, ran)
		}
	})
}

// Once a closure runs, the end of its caller's context does not matter.
func TestContextEndsInMidStatement(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		n, err := db.Update(ctx, d, func(tx *db.Tx) (int64, error) {
			time.AfterFunc(5*time.Millisecond, cancel)
			n, err := db.One[int64](ctx, tx, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 300000) SELECT count(*) FROM c")
			<-ctx.Done()
			if tx.Context().Err() != nil {
				t.Error("the transaction's context ended")
			}
			return n, errors.Join(err, put(tx, "a", n))
		})
		if n != 300000 || err != nil || get(t, d, "a") != n {
			t.Errorf("%d, %v", n, err)
		}
	}, once)
}

// Caches are told after the COMMIT and before the caller is answered; wake-ups
// come after that, in the caller's goroutine.
func TestInvalidateAndAfterCommit(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		var mu sync.Mutex
		var events []string
		event := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, fmt.Sprintf(format, args...))
		}
		committed := false
		d.OnInvalidate(func(keys []any) { event("first %v", keys) })
		d.OnInvalidate(func(keys []any) { event("second %v", keys) })
		_, err := db.Update(ctx, d, func(tx *db.Tx) (int, error) {
			tx.Invalidate("a", 1)
			tx.Invalidate("b")
			tx.AfterCommit(func() {
				committed = get(t, d, "a") == 1
				event("woken")
			})
			return 0, put(tx, "a", 1)
		})
		event("answered")
		if err != nil || !committed {
			t.Errorf("%v, visible to wake-ups: %v", err, committed)
		}
		want := []string{"first [a 1 b]", "second [a 1 b]", "woken", "answered"}
		if !slices.Equal(events, want) {
			t.Errorf("events %q, want %q", events, want)
		}
		events = nil
		if _, err := db.Update(ctx, d, func(tx *db.Tx) (int, error) {
			tx.Invalidate("c")
			tx.AfterCommit(func() { event("woken") })
			return 0, errors.New("rolled back")
		}); err == nil || len(events) != 0 {
			t.Errorf("a rolled back transaction: %v, %q", err, events)
		}
	})
}

func TestClockNeverGoesBack(t *testing.T) {
	var now atomic.Int64
	now.Store(1_000_000_000_000_000)
	each(t, func(t *testing.T, d *db.DB) {
		times := func() (at [2]time.Time) {
			var err error
			at[0], err = db.Update(context.Background(), d, func(tx *db.Tx) (time.Time, error) {
				first := tx.Now()
				now.Add(1000)
				if tx.Now() != first || first.UnixMicro() != tx.Micros() || first.Location() != time.UTC {
					t.Errorf("the time of a transaction is not fixed: %v, %v, %d", first, tx.Now(), tx.Micros())
				}
				return first, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			at[1] = must[time.Time](t)(db.View(context.Background(), d, func(tx *db.Tx) (time.Time, error) { return tx.Now(), nil }))
			return at
		}
		before := times()
		now.Add(-time.Hour.Microseconds())
		after := times()
		if after[0].Before(before[1]) || after[1].Before(after[0]) {
			t.Errorf("back from %v to %v", before, after)
		}
		now.Add(2 * time.Hour.Microseconds())
		if later := times(); !later[0].After(after[1]) {
			t.Errorf("stands still: %v after %v", later, after)
		}
	}, func(o *db.Options) { o.Now = func() time.Time { return time.UnixMicro(now.Load()) } })
}

func TestTxEnds(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		kept := must[*db.Tx](t)(db.Update(context.Background(), d, func(tx *db.Tx) (*db.Tx, error) { return tx, nil }))
		if _, err := kept.Exec("DELETE FROM epoch"); err == nil {
			t.Error("a transaction works after its end")
		}
	})
}

func TestLockingClauses(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		_, err := db.Update(context.Background(), d, func(tx *db.Tx) (int, error) {
			for _, clause := range []string{tx.ForUpdate(), tx.ForShare(), tx.ForUpdate() + tx.SkipLocked()} {
				if (clause == "") != (d.Engine() == db.SQLite) {
					t.Errorf("%s: %q", d.Engine(), clause)
				}
				if _, err := db.All[int64](tx.Context(), tx, "SELECT n FROM epoch WHERE n > $1 ORDER BY account"+clause, 0); err != nil {
					return 0, err
				}
			}
			return 0, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// With Twice, a closure that cannot be repeated gives itself away.
func TestTwice(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		runs := 0
		n, err := db.Update(context.Background(), d, func(tx *db.Tx) (int, error) {
			runs++
			_, err := tx.Exec("INSERT INTO epoch (account, n) VALUES ('a', 1)")
			return runs, err
		})
		if n != 2 || runs != 2 || err != nil {
			t.Errorf("%d, %d runs, %v", n, runs, err)
		}
	})
}

// Counters raised by many at once: nothing is lost, nothing counted twice.
func TestConcurrentUpdates(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		const workers, rounds = 16, 20
		var invalidated atomic.Int64
		d.OnInvalidate(func(keys []any) { invalidated.Add(int64(len(keys))) })
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range rounds {
					_, err := db.Update(ctx, d, func(tx *db.Tx) (int64, error) {
						tx.Invalidate(w)
						if _, err := tx.Exec("INSERT INTO epoch (account, n) VALUES ('sum', 0) ON CONFLICT DO NOTHING"); err != nil {
							return 0, err
						}
						n, err := db.One[int64](ctx, tx, "SELECT n FROM epoch WHERE account = 'sum'"+tx.ForUpdate())
						if err != nil {
							return 0, err
						}
						if err := put(tx, fmt.Sprint(w), int64(i)); err != nil {
							return 0, err
						}
						if i%5 == 4 {
							return 0, errRefused
						}
						return n, put(tx, "sum", n+1)
					})
					if i%5 == 4 {
						if !errors.Is(err, errRefused) {
							t.Error(err)
						}
					} else if err != nil {
						t.Error(err)
					}
					if _, err := db.One[int64](ctx, d, "SELECT count(*) FROM epoch"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		want := int64(workers * rounds * 4 / 5)
		if n := get(t, d, "sum"); n != want || invalidated.Load() != want {
			t.Errorf("sum %d, %d invalidations; want %d", n, invalidated.Load(), want)
		}
		t.Logf("%+v", d.Stats())
	})
}

var errRefused = errors.New("refused")
