package registry

import (
	"context"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/oci"
)

// LogRetained writes an entry of the retention log in a transaction of its own.
func (r *Registry) LogRetained(name oci.Name, x Retained) error {
	return r.update(context.Background(), func(tx *db.Tx) error {
		rp, err := repoByPath(tx.Context(), tx, name)
		if err != nil {
			return err
		}
		return logRetained(tx, rp.ID, []Retained{x})
	})
}

// KeepNewest is keepNewest in a transaction of its own.
func (r *Registry) KeepNewest(table, which string, name oci.Name, keep int) error {
	return r.update(context.Background(), func(tx *db.Tx) error {
		rp, err := repoByPath(tx.Context(), tx, name)
		if err != nil {
			return err
		}
		return keepNewest(tx, table, which, rp.ID, keep)
	})
}

// Check is what CreateTrigger asks of a trigger.
func (t Trigger) Check() error { return t.check() }

// WouldRead counts the tags that a run after a push would read now.
func (r *Registry) WouldRead(ctx context.Context, name oci.Name) (int, error) {
	rp, err := repoByPath(ctx, r.db, name)
	if err != nil {
		return 0, err
	}
	run, _, err := r.loadRun(ctx, rp.ID)
	if err != nil {
		return 0, err
	}
	f, err := r.find(ctx, &run)
	return f.seen, err
}

// Schedule makes sure that the daily job is there.
func (r *Registry) Schedule(ctx context.Context) error { return r.scheduleRetention(ctx) }

// DailyNow has the daily job be due now.
func (r *Registry) DailyNow(ctx context.Context) error {
	if err := r.scheduleRetention(ctx); err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE job SET due = 0 WHERE kind = $1`, kindRetentionDaily)
		return err
	})
}

// NextMidnight is nextMidnight.
var NextMidnight = nextMidnight

// FlushPulls writes the counts of pulls now.
func (r *Registry) FlushPulls(ctx context.Context) error { return r.flushPulls(ctx) }

// WakeCollector wakes the collector, as those do who leave it something.
func (r *Registry) WakeCollector() { r.wakeCollector() }
