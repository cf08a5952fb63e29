package registry

import (
	"context"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
)

// Jobs lists what rules have to do and could not do, the newest first, jobs
// with an id below before (0: from the newest): those of the caller's account,
// all of them for system callers. An empty kind or state selects all.
// Errors: Denied, Unauthorized.
func (r *Registry) Jobs(ctx context.Context, who iam.Caller, kind string, state job.State, before int64, n int) (Page[*job.Job], error) {
	if err := r.iam.Check(ctx, who, iam.ListJobs, iam.Resource{Account: who.Account}); err != nil {
		return Page[*job.Job]{}, err
	}
	f := job.Filter{Kind: kind, State: state, Before: before}
	if !who.System() {
		f.Account = &who.Account
	}
	jobs, more, err := r.jobs.List(ctx, f, n)
	return Page[*job.Job]{Items: jobs, More: more}, err
}

// RetryJob has a job that waits run now, and one that is dead run again.
// Errors: JobUnknown, Denied, Unauthorized.
func (r *Registry) RetryJob(ctx context.Context, who iam.Caller, id int64) error {
	return r.onJob(ctx, who, iam.RetryJob, id, r.jobs.Retry)
}

// CancelJob ends a job for good.
// Errors: JobUnknown, Denied, Unauthorized.
func (r *Registry) CancelJob(ctx context.Context, who iam.Caller, id int64) error {
	return r.onJob(ctx, who, iam.CancelJob, id, r.jobs.Cancel)
}

func (r *Registry) onJob(ctx context.Context, who iam.Caller, do iam.Action, id int64, change func(*db.Tx, *job.Job) error) error {
	return r.update(ctx, func(tx *db.Tx) error {
		if err := r.iam.Allow(tx, who, do, iam.Resource{Account: who.Account}); err != nil {
			return err
		}
		j, err := job.Find(tx, id)
		if err != nil {
			return err
		}
		if !who.System() && j.Account != who.Account {
			return fault.New(fault.JobUnknown, "There is no job %d.", id)
		}
		if err := change(tx, j); err != nil {
			return err
		}
		return r.iam.Audit(tx, who, do, j.Kind+" "+j.About, "ok")
	})
}
