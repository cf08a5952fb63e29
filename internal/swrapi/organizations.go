package swrapi

import (
	"net/http"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

var organizationRoutes = []route{
	{method: http.MethodPost, pattern: "/v2/manage/namespaces", name: "CreateNamespace", do: iam.CreateOrg, about: anOrg, handle: (*API).createOrg},
	{method: http.MethodGet, pattern: "/v2/manage/namespaces", name: "ListNamespaces", do: iam.ListOrgs, about: anOrg, handle: (*API).listOrgs},
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}", name: "ShowNamespace", do: iam.ShowOrg, about: anOrg, handle: (*API).showOrg},
	{method: http.MethodPatch, pattern: "/v2/manage/namespaces/{namespace}", name: "UpdateNamespace", do: iam.UpdateOrg, about: anOrg, handle: (*API).updateOrg},
	{method: http.MethodDelete, pattern: "/v2/manage/namespaces/{namespace}", name: "DeleteNamespaces", do: iam.DeleteOrg, about: anOrg, handle: (*API).deleteOrg},
}

// namespace is an organization. The counts are in lists. Description and
// is_public are Berth's own: clients of the cloud service pass over them.
type namespace struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	CreatorName string `json:"creator_name"`
	Auth        int64  `json:"auth"`
	Repos       *int64 `json:"repo_count,omitempty"`
	Users       *int64 `json:"access_user_count,omitempty"`
	Description string `json:"description"`
	Public      bool   `json:"is_public"`
	PublicRepos *int64 `json:"public_repo_count,omitempty"` // in the answer to a change
}

func namespaceOf(o registry.Org, right iam.Right) namespace {
	return namespace{ID: o.ID, Name: o.Name, CreatorName: o.CreatorName, Auth: int64(right), Description: o.Description, Public: o.Public}
}

func (a *API) createOrg(c *call) error {
	var in struct {
		Namespace   *string `json:"namespace"`
		Description string  `json:"description"`
		Public      bool    `json:"is_public"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Namespace == nil {
		return missing("namespace")
	}
	if _, err := a.reg.AddOrg(c.r.Context(), c.who, registry.OrgSpec{Name: *in.Namespace, Description: in.Description, Public: in.Public}); err != nil {
		return err
	}
	return c.created(empty{})
}

// maxOrgs bounds a list that clients cannot page through.
const maxOrgs = 100_000

func (a *API) listOrgs(c *call) error {
	l, err := c.filters("namespace", "mode")
	if err != nil {
		return err
	}
	f := registry.OrgFilter{Name: l.values["namespace"], Visible: l.values["mode"] == "visible"}
	out := struct {
		Namespaces []namespace `json:"namespaces"`
	}{[]namespace{}}
	for after := ""; len(out.Namespaces) < maxOrgs; {
		p, err := a.reg.ListOrgs(c.r.Context(), c.who, f, after, maxLimit)
		if err != nil {
			return err
		}
		for _, o := range p.Items {
			n := namespaceOf(o.Org, o.Right)
			n.Repos, n.Users = &o.Repos, &o.Users
			out.Namespaces = append(out.Namespaces, n)
			after = o.Name
		}
		if !p.More {
			break
		}
	}
	return c.ok(out)
}

func (a *API) showOrg(c *call) error {
	o, right, err := a.reg.OrgWithRight(c.r.Context(), c.who, c.org)
	if err != nil {
		return err
	}
	return c.ok(namespaceOf(o, right))
}

func (a *API) updateOrg(c *call) error {
	var in struct {
		Description *string `json:"description"`
		Public      *bool   `json:"is_public"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Description == nil && in.Public == nil {
		return missing("description")
	}
	o, err := a.reg.UpdateOrg(c.r.Context(), c.who, c.org, registry.OrgPatch{Description: in.Description, Public: in.Public})
	if err != nil {
		return err
	}
	_, right, err := a.reg.OrgWithRight(c.r.Context(), c.who, c.org)
	if err != nil {
		return err
	}
	out := namespaceOf(o.Org, right)
	out.PublicRepos = &o.PublicRepos
	return c.ok(out)
}

func (a *API) deleteOrg(c *call) error {
	if err := a.reg.DeleteOrg(c.r.Context(), c.who, c.org); err != nil {
		return err
	}
	return c.noContent()
}
