package registry

import (
	"context"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// Share shows one rule. Errors: RepoUnknown, Denied, ShareUnknown.
func (r *Registry) Share(ctx context.Context, who iam.Caller, name oci.Name, id int64) (Share, error) {
	return r.showShare(ctx, who, name, iam.ShowShare, byShareID(id))
}

func (r *Registry) showShare(ctx context.Context, who iam.Caller, name oci.Name, do iam.Action, key shareKey) (Share, error) {
	return db.View(ctx, r.db, func(tx *db.Tx) (Share, error) {
		_, s, err := r.shareFor(tx, who, name, do, key, "")
		return s.share(name, tx.Micros()), err
	})
}

// maxShares bounds a list of rules, which clients cannot page through.
const maxShares = 10000

// Shares lists the rules of a repository, the oldest first.
// Errors: RepoUnknown, Denied.
func (r *Registry) Shares(ctx context.Context, who iam.Caller, name oci.Name) ([]Share, error) {
	return r.listShares(ctx, who, name, iam.ListShares, ``)
}

func (r *Registry) listShares(ctx context.Context, who iam.Caller, name oci.Name, do iam.Action, where string) ([]Share, error) {
	return db.View(ctx, r.db, func(tx *db.Tx) ([]Share, error) {
		rp, err := r.repoFor(tx, who, name, do)
		if err != nil {
			return nil, err
		}
		rows, err := db.All[shareRow](tx.Context(), tx, selectShare+where+` ORDER BY id LIMIT $2`, rp.ID, maxShares)
		out := make([]Share, len(rows))
		for i, s := range rows {
			out[i] = s.share(name, tx.Micros())
		}
		return out, err
	})
}

// The rules that are for one account have a door of their own, where they are
// found by the account's name and not by an id. They are the same rules.

func byAccountName(account string) shareKey {
	if !iam.IsName(account) {
		account = "" // nobody's, and nothing that SQL could stumble over
	}
	return shareKey{`AND account = $2 AND account <> ''`, account, "not been shared with this account"}
}

// ShareWithAccount shares a private repository with an account.
// Errors: as CreateShare.
func (r *Registry) ShareWithAccount(ctx context.Context, who iam.Caller, name oci.Name, account, deadline, description string) error {
	_, err := r.createShare(ctx, who, name, iam.CreateDomain, TargetAccount, account, SharePatch{&deadline, &description})
	return err
}

// ChangeAccountShare changes the rule for an account. Errors: as UpdateShare.
func (r *Registry) ChangeAccountShare(ctx context.Context, who iam.Caller, name oci.Name, account string, p SharePatch) error {
	return r.updateShare(ctx, who, name, iam.UpdateDomain, byAccountName(account), p)
}

// EndAccountShare ends the rule for an account. Errors: as DeleteShare.
func (r *Registry) EndAccountShare(ctx context.Context, who iam.Caller, name oci.Name, account string) error {
	return r.deleteShare(ctx, who, name, iam.DeleteDomain, byAccountName(account))
}

// AccountShare shows the rule for an account, and tells whether there is one.
// Errors: RepoUnknown, Denied.
func (r *Registry) AccountShare(ctx context.Context, who iam.Caller, name oci.Name, account string) (Share, bool, error) {
	s, err := r.showShare(ctx, who, name, iam.ShowDomain, byAccountName(account))
	if fault.Is(err, fault.ShareUnknown) {
		return Share{}, false, nil
	}
	return s, err == nil, err
}

// AccountShares lists the rules that are for one account each, the oldest
// first. Errors: RepoUnknown, Denied.
func (r *Registry) AccountShares(ctx context.Context, who iam.Caller, name oci.Name) ([]Share, error) {
	return r.listShares(ctx, who, name, iam.ListDomains, `AND account <> ''`)
}
