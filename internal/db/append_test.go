package db_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

const intoEpoch = "INSERT INTO epoch (account, n)"

func appender(rows ...any) func(*db.Tx) (int64, error) {
	return func(tx *db.Tx) (int64, error) {
		for i := 0; i < len(rows); i += 2 {
			if err := tx.Append(intoEpoch, rows[i], rows[i+1]); err != nil {
				return 0, err
			}
		}
		return 0, nil
	}
}

// Rows come in the order in which they were appended, however many they are.
func TestAppend(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		const rows = 6*8 + 4 + 1
		var want []string
		for i := range rows {
			want = append(want, fmt.Sprint("action ", i))
		}
		_, err := db.Update(ctx, d, func(tx *db.Tx) (int64, error) {
			for i, action := range want {
				if err := tx.Append("INSERT INTO audit (account, actor, action, resource, outcome, request, created)", "a", "", action, "", "ok", "", tx.Micros()); err != nil {
					return 0, err
				}
				if i%10 == 0 {
					if err := tx.Append(intoEpoch, action, i); err != nil {
						return 0, err
					}
				}
			}
			return 0, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := db.All[string](ctx, d, "SELECT action FROM audit ORDER BY id")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, %v", got, err)
		}
		if n := get(t, d, "action 50"); n != 50 {
			t.Errorf("the other table has %d", n)
		}
	})
}

func TestAppendIsUndone(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		ctx := context.Background()
		own := errors.New("own")
		_, err := db.Update(ctx, d, func(tx *db.Tx) (int64, error) { return 0, errors.Join(tx.Append(intoEpoch, "a", 1), own) })
		if !errors.Is(err, own) {
			t.Error(err)
		}
		func() {
			defer func() { _ = recover() }()
			_, _ = db.Update(ctx, d, func(tx *db.Tx) (int64, error) {
				_ = tx.Append(intoEpoch, "a", 1)
				panic("value")
			})
		}()
		_, err = db.Update(ctx, d, func(tx *db.Tx) (int64, error) {
			_, failed := tx.Exec("INSERT INTO epoch (account, n) VALUES ('b', NULL)")
			if late := tx.Append(intoEpoch, "a", 1); failed == nil || late != failed {
				t.Errorf("after the error %v: %v", failed, late)
			}
			return 0, nil
		})
		if err == nil {
			t.Error("a failed statement was passed over")
		}
		if _, err := db.View(ctx, d, appender("a", 1)); err == nil {
			t.Error("a View appends")
		}
		if n := get(t, d, "a"); n != -1 {
			t.Errorf("written all the same: %d", n)
		}
	})
}

// A row that cannot be written fails the transaction it belongs to.
func TestAppendThatFails(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		_, err := db.Update(context.Background(), d, func(tx *db.Tx) (int64, error) {
			return 0, errors.Join(put(tx, "a", 1), tx.Append(intoEpoch, "b", nil))
		})
		if err == nil || fault.CodeOf(err) != fault.Internal {
			t.Errorf("a row with NULL: %v", err)
		}
		if get(t, d, "a") != -1 || get(t, d, "b") != -1 {
			t.Error("written all the same")
		}
		if err := exec(d, "INSERT INTO epoch (account, n) VALUES ('later', 1)"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// Those of a group share statements, and not the failure of one of them.
func TestAppendInGroup(t *testing.T) {
	d := sqliteOnce(t)
	own := errors.New("own")
	statements := d.Stats().Statements
	errs := together(t, d,
		appender("a", 1),
		appender("b", 1),
		func(tx *db.Tx) (int64, error) { return 0, errors.Join(tx.Append(intoEpoch, "c", 1), own) },
		func(tx *db.Tx) (int64, error) { unwritten(t, tx); return 0, tx.Append(intoEpoch, "d", 1) },
		appender("e", 1),
	)
	if errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], own) || errs[3] != nil || errs[4] != nil {
		t.Errorf("outcomes: %v", errs)
	}
	for key, want := range map[string]int64{"a": 1, "b": 1, "c": -1, "d": 1, "e": 1} {
		if n := get(t, d, key); n != want {
			t.Errorf("%s is %d", key, n)
		}
	}
	// Two transactions with BEGIN and COMMIT, six savepoints of which one is
	// rolled back, one look, one statement for the four rows; and five reads here.
	if n := d.Stats().Statements - statements; n != 2*2+6*2+1+1+1+5 {
		t.Errorf("%d statements", n)
	}

	errs = together(t, d, appender("f", 1), appender("g", nil), appender("h", 1))
	if errs[0] != nil || errs[1] == nil || fault.CodeOf(errs[1]) != fault.Internal || errs[2] != nil {
		t.Errorf("outcomes: %v", errs)
	}
	if get(t, d, "f") != 1 || get(t, d, "g") != -1 || get(t, d, "h") != 1 {
		t.Errorf("f %d, g %d, h %d", get(t, d, "f"), get(t, d, "g"), get(t, d, "h"))
	}
	if s := d.Stats(); s.Retries != 3 {
		t.Errorf("%+v", s)
	}
}

// unwritten reads inside the group: what was appended is not there yet.
func unwritten(t *testing.T, tx *db.Tx) {
	n, err := db.One[int64](tx.Context(), tx, "SELECT count(*) FROM epoch")
	if err != nil || n != 0 {
		t.Errorf("%d rows before COMMIT, %v", n, err)
	}
}

// A disk that is full when the rows are written costs only those who need it.
func TestAppendFull(t *testing.T) {
	d := sqliteOnce(t, func(o *db.Options) { o.MaxPages = 400 })
	errs := together(t, d,
		appender("a", 1),
		func(tx *db.Tx) (int64, error) {
			return 0, errors.Join(put(tx, "b", 1), tx.Append("INSERT INTO setting (name, value)", "huge", make([]byte, 4<<20)))
		},
		putter("c", 1),
	)
	if errs[0] != nil || !fault.Is(errs[1], fault.Full) || errs[2] != nil {
		t.Errorf("outcomes: %v", errs)
	}
	if get(t, d, "a") != 1 || get(t, d, "b") != -1 || get(t, d, "c") != 1 {
		t.Errorf("a %d, b %d, c %d", get(t, d, "a"), get(t, d, "b"), get(t, d, "c"))
	}
}
