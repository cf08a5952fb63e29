package iam

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// UserChange is what an administrator changes of a user; nil stays as it is.
// An empty password means none.
type UserChange struct {
	Name, Password, Description *string
	Email, AreaCode, Phone      *string
	AccessMode                  *AccessMode
	Enabled, Reset              *bool
}

func (c *UserChange) check() error {
	if c.Name != nil {
		if err := checkName("a user", *c.Name); err != nil {
			return err
		}
	}
	if c.Description != nil {
		if err := checkDescription(*c.Description); err != nil {
			return err
		}
	}
	if c.AccessMode != nil {
		return c.AccessMode.check()
	}
	return nil
}

// ChangeUser changes a user, all of it or nothing. Another name or password
// ends every login by the old one, as SetPassword does. Errors: Denied,
// AccountUnknown, UserUnknown, Invalid, Exists, TooMany, InUse for the last
// administrator.
func (a *Authority) ChangeUser(ctx context.Context, who Caller, ref UserRef, c UserChange) (User, error) {
	if err := c.check(); err != nil {
		return User{}, err
	}
	if err := a.Check(ctx, who, UpdateUser, Resource{Account: who.Account}); err != nil {
		return User{}, err // before a password is hashed for him
	}
	phc := ""
	if c.Password != nil {
		var err error
		if phc, err = a.newPassword(ctx, *c.Password); err != nil {
			return User{}, err
		}
	}
	return db.Update(ctx, a.db, func(tx *db.Tx) (User, error) {
		u, err := a.manageUser(tx, who, UpdateUser, ref, tx.ForUpdate())
		if err != nil {
			return User{}, err
		}
		note, err := c.apply(tx, u, phc)
		if err != nil {
			return User{}, err
		}
		if err := a.changed(tx, who, u.Account, UpdateUser, u.Name+note); err != nil {
			return User{}, err
		}
		return findUser(tx.Context(), tx, u.Account, UserRef{ID: u.ID})
	})
}

// apply returns what the audit says of it.
func (c *UserChange) apply(tx *db.Tx, u User, phc string) (note string, err error) {
	set := func(err error, sql string, args ...any) error {
		if err == nil {
			_, err = tx.Exec(sql, append([]any{u.ID}, args...)...)
		}
		return err
	}
	if c.Name != nil && *c.Name != u.Name {
		note += " now " + *c.Name
		err = set(freeName(tx, u.Account, *c.Name), `UPDATE iam_user SET name = $2, version = version + 1 WHERE id = $1`, *c.Name)
	}
	if c.Password != nil {
		note += " password"
		if err == nil {
			err = endTemporary(tx, u.ID)
		}
		err = set(err, `UPDATE iam_user SET password = $2, version = version + 1 WHERE id = $1`, phc)
	}
	if c.Description != nil {
		err = set(err, `UPDATE iam_user SET description = $2 WHERE id = $1`, *c.Description)
	}
	if c.AccessMode != nil {
		err = set(err, `UPDATE iam_user SET access_mode = $2 WHERE id = $1`, string(*c.AccessMode))
	}
	if c.Reset != nil {
		err = set(err, `UPDATE iam_user SET reset = $2 WHERE id = $1`, *c.Reset)
	}
	if contact := c.contact(u.Contact); contact != u.Contact {
		if err == nil {
			err = contact.check()
		}
		err = set(err, `UPDATE iam_user SET email = $2, areacode = $3, phone = $4 WHERE id = $1`, contact.Email, contact.AreaCode, contact.Phone)
	}
	if c.Enabled != nil && *c.Enabled != u.Enabled {
		note += state(*c.Enabled)
		if err == nil && !*c.Enabled {
			err = keepAdmin(tx, u)
		}
		err = set(err, `UPDATE iam_user SET enabled = $2 WHERE id = $1`, *c.Enabled)
	}
	return note, err
}

// freeName refuses a name that another user of the account has.
func freeName(tx *db.Tx, account, name string) error {
	_, err := FindUser(tx.Context(), tx, account, name)
	switch {
	case fault.Is(err, fault.UserUnknown):
		return nil
	case err == nil:
		return fault.New(fault.Exists, "A user with the name %s exists already.", name)
	}
	return err
}

// ChangeOwnPassword gives the caller another password, for the one that is
// valid: a token that was left open somewhere is not enough. Errors:
// Unauthorized with WrongPassword, Invalid, TooMany.
func (a *Authority) ChangeOwnPassword(ctx context.Context, who Caller, original, password, addr string) error {
	if err := forUsers(who); err != nil {
		return err
	}
	if password == "" {
		return checkPassword("-")
	}
	if err := checkPassword(password); err != nil {
		return err
	}
	same, _, err := a.login(ctx, who.AccountName+"/"+who.UserName, original, addr)
	if err == nil && same.User != who.User {
		err = errors.New("iam: another user has logged in")
	}
	if err != nil {
		return err
	}
	return a.setPassword(ctx, who, UserRef{ID: who.User}, password)
}
