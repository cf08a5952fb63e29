package swrapi

import (
	"strconv"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/registry"
)

// repoItemOf renders a repository; total is how many the list has on all its
// pages, by which clients know when they are done.
func (a *API) repoItemOf(c *call, r registry.RepoItem, status bool, total int64) repoItem {
	path := a.imagePath(c, string(r.Name))
	return repoItem{
		Name: r.Name.Repository(), Category: r.Category, Description: r.Description, Size: r.Size, IsPublic: r.Public, Open: r.Open,
		NumImages: r.Tags, NumDownload: r.Pulls, CreatedAt: stamp(r.Created), UpdatedAt: stamp(r.Updated),
		Path: path, InternalPath: path, DomainName: r.AccountName, Namespace: r.Name.Organization(), Tags: r.TagNames,
		Status: status, TotalRange: total,
	}
}

// repoColumns are what lists of repositories may be sorted by.
var repoColumns = map[string]registry.Column{
	"name": registry.SortName, "updated_at": registry.SortUpdated, "updated_time": registry.SortUpdated, "tag_count": registry.SortTags,
	"namespace": registry.SortOrg, "is_public": registry.SortPublic, "domain_name": registry.SortAccount,
}

// repoOrder are their names, as a message lists them.
var repoOrder = columns{"name", "updated_at", "updated_time", "tag_count", "namespace", "is_public", "domain_name"}

// order is what a list is sorted by.
func (l list) order(by map[string]registry.Column) registry.Order {
	if l.column == "" {
		return registry.Order{}
	}
	return registry.Order{By: by[l.column], Descending: l.descending}
}

// defaultRepos is a page of repositories where none is asked for.
const defaultRepos = 100

// page is the window that a list asks for, of n items where it does not.
func (l list) page(n int) registry.Window {
	if l.paged {
		return registry.Window{Limit: l.limit, Offset: l.offset}
	}
	return registry.Window{Limit: n}
}

// repoFilter reads the filters of lists of repositories.
func (l list) repoFilter() (f registry.RepoFilter, err error) {
	f = registry.RepoFilter{Org: l.values["namespace"], OrgPart: l.filter, Name: l.values["name"], Category: l.values["category"]}
	f.Public, err = l.readBool("is_public")
	return f, err
}

func (a *API) listRepos(c *call) error {
	l, err := c.list(repoOrder, "namespace", "name", "category", "is_public")
	if err != nil {
		return err
	}
	f, err := l.repoFilter()
	if err != nil {
		return err
	}
	w := l.page(defaultRepos)
	repos, err := a.reg.ListRepos(c.r.Context(), c.who, f, l.order(repoColumns), w)
	if err != nil {
		return err
	}
	items := make([]repoItem, len(repos.Items))
	for i, r := range repos.Items {
		items[i] = a.repoItemOf(c, r, false, repos.Total)
	}
	if l.paged {
		c.contentRange(w.Offset, len(items), repos.Total)
	}
	return c.ok(items)
}

// reposV3 is a page of repositories in the third version. At the end there is no marker: clients take 0 for
// one.
type reposV3 struct {
	Repos      []repoV3 `json:"repos"`
	NextMarker *int64   `json:"nextMarker,omitempty"`
}

func repoV3Of(r registry.RepoItem, status bool) repoV3 {
	return repoV3{
		ID: r.ID, Name: r.Name.Repository(), Category: r.Category, Description: r.Description, Size: r.Size, NumImages: r.Tags,
		NumDownload: r.Pulls, IsPublic: r.Public, Open: r.Open, CreatedAt: stamp(r.Created), UpdatedAt: stamp(r.Updated),
		DomainName: r.AccountName, NamespaceName: r.Name.Organization(), Status: status,
	}
}

func (a *API) listReposV3(c *call) error {
	l, err := c.filters("namespace", "name", "category", "is_public", "limit", "marker")
	if err != nil {
		return err
	}
	f, err := l.repoFilter()
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
	p, err := a.reg.ListReposBelow(c.r.Context(), c.who, f, marker, n)
	if err != nil {
		return err
	}
	out := reposV3{Repos: make([]repoV3, len(p.Items))}
	for i, r := range p.Items {
		out.Repos[i] = repoV3Of(r, false)
		if p.More {
			out.NextMarker = &r.ID
		}
	}
	return c.ok(out)
}

// limitAlone reads a limit that needs no offset; n without one.
func (l list) limitAlone(n int) (int, error) {
	limit, err := digits("limit", l.values["limit"])
	switch {
	case err != nil:
		return 0, err
	case l.values["limit"] == "":
		return n, nil
	case limit == 0:
		return 0, fault.New(fault.PageInvalid, "limit is at least 1.")
	}
	return min(limit, maxLimit), nil
}

// intMarker reads a marker that is a number; without one it is 0.
func (l list) intMarker() (int64, error) {
	s := l.values["marker"]
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fault.New(fault.PageInvalid, "The marker is none that this list gave out.")
	}
	return n, nil
}
