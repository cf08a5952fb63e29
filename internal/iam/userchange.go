package iam

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// change runs one change of a user, in order with all others of the account.
func (a *Authority) change(ctx context.Context, who Caller, do Action, ref UserRef, note string, apply func(*db.Tx, User) error) error {
	_, err := db.Update(ctx, a.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		u, err := a.manageUser(tx, who, do, ref, tx.ForUpdate())
		if err != nil {
			return none, err
		}
		if err := apply(tx, u); err != nil {
			return none, err
		}
		return none, a.changed(tx, who, u.Account, do, u.Name+note)
	})
	return err
}

// SetPassword gives a user another password, or none with the empty one. Every
// login by the old one ends, refresh tokens, tokens of the management API and
// what they made too; tokens of the registry end with their life.
// Users may set their own. Errors: Denied, AccountUnknown, UserUnknown,
// Invalid, TooMany.
func (a *Authority) SetPassword(ctx context.Context, who Caller, account, user, password string) error {
	return a.setPassword(ctx, who, named(account, user), password)
}

// named is the user with a name in the account with a name.
func named(account, user string) UserRef {
	return UserRef{Account: AccountRef{Name: account}, Name: user}
}

func (a *Authority) setPassword(ctx context.Context, who Caller, ref UserRef, password string) error {
	phc, err := a.newPassword(ctx, password)
	if err != nil {
		return err
	}
	return a.change(ctx, who, SetPassword, ref, "", func(tx *db.Tx, u User) error {
		if err := endTemporary(tx, u.ID); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE iam_user SET password = $2, version = version + 1 WHERE id = $1`, u.ID, phc)
		return err
	})
}

// SetUserEnabled lets a user in or keeps him out, from the next call on.
// Errors: Denied, AccountUnknown, UserUnknown, InUse for the last
// administrator.
func (a *Authority) SetUserEnabled(ctx context.Context, who Caller, account, user string, on bool) error {
	return a.change(ctx, who, UpdateUser, named(account, user), state(on), func(tx *db.Tx, u User) error {
		if !on {
			if err := keepAdmin(tx, u); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`UPDATE iam_user SET enabled = $2 WHERE id = $1`, u.ID, on)
		return err
	})
}

// SetAdmin makes a user an administrator of the account, or not one any more.
// Errors: as SetUserEnabled.
func (a *Authority) SetAdmin(ctx context.Context, who Caller, account, user string, on bool) error {
	return a.setAdmin(ctx, who, named(account, user), on)
}

// SetAdminByID is SetAdmin for a user of the caller's account. Errors: as
// SetUserEnabled.
func (a *Authority) SetAdminByID(ctx context.Context, who Caller, id string, on bool) error {
	return a.setAdmin(ctx, who, UserRef{ID: id}, on)
}

func (a *Authority) setAdmin(ctx context.Context, who Caller, ref UserRef, on bool) error {
	return a.change(ctx, who, UpdateUser, ref, " administrator"+state(on), func(tx *db.Tx, u User) error {
		if !on {
			if err := keepAdmin(tx, u); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`UPDATE iam_user SET admin = $2 WHERE id = $1`, u.ID, on)
		return err
	})
}

// DeleteUser removes a user with his keys and rights. What he made stays.
// Errors: as SetUserEnabled.
func (a *Authority) DeleteUser(ctx context.Context, who Caller, account, user string) error {
	return a.deleteUser(ctx, who, named(account, user))
}

// DeleteUserByID is DeleteUser for a user of the caller's account. Errors: as
// SetUserEnabled.
func (a *Authority) DeleteUserByID(ctx context.Context, who Caller, id string) error {
	return a.deleteUser(ctx, who, UserRef{ID: id})
}

func (a *Authority) deleteUser(ctx context.Context, who Caller, ref UserRef) error {
	return a.change(ctx, who, DeleteUser, ref, "", func(tx *db.Tx, u User) error {
		if err := keepAdmin(tx, u); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM access_key WHERE iam_user = $1`, u.ID); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM iam_user WHERE id = $1`, u.ID) // grants cascade
		return err
	})
}

// keepAdmin refuses to take the last administrator that is enabled from an
// account: nobody could manage it any more.
func keepAdmin(tx *db.Tx, u User) error {
	if !u.Admin || !u.Enabled {
		return nil
	}
	_, err := db.One[string](tx.Context(), tx, `SELECT id FROM iam_user WHERE account = $1 AND admin AND enabled AND id <> $2 LIMIT 1`, u.Account, u.ID)
	if errors.Is(err, db.ErrNone) {
		return fault.New(fault.InUse, "%s is the last administrator of the account %s: make another user one first.", u.Name, u.AccountName)
	}
	return err
}
