package db

import "context"

// SetContext replaces the context that the transaction's statements run under,
// to interrupt one of them.
func (tx *Tx) SetContext(ctx context.Context) { tx.ctx = ctx }

var (
	Migrations = migrations
	Translate  = translate
)

// The bounds, for tests that reach them.
const (
	GroupSize = groupSize
	GroupTime = groupTime
	Retries   = retries
)
