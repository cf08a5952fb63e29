package registry

import (
	"context"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// GrantOrg gives a user of the organization's account a right on it.
// Errors: OrgUnknown, UserUnknown, Invalid, Denied, Exists.
func (r *Registry) GrantOrg(ctx context.Context, who iam.Caller, org, user string, right iam.Right) error {
	return r.onOrg(ctx, who, org, user, func(tx *db.Tx, on iam.Resource, u iam.User) error {
		return r.iam.GrantOrg(tx, who, on, u.ID, right)
	})
}

// ChangeOrgGrant changes a right that a user has. Errors: as GrantOrg, GrantUnknown for Exists.
func (r *Registry) ChangeOrgGrant(ctx context.Context, who iam.Caller, org, user string, right iam.Right) error {
	return r.onOrg(ctx, who, org, user, func(tx *db.Tx, on iam.Resource, u iam.User) error {
		return r.iam.ChangeOrgGrant(tx, who, on, u.ID, right)
	})
}

// RevokeOrg takes a user's right on the organization away. Grants on single
// repositories stay. Errors: OrgUnknown, UserUnknown, GrantUnknown, Denied.
func (r *Registry) RevokeOrg(ctx context.Context, who iam.Caller, org, user string) error {
	return r.onOrg(ctx, who, org, user, func(tx *db.Tx, on iam.Resource, u iam.User) error {
		return r.iam.RevokeOrg(tx, who, on, u.ID)
	})
}

// OrgGrants lists the rights on an organization in the order in which they
// were granted, those with an id behind after.
func (r *Registry) OrgGrants(ctx context.Context, who iam.Caller, org string, after int64, n int) (iam.Page[iam.UserRight], error) {
	return db.View(ctx, r.db, func(tx *db.Tx) (iam.Page[iam.UserRight], error) {
		o, err := orgByName(tx.Context(), tx, org)
		if err != nil {
			return iam.Page[iam.UserRight]{}, err
		}
		return r.iam.OrgGrants(tx, who, o.resource(), after, clampPage(n))
	})
}

func (r *Registry) onOrg(ctx context.Context, who iam.Caller, org, user string, change func(*db.Tx, iam.Resource, iam.User) error) error {
	_, err := db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		o, err := orgByName(tx.Context(), tx, org)
		if err != nil {
			return none, err
		}
		if err := r.iam.Allow(tx, who, iam.GrantOrg, o.resource()); err != nil {
			return none, err // before it is told which users there are
		}
		u, err := iam.FindUser(tx.Context(), tx, o.Account, user)
		if err != nil {
			return none, err
		}
		return none, change(tx, o.resource(), u)
	})
	return err
}

// GrantRepo gives a user of the repository's account a right on it.
// Errors: RepoUnknown, UserUnknown, Invalid, Denied, Exists.
func (r *Registry) GrantRepo(ctx context.Context, who iam.Caller, name oci.Name, user string, right iam.Right) error {
	return r.onRepo(ctx, who, name, user, func(tx *db.Tx, on iam.Resource, u iam.User) error {
		return r.iam.GrantRepo(tx, who, on, u.ID, right)
	})
}

// ChangeRepoGrant changes a right that a user has. Errors: as GrantRepo, GrantUnknown for Exists.
func (r *Registry) ChangeRepoGrant(ctx context.Context, who iam.Caller, name oci.Name, user string, right iam.Right) error {
	return r.onRepo(ctx, who, name, user, func(tx *db.Tx, on iam.Resource, u iam.User) error {
		return r.iam.ChangeRepoGrant(tx, who, on, u.ID, right)
	})
}

// RevokeRepo takes a user's right on the repository away.
// Errors: RepoUnknown, UserUnknown, GrantUnknown, Denied.
func (r *Registry) RevokeRepo(ctx context.Context, who iam.Caller, name oci.Name, user string) error {
	return r.onRepo(ctx, who, name, user, func(tx *db.Tx, on iam.Resource, u iam.User) error {
		return r.iam.RevokeRepo(tx, who, on, u.ID)
	})
}

// RepoGrants lists the rights on a repository in the order in which they were
// granted, those with an id behind after.
func (r *Registry) RepoGrants(ctx context.Context, who iam.Caller, name oci.Name, after int64, n int) (iam.Page[iam.UserRight], error) {
	return db.View(ctx, r.db, func(tx *db.Tx) (iam.Page[iam.UserRight], error) {
		rp, err := r.repoFor(tx, who, name, iam.ShowRepoGrants)
		if err != nil {
			return iam.Page[iam.UserRight]{}, err
		}
		return r.iam.RepoGrants(tx, who, resource(&rp), after, clampPage(n))
	})
}

func (r *Registry) onRepo(ctx context.Context, who iam.Caller, name oci.Name, user string, change func(*db.Tx, iam.Resource, iam.User) error) error {
	_, err := db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		rp, err := r.repoFor(tx, who, name, iam.GrantRepo)
		if err != nil {
			return none, err
		}
		u, err := iam.FindUser(tx.Context(), tx, rp.Account, user)
		if err != nil {
			return none, err
		}
		if u.ID == who.User {
			return none, fault.New(fault.Denied, "Nobody grants a right on a repository to himself.")
		}
		return none, change(tx, resource(&rp), u)
	})
	return err
}
