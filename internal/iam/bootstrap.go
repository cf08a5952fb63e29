package iam

import (
	"context"

	"berth.dev/berth/internal/db"
)

// FirstName names the first account and its administrator.
const FirstName = "admin"

// generatedSize is the length of a password made up for the first start.
const generatedSize = 24

// Bootstrap makes the first account, with an administrator, where there is no
// account. Without a password it makes one up and returns it: it is told this
// once. Errors: fault.Invalid for a password that is too short or too long.
func (a *Authority) Bootstrap(ctx context.Context, password string) (created bool, generated string, err error) {
	const count = `SELECT count(*) FROM account`
	if n, err := db.One[int64](ctx, a.db, count); err != nil || n > 0 {
		return false, "", err
	}
	if password == "" {
		generated = randomText(alphanumeric, generatedSize)
		password = generated
	}
	phc, err := a.newPassword(ctx, password)
	if err != nil {
		return false, "", err
	}
	account, project, user := newID(), newID(), newID()
	created, err = db.Update(ctx, a.db, func(tx *db.Tx) (bool, error) {
		if n, err := db.One[int64](tx.Context(), tx, count); err != nil || n > 0 {
			return false, err // another node was first
		}
		acc, err := a.insertAccount(tx, Operator(), account, project, NewAccount{Name: FirstName})
		if err != nil {
			return false, err
		}
		_, err = a.insertUser(tx, Operator(), acc, user, phc, NewUser{Name: FirstName, AccessMode: AnyAccess, Admin: true})
		return err == nil, err
	})
	if !created {
		generated = ""
	}
	return created, generated, err
}
