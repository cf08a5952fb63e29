package server

import (
	"context"
	"strconv"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
)

// Jobs is the argument of ListJobs; what is empty selects all.
type Jobs struct {
	Kind  string `json:"kind"`
	State string `json:"state"` // waiting, running, dead
	After string `json:"after"`
}

// JobID is the argument of operations on a job.
type JobID struct {
	ID int64 `json:"id"`
}

// Job is a job as the command shows it.
type Job struct {
	ID       int64     `json:"id"`
	Kind     string    `json:"kind"`
	Account  string    `json:"account_id"`
	About    string    `json:"about"`
	State    string    `json:"state"`
	Attempts int       `json:"attempts"`
	Error    string    `json:"last_error"`
	Due      time.Time `json:"due"` // of one that runs: until when its claim holds
	Created  time.Time `json:"created"`
}

// ListJobs pages through the jobs of all accounts, the newest first.
var ListJobs = Op[Jobs, Page[Job]]{"job.list", func(ctx context.Context, c *core, in Jobs) (Page[Job], error) {
	var before int64
	if in.After != "" {
		var err error
		if before, err = strconv.ParseInt(in.After, 10, 64); err != nil {
			return Page[Job]{}, fault.New(fault.PageInvalid, "%q is no page of jobs.", in.After)
		}
	}
	switch job.State(in.State) {
	case "", job.Waiting, job.Running, job.Dead:
	default:
		return Page[Job]{}, fault.New(fault.Invalid, "A job is %s, %s or %s.", job.Waiting, job.Running, job.Dead)
	}
	p, err := c.registry.Jobs(ctx, iam.Operator(), in.Kind, job.State(in.State), before, pageSize)
	return pageOf(p.Items, p.More, jobShown, func(j *job.Job) string { return strconv.FormatInt(j.ID, 10) }), err
}}

// RetryJob runs a job now.
var RetryJob = Op[JobID, None]{"job.retry", func(ctx context.Context, c *core, in JobID) (None, error) {
	return None{}, c.registry.RetryJob(ctx, iam.Operator(), in.ID)
}}

// CancelJob ends a job for good.
var CancelJob = Op[JobID, None]{"job.cancel", func(ctx context.Context, c *core, in JobID) (None, error) {
	return None{}, c.registry.CancelJob(ctx, iam.Operator(), in.ID)
}}

func jobShown(j *job.Job) Job {
	return Job{j.ID, j.Kind, j.Account, j.About, string(j.State), j.Attempts, j.Error, j.Due, j.Created}
}
