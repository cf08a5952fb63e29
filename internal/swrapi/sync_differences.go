package swrapi

import (
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/registry"
)

// What a synchronization has to do is asked and answered in members of our
// own; they are in camelCase like those beside them.

type difference struct {
	Tag          string `json:"tag"`
	Difference   string `json:"difference"` // missing, different, extra
	Digest       string `json:"digest"`
	RemoteDigest string `json:"remoteDigest"`
}

type differences struct {
	State       string       `json:"state"`  // comparing, done, failed
	Detail      string       `json:"detail"` // why it failed, or waits
	Reconcile   bool         `json:"reconcile"`
	Equal       int64        `json:"equal"`
	Missing     int64        `json:"missing"`
	Different   int64        `json:"different"`
	Extra       int64        `json:"extra"`
	Queued      int64        `json:"queued"`
	Differences []difference `json:"differences"`
	CreatedAt   stamp        `json:"createdAt"`
	UpdatedAt   stamp        `json:"updatedAt"`
}

// differencesPage is a page where the request names none.
const differencesPage = 100

func (a *API) showDifferences(c *call) error {
	l, err := c.list(nil)
	if err != nil {
		return err
	}
	if !l.paged {
		l.limit = differencesPage
	}
	again := false
	switch s := c.query.Get("refresh"); s {
	case "", "false":
	case "true":
		again = true
	default:
		return fault.New(fault.Invalid, "refresh is true or false.")
	}
	t := registry.SyncTarget{Region: c.query.Get("remoteRegionId"), Organization: c.query.Get("remoteNamespace")}
	r, err := a.reg.Differences(c.r.Context(), c.who, c.repo, t, again, l.offset, l.limit)
	if err != nil {
		return err
	}
	out := differences{State: r.State, Detail: r.Detail, Reconcile: r.Reconcile, Equal: r.Equal, Missing: r.Missing, Different: r.Different, Extra: r.Extra, Queued: r.Queued,
		Differences: make([]difference, len(r.Entries)), CreatedAt: stamp(r.Created), UpdatedAt: stamp(r.Updated)}
	for i, d := range r.Entries {
		out.Differences[i] = difference{d.Tag, d.Kind, d.Digest, d.Remote}
	}
	c.contentRange(l.offset, len(r.Entries), r.Listed)
	return c.ok(out)
}

func (a *API) reconcileSync(c *call) error {
	var in syncRequest
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := a.reg.Reconcile(c.r.Context(), c.who, c.repo, in.target()); err != nil {
		return err
	}
	return c.ok(empty{})
}
