package swrapi

import (
	"net/http"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

var organizationRoutes = []route{
	{method: http.MethodPost, pattern: "/v2/manage/namespaces", name: "CreateNamespace", do: iam.CreateOrg, about: anOrg, handle: (*API).createOrg},
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}", name: "ShowNamespace", do: iam.ShowOrg, about: anOrg, handle: (*API).showOrg},
	{method: http.MethodDelete, pattern: "/v2/manage/namespaces/{namespace}", name: "DeleteNamespaces", do: iam.DeleteOrg, about: anOrg, handle: (*API).deleteOrg},
}

// namespace is an organization.
type namespace struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	CreatorName string `json:"creator_name"`
	Auth        int64  `json:"auth"`
}

func namespaceOf(o registry.Org, right iam.Right) namespace {
	return namespace{ID: o.ID, Name: o.Name, CreatorName: o.CreatorName, Auth: int64(right)}
}

func (a *API) createOrg(c *call) error {
	var in struct {
		Namespace *string `json:"namespace"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Namespace == nil {
		return missing("namespace")
	}
	if _, err := a.reg.CreateOrg(c.r.Context(), c.who, *in.Namespace); err != nil {
		return err
	}
	return c.created(empty{})
}

func (a *API) showOrg(c *call) error {
	o, right, err := a.reg.OrgWithRight(c.r.Context(), c.who, c.org)
	if err != nil {
		return err
	}
	return c.ok(namespaceOf(o, right))
}

func (a *API) deleteOrg(c *call) error {
	if err := a.reg.DeleteOrg(c.r.Context(), c.who, c.org); err != nil {
		return err
	}
	return c.noContent()
}
