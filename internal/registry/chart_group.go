package registry

import (
	"context"
	"errors"
	"regexp"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// A chart group is an organization whose kind is chart
// (docs/decisions/006-chart-groups.md).

const maxGroupName = 63

var groupName = regexp.MustCompile(`^[a-z]([a-z0-9]|-[a-z0-9])*$`)

// GroupSpec is what a caller says of a chart group that it creates.
type GroupSpec struct {
	Name        string
	Description string
	Public      bool // everyone pulls its charts, also without a login
}

// parseGroup checks the name of a chart group. Errors: NameInvalid, Reserved.
func parseGroup(s string) error {
	if len(s) > maxGroupName || !groupName.MatchString(s) {
		return fault.New(fault.NameInvalid, "The name of a chart group has 1 to %d lower-case letters and digits, starts with a letter, and may be parted by single hyphens.", maxGroupName)
	}
	_, err := oci.ParseOrganization(s)
	return err
}

// CreateChartGroup makes a chart group in the caller's account. The caller gets
// the right 7 on it. Errors: NameInvalid, Reserved, TooLong, Denied, Quota,
// Exists, also where an organization has the name.
func (r *Registry) CreateChartGroup(ctx context.Context, who iam.Caller, s GroupSpec) (Org, error) {
	if err := parseGroup(s.Name); err != nil {
		return Org{}, err
	}
	if err := checkOrgDescription(s.Description); err != nil {
		return Org{}, err
	}
	return db.Update(ctx, r.db, func(tx *db.Tx) (Org, error) {
		o, err := r.createGroup(tx, who, s)
		return o.org(), err
	})
}

func (r *Registry) createGroup(tx *db.Tx, who iam.Caller, s GroupSpec) (orgRow, error) {
	var none orgRow
	if who.Account == "" {
		return none, fault.New(fault.Invalid, "Say in which account the chart group %s is to be.", s.Name)
	}
	if err := r.iam.Allow(tx, who, iam.CreateOrg, iam.Resource{Account: who.Account, Name: s.Name}); err != nil {
		return none, err
	}
	if limit := int64(r.o.MaxGroups); limit > 0 && !who.System() {
		if err := lockQuota(tx, who.Account); err != nil {
			return none, err
		}
		n, err := db.One[int64](tx.Context(), tx, `SELECT count(*) FROM organization WHERE account = $1 AND kind = $2`, who.Account, kindChart)
		if err != nil {
			return none, err
		}
		if n >= limit {
			return none, fault.New(fault.Quota, "The account has %d chart groups, which is its quota: delete one before you create %s.", n, s.Name).With("namespace")
		}
	}
	o, err := db.One[orgRow](tx.Context(), tx, `INSERT INTO organization (account, name, creator, creator_name, created, public, description, kind)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING RETURNING `+orgColumns,
		who.Account, s.Name, who.User, creatorName(who), tx.Micros(), s.Public, s.Description, kindChart)
	if errors.Is(err, db.ErrNone) {
		return none, fault.New(fault.Exists, "An organization or a chart group with the name %s exists already.", s.Name)
	}
	if err != nil {
		return none, err
	}
	if who.User != "" {
		if err := r.iam.SetOrgGrant(tx, o.ID, who.User, iam.Manage); err != nil {
			return none, err
		}
	}
	if err := r.iam.Audit(tx, who, iam.CreateOrg, s.Name, "ok"); err != nil {
		return none, err
	}
	return o, r.iam.Raise(tx, who.Account)
}

// chartGroup reads the row of a chart group. Errors: OrgUnknown, also for an
// organization for images.
func chartGroup(ctx context.Context, q db.Querier, name string) (orgRow, error) {
	o, err := orgByName(ctx, q, name)
	if fault.Is(err, fault.OrgUnknown) || err == nil && o.Kind != kindChart {
		err = noGroup(name)
	}
	return o, err
}

func noGroup(name string) error {
	return fault.New(fault.OrgUnknown, "The chart group %s does not exist.", name)
}

// ListChartGroups lists the chart groups of the caller's account that the
// caller has a right on, by name, those behind after: all of them for an
// administrator. Errors: Denied, Unauthorized.
func (r *Registry) ListChartGroups(ctx context.Context, who iam.Caller, after string, n int) (Page[OrgItem], error) {
	return r.ListOrgs(ctx, who, OrgFilter{Visible: true, kind: kindChart}, after, n)
}

// ChartGroups lists the chart groups of all accounts, by name, those behind
// after. Only Berth and its operator may.
func (r *Registry) ChartGroups(ctx context.Context, who iam.Caller, after string, n int) (Page[Org], error) {
	if !who.System() {
		return Page[Org]{}, fault.New(fault.Denied, "Only the operator lists the chart groups of all accounts.")
	}
	n = clampPage(n)
	rows, err := db.All[orgRow](ctx, r.db, `SELECT `+orgColumns+` FROM organization WHERE kind = $1 AND name > $2 ORDER BY name LIMIT $3`, kindChart, after, n+1)
	if err != nil {
		return Page[Org]{}, err
	}
	groups := make([]Org, len(rows))
	for i, o := range rows {
		groups[i] = o.org()
	}
	return page(groups, n), nil
}

// ChartGroup shows a chart group and the caller's right on it. Errors:
// OrgUnknown, Denied, Unauthorized.
func (r *Registry) ChartGroup(ctx context.Context, who iam.Caller, name string) (OrgItem, error) {
	return db.View(ctx, r.db, func(tx *db.Tx) (OrgItem, error) {
		o, err := chartGroup(tx.Context(), tx, name)
		if err != nil {
			return OrgItem{}, err
		}
		if err := r.iam.Allow(tx, who, iam.ShowOrg, o.resource()); err != nil {
			return OrgItem{}, err
		}
		item := OrgItem{Org: o.org()}
		if item.Right, _, err = r.iam.RightOn(tx, who, o.resource()); err != nil {
			return OrgItem{}, err
		}
		if item.Repos, err = db.One[int64](tx.Context(), tx, `SELECT count(*) FROM repository WHERE organization = $1`, o.ID); err != nil {
			return OrgItem{}, err
		}
		item.Users, err = db.One[int64](tx.Context(), tx, `SELECT count(*) FROM org_grant WHERE organization = $1`, o.ID)
		return item, err
	})
}

// UpdateChartGroup changes a chart group. Errors: OrgUnknown, Denied, Invalid,
// TooLong.
func (r *Registry) UpdateChartGroup(ctx context.Context, who iam.Caller, name string, p OrgPatch) error {
	if err := p.check(); err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		o, err := chartGroup(tx.Context(), tx, name)
		if err == nil {
			_, err = r.changeOrg(tx, who, o, p)
		}
		if fault.Is(err, fault.OrgUnknown) {
			err = noGroup(name)
		}
		return err
	})
}
