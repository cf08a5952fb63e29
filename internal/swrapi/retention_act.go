package swrapi

import (
	"bytes"
	"net/http"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/retention"
)

// These are Berth's own: what a policy would do, how it acts, and the word that
// one waits for which would remove most of a repository.
var retentionActRoutes = []route{
	{method: http.MethodPost, pattern: retentionsPath + "/simulate", name: "SimulateRetention", do: iam.TryRetention, about: aRetention, handle: (*API).simulateRetention},
	{method: http.MethodGet, pattern: retentionsPath + "/{retention_id}/status", name: "ShowRetentionStatus", do: iam.ShowRetention, about: aRetention, handle: (*API).showRetentionStatus},
	{method: http.MethodPost, pattern: retentionsPath + "/{retention_id}/confirm", name: "ConfirmRetention", do: iam.ConfirmRetained, about: aRetention, handle: (*API).confirmRetention},
}

// simulation is the head of an answer; the tags follow.
type simulation struct {
	RetentionID *int64          `json:"retention_id"` // null: a draft
	Rules       []retentionRule `json:"rules"`
	At          stamp           `json:"at"`
	Total       int             `json:"total"`
	Deleted     int             `json:"delete"`
	Kept        int             `json:"keep"`
	Freed       freed           `json:"freed_after_undelete"`
}

type freed struct {
	Manifests int64 `json:"manifests"`
	Blobs     int64 `json:"blobs"`
	Bytes     int64 `json:"bytes"`
	Complete  bool  `json:"complete"`
}

// simulatedTag is what becomes of a tag.
type simulatedTag struct {
	Tag       string             `json:"tag"`
	Digest    string             `json:"digest"`
	Action    string             `json:"action"` // keep, delete
	Rule      int                `json:"rule"`   // index of the one that decided
	Template  retention.Template `json:"template"`
	Rank      *int               `json:"rank"` // null: the rule does not count the tag
	Pushed    stamp              `json:"last_push"`
	Age       int64              `json:"age_seconds"`
	Exception *exception         `json:"exception"` // null: none
	Siblings  []string           `json:"siblings"`
	Others    int                `json:"siblings_total"`
}

// exception is the selector by which a rule leaves a tag alone.
type exception struct {
	tagSelector
	Saves bool `json:"saves"` // without it the tag would go
}

func (a *API) simulateRetention(c *call) error {
	draft, id, err := c.draft()
	if err != nil {
		return err
	}
	s, err := a.reg.SimulateRetention(c.r.Context(), c.who, c.repo, draft, id)
	if err != nil {
		return err
	}
	head := simulation{Rules: policyOf(registry.Retention{Policy: s.Policy}).Rules, At: stamp(s.Time), Total: s.Tags, Deleted: s.Deleted, Kept: s.Tags - s.Deleted,
		Freed: freed(s.Freed)}
	if s.ID != 0 {
		head.RetentionID = &s.ID
	}
	out, err := c.arrayIn(head, "tags")
	if err != nil {
		return err
	}
	for t := range s.All() {
		if err := out.add(simulated(t, s.Policy)); err != nil {
			return out.end(err)
		}
	}
	return out.end(nil)
}

// draft reads what is to be simulated: a policy, the id of one, or neither.
func (c *call) draft() (*retention.Policy, int64, error) {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return nil, 0, nil
	}
	var in struct {
		ID        *int64  `json:"retention_id"`
		Algorithm *string `json:"algorithm"`
		Rules     *[]any  `json:"rules"`
	}
	if err := c.decode(&in); err != nil {
		return nil, 0, err
	}
	isDraft := in.Algorithm != nil || in.Rules != nil
	switch {
	case isDraft && in.ID != nil:
		return nil, 0, fault.New(fault.Invalid, "Send retention_id or a policy, not both.")
	case isDraft:
		p, err := c.policy()
		return &p, 0, err
	case in.ID == nil:
		return nil, 0, nil
	case *in.ID == 0:
		return nil, 0, fault.New(fault.RuleUnknown, "The repository %s has no retention policy 0.", c.repo)
	}
	return nil, *in.ID, nil
}

func simulated(t registry.SimulatedTag, p retention.Policy) simulatedTag {
	rule := p.Rules[t.Rule]
	out := simulatedTag{Tag: t.Name, Digest: string(t.Digest), Action: "keep", Rule: t.Rule, Template: rule.Template,
		Pushed: stamp(t.Updated), Age: int64(t.Age / time.Second), Siblings: t.Siblings, Others: t.Others}
	if t.Delete {
		out.Action = "delete"
	}
	if t.Rank > 0 {
		out.Rank = &t.Rank
	}
	if t.Except >= 0 {
		s := rule.Except[t.Except]
		out.Exception = &exception{tagSelector{string(s.Kind), s.Pattern}, t.Saved}
	}
	return out
}

// retentionStatus tells how a policy acts.
type retentionStatus struct {
	ID          int64  `json:"retention_id"`
	State       string `json:"state"` // idle, queued, running, failed, waiting_confirmation
	LastRun     *stamp `json:"last_run"`
	LastFull    *stamp `json:"last_full_run"`
	LastAct     *stamp `json:"last_delete"`
	Deleted     int64  `json:"last_deleted"`
	DeletedAll  int64  `json:"deleted_total"`
	Error       string `json:"last_error"`
	Next        *stamp `json:"next_run"`
	WouldDelete *int64 `json:"would_delete,omitempty"` // of would_see tags
	WouldSee    *int64 `json:"would_see,omitempty"`
}

func (a *API) showRetentionStatus(c *call) error {
	id, err := c.ruleID("retention_id")
	if err != nil {
		return err
	}
	s, err := a.reg.RetentionStatus(c.r.Context(), c.who, c.repo, id)
	if err != nil {
		return err
	}
	out := retentionStatus{ID: s.ID, State: string(s.State), LastRun: moment(s.Looked), LastFull: moment(s.Swept), LastAct: moment(s.Acted),
		Deleted: s.Removed, DeletedAll: s.RemovedAll, Error: s.Error, Next: moment(s.Next)}
	if s.State == registry.RetentionWaits {
		out.WouldDelete, out.WouldSee = &s.WouldDelete, &s.WouldSee
	}
	return c.ok(out)
}

// moment is a time that may be none.
func moment(t time.Time) *stamp {
	if t.IsZero() {
		return nil
	}
	s := stamp(t)
	return &s
}

func (a *API) confirmRetention(c *call) error {
	id, err := c.ruleID("retention_id")
	if err != nil {
		return err
	}
	if err := a.reg.ConfirmRetention(c.r.Context(), c.who, c.repo, id); err != nil {
		return err
	}
	return c.ok(empty{})
}
