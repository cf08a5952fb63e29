package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync/atomic"
)

// maxStatements bounds the statements one connection keeps prepared. Texts are
// constants of the program, lists of placeholders aside, so it is reached by
// few; all are dropped then, and those in use come back.
const maxStatements = 512

// conn runs statements on one connection of either engine. It stands on the
// driver's interfaces instead of sql.Conn, which costs a third of a point read
// on SQLite. One goroutine uses it at a time, and one statement at a time.
type conn struct {
	raw        driver.Conn
	stmts      map[string]driver.Stmt // nil on PostgreSQL, where pgx keeps its own
	plans      *plans
	statements *atomic.Int64
	args       []driver.NamedValue // reused by every statement
	row        row
	appends    map[appendKey]string
	delivered  bool // some statement had a row
}

// row is the current row of a result; its values are valid until the next.
type row struct {
	values []driver.Value
	plans  *plans
}

// query calls each for the rows in order until it returns false or an error.
func (c *conn) query(ctx context.Context, text string, args []any, each func(*row) (bool, error)) (err error) {
	c.statements.Add(1)
	if err := c.bind(args); err != nil {
		return failed(err, text)
	}
	defer c.release()
	rows, err := c.open(ctx, text)
	if err != nil {
		return failed(err, text)
	}
	defer func() {
		// Constraints of INSERT ... RETURNING are reported here.
		if e := rows.Close(); e != nil && err == nil {
			err = failed(e, text)
		}
	}()
	n := len(rows.Columns())
	for len(c.row.values) < n {
		c.row.values = append(c.row.values, nil)
	}
	c.row.values = c.row.values[:n]
	for {
		if err := rows.Next(c.row.values); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return failed(err, text)
		}
		c.delivered = true
		if more, err := each(&c.row); err != nil {
			return failed(err, text)
		} else if !more {
			return nil
		}
	}
}

func (c *conn) open(ctx context.Context, text string) (driver.Rows, error) {
	if c.stmts == nil {
		return c.raw.(driver.QueryerContext).QueryContext(ctx, text, c.args)
	}
	s, err := c.prepared(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.(driver.StmtQueryContext).QueryContext(ctx, c.args)
}

// exec runs one statement and returns how many rows it changed.
func (c *conn) exec(ctx context.Context, text string, args ...any) (int64, error) {
	c.statements.Add(1)
	if err := c.bind(args); err != nil {
		return 0, failed(err, text)
	}
	defer c.release()
	var result driver.Result
	var err error
	if c.stmts == nil {
		result, err = c.raw.(driver.ExecerContext).ExecContext(ctx, text, c.args)
	} else {
		var s driver.Stmt
		if s, err = c.prepared(ctx, text); err == nil {
			result, err = s.(driver.StmtExecContext).ExecContext(ctx, c.args)
		}
	}
	if err != nil {
		return 0, failed(err, text)
	}
	return result.RowsAffected()
}

// script runs a text of several statements without arguments.
func (c *conn) script(ctx context.Context, text string) error {
	_, err := c.raw.(driver.ExecerContext).ExecContext(ctx, text, nil)
	return err
}

// number runs a statement that returns one integer; 0 without a row.
func (c *conn) number(ctx context.Context, text string, args ...any) (n int64, err error) {
	err = c.query(ctx, text, args, func(r *row) (bool, error) { return false, scan(r, &n) })
	return n, err
}

func (c *conn) prepared(ctx context.Context, text string) (driver.Stmt, error) {
	if s, ok := c.stmts[text]; ok {
		return s, nil
	}
	if len(c.stmts) >= maxStatements {
		c.forget()
	}
	s, err := c.raw.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	c.stmts[text] = s
	return s, nil
}

// forget closes every prepared statement.
func (c *conn) forget() {
	for _, s := range c.stmts {
		_ = s.Close() // repeats the statement's last error, which was reported
	}
	clear(c.stmts)
}

func (c *conn) close() error {
	c.forget()
	return c.raw.Close()
}

// release drops what the last statement held: a body may be megabytes.
func (c *conn) release() {
	clear(c.args)
	clear(c.row.values)
}

// bind turns the arguments into what drivers take: int64, float64, bool,
// string, []byte or nil. Named types stand for what they are made of, a
// pointer for its value or NULL, a nil []byte for NULL.
func (c *conn) bind(args []any) error {
	c.args = c.args[:0]
	for i, a := range args {
		v, err := bound(a)
		if err != nil {
			return fmt.Errorf("argument %d: %w", i+1, err)
		}
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return nil
}

func bound(a any) (driver.Value, error) {
	switch a := a.(type) {
	case nil, int64, string, bool, float64:
		return a, nil
	case int:
		return int64(a), nil
	case []byte:
		if a == nil {
			return nil, nil
		}
		return a, nil
	}
	v := reflect.ValueOf(a)
	switch v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return int64(v.Uint()), nil
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Float32, reflect.Float64:
		return v.Float(), nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return bound(v.Bytes())
		}
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return bound(v.Elem().Interface())
	}
	return nil, fmt.Errorf("%w %T", errType, a)
}

var errType = errors.New("unsupported type")

// A StatementError is an error of one statement. Its text holds the statement,
// which is a constant of the program, and never the arguments: it is for logs.
type StatementError struct {
	err  error
	text string
}

func (e *StatementError) Error() string { return fmt.Sprintf("db: %v, in: %s", e.err, e.text) }
func (e *StatementError) Unwrap() error { return e.err }

func failed(err error, text string) error {
	return &StatementError{err: err, text: text}
}
