package registry

import (
	"context"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// A Grant is a right for a user by his id. UserName may be left out; where it
// is given it must be the user's.
type Grant struct {
	User, UserName string
	Right          iam.Right
}

// Rights are who may do what on an organization or a repository.
type Rights struct {
	ID          int64
	Name        string // of the repository without its organization
	CreatorName string
	Own         iam.Right       // of the caller
	Users       []iam.UserRight // in the order of granting
}

// maxGrants bounds the rights that one call changes.
const maxGrants = 500

// GrantOrgRights gives users rights on an organization: all of them or none.
// Errors: OrgUnknown, Denied, RightInvalid, UserUnknown, Exists, Invalid.
func (r *Registry) GrantOrgRights(ctx context.Context, who iam.Caller, org string, grants []Grant) error {
	return r.orgRights(ctx, who, org, iam.GrantOrg, grants, r.iam.GrantOrg)
}

// ChangeOrgRights changes rights that users have: all of them or none.
// Errors: as GrantOrgRights, with GrantUnknown for Exists.
func (r *Registry) ChangeOrgRights(ctx context.Context, who iam.Caller, org string, grants []Grant) error {
	return r.orgRights(ctx, who, org, iam.ChangeOrgGrant, grants, r.iam.ChangeOrgGrant)
}

// GrantRepoRights gives users, and not the caller himself, rights on a
// repository. Errors: RepoUnknown, and those of GrantOrgRights.
func (r *Registry) GrantRepoRights(ctx context.Context, who iam.Caller, name oci.Name, grants []Grant) error {
	return r.repoRights(ctx, who, name, iam.GrantRepo, grants, r.iam.GrantRepo)
}

// ChangeRepoRights changes rights that users have. Errors: as GrantRepoRights,
// with GrantUnknown for Exists.
func (r *Registry) ChangeRepoRights(ctx context.Context, who iam.Caller, name oci.Name, grants []Grant) error {
	return r.repoRights(ctx, who, name, iam.ChangeRepoGrant, grants, r.iam.ChangeRepoGrant)
}

// setRight is one of the methods of iam that store a right.
type setRight func(tx *db.Tx, who iam.Caller, on iam.Resource, userID string, right iam.Right) error

func (r *Registry) orgRights(ctx context.Context, who iam.Caller, org string, do iam.Action, grants []Grant, set setRight) error {
	return r.update(ctx, func(tx *db.Tx) error {
		o, err := orgByName(tx.Context(), tx, org)
		if err != nil {
			return err
		}
		if err := lockOrg(tx, o); err != nil {
			return err
		}
		return r.setRights(tx, who, o.resource(), do, grants, set)
	})
}

func (r *Registry) repoRights(ctx context.Context, who iam.Caller, name oci.Name, do iam.Action, grants []Grant, set setRight) error {
	return r.update(ctx, func(tx *db.Tx) error {
		rp, err := r.repoFor(tx, who, name, do)
		if err != nil {
			return err
		}
		if err := lockRepo(tx, rp.ID, name, tx.ForKeyShare()); err != nil {
			return err
		}
		return r.setRights(tx, who, resource(&rp), do, grants, set)
	})
}

func (r *Registry) setRights(tx *db.Tx, who iam.Caller, on iam.Resource, do iam.Action, grants []Grant, set setRight) error {
	if err := r.iam.Allow(tx, who, do, on); err != nil {
		return err // before it is told which users there are
	}
	if len(grants) > maxGrants {
		return fault.New(fault.Invalid, "One call changes at most %d rights.", maxGrants)
	}
	for _, g := range grants {
		if !g.Right.Valid() {
			return fault.New(fault.RightInvalid, "The right of the user %s is 1 (read), 3 (edit) or 7 (manage), not %d.", shown(g.User), g.Right)
		}
		if err := r.iam.CheckUser(tx, on.Account, g.User, g.UserName); err != nil {
			return err
		}
		if err := set(tx, who, on, g.User, g.Right); err != nil {
			return err
		}
	}
	return nil
}

// RevokeOrgRights takes the rights of users on an organization away. Those who
// have none are passed over. Errors: OrgUnknown, Denied, Invalid.
func (r *Registry) RevokeOrgRights(ctx context.Context, who iam.Caller, org string, users []string) error {
	return r.update(ctx, func(tx *db.Tx) error {
		o, err := orgByName(tx.Context(), tx, org)
		if err != nil {
			return err
		}
		if err := r.iam.Allow(tx, who, iam.RevokeOrg, o.resource()); err != nil {
			return err // also where there is nobody to revoke
		}
		return revokeAll(tx, who, o.resource(), users, r.iam.RevokeOrg)
	})
}

// RevokeRepoRights takes the rights of users on a repository away, as
// RevokeOrgRights does. Errors: RepoUnknown, Denied, Invalid.
func (r *Registry) RevokeRepoRights(ctx context.Context, who iam.Caller, name oci.Name, users []string) error {
	return r.update(ctx, func(tx *db.Tx) error {
		rp, err := r.repoFor(tx, who, name, iam.RevokeRepo)
		if err != nil {
			return err
		}
		return revokeAll(tx, who, resource(&rp), users, r.iam.RevokeRepo)
	})
}

func revokeAll(tx *db.Tx, who iam.Caller, on iam.Resource, users []string, revoke func(*db.Tx, iam.Caller, iam.Resource, string) error) error {
	if len(users) > maxGrants {
		return fault.New(fault.Invalid, "One call takes at most %d rights.", maxGrants)
	}
	for _, u := range users {
		if !iam.IsName(u) { // ids have the form of names
			continue
		}
		err := revoke(tx, who, on, u)
		if err != nil && !fault.Is(err, fault.GrantUnknown) && !fault.Is(err, fault.UserUnknown) {
			return err
		}
	}
	return nil
}

// update runs a change without a result.
func (r *Registry) update(ctx context.Context, fn func(*db.Tx) error) error {
	_, err := db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) { return struct{}{}, fn(tx) })
	return err
}

