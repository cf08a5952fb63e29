package registry

import (
	"context"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
)

// Repos lists the repositories of an organization that the caller may read, by
// name, those behind after: all of them with a right on the organization, else
// those that he has a right on. Errors: OrgUnknown, Denied for who may read none.
func (r *Registry) Repos(ctx context.Context, who iam.Caller, org, after string, n int) (Page[Repo], error) {
	o, err := orgByName(ctx, r.db, org)
	if err != nil {
		return Page[Repo]{}, err
	}
	all, err := r.iam.May(ctx, who, iam.ShowOrg, o.resource())
	if err != nil {
		return Page[Repo]{}, err
	}
	user := ""
	if !all {
		some, err := r.readsIn(ctx, who, o)
		if err == nil && !some {
			err = r.iam.Check(ctx, who, iam.ShowOrg, o.resource())
		}
		if err != nil {
			return Page[Repo]{}, err
		}
		user = who.User
	}
	n = clampPage(n)
	rows, err := db.All[repoView](ctx, r.db, `SELECT `+repoViewColumns+` FROM repository r
		WHERE r.organization = $1 AND r.path > $2
			AND ($4 = '' OR EXISTS (SELECT 1 FROM repo_grant g WHERE g.repository = r.id AND g.iam_user = $4))
		ORDER BY r.path LIMIT $3`, o.ID, org+"/"+after, n+1, user)
	if err != nil {
		return Page[Repo]{}, err
	}
	repos := make([]Repo, len(rows))
	for i, v := range rows {
		repos[i] = v.repo()
	}
	return page(repos, n), nil
}

// readsIn reports whether the caller, whose login is good, has a right on a
// repository of an organization of his account.
func (r *Registry) readsIn(ctx context.Context, who iam.Caller, o orgRow) (bool, error) {
	if o.Account != who.Account {
		return false, nil
	}
	good, err := r.iam.May(ctx, who, iam.ListRepos, iam.Resource{Account: who.Account})
	if err != nil || !good {
		return false, err
	}
	return db.One[bool](ctx, r.db, `SELECT EXISTS (SELECT 1 FROM repo_grant g JOIN repository r ON r.id = g.repository
		WHERE g.iam_user = $1 AND r.organization = $2)`, who.User, o.ID)
}
