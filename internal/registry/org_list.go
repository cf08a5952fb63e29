package registry

import (
	"context"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
)

// An OrgItem is an organization in a list.
type OrgItem struct {
	Org
	Right iam.Right // of the caller on the organization itself
	Repos int64
	Users int64 // with a right on it
}

// OrgFilter narrows a list of organizations.
type OrgFilter struct {
	Name    string // exactly this one; "": all
	Visible bool   // also those where the caller has a right on a repository only

	kind string // chart: groups of charts, and not of images
}

// ListOrgs lists the organizations of the caller's account that the caller has
// a right on, by name, those behind after: all of them for an administrator.
// Errors: Denied, Unauthorized.
func (r *Registry) ListOrgs(ctx context.Context, who iam.Caller, f OrgFilter, after string, n int) (Page[OrgItem], error) {
	if err := r.iam.Check(ctx, who, iam.ListOrgs, iam.Resource{Account: who.Account}); err != nil {
		return Page[OrgItem]{}, err
	}
	admin, err := r.iam.Administers(ctx, who)
	if err != nil {
		return Page[OrgItem]{}, err
	}
	n = clampPage(n)
	var s statement
	own, repos := `7`, `(SELECT CAST(coalesce(sum(c.n), 0) AS BIGINT) FROM repository_count c WHERE c.account = o.account AND c.organization = o.id)`
	if !admin {
		// Without a right on the organization only the repositories count that
		// there is one on.
		repos = `CASE WHEN EXISTS (SELECT 1 FROM org_grant g WHERE g.organization = o.id AND g.iam_user = ` + s.arg(who.User) + `) THEN ` + repos + `
			ELSE (SELECT count(*) FROM repo_grant g JOIN repository r ON r.id = g.repository WHERE r.organization = o.id AND g.iam_user = ` + s.arg(who.User) + `) END`
		own = `coalesce((SELECT g.auth FROM org_grant g WHERE g.organization = o.id AND g.iam_user = ` + s.arg(who.User) + `), 0)`
	}
	s.WriteString(`SELECT ` + orgColumnsOf + `, ` + own + `, ` + repos + `,
		(SELECT count(*) FROM org_grant g WHERE g.organization = o.id)
		FROM organization o WHERE o.account = ` + s.arg(who.Account) + ` AND o.kind = ` + s.arg(f.kind))
	if !admin {
		// What is granted is few beside what there is.
		s.WriteString(` AND o.id IN (SELECT g.organization FROM org_grant g WHERE g.iam_user = ` + s.arg(who.User))
		if f.Visible {
			s.WriteString(` UNION SELECT r.organization FROM repo_grant g JOIN repository r ON r.id = g.repository WHERE g.iam_user = ` + s.arg(who.User))
		}
		s.WriteString(`)`)
	}
	if f.Name != "" {
		s.WriteString(` AND o.name = ` + s.arg(f.Name))
	}
	s.WriteString(` AND o.name > ` + s.arg(after) + ` ORDER BY o.name LIMIT ` + s.arg(n+1))
	type row struct {
		orgRow
		Right        iam.Right
		Repos, Users int64
	}
	rows, err := db.All[row](ctx, r.db, s.String(), s.args...)
	if err != nil {
		return Page[OrgItem]{}, err
	}
	items := make([]OrgItem, len(rows))
	for i, o := range rows {
		if o.Right == iam.None {
			o.Users = 0
		}
		items[i] = OrgItem{o.org(), o.Right, o.Repos, o.Users}
	}
	return page(items, n), nil
}
