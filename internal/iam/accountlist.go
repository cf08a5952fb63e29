package iam

import (
	"context"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// AccountQuery asks for accounts by name, those behind After. Zero members ask
// for nothing.
type AccountQuery struct {
	Name    string
	Enabled *bool
	After   string
	Limit   int
}

// Accounts lists the accounts of the installation by name. Errors: Denied,
// Unauthorized, PageInvalid.
func (a *Authority) Accounts(ctx context.Context, who Caller, q AccountQuery) (Page[Account], error) {
	if err := a.Check(ctx, who, ListAccounts, Resource{}); err != nil {
		return Page[Account]{}, err
	}
	if q.After != "" && !isName(q.After) {
		return Page[Account]{}, fault.New(fault.PageInvalid, "The marker of a page is the name of the last account of the one before.")
	}
	if q.Name != "" && !isName(q.Name) {
		return Page[Account]{Items: []Account{}}, nil
	}
	n := clampPage(q.Limit)
	off, on := q.Enabled != nil && !*q.Enabled, q.Enabled != nil && *q.Enabled
	rows, err := db.All[accountRow](ctx, a.db, selectAccount+`WHERE name > $1 AND ($2 = '' OR name = $2)
		AND (enabled OR NOT $3) AND (NOT enabled OR NOT $4) ORDER BY name LIMIT $5`, q.After, q.Name, on, off, n+1)
	return page(rows, n, accountRow.account), err
}

// AccountByID shows an account: to everybody his own, to those who administer
// the installation each. Errors: Denied, Unauthorized, AccountUnknown.
func (a *Authority) AccountByID(ctx context.Context, who Caller, id string) (Account, error) {
	return db.View(ctx, a.db, func(tx *db.Tx) (Account, error) {
		if err := a.Allow(tx, who, ShowAccount, Resource{Account: id}); err != nil {
			return Account{}, err
		}
		row, err := readAccount(tx.Context(), tx, AccountRef{ID: id}, "")
		return row.account(), err
	})
}
