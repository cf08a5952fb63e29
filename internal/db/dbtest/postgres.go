package dbtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"berth.dev/berth/internal/db"
)

// Postgres returns the address of a fresh, migrated PostgreSQL database that
// is dropped at the end of the test. It sorts text by a language's rules
// unless told otherwise, as production servers do.
//
// Where no server is to be had the test is skipped; with TEST_REQUIRE
// containing "postgres", or if BERTH_TEST_DATABASE asks for it, it fails.
func Postgres(t testing.TB) string {
	t.Helper()
	url := EmptyPostgres(t)
	d, err := db.Open(context.Background(), url, db.Options{Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return url
}

// EmptyPostgres is Postgres without the migrations.
func EmptyPostgres(t testing.TB) string {
	t.Helper()
	admin, err := server()
	if err != nil {
		if os.Getenv("BERTH_TEST_DATABASE") == "" && !required("postgres") {
			t.Skipf("no PostgreSQL: %v", err)
		}
		t.Fatalf("no PostgreSQL: %v", err)
	}
	name := "berth_test_" + strings.ToLower(rand.Text()[:16])
	do(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
	t.Cleanup(func() { do(t, admin, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// server returns the address of the server for this process, started with its
// first use.
var server = sync.OnceValues(func() (string, error) {
	if want := os.Getenv("BERTH_TEST_DATABASE"); strings.HasPrefix(want, "postgres://") {
		return want, nil
	}
	p, err := private()
	if err != nil {
		return "", err
	}
	return p.url, nil
})

// required reports whether TEST_REQUIRE, a list with commas, names the backend.
func required(backend string) bool {
	return slices.Contains(strings.Split(os.Getenv("TEST_REQUIRE"), ","), backend)
}

// do runs one statement as the administrator.
func do(t testing.TB, admin, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, admin)
	if err == nil {
		_, err = c.Exec(ctx, statement)
		_ = c.Close(ctx)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("dbtest: %w", err))
	}
}
