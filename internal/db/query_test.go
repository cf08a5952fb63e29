package db_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/db"
)

type (
	name  string
	right int64
	blob  []byte
)

type keyRow struct {
	Access  name
	Secret  blob
	Enabled bool
	Created right
	Expires *int64
}

func TestScan(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		rows := []keyRow{
			{"ak1", blob("s"), true, 12, nil},
			{"ak2", blob{}, false, 1 << 60, new(int64)},
			{"注册", blob{0, 255, 0}, true, -5, ptr(int64(9))},
		}
		_, err := db.Update(ctx, d, func(tx *db.Tx) (int, error) {
			for _, sql := range []string{
				"INSERT INTO account (id, seq, name, enabled, created) VALUES ('a', 1, 'a', TRUE, 0)",
				"INSERT INTO iam_user (id, account, name, password, version, admin, enabled, description, created) VALUES ('u', 'a', 'u', '', 0, FALSE, TRUE, '', 0)",
			} {
				if _, err := tx.Exec(sql); err != nil {
					return 0, err
				}
			}
			for _, r := range rows {
				if _, err := tx.Exec("INSERT INTO access_key (access, account, iam_user, secret, enabled, description, created, expires) VALUES ($1, 'a', 'u', $2, $3, $1, $4, $5)",
					r.Access, r.Secret, r.Enabled, r.Created, r.Expires); err != nil {
					return 0, err
				}
			}
			return 0, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		const columns = "SELECT access, secret, enabled, created, expires FROM access_key "
		got := must[[]keyRow](t)(db.All[keyRow](ctx, d, columns+"ORDER BY access"))
		if diff := cmp.Diff(rows, got); diff != "" {
			t.Errorf("All (-want +got):\n%s", diff)
		}
		one := must[keyRow](t)(db.One[keyRow](ctx, d, columns+"WHERE access = $1", name("注册")))
		if diff := cmp.Diff(rows[2], one); diff != "" {
			t.Errorf("One (-want +got):\n%s", diff)
		}
		type pair struct {
			keyRow // not taken: fields of an unexported embedded struct still count
			N      int
		}
		p := must[pair](t)(db.One[pair](ctx, d, "SELECT access, secret, enabled, created, expires, 3 FROM access_key WHERE access = 'ak1'"))
		if p.N != 3 || p.Access != "ak1" {
			t.Errorf("embedded: %+v", p)
		}
		view := must[name](t)(db.View(ctx, d, func(tx *db.Tx) (name, error) {
			return db.One[name](ctx, tx, "SELECT access FROM access_key WHERE created = $1", 12)
		}))
		if view != "ak1" {
			t.Errorf("View: %q", view)
		}
		if n := must[int64](t)(db.One[int64](ctx, d, "SELECT sum(created) FROM access_key WHERE created < 100")); n != 7 {
			t.Errorf("sum: %d", n)
		}
		if !must[bool](t)(db.One[bool](ctx, d, "SELECT EXISTS (SELECT 1 FROM access_key WHERE enabled)")) {
			t.Error("EXISTS")
		}
		if b := must[[]byte](t)(db.One[[]byte](ctx, d, "SELECT secret FROM access_key WHERE access = 'ak2'")); b == nil || len(b) != 0 {
			t.Errorf("zero bytes: %#v", b)
		}
		if b := must[[]byte](t)(db.One[[]byte](ctx, d, "SELECT CAST(NULL AS "+db.Translate(d.Engine(), "BYTES")+")")); b != nil {
			t.Errorf("NULL: %#v", b)
		}
		if n := must[*int64](t)(db.One[*int64](ctx, d, "SELECT expires FROM access_key WHERE access = 'ak1'")); n != nil {
			t.Errorf("NULL: %v", *n)
		}
	})
}

func ptr[T any](v T) *T { return &v }

