package registry

import (
	"context"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/job"
)

// kindRetentionDaily is the kind of the one job that queues a run for every
// policy at 00:00 UTC. It queues its own successor; after days on which no
// server ran it is due at once.
const kindRetentionDaily = "retention-daily"

const policiesPerBatch = 100

// nextMidnight is the next 00:00 UTC behind t.
func nextMidnight(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour) }

// scheduleRetention makes sure that the daily job is there. One that is under
// way queues the next: should it fail, it is not to be put off until that.
func (r *Registry) scheduleRetention(ctx context.Context) error {
	return r.update(ctx, func(tx *db.Tx) error {
		runs, err := exists(tx, `SELECT 1 FROM job WHERE kind = $1 AND state = 'running' LIMIT 1`, kindRetentionDaily)
		if err != nil || runs {
			return err
		}
		return r.addDaily(tx)
	})
}

func (r *Registry) addDaily(tx *db.Tx) error {
	_, err := r.jobs.Add(tx, job.New{Kind: kindRetentionDaily, Key: "all", About: "all retention policies", Due: nextMidnight(tx.Now())})
	return err
}

// keepScheduling tries until the daily job is there.
func (r *Registry) keepScheduling(ctx context.Context) {
	for {
		err := r.scheduleRetention(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		r.log.WarnContext(ctx, "the daily run of retention is not scheduled; it is tried again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(r.o.SweepEvery):
		}
	}
}

// runDaily queues a run for every policy that has not looked at all tags since
// the last midnight, some in a transaction.
func (r *Registry) runDaily(ctx context.Context, j *job.Job) error {
	type step struct {
		after int64
		done  bool
	}
	for at := int64(0); ; {
		begun := time.Now()
		s, err := db.Update(ctx, r.db, func(tx *db.Tx) (step, error) {
			if err := j.Hold(tx); err != nil {
				return step{}, err
			}
			n, last, err := r.queueDaily(tx, at)
			if err != nil || n == policiesPerBatch {
				return step{after: last}, err
			}
			if err := r.addDaily(tx); err != nil {
				return step{}, err
			}
			return step{done: true}, j.Done(tx)
		})
		if err != nil || s.done {
			return err
		}
		at = s.after
		if err := pause(ctx, time.Since(begun)); err != nil {
			return err
		}
	}
}

// queueDaily queues the runs of the next policies behind a repository.
func (r *Registry) queueDaily(tx *db.Tx, after int64) (n int, last int64, err error) {
	type row struct {
		Repository    int64
		Account, Path string
		Swept         int64
		State         string
	}
	rows, err := db.All[row](tx.Context(), tx, `SELECT p.repository, r.account, r.path, p.swept, p.state FROM repo_retention p JOIN repository r ON r.id = p.repository
		WHERE p.repository > $1 AND r.organization <> 0 ORDER BY p.repository LIMIT $2`, after, policiesPerBatch)
	if err != nil {
		return 0, 0, err
	}
	midnight := tx.Micros() - tx.Micros()%dayMicros
	for _, p := range rows {
		last = p.Repository
		if p.Swept >= midnight || p.State == waitsForConfirmation {
			continue
		}
		if err := r.queueRetention(tx, p.Repository, p.Account, p.Path, retentionWork{Full: true, Why: whyDaily}); err != nil {
			return 0, 0, err
		}
	}
	return len(rows), last, nil
}

// retentionKinds are the jobs of retention.
func (r *Registry) retentionKinds() []job.Kind {
	return []job.Kind{
		{Name: KindRetention, Workers: 2, PerAccount: 1, Timeout: time.Hour, GiveUp: retentionLife, Run: r.runRetention},
		// It must never be dead: without it no day has its run.
		{Name: kindRetentionDaily, Timeout: time.Hour, Pause: job.Backoff(time.Second, 10*time.Minute), Run: r.runDaily},
	}
}