// OrgWithRight shows an organization and the caller's right on it.
// Errors: OrgUnknown, Denied, Unauthorized.
func (r *Registry) OrgWithRight(ctx context.Context, who iam.Caller, name string) (Org, iam.Right, error) {
	type result struct {
		org   Org
		right iam.Right
	}
	out, err := db.View(ctx, r.db, func(tx *db.Tx) (result, error) {
		o, err := orgByName(tx.Context(), tx, name)
		if err != nil {
			return result{}, err
		}
		if err := r.iam.Allow(tx, who, iam.ShowOrg, o.resource()); err != nil {
			return result{}, err
		}
		if o.Kind != "" {
			return result{}, noOrg(name)
		}
		right, _, err := r.iam.RightOn(tx, who, o.resource())
		return result{o.org(), right}, err
	})
	return out.org, out.right, err
}

// OrgRights tells who may do what on an organization.
// Errors: OrgUnknown, Denied, Unauthorized.
func (r *Registry) OrgRights(ctx context.Context, who iam.Caller, org string) (Rights, error) {
	return db.View(ctx, r.db, func(tx *db.Tx) (Rights, error) {
		o, err := orgByName(tx.Context(), tx, org)
		if err != nil {
			return Rights{}, err
		}
		out := Rights{ID: o.ID, Name: o.Name, CreatorName: o.CreatorName}
		if out.Users, err = allRights(tx, who, o.resource(), r.iam.OrgGrants); err != nil {
			return Rights{}, err
		}
		out.Own, _, err = r.iam.RightOn(tx, who, o.resource())
		return out, err
	})
}

// RepoRights tells who may do what on a repository; the caller's own right is
// the greater of those on repository and organization.
// Errors: RepoUnknown, Denied, Unauthorized.
func (r *Registry) RepoRights(ctx context.Context, who iam.Caller, name oci.Name) (Rights, error) {
	return db.View(ctx, r.db, func(tx *db.Tx) (Rights, error) {
		rp, err := r.repoFor(tx, who, name, iam.ShowRepoGrants)
		if err != nil {
			return Rights{}, err
		}
		out := Rights{ID: rp.ID, Name: name.Repository()}
		if out.Users, err = allRights(tx, who, resource(&rp), r.iam.RepoGrants); err != nil {
			return Rights{}, err
		}
		org, repo, err := r.iam.RightOn(tx, who, resource(&rp))
		out.Own = max(org, repo)
		return out, err
	})
}

// maxRights bounds a list of rights, which clients cannot page through.
const maxRights = 10000

func allRights(tx *db.Tx, who iam.Caller, on iam.Resource, list func(*db.Tx, iam.Caller, iam.Resource, int64, int) (iam.Page[iam.UserRight], error)) ([]iam.UserRight, error) {
	var all []iam.UserRight
	for after := int64(0); len(all) < maxRights; after = all[len(all)-1].ID {
		p, err := list(tx, who, on, after, iam.MaxPage)
		if err != nil {
			return nil, err
		}
		all = append(all, p.Items...)
		if !p.More {
			break
		}
	}
	return all, nil
}
