package swrapi

import (
	"net/http"
	"strconv"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

var shareRoutes = []route{
	{method: http.MethodPost, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/shares", name: "CreateRepoShare", do: iam.CreateShare, about: aShare, handle: (*API).createShare},
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/shares", name: "ListRepoShares", do: iam.ListShares, about: aShare, handle: (*API).listShares},
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/shares/{share_id}", name: "GetRepoShare", do: iam.ShowShare, about: aShare, handle: (*API).showShare},
	{method: http.MethodPatch, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/shares/{share_id}", name: "UpdateRepoShare", do: iam.UpdateShare, about: aShare, handle: (*API).updateShare},
	{method: http.MethodDelete, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/shares/{share_id}", name: "DeleteRepoShare", do: iam.DeleteShare, about: aShare, handle: (*API).deleteShare},
}

// repoShare is a rule with whatever target. Its target is shown as it was
// named: whoever named an account does not learn its id by that.
type repoShare struct {
	ID         int64  `json:"id"`
	Namespace  string `json:"namespace"`
	Repository string `json:"repository"`
	TargetType string `json:"target_type"`
	Target     string `json:"target"`
	shareTerms
}

func repoShareOf(s registry.Share) repoShare {
	return repoShare{ID: s.ID, Namespace: s.Repo.Organization(), Repository: s.Repo.Repository(), TargetType: string(s.Kind), Target: s.Target, shareTerms: termsOf(s)}
}

func (a *API) createShare(c *call) error {
	var in struct {
		TargetType *string `json:"target_type"`
		Target     *string `json:"target"`
		givenTerms
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	switch {
	case in.TargetType == nil:
		return missing("target_type")
	case in.Target == nil:
		return missing("target")
	}
	if err := in.check(true); err != nil {
		return err
	}
	id, err := a.reg.CreateShare(c.r.Context(), c.who, c.repo, registry.TargetKind(*in.TargetType), *in.Target, *in.Deadline, *in.Description)
	if err != nil {
		return err
	}
	return c.created(struct {
		ID int64 `json:"id"`
	}{id})
}

func (a *API) listShares(c *call) error {
	shares, err := a.reg.Shares(c.r.Context(), c.who, c.repo)
	if err != nil {
		return err
	}
	out := make([]repoShare, len(shares))
	for i, s := range shares {
		out[i] = repoShareOf(s)
	}
	return c.ok(out)
}

// shareID reads the id in the path. What is no id is that of no rule.
func (c *call) shareID() (int64, error) {
	id, err := strconv.ParseUint(c.path["share_id"], 10, 31)
	if err != nil {
		return 0, fault.New(fault.ShareUnknown, "The repository %s has no such rule.", c.repo)
	}
	return int64(id), nil
}

func (a *API) showShare(c *call) error {
	id, err := c.shareID()
	if err != nil {
		return err
	}
	s, err := a.reg.Share(c.r.Context(), c.who, c.repo, id)
	if err != nil {
		return err
	}
	return c.ok(repoShareOf(s))
}

// updateShare leaves what is not in the body as it is. A rule keeps its target.
func (a *API) updateShare(c *call) error {
	var in givenTerms
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := in.check(false); err != nil {
		return err
	}
	id, err := c.shareID()
	if err != nil {
		return err
	}
	if err := a.reg.UpdateShare(c.r.Context(), c.who, c.repo, id, registry.SharePatch{Deadline: in.Deadline, Description: in.Description}); err != nil {
		return err
	}
	return c.created(empty{})
}

func (a *API) deleteShare(c *call) error {
	id, err := c.shareID()
	if err != nil {
		return err
	}
	if err := a.reg.DeleteShare(c.r.Context(), c.who, c.repo, id); err != nil {
		return err
	}
	return c.noContent()
}
