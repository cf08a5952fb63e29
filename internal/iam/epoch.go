package iam

import (
	"context"
	"slices"
	"sync"
	"time"

	"berth.dev/berth/internal/db"
)

// An account's epoch is raised in every transaction that changes its users,
// keys, grants or visibility. What is cached about an account carries the
// epoch that was read before its rows were, and is used only while that is
// still the account's epoch: whoever was answered after a change can not see
// what stood before it.
//
// On this node the new epoch is known after COMMIT and before anyone is
// answered. Other nodes of a PostgreSQL learn it by polling each second.

const (
	pollEvery = time.Second
	freshFor  = 2 * time.Second
)

// installation is the account in whose epoch the signing keys are counted.
const installation = ""

// raised is the cache key that a transaction hands to db for delivery.
type raised struct {
	account string
	n       int64
}

type epochs struct {
	mu   sync.RWMutex
	n    map[string]int64
	lost int64 // raised when the database cannot tell what changed

	polling   sync.Mutex // held by a poll
	sum       int64      // of all rows at the last poll
	ringEpoch int64      // of the installation when the signing keys were loaded
}

// of never falls, and rises with every change of the account.
func (e *epochs) of(account string) int64 {
	e.mu.RLock()
	n := e.n[account] + e.lost
	e.mu.RUnlock()
	return n
}

// raise takes over a row's number; numbers may arrive late and out of order.
func (e *epochs) raise(account string, n int64) (changed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n <= e.n[account] {
		return false
	}
	e.n[account] = n
	return true
}

func (e *epochs) raiseAll() {
	e.mu.Lock()
	e.lost++
	e.mu.Unlock()
}

// invalidate is called by db after COMMIT; nil keys mean everything.
func (a *Authority) invalidate(keys []any) {
	if keys == nil {
		a.epochs.raiseAll()
		return
	}
	for _, k := range keys {
		if k, ok := k.(raised); ok {
			a.epochs.raise(k.account, k.n)
		}
	}
}

// Raise ends what is cached about the accounts once the transaction has
// committed. Every change of users, keys, grants and visibility calls it.
func (a *Authority) Raise(tx *db.Tx, accounts ...string) error {
	accounts = slices.Clone(accounts)
	slices.Sort(accounts) // one order of locks for all transactions
	for _, account := range slices.Compact(accounts) {
		n, err := db.One[int64](tx.Context(), tx, `INSERT INTO epoch (account, n) VALUES ($1, 1)
			ON CONFLICT (account) DO UPDATE SET n = epoch.n + 1 RETURNING n`, account)
		if err != nil {
			return err
		}
		tx.Invalidate(raised{account, n})
	}
	return nil
}

// Epoch is the account's epoch as this node knows it, for caches that others
// keep: read it before the rows, and use the entry only while it is the same
// and Fresh reports true.
func (a *Authority) Epoch(account string) int64 { return a.epochs.of(account) }

// Fresh reports whether the epochs are known well enough to use caches: always
// where this process is the only writer, else while a poll has succeeded
// within the last two seconds.
func (a *Authority) Fresh() bool {
	return a.exact || a.sinceStart()-time.Duration(a.polled.Load()) < freshFor
}

// sinceStart is monotonic: a clock that is set back must not make stale
// entries look fresh.
func (a *Authority) sinceStart() time.Duration { return a.now().Sub(a.start) }

type epochRow struct {
	Account string
	N       int64
}

// poll learns what other nodes changed. No epoch ever falls, so the sum of all
// tells whether any has changed.
func (a *Authority) poll(ctx context.Context) error {
	a.epochs.polling.Lock()
	defer a.epochs.polling.Unlock()
	begun := a.sinceStart()
	sum, err := db.One[int64](ctx, a.db, `SELECT CAST(coalesce(sum(n), 0) AS BIGINT) FROM epoch`)
	if err != nil {
		return err
	}
	if sum != a.epochs.sum {
		if err := a.loadEpochs(ctx); err != nil {
			return err
		}
	}
	a.polled.Store(int64(begun))
	return nil
}

func (a *Authority) loadEpochs(ctx context.Context) error {
	rows, err := db.All[epochRow](ctx, a.db, `SELECT account, n FROM epoch`)
	if err != nil {
		return err
	}
	var sum int64
	for _, r := range rows {
		sum += r.N
		if r.Account == installation && r.N != a.epochs.ringEpoch {
			if err := a.loadRing(ctx); err != nil {
				return err
			}
			a.epochs.ringEpoch = r.N
		}
		a.epochs.raise(r.Account, r.N)
	}
	a.epochs.sum = sum
	return nil
}

// keepFresh polls until ctx ends.
func (a *Authority) keepFresh(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		round, cancel := context.WithTimeout(ctx, freshFor)
		err := a.poll(round)
		cancel()
		if err != nil && ctx.Err() == nil {
			a.log.Warn("changes of other nodes are unknown, caches are not used", "error", err)
		}
	}
}
