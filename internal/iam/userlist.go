package iam

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// User shows a user. Errors: Denied, AccountUnknown, UserUnknown.
func (a *Authority) User(ctx context.Context, who Caller, account, name string) (User, error) {
	return db.View(ctx, a.db, func(tx *db.Tx) (User, error) {
		return a.manageUser(tx, who, ShowUser, named(account, name), "")
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

// UserByID shows a user of the caller's account. Errors: Denied, UserUnknown.
func (a *Authority) UserByID(ctx context.Context, who Caller, id string) (User, error) {
	return db.View(ctx, a.db, func(tx *db.Tx) (User, error) {
		return a.manageUser(tx, who, ShowUser, UserRef{ID: id}, "")
	})
}

// UserQuery asks for users by name, those behind After. Zero members ask for
// nothing.
type UserQuery struct {
	Name    string
	Enabled *bool
	After   string
	Limit   int
}

// FindUsers lists users of the caller's account by name: all to
// administrators, himself to everybody else. Errors: Unauthorized.
func (a *Authority) FindUsers(ctx context.Context, who Caller, q UserQuery) (Page[User], error) {
	if q.After != "" && !isName(q.After) {
		return Page[User]{}, fault.New(fault.PageInvalid, "The marker of a page is the name of the last user of the one before.")
	}
	all, err := a.May(ctx, who, ListUsers, Resource{Account: who.Account})
	if err == nil && !all {
		err = a.Check(ctx, who, ShowUser, Resource{Account: who.Account, User: who.User})
	}
	if err != nil {
		return Page[User]{}, err
	}
	if q.Name != "" && !isName(q.Name) {
		return Page[User]{Items: []User{}}, nil
	}
	only := who.User
	if all {
		only = ""
	}
	n := clampPage(q.Limit)
	off, on := q.Enabled != nil && !*q.Enabled, q.Enabled != nil && *q.Enabled
	rows, err := db.All[userRow](ctx, a.db, selectUser+`WHERE u.account = $1 AND u.name > $2 AND ($3 = '' OR u.name = $3) AND ($4 = '' OR u.id = $4)
		AND (u.enabled OR NOT $5) AND (NOT u.enabled OR NOT $6) ORDER BY u.name LIMIT $7`,
		who.Account, q.After, q.Name, only, on, off, n+1)
	return page(rows, n, userRow.user), err
}

// FirstAdministrator returns the name of the administrator of an account who is
// enabled and was there first. Errors: Denied, AccountUnknown, UserUnknown.
func (a *Authority) FirstAdministrator(ctx context.Context, who Caller, account string) (string, error) {
	return db.View(ctx, a.db, func(tx *db.Tx) (string, error) {
		acc, err := a.manage(tx, who, ListUsers, account, "")
		if err != nil {
			return "", err
		}
		name, err := db.One[string](tx.Context(), tx, `SELECT name FROM iam_user WHERE account = $1 AND admin AND enabled ORDER BY created, name LIMIT 1`, acc.ID)
		if errors.Is(err, db.ErrNone) {
			err = fault.New(fault.UserUnknown, "The account %s has no administrator: name a user.", acc.Name)
		}
		return name, err
	})
}
