package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"berth.dev/berth/internal/db"
)

// collectorState is what Run shares with those who wake it and with metrics.
type collectorState struct {
	wake  chan struct{}
	mu    sync.Mutex
	stats CollectorStats

	expired atomic.Int64 // the day on which usage of past days was last removed
}

// CollectorStats counts what the collector has done since the start.
type CollectorStats struct {
	Reviews   int64 // looked at
	Manifests int64 // removed
	Blobs     int64 // removed: no repository needed them
	Keys      int64 // deleted from storage
	Failures  int64

	rows int64 // changed by the transaction at hand
}

// CollectorStats returns the counts.
func (r *Registry) CollectorStats() CollectorStats {
	r.collector.mu.Lock()
	defer r.collector.mu.Unlock()
	return r.collector.stats
}

func (r *Registry) count(add func(*CollectorStats)) {
	r.collector.mu.Lock()
	defer r.collector.mu.Unlock()
	add(&r.collector.stats)
}

// wakeCollector makes the collector look again when its next work is due.
func (r *Registry) wakeCollector() {
	select {
	case r.collector.wake <- struct{}{}:
	default:
	}
}

const flushEvery = 10 * time.Second

// Run collects what is not needed any more, unpacks archives, turns events into
// jobs and writes the counts of pulls, until the context ends.
func (r *Registry) Run(ctx context.Context) error {
	var others sync.WaitGroup
	defer others.Wait()
	others.Go(func() { r.runArchives(ctx) })
	others.Go(func() { r.runEvents(ctx) })
	others.Go(func() { r.keepScheduling(ctx) })
	others.Go(func() { r.runCollector(ctx) })
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	for {
		select {
		case <-ctx.Done():
			return r.flushPulls(context.WithoutCancel(ctx))
		case <-flush.C:
			if err := r.flushPulls(ctx); err != nil {
				r.log.WarnContext(ctx, "counts of pulls were not written", "err", err)
			}
		}
	}
}

// runCollector collects what is due until the context ends.
func (r *Registry) runCollector(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	next := time.Now() // when the timer ends
	sleep := func(d time.Duration) {
		timer.Reset(d)
		next = time.Now().Add(d)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.collector.wake:
			// Whoever wakes it again and again does not put it off.
			if wait := r.untilDue(ctx); wait < time.Until(next) {
				sleep(wait)
			}
		case <-timer.C:
			if err := r.Collect(ctx); err != nil && ctx.Err() == nil {
				r.count(func(s *CollectorStats) { s.Failures++ })
				r.log.WarnContext(ctx, "collection failed; it is tried again", "err", err)
				sleep(r.o.SweepEvery)
				continue
			}
			sleep(r.untilDue(ctx))
		}
	}
}

// untilDue is the time until the collector's next work, SweepEvery at most: a
// replica may have queued something.
func (r *Registry) untilDue(ctx context.Context) time.Duration {
	const soon = 20 * time.Millisecond // never spin
	wait := r.o.SweepEvery
	for _, query := range []string{`SELECT min(due) FROM review`, `SELECT min(due) FROM garbage`, `SELECT min(expires) FROM upload`, `SELECT min(expires) FROM archive`, `SELECT min(expires) FROM deleted_tag`} {
		due, err := db.One[*int64](ctx, r.db, query)
		if err != nil {
			return wait
		}
		if due != nil {
			wait = min(wait, time.Until(time.UnixMicro(*due)))
		}
	}
	return max(wait, soon)
}

// Collect does all that is due now. Pushes and pulls go on meanwhile. What
// fails is put off and does not keep the rest from being done.
func (r *Registry) Collect(ctx context.Context) error {
	var failed []error
	for _, step := range []func(context.Context) (more bool, err error){r.expireUploads, r.expireArchives, r.expireDeleted, r.reviewBatch, r.deleteGarbage, r.expireUsage} {
		for more := true; more; {
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			if more, err = step(ctx); err != nil {
				failed = append(failed, err)
				break
			}
		}
	}
	return errors.Join(failed...)
}

// How much one transaction of the collector does: little enough that a push
// waiting behind it does not notice.
const (
	reviewsPerBatch = 20
	rowsPerBatch    = 200
	refsPerReview   = 500 // of one manifest at a time
)

// putOff is when something that failed is tried again.
const putOff = 10 * time.Minute

// expireUploads forgets uploads whose time is over.
func (r *Registry) expireUploads(ctx context.Context) (bool, error) {
	return db.Update(ctx, r.db, func(tx *db.Tx) (bool, error) {
		type row struct{ ID, Key string }
		rows, err := db.All[row](tx.Context(), tx, `SELECT id, key FROM upload WHERE expires <= $1 ORDER BY expires LIMIT $2`+tx.ForUpdate()+tx.SkipLocked(), tx.Micros(), rowsPerBatch)
		if err != nil {
			return false, err
		}
		for _, u := range rows {
			if u.Key != "" {
				if err := addGarbage(tx, u.Key); err != nil {
					return false, err
				}
			}
			if _, err := tx.Exec(`DELETE FROM upload WHERE id = $1`, u.ID); err != nil {
				return false, err
			}
		}
		return len(rows) == rowsPerBatch, nil
	})
}

