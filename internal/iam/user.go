package iam

import (
	"context"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// A User belongs to one account. Administrators have every right in it.
type User struct {
	ID, Name             string
	Account, AccountName string
	Description          string
	Admin, Enabled       bool
	Password             bool // can log in by password
	Created              time.Time
}

type userRow struct {
	ID, Name             string
	Account, AccountName string
	Description          string
	Admin, Enabled       bool
	Password             bool
	Created              int64
}

func (r userRow) user() User {
	return User{ID: r.ID, Name: r.Name, Account: r.Account, AccountName: r.AccountName, Description: r.Description,
		Admin: r.Admin, Enabled: r.Enabled, Password: r.Password, Created: fromMicros(r.Created)}
}

const selectUser = `SELECT u.id, u.name, a.id, a.name, u.description, u.admin, u.enabled, u.password <> '', u.created
	FROM iam_user u JOIN account a ON a.id = u.account `

// FindUser looks a user up by the account's id and the user's name. It asks
// nobody's right. Errors: fault.UserUnknown.
func FindUser(ctx context.Context, q db.Querier, account, name string) (User, error) {
	row, err := db.One[userRow](ctx, q, selectUser+`WHERE u.account = $1 AND u.name = $2`, account, name)
	if errors.Is(err, db.ErrNone) {
		return User{}, fault.New(fault.UserUnknown, "There is no user %s in the account.", name)
	}
	return row.user(), err
}

// manageUser finds a user and decides whether the caller may do this to him.
// Only those who may manage the account learn that a user does not exist.
func (a *Authority) manageUser(tx *db.Tx, who Caller, do Action, account, name, lock string) (User, error) {
	acc, err := lookAccount(tx, who, account, lock)
	if err != nil {
		return User{}, err
	}
	u, unknown := FindUser(tx.Context(), tx, acc.ID, name)
	if unknown != nil && !fault.Is(unknown, fault.UserUnknown) {
		return User{}, unknown
	}
	if err := a.Allow(tx, who, do, Resource{Account: acc.ID, User: u.ID}); err != nil {
		return User{}, err
	}
	return u, unknown
}

// CreateUser makes a user. Without a password he logs in by access keys only.
// Errors: Denied, AccountUnknown, Invalid, Exists, TooMany.
func (a *Authority) CreateUser(ctx context.Context, who Caller, account, name, password string, admin bool) (User, error) {
	if err := checkName("a user", name); err != nil {
		return User{}, err
	}
	phc, err := a.newPassword(ctx, password)
	if err != nil {
		return User{}, err
	}
	id := newID()
	return db.Update(ctx, a.db, func(tx *db.Tx) (User, error) {
		acc, err := a.manage(tx, who, CreateUser, account, "")
		if err != nil {
			return User{}, err
		}
		return a.insertUser(tx, who, acc, id, name, phc, admin)
	})
}

func (a *Authority) newPassword(ctx context.Context, password string) (phc string, err error) {
	if err := checkPassword(password); err != nil || password == "" {
		return "", err
	}
	return a.hasher.hash(ctx, password)
}

func (a *Authority) insertUser(tx *db.Tx, who Caller, acc Account, id, name, phc string, admin bool) (User, error) {
	made, err := tx.Exec(`INSERT INTO iam_user (id, account, name, password, version, admin, enabled, description, created)
		VALUES ($1, $2, $3, $4, 1, $5, true, '', $6) ON CONFLICT (account, name) DO NOTHING`,
		id, acc.ID, name, phc, admin, tx.Micros())
	if err != nil {
		return User{}, err
	}
	if made == 0 {
		return User{}, fault.New(fault.Exists, "A user with the name %s exists already.", name)
	}
	if err := a.changed(tx, who, acc.ID, CreateUser, name); err != nil {
		return User{}, err
	}
	return FindUser(tx.Context(), tx, acc.ID, name)
}

// User shows a user. Errors: Denied, AccountUnknown, UserUnknown.
func (a *Authority) User(ctx context.Context, who Caller, account, name string) (User, error) {
	return db.View(ctx, a.db, func(tx *db.Tx) (User, error) {
		return a.manageUser(tx, who, ShowUser, account, name, "")
	})
}

// Users lists the users of an account by name, those behind after. Errors:
// Denied, AccountUnknown.
func (a *Authority) Users(ctx context.Context, who Caller, account, after string, n int) (Page[User], error) {
	n = clampPage(n)
	rows, err := db.View(ctx, a.db, func(tx *db.Tx) ([]userRow, error) {
		acc, err := a.manage(tx, who, ListUsers, account, "")
		if err != nil {
			return nil, err
		}
		return db.All[userRow](tx.Context(), tx, selectUser+`WHERE u.account = $1 AND u.name > $2 ORDER BY u.name LIMIT $3`, acc.ID, after, n+1)
	})
	return page(rows, n, userRow.user), err
}

// change runs one change of a user, in order with all others of the account.
func (a *Authority) change(ctx context.Context, who Caller, do Action, account, name, note string, apply func(*db.Tx, User) error) error {
	_, err := db.Update(ctx, a.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		u, err := a.manageUser(tx, who, do, account, name, tx.ForUpdate())
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
// login by the old one ends, refresh tokens too; tokens end with their life.
// Users may set their own. Errors: Denied, AccountUnknown, UserUnknown,
// Invalid, TooMany.
func (a *Authority) SetPassword(ctx context.Context, who Caller, account, user, password string) error {
	phc, err := a.newPassword(ctx, password)
	if err != nil {
		return err
	}
	return a.change(ctx, who, SetPassword, account, user, "", func(tx *db.Tx, u User) error {
		_, err := tx.Exec(`UPDATE iam_user SET password = $2, version = version + 1 WHERE id = $1`, u.ID, phc)
		return err
	})
}

// SetUserEnabled lets a user in or keeps him out, from the next call on.
// Errors: Denied, AccountUnknown, UserUnknown, InUse for the last
// administrator.
func (a *Authority) SetUserEnabled(ctx context.Context, who Caller, account, user string, on bool) error {
	return a.change(ctx, who, UpdateUser, account, user, state(on), func(tx *db.Tx, u User) error {
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
	return a.change(ctx, who, UpdateUser, account, user, " administrator"+state(on), func(tx *db.Tx, u User) error {
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
	return a.change(ctx, who, DeleteUser, account, user, "", func(tx *db.Tx, u User) error {
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
