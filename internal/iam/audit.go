package iam

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"berth.dev/berth/internal/db"
)

type requestKey struct{}

// WithRequest returns a context that carries the id of a request; audit rows
// written under it name the request.
func WithRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// RequestOf returns the id of the request that a context belongs to; "": none.
func RequestOf(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// Audit writes down that the caller did something, in the transaction that
// did it. The row stands in the caller's account; system callers name one with
// Caller.In.
func (a *Authority) Audit(tx *db.Tx, who Caller, action Action, resource, outcome string) error {
	return entry{who.Account, who.String(), action, resource}.write(tx, outcome, RequestOf(tx.Context()))
}

// An entry is who did what to which.
type entry struct {
	account, actor string
	action         Action
	resource       string
}

func (e entry) write(tx *db.Tx, outcome, request string) error {
	return tx.Append(`INSERT INTO audit (account, actor, action, resource, outcome, request, created)`,
		e.account, e.actor, string(e.action), e.resource, outcome, request, tx.Micros())
}

const (
	denialEvery = time.Second // pause between two writes
	denialBatch = 200         // denials that wait for one write; more are counted and dropped

	denialTimeout = 10 * time.Second
)

// denials are refusals on their way into the audit. They are written outside
// of the transactions that they rolled back, in batches; one that is repeated
// within a batch is written once, with the first request.
type denials struct {
	db  *db.DB
	log *slog.Logger

	mu      sync.Mutex
	waiting map[entry]string // -> request
	dropped int64            // since the start
	wake    chan struct{}
}

func newDenials(d *db.DB, log *slog.Logger) *denials {
	return &denials{db: d, log: log, waiting: make(map[entry]string), wake: make(chan struct{}, 1)}
}

// add never waits.
func (d *denials) add(ctx context.Context, who Caller, do Action, resource string) {
	e := entry{who.Account, who.String(), do, resource}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.waiting[e]; ok {
		return
	}
	if len(d.waiting) >= denialBatch {
		d.dropped++
		return
	}
	d.waiting[e] = RequestOf(ctx)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx ends, and then what is left.
func (d *denials) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			d.flush()
			return
		case <-d.wake:
		}
		select {
		case <-ctx.Done():
		case <-time.After(denialEvery):
		}
		d.flush()
	}
}

// flush writes what waits. What cannot be written is lost, and counted.
func (d *denials) flush() {
	d.mu.Lock()
	batch := d.waiting
	d.waiting = make(map[entry]string)
	d.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), denialTimeout)
	defer cancel()
	_, err := db.Update(ctx, d.db, func(tx *db.Tx) (struct{}, error) {
		for e, request := range batch {
			if err := e.write(tx, "denied", request); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	if err != nil {
		d.mu.Lock()
		d.dropped += int64(len(batch))
		d.mu.Unlock()
		d.log.Warn("denials are missing in the audit", "count", len(batch), "error", err)
	}
}

func (d *denials) lost() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dropped
}
