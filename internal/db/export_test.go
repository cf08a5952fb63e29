package db

import (
	"context"
	"time"
)

// SetContext replaces the context that the transaction's statements run under,
// to interrupt one of them.
func (tx *Tx) SetContext(ctx context.Context) { tx.ctx = ctx }

// SetGroupTime changes how long a group takes members. It is called by a
// closure, which has the writer to itself.
func SetGroupTime(d *DB, limit time.Duration) { d.backend.(*sqliteDB).w.limit = limit }

var (
	Migrations = migrations
	Translate  = translate
)

// The bounds, for tests that reach them.
const (
	GroupSize = groupSize
	Retries   = retries
)
