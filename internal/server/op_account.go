package server

import (
	"context"
	"time"

	"berth.dev/berth/internal/iam"
)

// Account is a tenant as the command shows it.
type Account struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Enabled     bool      `json:"enabled"`
	Created     time.Time `json:"created"`
	Description string    `json:"description"`
	OrgID       string    `json:"org_id"`
	OrgPath     string    `json:"org_path"`
}

// SetAccount is the argument of ChangeAccount; null stays as it is.
type SetAccount struct {
	Named
	Description *string `json:"description"`
	OrgID       *string `json:"org_id"`
	OrgPath     *string `json:"org_path"`
}

// Named is the argument of operations on one thing.
type Named struct {
	Account string `json:"account"` // by name; empty: the first account
	Name    string `json:"name"`
}

// Switch turns something on or off.
type Switch struct {
	Named
	On bool `json:"on"`
}

// CreateAccount makes a tenant with its first project, and no user yet.
var CreateAccount = Op[Named, Account]{"account.create", func(ctx context.Context, c *core, in Named) (Account, error) {
	a, err := c.iam.CreateAccount(ctx, iam.Operator(), in.Name)
	return account(a), err
}}

// ListAccounts pages through all tenants by name.
var ListAccounts = Op[List, Page[Account]]{"account.list", func(ctx context.Context, c *core, in List) (Page[Account], error) {
	p, err := c.iam.Accounts(ctx, iam.Operator(), iam.AccountQuery{After: in.After, Limit: pageSize})
	return pageOf(p.Items, p.More, account, func(a iam.Account) string { return a.Name }), err
}}

// EnableAccount lets a tenant's users in, or keeps all of them out.
var EnableAccount = Op[Switch, None]{"account.enable", func(ctx context.Context, c *core, in Switch) (None, error) {
	return None{}, c.iam.SetAccountEnabled(ctx, iam.Operator(), in.Name, in.On)
}}

// ChangeAccount describes a tenant (Named.Name), and says where it stands in a
// directory of organizations.
var ChangeAccount = Op[SetAccount, Account]{"account.set", func(ctx context.Context, c *core, in SetAccount) (Account, error) {
	a, err := c.iam.ChangeAccount(ctx, iam.Operator(), iam.AccountRef{Name: in.Name}, iam.AccountChange{Description: in.Description, OrgID: in.OrgID, OrgPath: in.OrgPath})
	return account(a), err
}}

func account(a iam.Account) Account {
	return Account{ID: a.ID, Name: a.Name, Enabled: a.Enabled, Created: a.Created, Description: a.Description, OrgID: a.OrgID, OrgPath: a.OrgPath}
}
