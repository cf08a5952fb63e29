package db

import (
	"context"
	"errors"
)

// ErrNone is what One returns when there is no row; test with errors.Is.
var ErrNone = errors.New("db: no row")

// Querier is what One and All read from: a *DB, where the statement stands
// alone, or a *Tx, whose own context counts instead of the one given.
type Querier interface {
	query(ctx context.Context, text string, args []any, each func(*row) (bool, error)) error
}

// One runs a statement and returns its first row, ErrNone if there is none.
//
// T is string, an integer, bool, []byte, a type made of these, or a struct
// whose exported fields take the columns in order. A column that may be NULL
// needs a pointer or []byte. Arguments may be of the same types; a nil pointer
// and a nil []byte stand for NULL.
func One[T any](ctx context.Context, q Querier, sql string, args ...any) (T, error) {
	var out T
	found := false
	err := q.query(ctx, sql, args, func(r *row) (bool, error) {
		found = true
		return false, scan(r, &out)
	})
	if err == nil && !found {
		err = ErrNone
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return out, nil
}

// All runs a statement and returns all its rows, never nil without an error.
// T and the arguments are those of One. The statement bounds the number of
// rows, by a LIMIT where the data does not.
func All[T any](ctx context.Context, q Querier, sql string, args ...any) ([]T, error) {
	out := []T{}
	err := q.query(ctx, sql, args, func(r *row) (bool, error) {
		var v T
		if err := scan(r, &v); err != nil {
			return false, err
		}
		out = append(out, v)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
