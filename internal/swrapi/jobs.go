package swrapi

import (
	"net/http"
	"strconv"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
)

// Jobs are Berth's own: no client of the cloud service knows them.

const jobsPath = "/v2/manage/jobs"

var jobRoutes = []route{
	{method: http.MethodGet, pattern: jobsPath, name: "ListJobs", do: iam.ListJobs, handle: (*API).listJobs},
	{method: http.MethodPost, pattern: jobsPath + "/{job_id}/retry", name: "RetryJob", do: iam.RetryJob, handle: (*API).retryJob},
	{method: http.MethodDelete, pattern: jobsPath + "/{job_id}", name: "CancelJob", do: iam.CancelJob, handle: (*API).cancelJob},
}

// jobItem is a job as it is listed.
type jobItem struct {
	ID       int64  `json:"id"`
	Kind     string `json:"kind"`
	About    string `json:"about"`
	State    string `json:"state"`
	Attempts int    `json:"attempts"`
	Error    string `json:"last_error"`
	NextTry  *stamp `json:"next_try"` // null: it runs, or is dead
	Created  stamp  `json:"created"`
	Updated  stamp  `json:"updated"`
}

// listJobs pages by a marker, the id of the last job of the page before.
func (a *API) listJobs(c *call) error {
	n, err := digits("limit", c.query.Get("limit"))
	if err != nil {
		return err
	}
	if c.query.Get("limit") == "" {
		n = unpaged
	}
	marker, err := digits("marker", c.query.Get("marker"))
	if err != nil {
		return err
	}
	state := job.State(c.query.Get("state"))
	switch state {
	case "", job.Waiting, job.Running, job.Dead:
	default:
		return fault.New(fault.PageInvalid, "state is %s, %s or %s.", job.Waiting, job.Running, job.Dead)
	}
	p, err := a.reg.Jobs(c.r.Context(), c.who, c.query.Get("kind"), state, int64(marker), n)
	if err != nil {
		return err
	}
	out := struct {
		Jobs       []jobItem `json:"jobs"`
		NextMarker int64     `json:"next_marker,omitempty"`
	}{Jobs: make([]jobItem, len(p.Items))}
	for i, j := range p.Items {
		out.Jobs[i] = jobItem{ID: j.ID, Kind: j.Kind, About: j.About, State: string(j.State), Attempts: j.Attempts, Error: j.Error,
			Created: stamp(j.Created), Updated: stamp(j.Updated)}
		if j.State == job.Waiting {
			due := stamp(j.Due)
			out.Jobs[i].NextTry = &due
		}
	}
	if p.More {
		out.NextMarker = p.Items[len(p.Items)-1].ID
	}
	return c.ok(out)
}

// jobID reads the id in the path.
func (c *call) jobID() (int64, error) {
	id, err := strconv.ParseInt(c.path["job_id"], 10, 64)
	if err != nil {
		return 0, fault.New(fault.JobUnknown, "There is no such job.")
	}
	return id, nil
}

func (a *API) retryJob(c *call) error {
	id, err := c.jobID()
	if err != nil {
		return err
	}
	if err := a.reg.RetryJob(c.r.Context(), c.who, id); err != nil {
		return err
	}
	return c.ok(empty{})
}

func (a *API) cancelJob(c *call) error {
	id, err := c.jobID()
	if err != nil {
		return err
	}
	if err := a.reg.CancelJob(c.r.Context(), c.who, id); err != nil {
		return err
	}
	return c.noContent()
}
