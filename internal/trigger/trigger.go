// Package trigger acts on the clusters that accounts have registered: a push
// changes the image of a workload, and the rollout is watched to its end.
//
// The rules themselves, and what came of each push, are rows of the package
// registry; how Kubernetes is spoken to is the package kube's.
package trigger

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/dial"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/registry"
)

// Options are the rules an operator can change.
type Options struct {
	Dialer   *dial.Dialer  // by which clusters are reached
	Host     string        // by which images of this registry are named, host[:port]; empty: by any
	Insecure bool          // an account may leave the certificates of its clusters unchecked
	Deadline time.Duration // a rollout without progress has failed after this, where the workload does not say; default 10 min
	Longest  time.Duration // a rollout is not watched longer; default 1 h
	Pause    time.Duration // before a cluster that was away is tried the second time; default 2 s
	Log      *slog.Logger
}

// Triggers does the jobs of triggers, and keeps the clusters. It is safe for
// use by many goroutines.
type Triggers struct {
	db  *db.DB
	iam *iam.Authority
	reg *registry.Registry
	o   Options
	log *slog.Logger
}

// New assembles it. Nothing runs until its Kinds do.
func New(d *db.DB, a *iam.Authority, r *registry.Registry, o Options) *Triggers {
	o.Deadline = cmp.Or(o.Deadline, 10*time.Minute)
	o.Longest = cmp.Or(o.Longest, time.Hour)
	o.Pause = cmp.Or(o.Pause, 2*time.Second)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return &Triggers{db: d, iam: a, reg: r, o: o, log: o.Log}
}

// How jobs are done. A rollout that is watched takes a worker, but hardly
// anything else: there are many, and no account gets all of them.
const (
	workers    = 256
	perAccount = 16
	giveUp     = 3 * 24 * time.Hour
	maxPause   = 5 * time.Minute // a cluster that comes back is served after this at the latest
	margin     = 10 * time.Minute
)

// Kinds are the jobs that this package does.
func (t *Triggers) Kinds() []job.Kind {
	return []job.Kind{{
		Name: registry.TriggerKind, Workers: workers, PerAccount: perAccount, Timeout: t.o.Longest + margin, GiveUp: giveUp,
		Pause: job.Backoff(t.o.Pause, maxPause), Run: t.run, Changed: t.changed,
	}}
}

// update runs a change without a result.
func (t *Triggers) update(ctx context.Context, fn func(*db.Tx) error) error {
	_, err := db.Update(ctx, t.db, func(tx *db.Tx) (struct{}, error) { return struct{}{}, fn(tx) })
	return err
}
