package registry

import (
	"context"
	"errors"
	"sync"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/oci"
)

// collectorState is what Run shares with those who wake it and with metrics.
type collectorState struct {
	wake  chan struct{}
	mu    sync.Mutex
	stats CollectorStats
}

// CollectorStats counts what the collector has done since the start.
type CollectorStats struct {
	Reviews   int64 // looked at
	Manifests int64 // removed
	Blobs     int64 // removed: no repository needed them
	Keys      int64 // deleted from storage
	Failures  int64
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

// Run collects what is not needed any more and writes the counts of pulls,
// until the context ends.
func (r *Registry) Run(ctx context.Context) error {
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return r.flushPulls(context.WithoutCancel(ctx))
		case <-flush.C:
			if err := r.flushPulls(ctx); err != nil {
				r.log.WarnContext(ctx, "counts of pulls were not written", "err", err)
			}
		case <-r.collector.wake:
			timer.Reset(r.untilDue(ctx))
		case <-timer.C:
			if err := r.Collect(ctx); err != nil && ctx.Err() == nil {
				r.count(func(s *CollectorStats) { s.Failures++ })
				r.log.WarnContext(ctx, "collection failed; it is tried again", "err", err)
				timer.Reset(r.o.SweepEvery)
				continue
			}
			timer.Reset(r.untilDue(ctx))
		}
	}
}

