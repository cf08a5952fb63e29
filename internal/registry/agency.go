package registry

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// An agency is an account's word that the registry may act for it. Berth acts
// with credentials that it was given for the purpose and needs no such word;
// it keeps it for clients that ask before they set something up.

// HasAgency tells whether the caller's account has given its word.
// Errors: Unauthorized.
func (r *Registry) HasAgency(ctx context.Context, who iam.Caller) (bool, error) {
	if err := r.iam.Check(ctx, who, iam.ListQuotas, iam.Resource{Account: who.Account}); err != nil {
		return false, err
	}
	_, err := db.One[int64](ctx, r.db, `SELECT created FROM agency WHERE account = $1`, who.Account)
	if errors.Is(err, db.ErrNone) {
		return false, nil
	}
	return err == nil, err
}

// CreateAgency gives the word of the caller's account, which its administrators
// may. Errors: Denied, Exists.
func (r *Registry) CreateAgency(ctx context.Context, who iam.Caller) error {
	if who.Account == "" {
		return fault.New(fault.Invalid, "Say which account it is that lets the registry act for it.")
	}
	return r.update(ctx, func(tx *db.Tx) error {
		if err := r.iam.Allow(tx, who, iam.CreateAgency, iam.Resource{Account: who.Account}); err != nil {
			return err
		}
		n, err := tx.Exec(`INSERT INTO agency (account, creator, created) VALUES ($1, $2, $3) ON CONFLICT (account) DO NOTHING`, who.Account, who.User, tx.Micros())
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Exists, "The account lets the registry act for it already.")
		}
		return r.iam.Audit(tx, who, iam.CreateAgency, who.AccountName, "ok")
	})
}
