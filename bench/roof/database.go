package main

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite"
)

const row = "INSERT INTO tag VALUES ($1, $2, $3) ON CONFLICT DO UPDATE SET digest = excluded.digest"

// database measures durable commits of SQLite with one writer, which group commit shares,
// and point lookups.
func database(dir string, step time.Duration, record recorder) error {
	h, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "roof.db")+
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return err
	}
	defer h.Close()
	h.SetMaxOpenConns(4)
	if _, err := h.Exec("CREATE TABLE tag (repository INTEGER, name TEXT, digest TEXT, PRIMARY KEY (repository, name)) WITHOUT ROWID"); err != nil {
		return err
	}
	for _, batch := range []int{1, 100} {
		v, err := commits(h, batch, step)
		if err != nil {
			return err
		}
		record(fmt.Sprintf("SQLite: durable upserts, %d in a commit", batch), "rows/s", v)
	}
	for _, readers := range []int{1, 4} {
		v, err := lookups(h, readers, step)
		if err != nil {
			return err
		}
		record(fmt.Sprintf("SQLite: point lookups, %d readers", readers), "rows/s", v)
	}
	return nil
}

func name(n int) string { return fmt.Sprintf("v%09d", n*7919%100_003) }

func commits(h *sql.DB, batch int, step time.Duration) (float64, error) {
	const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	insert, err := h.Prepare(row)
	if err != nil {
		return 0, err
	}
	defer insert.Close()
	n := 0
	begin := time.Now()
	for time.Since(begin) < step {
		tx, err := h.Begin()
		if err != nil {
			return 0, err
		}
		in := tx.Stmt(insert)
		for range batch {
			if _, err := in.Exec(n%50, name(n), digest); err != nil {
				tx.Rollback()
				return 0, err
			}
			n++
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

func lookups(h *sql.DB, readers int, step time.Duration) (float64, error) {
	q, err := h.Prepare("SELECT count(*) FROM tag WHERE repository = $1 AND name = $2")
	if err != nil {
		return 0, err
	}
	defer q.Close()
	var n atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, readers)
	begin := time.Now()
	for range readers {
		wg.Go(func() {
			for time.Since(begin) < step {
				var found, i = 0, int(n.Add(1))
				if err := q.QueryRow(i%50, name(i)).Scan(&found); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return float64(n.Load()) / time.Since(begin).Seconds(), <-errs
}
