package swrapi

import (
	"net/http"
	"strconv"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

const retentionsPath = "/v2/manage/namespaces/{namespace}/repos/{repository}/retentions"

var retentionRoutes = []route{
	{method: http.MethodPost, pattern: retentionsPath, name: "CreateRetention", do: iam.CreateRetention, about: aRetention, handle: (*API).createRetention},
	{method: http.MethodGet, pattern: retentionsPath, name: "ListRetentions", do: iam.ListRetentions, about: aRetention, handle: (*API).listRetentions},
	{method: http.MethodGet, pattern: retentionsPath + "/histories", name: "ListRetentionHistories", do: iam.ListRetained, about: aRetention, handle: (*API).listRetained},
	{method: http.MethodGet, pattern: retentionsPath + "/{retention_id}", name: "ShowRetention", do: iam.ShowRetention, about: aRetention, handle: (*API).showRetention},
	{method: http.MethodPatch, pattern: retentionsPath + "/{retention_id}", name: "UpdateRetention", do: iam.UpdateRetention, about: aRetention, handle: (*API).updateRetention},
	{method: http.MethodDelete, pattern: retentionsPath + "/{retention_id}", name: "DeleteRetention", do: iam.DeleteRetention, about: aRetention, handle: (*API).deleteRetention},
}

// retentionLog is an entry of the histories.
type retentionLog struct {
	CreatedAt   stamp  `json:"created_at"`
	ID          int64  `json:"id"`
	Namespace   string `json:"namespace"`
	Repo        string `json:"repo"`
	RetentionID int64  `json:"retention_id"`
	RuleType    string `json:"rule_type"` // the rule as it was, as JSON text
	Tag         string `json:"tag"`
}

// ruleID reads the id of a rule from the path. What is no number is the id of
// no rule.
func (c *call) ruleID(name string) (int64, error) {
	id, err := strconv.ParseInt(c.path[name], 10, 64)
	if err != nil {
		return 0, fault.New(fault.RuleUnknown, "The repository %s has no such rule.", c.repo)
	}
	return id, nil
}

func (a *API) createRetention(c *call) error {
	p, err := c.policy()
	if err != nil {
		return err
	}
	id, err := a.reg.CreateRetention(c.r.Context(), c.who, c.repo, p)
	if err != nil {
		return err
	}
	return c.created(struct {
		ID int64 `json:"id"`
	}{id})
}

func (a *API) listRetentions(c *call) error {
	list, err := a.reg.Retentions(c.r.Context(), c.who, c.repo)
	if err != nil {
		return err
	}
	out := make([]retentionPolicy, len(list))
	for i, v := range list {
		out[i] = policyOf(v)
	}
	return c.ok(out)
}

func (a *API) showRetention(c *call) error {
	id, err := c.ruleID("retention_id")
	if err != nil {
		return err
	}
	v, err := a.reg.Retention(c.r.Context(), c.who, c.repo, id)
	if err != nil {
		return err
	}
	return c.ok(policyOf(v))
}

func (a *API) updateRetention(c *call) error {
	id, err := c.ruleID("retention_id")
	if err != nil {
		return err
	}
	p, err := c.policy()
	if err != nil {
		return err
	}
	if err := a.reg.UpdateRetention(c.r.Context(), c.who, c.repo, id, p); err != nil {
		return err
	}
	return c.created(empty{})
}

func (a *API) deleteRetention(c *call) error {
	id, err := c.ruleID("retention_id")
	if err != nil {
		return err
	}
	if err := a.reg.DeleteRetention(c.r.Context(), c.who, c.repo, id); err != nil {
		return err
	}
	return c.ok(empty{})
}

// unpaged is how much of a history is shown to who does not ask for a page.
const unpaged = 100

// history reads the window of a history from the query.
func (c *call) history() (list, error) {
	l, err := c.list(nil)
	if !l.paged {
		l.limit, l.offset = unpaged, 0
	}
	return l, err
}

func (a *API) listRetained(c *call) error {
	l, err := c.history()
	if err != nil {
		return err
	}
	entries, total, err := a.reg.Retained(c.r.Context(), c.who, c.repo, l.offset, l.limit)
	if err != nil {
		return err
	}
	out := struct {
		RetentionLog []retentionLog `json:"retention_log"`
		Total        int64          `json:"total"`
	}{make([]retentionLog, len(entries)), total}
	for i, x := range entries {
		out.RetentionLog[i] = retentionLog{stamp(x.Time), x.ID, c.org, c.repo.Repository(), x.Policy, ruleText(x), x.Tag}
	}
	if l.paged {
		c.contentRange(l.offset, len(entries), total)
	}
	return c.ok(out)
}

// ruleText is the rule of an entry as compact JSON.
func ruleText(x registry.Retained) string { return compact(ruleOf(x.Rule)) }