// untilDue is the time until the collector's next work, SweepEvery at most: a
// replica may have queued something.
func (r *Registry) untilDue(ctx context.Context) time.Duration {
	const soon = 20 * time.Millisecond // never spin
	wait := r.o.SweepEvery
	for _, query := range []string{`SELECT min(due) FROM review`, `SELECT min(due) FROM garbage`, `SELECT min(expires) FROM upload`} {
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

// Collect does all that is due now. Pushes and pulls go on meanwhile.
func (r *Registry) Collect(ctx context.Context) error {
	for _, step := range []func(context.Context) (more bool, err error){r.expireUploads, r.reviewBatch, r.deleteGarbage} {
		for more := true; more; {
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			if more, err = step(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// How much one transaction of the collector does: little enough that a push
// waiting behind it does not notice.
const (
	reviewsPerBatch = 20
	rowsPerBatch    = 200
)

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
// between deletes them once more, which does no harm.
func (r *Registry) deleteGarbage(ctx context.Context) (bool, error) {
	keys, err := db.All[string](ctx, r.db, `SELECT key FROM garbage WHERE due <= $1 ORDER BY due LIMIT $2`, time.Now().UnixMicro(), rowsPerBatch)
	if err != nil || len(keys) == 0 {
		return false, err
	}
	for _, k := range keys {
		if err := r.blobs.Delete(ctx, k); err != nil {
			return false, err
		}
	}
	_, err = db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
		for _, k := range keys {
			if _, err := tx.Exec(`DELETE FROM garbage WHERE key = $1`, k); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	if err != nil {
		return false, err
	}
	r.count(func(s *CollectorStats) { s.Keys += int64(len(keys)) })
	return len(keys) == rowsPerBatch, nil
}

type reviewRow struct {
	Repository int64
	Digest     string
	Kind       string
}

// reviewBatch looks at what is due for a review.
func (r *Registry) reviewBatch(ctx context.Context) (bool, error) {
	type outcome struct {
		more  bool
		stats CollectorStats
	}
	out, err := db.Update(ctx, r.db, func(tx *db.Tx) (outcome, error) {
		var out outcome
		rows, err := db.All[reviewRow](tx.Context(), tx, `SELECT repository, digest, kind FROM review WHERE due <= $1 ORDER BY due LIMIT $2`+tx.ForUpdate()+tx.SkipLocked(),
			tx.Micros(), reviewsPerBatch)
		if err != nil {
			return out, err
		}
		for _, v := range rows {
			var again time.Duration
			switch v.Kind {
			case kindBlob:
				err = r.reviewBlob(tx, v, &out.stats)
			case kindManifest:
				again, err = r.reviewManifest(tx, v, &out.stats)
			case kindRepo:
				again, err = r.emptyRepo(tx, v, &out.stats)
			}
			if err != nil {
				return out, err
			}
			if again > 0 {
				_, err = tx.Exec(`UPDATE review SET due = $4 WHERE repository = $1 AND digest = $2 AND kind = $3`,
					v.Repository, v.Digest, v.Kind, tx.Micros()+again.Microseconds())
			} else {
				_, err = tx.Exec(`DELETE FROM review WHERE repository = $1 AND digest = $2 AND kind = $3`, v.Repository, v.Digest, v.Kind)
			}
			if err != nil {
				return out, err
			}
		}
		out.stats.Reviews = int64(len(rows))
		out.more = len(rows) == reviewsPerBatch
		return out, nil
	})
	if err != nil {
		return false, err
	}
	r.count(func(s *CollectorStats) {
		s.Reviews += out.stats.Reviews
		s.Manifests += out.stats.Manifests
		s.Blobs += out.stats.Blobs
	})
	return out.more, nil
}

// exists runs a query that returns one number where there is something.
func exists(tx *db.Tx, query string, args ...any) (bool, error) {
	_, err := db.One[int64](tx.Context(), tx, query, args...)
	if errors.Is(err, db.ErrNone) {
		return false, nil
	}
	return err == nil, err
}

// reviewBlob removes the link of a blob that no manifest of the repository
// needs. The rows are locked in one statement and looked at in the next: a
// reference that was added before the lock was granted is seen.
func (r *Registry) reviewBlob(tx *db.Tx, v reviewRow, s *CollectorStats) error {
	if lock := tx.ForUpdate(); lock != "" {
		if _, err := exists(tx, `SELECT 1 FROM link l JOIN blob b ON b.digest = l.digest WHERE l.repository = $1 AND l.digest = $2`+lock, v.Repository, v.Digest); err != nil {
			return err
		}
	}
	needed, err := exists(tx, `SELECT 1 FROM ref WHERE repository = $1 AND child = $2 AND kind = 'b' LIMIT 1`, v.Repository, v.Digest)
	if err != nil || needed {
		return err
	}
	return removeLink(tx, v.Repository, oci.Digest(v.Digest), s)
}

// removeLink removes a link, and with a digest's last link the blob. The
// blob's row is locked.
func removeLink(tx *db.Tx, repo int64, d oci.Digest, s *CollectorStats) error {
	n, err := tx.Exec(`DELETE FROM link WHERE repository = $1 AND digest = $2`, repo, string(d))
	if err != nil || n == 0 {
		return err
	}
	tx.Invalidate(blobKey{repo, d})
	linked, err := exists(tx, `SELECT 1 FROM link WHERE digest = $1 LIMIT 1`, string(d))
	if err != nil || linked {
		return err
	}
	key, err := db.One[string](tx.Context(), tx, `DELETE FROM blob WHERE digest = $1 RETURNING key`, string(d))
	if errors.Is(err, db.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	s.Blobs++
	if key == "" {
		return nil
	}
	return addGarbage(tx, key)
}

// reviewManifest removes a manifest that was deleted long enough ago, or that
// nothing names any more. It returns when to look again, 0 for never.
func (r *Registry) reviewManifest(tx *db.Tx, v reviewRow, s *CollectorStats) (time.Duration, error) {
	type row struct {
		ID      int64
		Deleted *int64
		Subject string
	}
	m, err := db.One[row](tx.Context(), tx, `SELECT id, deleted, subject FROM manifest WHERE repository = $1 AND digest = $2`+tx.ForUpdate(), v.Repository, v.Digest)
	if errors.Is(err, db.ErrNone) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if m.Deleted != nil {
		if left := *m.Deleted + r.o.Undelete.Microseconds() - tx.Micros(); left > 0 {
			return time.Duration(left) * time.Microsecond, nil
		}
	}
	needed, err := exists(tx, `SELECT 1 FROM tag WHERE manifest = $1 LIMIT 1`, m.ID)
	if err != nil || needed {
		return 0, err
	}
	if needed, err = exists(tx, `SELECT 1 FROM ref WHERE repository = $1 AND child = $2 AND kind = 'm' LIMIT 1`, v.Repository, v.Digest); err != nil || needed {
		return 0, err
	}
	if m.Deleted == nil && m.Subject != "" {
		if needed, err = exists(tx, `SELECT 1 FROM manifest WHERE repository = $1 AND digest = $2`, v.Repository, m.Subject); err != nil || needed {
			return 0, err
		}
	}
	return 0, r.removeManifest(tx, v.Repository, m.ID, v.Digest, s)
}

// removeManifest removes a manifest for good and queues reviews of what it
// kept: its blobs, its children, and the referrers it was the subject of.
func (r *Registry) removeManifest(tx *db.Tx, repo, id int64, d string, s *CollectorStats) error {
	const queue = ` ON CONFLICT (repository, digest, kind) DO UPDATE SET due = excluded.due WHERE review.due < excluded.due`
	if _, err := tx.Exec(`INSERT INTO review (repository, digest, kind, created, due)
		SELECT repository, child, kind, $2, $2 FROM ref WHERE manifest = $1 AND kind <> 's'`+queue, id, tx.Micros()); err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO review (repository, digest, kind, created, due)
		SELECT repository, digest, 'm', $3, $3 FROM manifest WHERE repository = $1 AND subject = $2 AND subject <> ''`+queue, repo, d, tx.Micros()); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM manifest WHERE id = $1`, id); err != nil {
		return err
	}
	tx.Invalidate(manifestKey{repo, d})
	s.Manifests++
	return nil
}

// emptyRepo takes a deleted repository apart, some rows at a time.
func (r *Registry) emptyRepo(tx *db.Tx, v reviewRow, s *CollectorStats) (time.Duration, error) {
	const again = time.Microsecond
	type row struct {
		ID     int64
		Digest string
	}
	manifests, err := db.All[row](tx.Context(), tx, `SELECT id, digest FROM manifest WHERE repository = $1 LIMIT $2`, v.Repository, reviewsPerBatch)
	if err != nil {
		return 0, err
	}
	for _, m := range manifests {
		if err := r.removeManifest(tx, v.Repository, m.ID, m.Digest, s); err != nil {
			return 0, err
		}
	}
	if len(manifests) > 0 {
		return again, nil
	}
	links, err := db.All[string](tx.Context(), tx, `SELECT l.digest FROM link l JOIN blob b ON b.digest = l.digest WHERE l.repository = $1
		ORDER BY l.digest LIMIT $2`+tx.ForUpdate(), v.Repository, reviewsPerBatch)
	if err != nil {
		return 0, err
	}
	for _, d := range links {
		if err := removeLink(tx, v.Repository, oci.Digest(d), s); err != nil {
			return 0, err
		}
	}
	if len(links) > 0 {
		return again, nil
	}
	if _, err := tx.Exec(`DELETE FROM review WHERE repository = $1 AND kind <> $2`, v.Repository, kindRepo); err != nil {
		return 0, err
	}
	_, err = tx.Exec(`DELETE FROM repository WHERE id = $1 AND organization = 0`, v.Repository)
	return 0, err
}
