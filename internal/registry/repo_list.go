package registry

import (
	"context"
	"strings"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// A RepoFilter narrows a list of repositories; what is zero does not.
type RepoFilter struct {
	Org      string // of this organization
	OrgPart  bool   // where there is no organization of that name: of all whose name contains it
	Name     string // whose name in the organization contains this
	Category string
	Public   *bool
}

// An Order is how a list is sorted: by a column, and where rows are alike in
// that by id in the same direction.
type Order struct {
	By         Column
	Descending bool
}

// A Column is what a list is sorted by.
type Column uint8

// The columns. SortNewest, the zero value, is the default order whatever the
// direction: last updated first, and of two alike the one with the greater id.
const (
	SortNewest Column = iota
	SortUpdated
	SortName
	SortTags // their number
	SortOrg
	SortPublic
	SortAccount // of the owner
)

// A Window is one page of a list that is counted: Limit items behind the first
// Offset.
type Window struct{ Limit, Offset int }

// A RepoItem is a repository in a list.
type RepoItem struct {
	Repo
	AccountName string
	TagNames    []string // by name, the first of them: MaxInlineTags
}

// MaxInlineTags is how many tags of a repository stand in lists of repositories
// of up to a hundred. On longer pages there are fewer: a page has a hundred
// thousand tags at most.
const MaxInlineTags = 1000

// inlineTags is how many tags each repository of a page of n has.
func inlineTags(n int) int { return min(MaxInlineTags, 100*MaxInlineTags/max(n, 1)) }

// RepoList is a page of repositories, and how many there are under its filter.
type RepoList struct {
	Items []RepoItem
	Total int64
}

// ListRepos lists the repositories of the caller's account that the caller has
// a right on: all of them for an administrator, else those of organizations
// and the single ones that a right was granted on. It takes the same few
// statements whatever the size of the page. Errors: Denied, Unauthorized.
func (r *Registry) ListRepos(ctx context.Context, who iam.Caller, f RepoFilter, o Order, w Window) (RepoList, error) {
	l, err := r.repoListing(ctx, who, f)
	if err != nil || l.total == 0 {
		return RepoList{Items: []RepoItem{}}, err
	}
	items, err := l.page(ctx, o, w)
	return RepoList{items, l.total}, err
}

// ListReposBelow lists the same by id, the greatest first, those with an id
// below before (0: from the greatest).
func (r *Registry) ListReposBelow(ctx context.Context, who iam.Caller, f RepoFilter, before int64, n int) (Page[RepoItem], error) {
	l, err := r.repoListing(ctx, who, f)
	if err != nil || l.total == 0 {
		return Page[RepoItem]{Items: []RepoItem{}}, err
	}
	n = clampPage(n)
	if before <= 0 {
		before = 1<<63 - 1
	}
	items, err := l.below(ctx, before, n+1)
	return page(items, n), err
}

// itemColumns is what a RepoItem is read from, of repository r and its account
// a. tags is the placeholder of inlineTags.
func itemColumns(tags string) string {
	return repoViewColumns + `, a.name,
	(SELECT string_agg(q.name, ',') FROM (SELECT t.name FROM tag t WHERE t.repository = r.id ORDER BY t.name LIMIT ` + tags + `) q)`
}

type itemRow struct {
	repoView
	AccountName string
	Tags        *string // separated by commas; nil: none
}

func (i itemRow) item() RepoItem {
	item := RepoItem{Repo: i.repo(), AccountName: i.AccountName, TagNames: []string{}}
	if i.Tags != nil {
		item.TagNames = strings.Split(*i.Tags, ",")
	}
	return item
}

// readItems runs a query that selects itemColumns.
func readItems(ctx context.Context, q db.Querier, query string, args ...any) ([]RepoItem, error) {
	rows, err := db.All[itemRow](ctx, q, query, args...)
	if err != nil {
		return nil, err
	}
	items := make([]RepoItem, len(rows))
	for i, row := range rows {
		items[i] = row.item()
	}
	return items, nil
}

// A repoListing is a list of repositories that is about to be read: where to
// look, and how many rows there are.
type repoListing struct {
	r      *Registry
	scope  repoScope
	filter RepoFilter
	total  int64   // that match
	among  int64   // of the whole account, or of the one organization
	found  []int64 // after a search: the ids of all that match, where they are not many
}

func (r *Registry) repoListing(ctx context.Context, who iam.Caller, f RepoFilter) (*repoListing, error) {
	on := iam.Resource{Account: who.Account}
	if f.Org != "" {
		o, err := r.org(ctx, f.Org)
		if err != nil && !fault.Is(err, fault.OrgUnknown) {
			return nil, err
		}
		if err == nil && o.Account == who.Account {
			on.Name = o.Name // which a credential may be limited to
		}
	}
	if err := r.iam.Check(ctx, who, iam.ListRepos, on); err != nil {
		return nil, err
	}
	l := &repoListing{r: r, filter: f}
	if f.Category == "arms" {
		l.filter.Category = "arm"
	}
	if !inNames(f.Name) {
		return l, nil
	}
	var err error
	if l.scope, err = r.repoScope(ctx, who, f); err != nil || l.scope.nothing {
		return l, err
	}
	return l, l.count(ctx)
}

// repoScope finds out where to look.
func (r *Registry) repoScope(ctx context.Context, who iam.Caller, f RepoFilter) (repoScope, error) {
	s := repoScope{account: who.Account}
	admin, err := r.iam.Administers(ctx, who)
	if err != nil {
		return s, err
	}
	if !admin {
		s.user = who.User
	}
	if f.Org == "" {
		return s, nil
	}
	o, err := r.org(ctx, f.Org)
	switch {
	case err == nil && o.Account == who.Account:
		s.org, s.orgName = o.ID, o.Name
		// With a right on the organization all of it is seen.
		all, err := r.iam.May(ctx, who, iam.ListRepos, o.resource())
		if all {
			s.user = ""
		}
		return s, err
	case err != nil && !fault.Is(err, fault.OrgUnknown):
		return s, err
	}
	s.nothing = !f.OrgPart || !inNames(f.Org)
	s.orgLike = "%" + escapeLike(f.Org) + "%"
	return s, nil
}

// inNames reports whether names of repositories can contain s. The engines
// differ in whether a search heeds case, and names are lower-case.
func inNames(s string) bool {
	const runes = "abcdefghijklmnopqrstuvwxyz0123456789._-/"
	return len(s) <= 256 && strings.Trim(s, runes) == ""
}

func escapeLike(s string) string { return strings.ReplaceAll(s, "_", `\_`) }