func TestNoRow(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		if _, err := db.One[int64](ctx, d, "SELECT n FROM epoch"); !errors.Is(err, db.ErrNone) {
			t.Errorf("One: %v", err)
		}
		all, err := db.All[int64](ctx, d, "SELECT n FROM epoch")
		if err != nil || all == nil || len(all) != 0 {
			t.Errorf("All: %#v, %v", all, err)
		}
		// An absent row does not poison a transaction.
		_, err = db.Update(ctx, d, func(tx *db.Tx) (int, error) {
			if _, err := db.One[int64](ctx, tx, "SELECT n FROM epoch"); !errors.Is(err, db.ErrNone) {
				t.Errorf("One in a transaction: %v", err)
			}
			return 0, put(tx, "a", 1)
		})
		if err != nil || get(t, d, "a") != 1 {
			t.Errorf("Update: %v", err)
		}
	})
}

func TestScanErrors(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		check := func(what, want string, err error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want it to contain %q", what, err, want)
			}
		}
		_, err := db.One[int64](ctx, d, "SELECT CAST(NULL AS BIGINT)")
		check("NULL", "NULL into a int64", err)
		_, err = db.One[int64](ctx, d, "SELECT 1, 2")
		check("too many columns", "2 columns", err)
		_, err = db.One[struct{ A, B, C int64 }](ctx, d, "SELECT 1, 2")
		check("too few columns", "2 columns into the 3 fields", err)
		_, err = db.All[int8](ctx, d, "SELECT 300")
		check("overflow", "overflows", err)
		_, err = db.One[int64](ctx, d, "SELECT CAST('x' AS TEXT)")
		check("text", "text into a int64", err)
		_, err = db.One[bool](ctx, d, "SELECT CAST('x' AS TEXT)")
		check("text", "string into a bool", err)
		_, err = db.One[map[string]int](ctx, d, "SELECT 1")
		check("type", "into a map", err)
		_, err = db.One[int64](ctx, d, "SELECT $1", struct{}{})
		check("argument", "argument 1: unsupported type", err)
		_, err = db.One[int64](ctx, d, "SELECT n FROM absent")
		check("table", "SELECT n FROM absent", err)
		if n := must[int64](t)(db.One[int64](ctx, d, "SELECT 5")); n != 5 {
			t.Errorf("afterwards: %d", n)
		}
	})
}

// A violated constraint is an error also where rows are returned.
func TestReturningReportsConstraints(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		_, err := db.Update(ctx, d, func(tx *db.Tx) (int64, error) {
			return db.One[int64](ctx, tx, "INSERT INTO organization (account, name, creator, creator_name, created) VALUES ('absent', 'o', '', '', 0) RETURNING id")
		})
		if err == nil {
			t.Fatal("a foreign key to nowhere was accepted")
		}
		if n := must[int64](t)(db.One[int64](ctx, d, "SELECT count(*) FROM organization")); n != 0 {
			t.Errorf("%d rows are there", n)
		}
	})
}

func TestReadsDoNotWrite(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		_, err := db.View(context.Background(), d, func(tx *db.Tx) (int, error) { return 0, put(tx, "a", 1) })
		if err == nil || get(t, d, "a") != -1 {
			t.Errorf("a View wrote: %v", err)
		}
	})
}

// A large body passes unchanged, and the connection does not hold on to it.
func TestLargeBody(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		body := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
		if err := exec(d, "INSERT INTO setting (name, value) VALUES ('body', $1)", body); err != nil {
			t.Fatal(err)
		}
		got := must[[]byte](t)(db.One[[]byte](context.Background(), d, "SELECT value FROM setting WHERE name = 'body'"))
		if !bytes.Equal(got, body) {
			t.Error("not the same bytes")
		}
	})
}

// More texts than a connection keeps prepared.
func TestManyStatements(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		for i := range 1200 {
			n, err := db.One[int](context.Background(), d, fmt.Sprintf("SELECT %d", i))
			if err != nil || n != i {
				t.Fatal(n, err)
			}
		}
	})
}
