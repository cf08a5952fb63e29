package registry

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

type orgRow struct {
	ID          int64
	Account     string
	Name        string
	Creator     string
	CreatorName string
	Created     int64
	Public      bool
	Description string
	Kind        string // "": for images; chart
	Charts      int64  // changes of tags in a chart group
}

const orgColumns = `id, account, name, creator, creator_name, created, public, description, kind, charts`

// orgColumnsOf are the same of a table called o.
const orgColumnsOf = `o.id, o.account, o.name, o.creator, o.creator_name, o.created, o.public, o.description, o.kind, o.charts`

const kindChart = "chart"

func (o orgRow) org() Org {
	return Org{ID: o.ID, Account: o.Account, Name: o.Name, Creator: o.Creator, CreatorName: o.CreatorName, Created: fromMicros(o.Created), Public: o.Public, Description: o.Description, Charts: o.Kind == kindChart}
}

func (o orgRow) resource() iam.Resource {
	return iam.Resource{Account: o.Account, Organization: o.ID, Public: o.Public, Name: o.Name}
}

func orgByName(ctx context.Context, q db.Querier, name string) (orgRow, error) {
	o, err := db.One[orgRow](ctx, q, `SELECT `+orgColumns+` FROM organization WHERE name = $1`, name)
	if errors.Is(err, db.ErrNone) {
		return o, fault.New(fault.OrgUnknown, "The organization %s does not exist.", name)
	}
	return o, err
}

// org reads an organization's row, through the cache where that is exact.
func (r *Registry) org(ctx context.Context, name string) (orgRow, error) {
	if !r.db.Exact() {
		return orgByName(ctx, r.db, name)
	}
	return cached(r.cache, orgKey(name), func() (orgRow, int, error) {
		o, err := orgByName(ctx, r.db, name)
		return o, 256, err
	})
}

// orgIn reads an organization's row inside a transaction, from the cache where
// that says the same.
func (r *Registry) orgIn(tx *db.Tx, name string) (orgRow, error) {
	if o, ok := peekIn[orgRow](tx, r.cache, orgKey(name)); ok {
		return o, nil
	}
	return orgByName(tx.Context(), tx, name)
}

// CreateOrg makes a private organization. Errors: as AddOrg.
func (r *Registry) CreateOrg(ctx context.Context, who iam.Caller, name string) (Org, error) {
	return r.AddOrg(ctx, who, OrgSpec{Name: name})
}

// AddOrg makes an organization in the caller's account. The caller gets the
// right 7 on it. Names are unique in the whole installation.
//
// Errors: NameInvalid, Reserved, Invalid, TooLong, Denied, Quota, Exists.
func (r *Registry) AddOrg(ctx context.Context, who iam.Caller, s OrgSpec) (Org, error) {
	var err error
	if s.Name, err = oci.ParseOrganization(s.Name); err != nil {
		return Org{}, err
	}
	if err := checkOrgDescription(s.Description); err != nil {
		return Org{}, err
	}
	return db.Update(ctx, r.db, func(tx *db.Tx) (Org, error) {
		o, err := r.createOrg(tx, who, s)
		return o.org(), err
	})
}

func (r *Registry) createOrg(tx *db.Tx, who iam.Caller, s OrgSpec) (orgRow, error) {
	var none orgRow
	account, name := who.Account, s.Name
	if account == "" {
		return none, fault.New(fault.Invalid, "Say in which account the organization %s is to be.", name)
	}
	if err := r.iam.Allow(tx, who, iam.CreateOrg, iam.Resource{Account: account, Name: name}); err != nil {
		return none, err
	}
	if limit := int64(r.o.OrgsPerOwner); limit > 0 && !who.System() {
		if err := lockQuota(tx, account); err != nil {
			return none, err
		}
		now, err := used(tx.Context(), tx, account)
		if err != nil {
			return none, err
		}
		if now.orgs >= limit {
			return none, fault.New(fault.Quota, "The account has %d organizations, which is its quota: delete one before you create %s.", now.orgs, name).With("namespace")
		}
	}
	o, err := db.One[orgRow](tx.Context(), tx, `INSERT INTO organization (account, name, creator, creator_name, created, public, description)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO NOTHING RETURNING `+orgColumns,
		account, name, who.User, creatorName(who), tx.Micros(), s.Public, s.Description)
	if errors.Is(err, db.ErrNone) {
		return none, fault.New(fault.Exists, "An organization with the name %s exists already.", name)
	}
	if err != nil {
		return none, err
	}
	if who.User != "" {
		if err := r.iam.SetOrgGrant(tx, o.ID, who.User, iam.Manage); err != nil {
			return none, err
		}
	}
	if err := r.iam.Audit(tx, who, iam.CreateOrg, name, "ok"); err != nil {
		return none, err
	}
	if err := r.addUsage(tx, account, change{orgs: 1}); err != nil {
		return none, err
	}
	return o, r.iam.Raise(tx, account)
}

