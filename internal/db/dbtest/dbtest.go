// Package dbtest gives each test a real database of its own: a fresh SQLite
// file, or with BERTH_TEST_DATABASE a fresh PostgreSQL database.
//
//	BERTH_TEST_DATABASE=              SQLite
//	BERTH_TEST_DATABASE=postgres      a private server, started from the installed binaries
//	BERTH_TEST_DATABASE=postgres://…  this server; its user must be allowed to create databases
//
// Update closures run twice, the first time rolled back, so that one which
// cannot be repeated fails.
package dbtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"berth.dev/berth/internal/db"
)

// Open returns a fresh, migrated database, closed at the end of the test. Each
// set may change the options.
func Open(t testing.TB, set ...func(*db.Options)) *db.DB {
	t.Helper()
	return OpenURL(t, URL(t), set...)
}

// OpenURL opens the database at url the way Open does, for tests that close
// and open again or need one engine.
func OpenURL(t testing.TB, url string, set ...func(*db.Options)) *db.DB {
	t.Helper()
	o := db.Options{Twice: true}
	for _, s := range set {
		s(&o)
	}
	d, err := db.Open(context.Background(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("closing the database: %v", err)
		}
	})
	return d
}

// URL returns the address of a fresh, migrated database of the engine that the
// environment asks for.
func URL(t testing.TB) string {
	t.Helper()
	switch want := os.Getenv("BERTH_TEST_DATABASE"); {
	case want == "", want == "sqlite":
		return SQLite(t)
	case want == "postgres", strings.HasPrefix(want, "postgres://"):
		return Postgres(t)
	default:
		t.Fatalf("BERTH_TEST_DATABASE=%q: not sqlite, postgres or postgres://...", want)
		return ""
	}
}

// SQLite returns the address of a fresh, migrated SQLite file.
func SQLite(t testing.TB) string {
	t.Helper()
	b, err := template()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "berth.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}

// template is the content of a migrated SQLite file: copying it takes a
// fraction of the time that migrating takes.
var template = sync.OnceValues(func() (_ []byte, err error) {
	dir, err := os.MkdirTemp("", "berth-template-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // in the temporary folder
	path := filepath.Join(dir, "berth.db")
	d, err := db.Open(context.Background(), "sqlite:"+path, db.Options{})
	if err != nil {
		return nil, fmt.Errorf("dbtest: template: %w", err)
	}
	if err := d.Close(); err != nil {
		return nil, fmt.Errorf("dbtest: template: %w", err)
	}
	return os.ReadFile(path)
})
