package iam

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// Credential shows an access credential, without its secret. Errors: Denied,
// KeyUnknown.
func (a *Authority) Credential(ctx context.Context, who Caller, id string) (Credential, error) {
	row, err := db.View(ctx, a.db, func(tx *db.Tx) (credentialRow, error) {
		return a.manageCredential(tx, who, ListCredentials, id)
	})
	if err != nil {
		return Credential{}, err
	}
	return a.credential(row)
}

// CredentialChange is what is changed of a credential; nil stays as it is.
type CredentialChange struct {
	Enabled     *bool
	Description *string
}

// ChangeCredential changes an access credential. What logged in by one that is
// switched off ends with the next request, and what it made ends for good.
// Errors: Denied, KeyUnknown, Invalid.
func (a *Authority) ChangeCredential(ctx context.Context, who Caller, id string, c CredentialChange) (Credential, error) {
	note := ""
	if c.Enabled != nil {
		note = state(*c.Enabled)
	}
	if c.Description != nil {
		if err := checkDescription(*c.Description); err != nil {
			return Credential{}, err
		}
	}
	row, err := db.Update(ctx, a.db, func(tx *db.Tx) (credentialRow, error) {
		k, err := a.manageCredential(tx, who, UpdateCredential, id)
		if err != nil {
			return k, err
		}
		if err := lasting(tx, who, "change access credentials"); err != nil {
			return k, err
		}
		if c.Enabled != nil && !*c.Enabled {
			// Whoever makes a key with it meanwhile has done so, or finds it switched off.
			if _, err := db.One[string](tx.Context(), tx, `SELECT access FROM access_key WHERE access = $1`+tx.ForUpdate(), id); errors.Is(err, db.ErrNone) {
				return k, noCredential(id)
			} else if err != nil {
				return k, err
			}
		}
		if c.Enabled != nil {
			k.Enabled = *c.Enabled
		}
		if c.Description != nil {
			k.Description = *c.Description
		}
		if _, err := tx.Exec(`UPDATE access_key SET enabled = $2, description = $3 WHERE access = $1`, id, k.Enabled, k.Description); err != nil {
			return k, err
		}
		if !k.Enabled {
			if err := endDescendants(tx, id); err != nil {
				return k, err
			}
		}
		return k, a.changed(tx, who, k.Account, UpdateCredential, id+" of "+k.UserName+note)
	})
	if err != nil {
		return Credential{}, err
	}
	return a.credential(row)
}

// DeleteCredential removes an access credential; what it made ends with it.
// Errors: Denied, KeyUnknown.
func (a *Authority) DeleteCredential(ctx context.Context, who Caller, id string) error {
	_, err := db.Update(ctx, a.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		k, err := a.manageCredential(tx, who, DeleteCredential, id)
		if err != nil {
			return none, err
		}
		// First this: whoever is about to make a key with it waits or has done so.
		if _, err := tx.Exec(`DELETE FROM access_key WHERE access = $1`, id); err != nil {
			return none, err
		}
		if err := endDescendants(tx, id); err != nil {
			return none, err
		}
		return none, a.changed(tx, who, k.Account, DeleteCredential, id+" of "+k.UserName)
	})
	return err
}

// manageCredential finds a credential and decides whether the caller may do
// this to it. One of another account answers as one that does not exist.
func (a *Authority) manageCredential(tx *db.Tx, who Caller, do Action, id string) (credentialRow, error) {
	k, err := credentialRow{}, db.ErrNone
	if isCredentialID(id) {
		k, err = db.One[credentialRow](tx.Context(), tx, selectCredential+`WHERE c.access = $1`, id)
	}
	unknown := errors.Is(err, db.ErrNone)
	if err != nil && !unknown {
		return k, err
	}
	if !who.System() && k.Account != who.Account {
		unknown = true
		k = credentialRow{Account: who.Account}
	}
	if err := a.Allow(tx, who, do, Resource{Account: k.Account, User: k.User}); err != nil {
		return k, err
	}
	if unknown {
		return k, noCredential(id)
	}
	return k, nil
}

func noCredential(id string) error {
	return fault.New(fault.KeyUnknown, "There is no access credential %s.", clip(id))
}