// Orgs lists the organizations that the caller has a right on, by name, those
// behind after. An account's administrator sees all of the account; Berth
// itself and its operator see all.
func (r *Registry) Orgs(ctx context.Context, who iam.Caller, after string, n int) (Page[Org], error) {
	n = clampPage(n)
	var q string
	args := []any{after, n + 1}
	switch admin, err := r.iam.Administers(ctx, who); {
	case err != nil:
		return Page[Org]{}, err
	case who.System():
		q = `SELECT ` + orgColumns + ` FROM organization WHERE kind = '' AND name > $1 ORDER BY name LIMIT $2`
	case admin:
		q = `SELECT ` + orgColumns + ` FROM organization WHERE kind = '' AND account = $3 AND name > $1 ORDER BY name LIMIT $2`
		args = append(args, who.Account)
	default:
		q = `SELECT ` + orgColumnsOf + ` FROM org_grant g JOIN organization o ON o.id = g.organization
			WHERE g.iam_user = $3 AND o.kind = '' AND o.name > $1 ORDER BY o.name LIMIT $2`
		args = append(args, who.User)
	}
	rows, err := db.All[orgRow](ctx, r.db, q, args...)
	if err != nil {
		return Page[Org]{}, err
	}
	orgs := make([]Org, len(rows))
	for i, o := range rows {
		orgs[i] = o.org()
	}
	return page(orgs, n), nil
}

// Org shows one organization. Errors: OrgUnknown, Denied, Unauthorized.
func (r *Registry) Org(ctx context.Context, who iam.Caller, name string) (Org, error) {
	o, err := orgByName(ctx, r.db, name)
	if err != nil {
		return Org{}, err
	}
	return o.org(), r.iam.Check(ctx, who, iam.ShowOrg, o.resource())
}

// DeleteOrg removes an organization that holds no repository.
// Errors: OrgUnknown, Denied, NotEmpty.
func (r *Registry) DeleteOrg(ctx context.Context, who iam.Caller, name string) error {
	_, err := db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		o, err := orgByName(tx.Context(), tx, name)
		if err != nil {
			return none, err
		}
		if o.Kind != "" {
			return none, noOrg(name)
		}
		return none, r.dropOrg(tx, who, o)
	})
	return err
}

// dropOrg removes an organization of either kind that holds no repository.
func (r *Registry) dropOrg(tx *db.Tx, who iam.Caller, o orgRow) error {
	if err := r.iam.Allow(tx, who, iam.DeleteOrg, o.resource()); err != nil {
		return err
	}
	// The row is locked before anyone looks for repositories; whoever
	// creates one locks it too.
	_, err := db.One[int64](tx.Context(), tx, `SELECT id FROM organization WHERE id = $1`+tx.ForUpdate(), o.ID)
	if errors.Is(err, db.ErrNone) {
		return fault.New(fault.OrgUnknown, "The organization %s does not exist.", o.Name)
	}
	if err != nil {
		return err
	}
	path, err := db.One[string](tx.Context(), tx, `SELECT path FROM repository WHERE organization = $1 LIMIT 1`, o.ID)
	if err == nil {
		return fault.New(fault.NotEmpty, "The organization %s still has repositories, %s among them; delete these first.", o.Name, path)
	}
	if !errors.Is(err, db.ErrNone) {
		return err
	}
	if err := r.dropHooks(tx, scopeOfOrg(o), o.Name); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM organization WHERE id = $1`, o.ID); err != nil {
		return err
	}
	tx.Invalidate(orgKey(o.Name))
	if err := r.iam.Audit(tx, who, iam.DeleteOrg, o.Name, "ok"); err != nil {
		return err
	}
	if o.Kind == "" {
		if err := r.addUsage(tx, o.Account, change{orgs: -1}); err != nil {
			return err
		}
	}
	// What stands there are zeros.
	if _, err := tx.Exec(`DELETE FROM repository_count WHERE account = $1 AND organization = $2`, o.Account, o.ID); err != nil {
		return err
	}
	return r.iam.Raise(tx, o.Account)
}

// creatorName is what a creator is called: Berth and its operator are no users.
func creatorName(who iam.Caller) string {
	if who.User == "" {
		return who.String()
	}
	return who.UserName
}