// deleteGarbage deletes keys from storage, and then their rows: a crash in
// between deletes them once more, which does no harm. Before that it makes
// them due since ever: whatever becomes of clocks, nobody adopts one any more.
func (r *Registry) deleteGarbage(ctx context.Context) (bool, error) {
	// Without any there is nothing to write.
	if _, err := db.One[int64](ctx, r.db, `SELECT due FROM garbage WHERE due <= $1 LIMIT 1`, time.Now().UnixMicro()); err != nil {
		return false, ignoreNone(err)
	}
	keys, err := db.Update(ctx, r.db, func(tx *db.Tx) ([]string, error) {
		return db.All[string](tx.Context(), tx, `UPDATE garbage SET due = 0 WHERE key IN (SELECT key FROM garbage WHERE due <= $1
			ORDER BY due LIMIT $2`+tx.ForUpdate()+tx.SkipLocked()+`) RETURNING key`, tx.Micros(), rowsPerBatch)
	})
	if err != nil || len(keys) == 0 {
		return false, err
	}
	later := min(putOff, r.o.UploadLife/2).Microseconds() // not so late that it could be adopted
	var deleted, stuck []string
	var failed error
	for _, k := range keys {
		if err := r.blobs.Delete(ctx, k); err != nil {
			failed, stuck = err, append(stuck, k)
		} else {
			deleted = append(deleted, k)
		}
	}
	_, err = db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
		for _, k := range deleted {
			if _, err := tx.Exec(`DELETE FROM garbage WHERE key = $1`, k); err != nil {
				return struct{}{}, err
			}
		}
		for _, k := range stuck {
			if _, err := tx.Exec(`UPDATE garbage SET due = $2 WHERE key = $1`, k, tx.Micros()+later); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	if err != nil {
		return false, err
	}
	r.count(func(s *CollectorStats) { s.Keys += int64(len(deleted)) })
	if failed != nil {
		return false, fmt.Errorf("%d keys were not deleted from storage: %w", len(stuck), failed)
	}
	return len(keys) == rowsPerBatch, nil
}

type reviewRow struct {
	Repository int64
	Digest     string
	Kind       string
}

// reviewBatch looks at what is due for a review.
func (r *Registry) reviewBatch(ctx context.Context) (bool, error) {
	n := reviewsPerBatch
	rows, err := db.All[reviewRow](ctx, r.db, `SELECT repository, digest, kind FROM review WHERE due <= $1 ORDER BY due LIMIT $2`,
		time.Now().UnixMicro(), n)
	if err != nil {
		return false, err
	}
	// On SQLite they share a transaction. On PostgreSQL each has its own, so
	// that it locks rows in the order in which pushes do.
	size := n
	if !r.db.Exact() {
		size = 1
	}
	done := false
	for chunk := range slices.Chunk(rows, size) {
		some, err := r.reviewTogether(ctx, chunk)
		if err != nil {
			some, err = r.reviewAlone(ctx, chunk)
		}
		if err != nil {
			return false, err
		}
		done = done || some
	}
	// Where nothing was done the clocks of node and database differ.
	return done && len(rows) == n, nil
}

// reviewTogether does some reviews in one transaction, and tells whether any
// was due. It ends early when it has changed many rows.
func (r *Registry) reviewTogether(ctx context.Context, rows []reviewRow) (bool, error) {
	stats, err := db.Update(ctx, r.db, func(tx *db.Tx) (CollectorStats, error) {
		var stats CollectorStats
		for _, v := range rows {
			if stats.rows > refsPerReview {
				break
			}
			if err := r.reviewOne(tx, v, &stats); err != nil {
				return stats, err
			}
		}
		return stats, nil
	})
	if err != nil {
		return false, err
	}
	r.count(func(s *CollectorStats) {
		s.Reviews += stats.Reviews
		s.Manifests += stats.Manifests
		s.Blobs += stats.Blobs
	})
	return stats.Reviews > 0, nil
}

// reviewAlone does reviews one by one after they failed together, and puts off
// the one that fails again.
func (r *Registry) reviewAlone(ctx context.Context, rows []reviewRow) (done bool, err error) {
	for _, v := range rows {
		some, failed := r.reviewTogether(ctx, []reviewRow{v})
		done = done || some
		if failed == nil {
			continue
		}
		r.count(func(s *CollectorStats) { s.Failures++ })
		r.log.WarnContext(ctx, "a review failed and is put off", "repository", v.Repository, "digest", v.Digest, "kind", v.Kind, "err", failed)
		if _, err := db.Update(ctx, r.db, func(tx *db.Tx) (int64, error) {
			return tx.Exec(`UPDATE review SET due = $4 WHERE repository = $1 AND digest = $2 AND kind = $3`,
				v.Repository, v.Digest, v.Kind, tx.Micros()+putOff.Microseconds())
		}); err != nil {
			return done, err
		}
	}
	return done, nil
}
