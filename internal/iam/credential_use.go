package iam

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"berth.dev/berth/internal/db"
)

const (
	usesEvery = 30 * time.Second // pause between two writes
	usesExact = time.Second      // two uses within this time count as one
	usesBatch = 500              // credentials of one transaction
	maxUses   = 16384            // that are remembered

	usesTimeout = 10 * time.Second
)

// uses remembers when each credential was last used, and writes it down now and
// then: a pull writes nothing. A crash loses what was not written yet.
type uses struct {
	mu      sync.Mutex
	last    map[string]int64 // by id, in microseconds
	waiting map[string]bool  // to be written
}

func newUses() *uses { return &uses{last: map[string]int64{}, waiting: map[string]bool{}} }

// note counts a use by a caller, where he came by a credential.
func (u *uses) note(key string, now time.Time) {
	if !isCredentialID(key) {
		return
	}
	at := now.UnixMicro()
	u.mu.Lock()
	defer u.mu.Unlock()
	if at-u.last[key] < usesExact.Microseconds() {
		return
	}
	if _, ok := u.last[key]; !ok && len(u.last) >= maxUses {
		maps.DeleteFunc(u.last, func(id string, _ int64) bool { return !u.waiting[id] })
		if len(u.last) >= maxUses {
			return // it is noted with a later use
		}
	}
	u.last[key], u.waiting[key] = at, true
}

// of is the last use that this node knows of; 0: none.
func (u *uses) of(id string) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last[id]
}

// take returns what waits, in the order in which all nodes write.
func (u *uses) take() (ids []string, at map[string]int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	ids, at = slices.Sorted(maps.Keys(u.waiting)), make(map[string]int64, len(u.waiting))
	for _, id := range ids {
		at[id] = u.last[id]
	}
	clear(u.waiting)
	return ids, at
}

// keepUses writes until ctx ends, and then what is left.
func (a *Authority) keepUses(ctx context.Context) {
	tick := time.NewTicker(usesEvery)
	defer tick.Stop()
	for {
		ended := false
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		}
		round, cancel := context.WithTimeout(context.WithoutCancel(ctx), usesTimeout)
		if err := a.writeUses(round); err != nil {
			a.log.Warn("the last uses of access credentials were not written", "error", err)
		}
		cancel()
		if ended {
			return
		}
	}
}

// writeUses writes what waits. What could not be written is lost.
func (a *Authority) writeUses(ctx context.Context) error {
	ids, at := a.uses.take()
	for some := range slices.Chunk(ids, usesBatch) {
		_, err := db.Update(ctx, a.db, func(tx *db.Tx) (struct{}, error) {
			for _, id := range some {
				if _, err := tx.Exec(`UPDATE credential SET used = $2 WHERE access = $1 AND used < $2`, id, at[id]); err != nil {
					return struct{}{}, err
				}
			}
			return struct{}{}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
