package swrapi

import (
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

// Chart groups are Berth's own: no client of the cloud service knows them.

const groupsPath = "/v2/manage/chart-groups"

var chartGroupRoutes = []route{
	{method: http.MethodPost, pattern: groupsPath, name: "CreateChartGroup", do: iam.CreateOrg, about: anOrg, handle: (*API).createGroup},
	{method: http.MethodGet, pattern: groupsPath, name: "ListChartGroups", do: iam.ListOrgs, about: anOrg, handle: (*API).listGroups},
	{method: http.MethodGet, pattern: groupsPath + "/{group}", name: "ShowChartGroup", do: iam.ShowOrg, about: anOrg, handle: (*API).showGroup},
	{method: http.MethodPatch, pattern: groupsPath + "/{group}", name: "UpdateChartGroup", do: iam.UpdateOrg, about: anOrg, handle: (*API).updateGroup},
	{method: http.MethodDelete, pattern: groupsPath + "/{group}", name: "DeleteChartGroup", do: iam.DeleteOrg, about: anOrg, handle: (*API).deleteGroup},

	{method: http.MethodPost, pattern: groupsPath + "/{group}/access", name: "CreateChartGroupAuth", do: iam.GrantOrg, about: orgGrant, handle: (*API).grantOrg},
	{method: http.MethodGet, pattern: groupsPath + "/{group}/access", name: "ShowChartGroupAuth", do: iam.ShowOrgGrants, about: orgGrant, handle: (*API).showOrgGrants},
	{method: http.MethodPatch, pattern: groupsPath + "/{group}/access", name: "UpdateChartGroupAuth", do: iam.ChangeOrgGrant, about: orgGrant, handle: (*API).changeOrgGrants},
	{method: http.MethodDelete, pattern: groupsPath + "/{group}/access", name: "DeleteChartGroupAuth", do: iam.RevokeOrg, about: orgGrant, handle: (*API).revokeOrg},
}

// chartGroup is a group as it is shown.
type chartGroup struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Public      bool   `json:"is_public"`
	CreatorName string `json:"creator_name"`
	Auth        int64  `json:"auth"`
	Charts      int64  `json:"chart_count"`
	Users       int64  `json:"access_user_count"`
	URL         string `json:"url"`
	OCI         string `json:"oci"`
	Created     stamp  `json:"created_at"`
}

func (a *API) groupOf(c *call, o registry.OrgItem) chartGroup {
	scheme, host := a.origin.External(c.r)
	return chartGroup{ID: o.ID, Name: o.Name, Description: o.Description, Public: o.Public, CreatorName: o.CreatorName, Auth: int64(o.Right),
		Charts: o.Repos, Users: o.Users, URL: scheme + "://" + host + "/chart/" + o.Name, OCI: "oci://" + host + "/" + o.Name, Created: stamp(o.Created)}
}

func (a *API) createGroup(c *call) error {
	var in struct {
		Name        *string `json:"name"`
		Description string  `json:"description"`
		Public      bool    `json:"is_public"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Name == nil {
		return missing("name")
	}
	o, err := a.reg.CreateChartGroup(c.r.Context(), c.who, registry.GroupSpec{Name: *in.Name, Description: in.Description, Public: in.Public})
	if err != nil {
		return err
	}
	item, err := a.reg.ChartGroup(c.r.Context(), c.who, o.Name)
	if err != nil {
		return err
	}
	return c.created(a.groupOf(c, item))
}

// listGroups pages by a marker, the name of the last group of the page before.
func (a *API) listGroups(c *call) error {
	n, err := digits("limit", c.query.Get("limit"))
	if err != nil {
		return err
	}
	if n == 0 || n > maxLimit {
		n = unpaged
	}
	p, err := a.reg.ListChartGroups(c.r.Context(), c.who, c.query.Get("marker"), n)
	if err != nil {
		return err
	}
	out := struct {
		Groups     []chartGroup `json:"chart_groups"`
		NextMarker string       `json:"next_marker,omitempty"`
	}{Groups: make([]chartGroup, len(p.Items))}
	for i, o := range p.Items {
		out.Groups[i] = a.groupOf(c, o)
	}
	if p.More {
		out.NextMarker = p.Items[len(p.Items)-1].Name
	}
	return c.ok(out)
}

func (a *API) showGroup(c *call) error {
	o, err := a.reg.ChartGroup(c.r.Context(), c.who, c.org)
	if err != nil {
		return err
	}
	return c.ok(a.groupOf(c, o))
}

func (a *API) updateGroup(c *call) error {
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
	if err := a.reg.UpdateChartGroup(c.r.Context(), c.who, c.org, registry.OrgPatch{Description: in.Description, Public: in.Public}); err != nil {
		return err
	}
	return a.showGroup(c)
}

// goneGroup says what went with a group.
type goneGroup struct {
	Charts []string `json:"charts"`
	Count  int64    `json:"chart_count"`
	Tags   int64    `json:"version_count"`
}

func (a *API) deleteGroup(c *call) error {
	force, err := c.flag("force")
	if err != nil {
		return err
	}
	gone, err := a.reg.DeleteChartGroup(c.r.Context(), c.who, c.org, force)
	if err != nil {
		return err
	}
	if gone.Charts == nil {
		gone.Charts = []string{}
	}
	return c.ok(goneGroup{gone.Charts, gone.NCharts, gone.Versions})
}

// flag reads a parameter that is true or false; without a value it is true.
func (c *call) flag(name string) (bool, error) {
	v, there := c.query[name]
	switch {
	case !there || v[0] == "false":
		return false, nil
	case v[0] == "" || v[0] == "true":
		return true, nil
	}
	return false, fault.New(fault.PageInvalid, "%s is true or false.", name)
}
