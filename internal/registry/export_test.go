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
		return logRetained(tx, rp.ID, x)
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

// FlushPulls writes the counts of pulls now.
func (r *Registry) FlushPulls(ctx context.Context) error { return r.flushPulls(ctx) }
