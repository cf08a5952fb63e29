package registry

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// Catalog lists the names of the repositories that the caller may pull from,
// those behind after. It merges sorted streams, each an indexed range: what the
// caller's account or organizations hold, single grants, what is public, and what public
// organizations hold.
func (r *Registry) Catalog(ctx context.Context, who iam.Caller, after string, n int) (Page[string], error) {
	n = clampPage(n)
	if n == 0 {
		return Page[string]{Items: []string{}}, nil
	}
	limits, err := r.iam.Limits(ctx, who)
	if err != nil {
		return Page[string]{}, err
	}
	var names []string
	if len(limits.In) == 0 {
		names, err = r.catalogOf(ctx, who, everything.behind(after), n+1)
	} else {
		names, err = r.limitedCatalog(ctx, who, limits.In, after, n+1)
	}
	return page(names, n), err
}

// catalogOf returns the first n names of a part of the catalog.
func (r *Registry) catalogOf(ctx context.Context, who iam.Caller, s span, n int) ([]string, error) {
	streams, err := r.catalogStreams(ctx, who, s, n)
	if err != nil {
		return nil, err
	}
	names := slices.Concat(streams...)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// limitedCatalog is the catalog for a credential that is limited to some
// organizations and repositories: of each of them the first n names behind after.
func (r *Registry) limitedCatalog(ctx context.Context, who iam.Caller, in []string, after string, n int) ([]string, error) {
	var names []string
	for _, name := range in {
		switch inside := strings.Contains(name, "/"); {
		case !inside && after < name+"0":
			more, err := r.catalogOf(ctx, who, span{name + "/", name + "0"}.behind(after), n)
			if err != nil {
				return nil, err
			}
			names = append(names, more...)
		case inside && after < name:
			err := r.May(ctx, who, oci.Name(name), iam.Pull)
			if err == nil {
				names = append(names, name)
			} else if !fault.Is(err, fault.RepoUnknown) && !fault.Is(err, fault.Denied) {
				return nil, err
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// A span is a part of the catalog: the names between two.
type span struct{ after, before string }

// everything is before no name, and behind those of deleted repositories.
var everything = span{"0", "{"}

// behind is the rest of the span behind a name.
func (s span) behind(name string) span { return span{max(s.after, name), s.before} }

// catalogStreams returns, of each source, the first n names of the span.
// A disabled user's token has failed before it comes here.
func (r *Registry) catalogStreams(ctx context.Context, who iam.Caller, s span, n int) ([][]string, error) {
	all := func(query string, args ...any) ([]string, error) {
		return db.All[string](ctx, r.db, query+` ORDER BY r.path LIMIT $3`, append([]any{s.after, s.before, n}, args...)...)
	}
	if who.System() {
		names, err := all(`SELECT r.path FROM repository r WHERE r.path > $1 AND r.path < $2`)
		return [][]string{names}, err
	}
	public, err := all(`SELECT r.path FROM repository r WHERE r.public AND r.path > $1 AND r.path < $2`)
	if err != nil {
		return nil, err
	}
	inPublic, err := r.namesInPublic(ctx, s, n)
	if err != nil || who.Anonymous() {
		return [][]string{public, inPublic}, err
	}
	admin, err := r.iam.Administers(ctx, who)
	if err != nil {
		return nil, err
	}
	if admin {
		own, err := all(`SELECT r.path FROM repository r WHERE r.account = $4 AND r.path > $1 AND r.path < $2`, who.Account)
		return [][]string{public, inPublic, own}, err
	}
	single, err := all(`SELECT r.path FROM repo_grant g JOIN repository r ON r.id = g.repository
		WHERE g.iam_user = $4 AND r.path > $1 AND r.path < $2`, who.User)
	if err != nil {
		return nil, err
	}
	granted, err := r.grantedNames(ctx, who, s, n)
	return [][]string{public, inPublic, single, granted}, err
}

// orgsAtOnce is how many organizations one statement looks into.
const orgsAtOnce = 16

// namesInPublic are those of public organizations. These are found in the order
// of their names with a slash, which is that of the names in them, each has a
// name to give, and of each no more than n are read.
func (r *Registry) namesInPublic(ctx context.Context, s span, n int) ([]string, error) {
	from := s.after
	if i := strings.IndexByte(from, '/'); i >= 0 {
		from = from[:i+1]
	}
	orgs, err := db.All[int64](ctx, r.db, `SELECT o.id FROM organization o WHERE o.public AND o.name || '/' >= $1 AND o.name || '/' < $3
			AND EXISTS (SELECT 1 FROM repository r WHERE r.organization = o.id AND r.path > $2 AND r.path < $3)
		ORDER BY o.name || '/' LIMIT $4`, from, s.after, s.before, n)
	if err != nil {
		return nil, err
	}
	var names []string
	for some := range slices.Chunk(orgs, orgsAtOnce) {
		if len(names) >= n {
			break
		}
		var q statement
		after, before, limit := q.arg(s.after), q.arg(s.before), q.arg(n-len(names))
		for i, org := range some {
			if i > 0 {
				q.WriteString(` UNION ALL `)
			}
			q.WriteString(`SELECT path FROM (SELECT r.path FROM repository r WHERE r.organization = ` + q.arg(org) +
				` AND r.path > ` + after + ` AND r.path < ` + before + ` ORDER BY r.path LIMIT ` + limit + `) o` + strconv.Itoa(i))
		}
		more, err := db.All[string](ctx, r.db, q.String()+` ORDER BY path LIMIT `+limit, q.args...)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	return names, nil
}

// grantedNames walks the organizations that the caller has a right on. The
// names of one organization are one range of the index, and these ranges
// follow each other in the order of the organizations' names with a slash.
func (r *Registry) grantedNames(ctx context.Context, who iam.Caller, s span, n int) ([]string, error) {
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
		if o.Name+"0" <= s.after || o.Name+"/" >= s.before { // "0" is the byte behind "/"
			continue
		}
		if len(names) >= n {
			break
		}
		more, err := db.All[string](ctx, r.db, `SELECT path FROM repository WHERE organization = $1 AND path > $2 AND path < $4 ORDER BY path LIMIT $3`, o.ID, s.after, n-len(names), s.before)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	return names, nil
}
