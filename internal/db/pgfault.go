package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"berth.dev/berth/internal/fault"
)

// errNotCommitted: the server rolled back where COMMIT was asked for.
var errNotCommitted = errors.New("db: COMMIT was answered by ROLLBACK")

// sqlState returns PostgreSQL's five-letter code of err, "" for errors that
// did not come from the server.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// lostError is an error that came with the loss of the connection, or the
// reason why there was none to be had.
type lostError struct {
	err   error
	stale bool // the pool had a connection, which was of no use from the start
}

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// conflict reports that a transaction lost against another one, or lost its
// connection before COMMIT was sent, and may succeed when it is run again.
func conflict(err error) bool {
	if fault.CodeOf(err) != fault.Internal { // such as the outcome of a COMMIT
		return false
	}
	switch sqlState(err) {
	case "40001", // serialization failure
		"40P01", // deadlock
		"23505": // unique violation: both found nothing and inserted
		return true
	}
	return lost(err)
}

// lost reports that the connection is gone, or was never to be had, and that
// another one may do better.
func lost(err error) bool {
	if fault.CodeOf(err) != fault.Internal || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	switch state := sqlState(err); state {
	case "57P01", "57P02", "57P03", // shut down by the administrator, crashed, starting
		"25006": // read-only: this server is a standby now
		return true
	}
	var l *lostError
	return errors.As(err, &l) || errors.Is(err, driver.ErrBadConn)
}

// stale reports that a connection of the pool was found dead, as all of them
// are after a restart of the server.
func stale(err error) bool {
	var l *lostError
	return lost(err) && errors.As(err, &l) && l.stale
}

// postgresFault gives errors of the machine, and of values that no column
// takes, their code; defects stay as they are.
func postgresFault(err error) error {
	if fault.CodeOf(err) != fault.Internal {
		return err
	}
	state := sqlState(err)
	switch {
	case state == "53100":
		return full(err)
	case strings.HasPrefix(state, "22"): // data exception: such as text with a NUL
		return fault.Wrap(fault.Invalid, err, "a value is not one that the database can hold")
	case lost(err), errors.Is(err, context.DeadlineExceeded),
		strings.HasPrefix(state, "53"),                       // insufficient resources
		strings.HasPrefix(state, "58"),                       // system error
		strings.HasPrefix(state, "40"),                       // conflict
		state == "57014", state == "55P03", state == "25P03": // timeouts set by the administrator
		return unavailable(err)
	}
	return err
}
