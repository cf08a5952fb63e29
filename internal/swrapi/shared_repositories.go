package swrapi

import (
	"net/http"
	"strconv"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

var sharedRoutes = []route{
	{method: http.MethodGet, pattern: "/v2/manage/shared-repositories", name: "ListSharedReposDetails", do: iam.ListSharedRepos, handle: (*API).listShared},
	{method: http.MethodGet, pattern: "/v3/manage/shared-repositories", name: "ListSharedRepoDetails", do: iam.ListSharedRepos, handle: (*API).listSharedV3},
}

// sharedColumns are what the list can be sorted by.
var sharedColumns = map[string]registry.SharedColumn{
	"name": registry.SharedName, "updated_at": registry.SharedUpdated, "updated_time": registry.SharedUpdated, "tag_count": registry.SharedTags,
	"namespace": registry.SharedOrg, "is_public": registry.SharedPublic, "domain_name": registry.SharedOwner,
}

// sharedOrder names them for errors.
var sharedOrder = columns{"name", "updated_at", "updated_time", "tag_count", "namespace", "is_public", "domain_name"}

// whose reads which of the two lists is meant; nothing said is the own one.
func whose(name, value string) (theirs bool, err error) {
	switch value {
	case "", "self":
		return false, nil
	case "thirdparty":
		return true, nil
	}
	return false, fault.New(fault.PageInvalid, "%s is self or thirdparty.", name)
}

func (a *API) listShared(c *call) error {
	l, err := c.list(sharedOrder, "namespace", "name", "category", "domain_name", "center")
	if err != nil {
		return err
	}
	v := l.values
	f := registry.SharedFilter{Org: v["namespace"], OrgPart: l.filter, Name: v["name"], Category: v["category"], Owner: v["domain_name"]}
	if f.Theirs, err = whose("center", v["center"]); err != nil {
		return err
	}
	limit, offset := registry.MaxPage, 0
	if l.paged {
		limit, offset = l.limit, l.offset
	}
	out, err := a.reg.Shared(c.r.Context(), c.who, f, registry.SharedOrder{By: sharedColumns[l.column], Descending: l.descending}, limit, offset)
	if err != nil {
		return err
	}
	if l.paged {
		c.contentRange(l.offset, len(out.Items), out.Total)
	}
	items := make([]repoItem, len(out.Items))
	for i, s := range out.Items {
		items[i] = a.sharedItem(c, s, out.Total)
	}
	return c.ok(items)
}

func (a *API) sharedItem(c *call, s registry.SharedRepo, total int64) repoItem {
	org, name := s.Name.Organization(), s.Name.Repository()
	path := a.imagePath(c, org, name)
	return repoItem{Name: name, Category: s.Category, Description: s.Description, Size: s.Size, IsPublic: s.Public, NumImages: s.Tags, NumDownload: s.Pulls,
		CreatedAt: stamp(s.Created), UpdatedAt: stamp(s.Updated), Path: path, InternalPath: path, DomainName: s.AccountName, Namespace: org, Tags: s.TagNames,
		Status: s.Valid, TotalRange: total}
}

// listSharedV3 pages by a marker: the id of the last repository that was shown.
func (a *API) listSharedV3(c *call) error {
	f := registry.SharedFilter{Org: c.query.Get("namespace"), Name: c.query.Get("name")}
	var err error
	if f.Theirs, err = whose("shared_by", c.query.Get("shared_by")); err != nil {
		return err
	}
	switch s := c.query.Get("status"); s {
	case "":
	case "true", "false":
		valid := s == "true"
		f.Valid = &valid
	default:
		return fault.New(fault.PageInvalid, "status is true or false.")
	}
	limit, marker, err := c.marked()
	if err != nil {
		return err
	}
	out, err := a.reg.SharedBelow(c.r.Context(), c.who, f, marker, limit)
	if err != nil {
		return err
	}
	answer := struct {
		Repos      []repoV3 `json:"repos"`
		NextMarker int64    `json:"nextMarker,omitempty"` // left out at the end: 0 would begin again
	}{make([]repoV3, len(out.Items)), out.Next}
	for i, s := range out.Items {
		answer.Repos[i] = repoV3{ID: s.ID, Name: s.Name.Repository(), Category: s.Category, Description: s.Description, Size: s.Size, NumImages: s.Tags,
			NumDownload: s.Pulls, IsPublic: s.Public, CreatedAt: stamp(s.Created), UpdatedAt: stamp(s.Updated), DomainName: s.AccountName,
			NamespaceName: s.Name.Organization(), Status: s.Valid}
	}
	return c.ok(answer)
}

// defaultLimit is a page's size where the request does not say.
const defaultLimit = 100

// marked reads the window of a list that pages by a numeric marker.
func (c *call) marked() (limit int, marker int64, err error) {
	limit = defaultLimit
	if s := c.query.Get("limit"); s != "" {
		if limit, err = digits("limit", s); err != nil {
			return 0, 0, err
		}
		if limit == 0 {
			return 0, 0, fault.New(fault.PageInvalid, "limit is at least 1.")
		}
	}
	if s := c.query.Get("marker"); s != "" {
		n, err := strconv.ParseUint(s, 10, 63)
		if err != nil {
			return 0, 0, fault.New(fault.PageInvalid, "marker is the nextMarker of an answer before.")
		}
		marker = int64(n)
	}
	return min(limit, maxLimit), marker, nil
}
