package main

import (
	"strconv"

	"berth.dev/berth/internal/server"
)

func jobCommands() []command {
	return []command{
		{
			name:  "jobs list",
			short: "List what the rules have to do, and what they could not do",
			long:  "Jobs that are done are not listed; what came of them stands with their rules. A dead job failed for good.",
			examples: `berth jobs list
				berth jobs list --state dead --output json
				berth jobs list --kind sync`,
			flags: join(textFlag("kind", "only jobs of this `kind`, such as retention or sync", func(o *options) *string { return &o.kind }),
				textFlag("state", "only jobs in this `state`: waiting, running or dead", func(o *options) *string { return &o.state })),
			run: listJobs,
		},
		{name: "jobs retry", args: "ID", short: "Run a job now, also a dead one", examples: `berth jobs retry 17`, run: func(c *call) (result, error) {
			return onJob(c, server.RetryJob, "Job %s is due now.")
		}},
		{name: "jobs cancel", args: "ID", short: "End a job for good", examples: `berth jobs cancel 17`, run: func(c *call) (result, error) {
			return onJob(c, server.CancelJob, "Job %s cancelled.")
		}},
	}
}

func listJobs(c *call) (result, error) {
	jobs, err := with(c, func(l *server.Local) ([]server.Job, error) {
		jobs := []server.Job{}
		for q := (server.Jobs{Kind: c.kind, State: c.state}); ; {
			p, err := server.Call(c.ctx, l, server.ListJobs, q)
			if err != nil {
				return nil, err
			}
			jobs = append(jobs, p.Items...)
			if !p.More {
				return jobs, nil
			}
			q.After = p.Next
		}
	})
	return result{value: jobs, table: rows([]string{"ID", "KIND", "STATE", "ATTEMPTS", "DUE", "ABOUT", "LAST ERROR"}, jobs, func(j server.Job) []string {
		return []string{strconv.FormatInt(j.ID, 10), j.Kind, j.State, strconv.Itoa(j.Attempts), when(j.Due), j.About, j.Error}
	})}, err
}

func onJob(c *call, op server.Op[server.JobID, server.None], text string) (result, error) {
	id, err := strconv.ParseInt(c.args[0], 10, 64)
	if err != nil {
		return result{}, &usageError{"the ID of a job is a number; berth jobs list shows it", "berth " + c.cmd.name}
	}
	_, err = with(c, func(l *server.Local) (server.None, error) { return server.Call(c.ctx, l, op, server.JobID{ID: id}) })
	return done(c.args[0], text, c.args[0]), err
}
