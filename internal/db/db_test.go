package db_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/fault"
)

// each runs the test on both engines.
func each(t *testing.T, test func(t *testing.T, d *db.DB), set ...func(*db.Options)) {
	t.Run("sqlite", func(t *testing.T) { test(t, dbtest.OpenURL(t, dbtest.SQLite(t), set...)) })
	t.Run("postgres", func(t *testing.T) { test(t, dbtest.OpenURL(t, dbtest.Postgres(t), set...)) })
}

// once is for tests that count how often a closure runs, or wait inside one.
func once(o *db.Options) { o.Twice = false }

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// exec runs one statement in a transaction.
func exec(d *db.DB, sql string, args ...any) error {
	_, err := db.Update(context.Background(), d, func(tx *db.Tx) (int64, error) { return tx.Exec(sql, args...) })
	return err
}

// put and get use the table epoch(account, n) as a map.
func put(tx *db.Tx, key string, n int64) error {
	_, err := tx.Exec("INSERT INTO epoch (account, n) VALUES ($1, $2) ON CONFLICT (account) DO UPDATE SET n = excluded.n", key, n)
	return err
}

func get(t testing.TB, d *db.DB, key string) int64 {
	t.Helper()
	n, err := db.One[int64](context.Background(), d, "SELECT n FROM epoch WHERE account = $1", key)
	if errors.Is(err, db.ErrNone) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestOpenRefuses(t *testing.T) {
	ctx := context.Background()
	for _, url := range []string{"", "sqlite:", "sqlite::memory:", "mysql://root:secret@host/db", "/var/lib/berth.db", "sqlite:" + filepath.Join(t.TempDir(), "absent", "berth.db")} {
		_, err := db.Open(ctx, url, db.Options{})
		if err == nil {
			t.Errorf("%q was opened", url)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error repeats the password: %v", url, err)
		}
	}
	_, err := db.Open(ctx, "postgres://someone:secret@127.0.0.1:1/db?connect_timeout=1", db.Options{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("no server: %v", err)
	}
}

func TestPathsWithOddCharacters(t *testing.T) {
	for _, name := range []string{"a b.db", "a?b=c.db", "a%20b#c.db", "注册.db"} {
		path := filepath.Join(t.TempDir(), name)
		d := dbtest.OpenURL(t, "sqlite:"+path)
		if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('a', 1)"); err != nil {
			t.Fatal(err)
		}
		if found, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.db")); len(found) != 1 || found[0] != path {
			t.Errorf("%q: the files are %q", name, found)
		}
	}
}

func TestReopenKeeps(t *testing.T) {
	url := dbtest.URL(t)
	d := must[*db.DB](t)(db.Open(context.Background(), url, db.Options{}))
	if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('a', 7)"); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if n := get(t, dbtest.OpenURL(t, url), "a"); n != 7 {
		t.Fatalf("after reopening: %d", n)
	}
}

func TestClosed(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := db.One[int64](ctx, d, "SELECT 1")
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("One: %v", err)
		}
		_, err = db.View(ctx, d, func(*db.Tx) (int, error) { return 0, nil })
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("View: %v", err)
		}
		_, err = db.Update(ctx, d, func(*db.Tx) (int, error) { return 0, nil })
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("Update: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
	})
}

// Names sort by bytes on both engines, whatever the database's own collation.
func TestNamesSortByBytes(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		if d.Engine() == db.Postgres {
			if must[bool](t)(db.One[bool](ctx, d, "SELECT 'B' < 'a'")) {
				t.Fatal("the test database sorts by bytes by itself and would prove nothing")
			}
		}
		names := []string{"a", "Z", "_", "0", "A", ".", "-"}
		want := "- . 0 A Z _ a"
		for _, n := range names {
			if err := exec(d, "INSERT INTO epoch (account, n) VALUES ($1, 0)", n); err != nil {
				t.Fatal(err)
			}
		}
		got := must[[]string](t)(db.All[string](ctx, d, "SELECT account FROM epoch ORDER BY account"))
		if strings.Join(got, " ") != want {
			t.Errorf("order: %q, want %q", got, want)
		}
		var paged []string
		for last := ""; ; {
			next, err := db.One[string](ctx, d, "SELECT account FROM epoch WHERE account > $1 ORDER BY account LIMIT 1", last)
			if errors.Is(err, db.ErrNone) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			paged, last = append(paged, next), next
		}
		if strings.Join(paged, " ") != want {
			t.Errorf("pages of one: %q, want %q", paged, want)
		}
	})
}

func TestStats(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		before := d.Stats()
		for i := range 3 {
			if err := exec(d, "INSERT INTO epoch (account, n) VALUES ($1, 0)", fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		s := d.Stats()
		if s.Commits-before.Commits != 3 || s.Closures-before.Closures != 3 || s.Statements-before.Statements < 3 || s.Queue != 0 || s.Failures != 0 {
			t.Errorf("%+v after %+v", s, before)
		}
	}, once)
}
