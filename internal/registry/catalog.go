package registry

import (
	"cmp"
	"context"
	"slices"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
)

// Catalog lists the names of the repositories that the caller may pull from,
// those behind after. It merges sorted streams, each an indexed range: what the
// caller's account or organizations hold, single grants, and what is public.
func (r *Registry) Catalog(ctx context.Context, who iam.Caller, after string, n int) (Page[string], error) {
	n = clampPage(n)
	if n == 0 {
		return Page[string]{Items: []string{}}, nil
	}
	streams, err := r.catalogStreams(ctx, who, after, n+1)
	if err != nil {
		return Page[string]{}, err
	}
	names := slices.Concat(streams...)
	slices.Sort(names)
	return page(slices.Compact(names), n), nil
}

// catalogStreams returns, of each source, the first n names behind after.
// A disabled user's token has failed before it comes here.
func (r *Registry) catalogStreams(ctx context.Context, who iam.Caller, after string, n int) ([][]string, error) {
	after = max(after, "0") // before every name, and behind those of deleted repositories
	all := func(query string, args ...any) ([]string, error) {
		return db.All[string](ctx, r.db, query, append([]any{after, n}, args...)...)
	}
	if who.System() {
		names, err := all(`SELECT path FROM repository WHERE path > $1 ORDER BY path LIMIT $2`)
		return [][]string{names}, err
	}
	public, err := all(`SELECT path FROM repository WHERE public AND path > $1 ORDER BY path LIMIT $2`)
	if err != nil || who.Anonymous() {
		return [][]string{public}, err
	}
	admin, err := r.iam.Administers(ctx, who)
	if err != nil {
		return nil, err
	}
	if admin {
		own, err := all(`SELECT path FROM repository WHERE account = $3 AND path > $1 ORDER BY path LIMIT $2`, who.Account)
		return [][]string{public, own}, err
	}
	single, err := all(`SELECT r.path FROM repo_grant g JOIN repository r ON r.id = g.repository
		WHERE g.iam_user = $3 AND r.path > $1 ORDER BY r.path LIMIT $2`, who.User)
	if err != nil {
		return nil, err
	}
	granted, err := r.grantedNames(ctx, who, after, n)
	return [][]string{public, single, granted}, err
}

// grantedNames walks the organizations that the caller has a right on. The
// names of one organization are one range of the index, and these ranges
// follow each other in the order of the organizations' names with a slash.
func (r *Registry) grantedNames(ctx context.Context, who iam.Caller, after string, n int) ([]string, error) {
	type org struct {
		ID   int64
		Name string
	}
	orgs, err := db.All[org](ctx, r.db, `SELECT o.id, o.name FROM org_grant g JOIN organization o ON o.id = g.organization WHERE g.iam_user = $1`, who.User)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(orgs, func(a, b org) int { return cmp.Compare(a.Name+"/", b.Name+"/") })
	var names []string
	for _, o := range orgs {
		if o.Name+"0" <= after { // "0" is the byte behind "/"
			continue
		}
		if len(names) >= n {
			break
		}
		more, err := db.All[string](ctx, r.db, `SELECT path FROM repository WHERE organization = $1 AND path > $2 ORDER BY path LIMIT $3`, o.ID, after, n-len(names))
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	return names, nil
}
