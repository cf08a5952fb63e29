package db

import (
	"context"
	"errors"
	"strconv"
	"strings"
)

// appendRows is how many rows one statement appends. A text is prepared for
// each power of two up to it. Beyond this it takes longer again: the SQLite
// driver looks for the name of each argument among those of all.
const appendRows = 8

// An appended row waits for the end of its transaction.
type appended struct {
	into   string
	values []any
}

var errAppendView = errors.New("db: Append in a View")

// Append queues a row for a table that only grows, such as an audit. into is
// "INSERT INTO table (columns)", a constant; the values are arguments as of One.
//
// The row is written just before COMMIT and is as durable as the rest of the
// transaction: if it cannot be written, the transaction fails. On SQLite all
// that commit together share statements, so no transaction must read the table.
func (tx *Tx) Append(into string, values ...any) error {
	if tx.err == nil {
		tx.rows = append(tx.rows, appended{into, values})
	}
	return tx.err
}

// appendAll writes rows, those of each table in their order.
func (c *conn) appendAll(ctx context.Context, rows []appended) error {
	for len(rows) > 0 {
		into := rows[0].into
		var args []any
		var others []appended
		n := 0
		for _, r := range rows {
			if r.into == into {
				args = append(args, r.values...)
				n++
			} else {
				others = append(others, r)
			}
		}
		columns := len(args) / n
		for size := appendRows; n > 0; size /= 2 {
			for ; n >= size; n -= size {
				if _, err := c.exec(ctx, c.appendText(into, columns, size), args[:columns*size]...); err != nil {
					return err
				}
				args = args[columns*size:]
			}
		}
		rows = others
	}
	return nil
}

// appendKey names the text of a statement.
type appendKey struct {
	into string
	rows int
}

// appendText is the statement for so many rows.
func (c *conn) appendText(into string, columns, rows int) string {
	key := appendKey{into, rows}
	if text, ok := c.appends[key]; ok {
		return text
	}
	var b strings.Builder
	b.WriteString(into)
	b.WriteString(" VALUES ")
	for i := range rows * columns {
		switch {
		case i == 0:
			b.WriteString("(")
		case i%columns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(i+1))
	}
	b.WriteString(")")
	if c.appends == nil {
		c.appends = map[appendKey]string{}
	}
	c.appends[key] = b.String()
	return b.String()
}
