package db_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
)

// engines runs the benchmark on both engines with 1, 16 and 64 callers.
func engines(b *testing.B, bench func(b *testing.B, d *db.DB, callers int)) {
	for _, engine := range []struct {
		name string
		url  func(testing.TB) string
	}{{"sqlite", dbtest.SQLite}, {"postgres", dbtest.Postgres}} {
		b.Run(engine.name, func(b *testing.B) {
			d := dbtest.OpenURL(b, engine.url(b), once)
			_, err := db.Update(context.Background(), d, func(tx *db.Tx) (int, error) {
				for i := range 1000 {
					if err := put(tx, fmt.Sprint("row", i), int64(i)); err != nil {
						return 0, err
					}
				}
				return 0, nil
			})
			if err != nil {
				b.Fatal(err)
			}
			for _, callers := range []int{1, 16, 64} {
				b.Run(fmt.Sprintf("c=%d", callers), func(b *testing.B) { bench(b, d, callers) })
			}
		})
	}
}

// by has the callers share b.N calls.
func by(b *testing.B, callers int, call func(i int64) error) {
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := call(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkUpdate is a durable transaction of an insert and an update. The
// private PostgreSQL server does not sync: its figures are those of the path.
func BenchmarkUpdate(b *testing.B) {
	var unique atomic.Int64
	engines(b, func(b *testing.B, d *db.DB, callers int) {
		ctx := context.Background()
		before := d.Stats()
		by(b, callers, func(i int64) error {
			key := fmt.Sprint("new", unique.Add(1))
			_, err := db.Update(ctx, d, func(tx *db.Tx) (int64, error) {
				if _, err := tx.Exec("INSERT INTO garbage (key, due) VALUES ($1, $2)", key, tx.Micros()); err != nil {
					return 0, err
				}
				return tx.Exec("UPDATE epoch SET n = n + 1 WHERE account = $1", fmt.Sprint("row", i%1000))
			})
			return err
		})
		s := d.Stats()
		b.ReportMetric(float64(s.Closures-before.Closures)/float64(s.Commits-before.Commits), "closures/commit")
	})
}

// BenchmarkOne is a point read outside any transaction.
func BenchmarkOne(b *testing.B) {
	engines(b, func(b *testing.B, d *db.DB, callers int) {
		ctx := context.Background()
		by(b, callers, func(i int64) error {
			_, err := db.One[struct {
				Account string
				N       int64
			}](ctx, d, "SELECT account, n FROM epoch WHERE account = $1", fmt.Sprint("row", i%1000))
			return err
		})
	})
}
