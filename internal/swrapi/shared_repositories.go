package swrapi

import (
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

var sharedRoutes = []route{
	{method: http.MethodGet, pattern: "/v2/manage/shared-repositories", name: "ListSharedReposDetails", do: iam.ListSharedRepos, handle: (*API).listShared},
	{method: http.MethodGet, pattern: "/v3/manage/shared-repositories", name: "ListSharedRepoDetails", do: iam.ListSharedRepos, handle: (*API).listSharedV3},
}

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
	l, err := c.list(repoOrder, "namespace", "name", "category", "domain_name", "center")
	if err != nil {
		return err
	}
	f, err := l.sharedFilter("center")
	if err != nil {
		return err
	}
	w := l.page(registry.MaxPage)
	shared, err := a.reg.Shared(c.r.Context(), c.who, f, l.order(repoColumns), w)
	if err != nil {
		return err
	}
	items := make([]repoItem, len(shared.Items))
	for i, s := range shared.Items {
		items[i] = a.repoItemOf(c, s.RepoItem, s.Valid, shared.Total)
	}
	if l.paged {
		c.contentRange(w.Offset, len(items), shared.Total)
	}
	return c.ok(items)
}

// sharedFilter reads the filters of lists of shared repositories; by is what
// says which of the two lists is meant.
func (l list) sharedFilter(by string) (f registry.SharedFilter, err error) {
	v := l.values
	f = registry.SharedFilter{Org: v["namespace"], OrgPart: l.filter, Name: v["name"], Category: v["category"], Owner: v["domain_name"]}
	if f.Valid, err = l.readBool("status"); err == nil {
		f.Theirs, err = whose(by, v[by])
	}
	return f, err
}

// listSharedV3 pages by a marker: the id of the last repository that was shown.
func (a *API) listSharedV3(c *call) error {
	l, err := c.filters("namespace", "name", "status", "shared_by", "limit", "marker")
	if err != nil {
		return err
	}
	f, err := l.sharedFilter("shared_by")
	if err != nil {
		return err
	}
	n, err := l.limitAlone(defaultRepos)
	if err != nil {
		return err
	}
	marker, err := l.intMarker()
	if err != nil {
		return err
	}
	shared, err := a.reg.SharedBelow(c.r.Context(), c.who, f, marker, n)
	if err != nil {
		return err
	}
	out := reposV3{Repos: make([]repoV3, len(shared.Items))}
	for i, s := range shared.Items {
		out.Repos[i] = repoV3Of(s.RepoItem, s.Valid)
	}
	if shared.Next != 0 {
		out.NextMarker = &shared.Next
	}
	return c.ok(out)
}
