package server

import (
	"context"
	"strconv"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
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
	Description    *string `json:"description"`
	OrgID          *string `json:"org_id"`
	OrgPath        *string `json:"org_path"`
	Undelete       *string `json:"undelete"` // a time such as 14d; default: what the installation has
	RetentionGuard *string `json:"retention_guard"`
}

// AccountSettings are what an account has chosen for its repositories.
type AccountSettings struct {
	Name           string `json:"name"`
	Undelete       string `json:"undelete"`
	OwnUndelete    bool   `json:"own_undelete"` // else it is what the installation has
	RetentionGuard bool   `json:"retention_guard"`
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

// ChangeAccount describes a tenant (Named.Name), says where it stands in a
// directory of organizations, and changes its settings.
var ChangeAccount = Op[SetAccount, Account]{"account.set", func(ctx context.Context, c *core, in SetAccount) (Account, error) {
	p, err := in.patch()
	if err != nil {
		return Account{}, err
	}
	a, err := iam.FindAccount(ctx, c.db, in.Name)
	if err != nil {
		return Account{}, err
	}
	if in.Description != nil || in.OrgID != nil || in.OrgPath != nil {
		if a, err = c.iam.ChangeAccount(ctx, iam.Operator(), iam.AccountRef{ID: a.ID}, iam.AccountChange{Description: in.Description, OrgID: in.OrgID, OrgPath: in.OrgPath}); err != nil {
			return Account{}, err
		}
	}
	if p != (registry.SettingsPatch{}) {
		_, err = c.registry.ChangeSettings(ctx, iam.Operator().In(a), p)
	}
	return account(a), err
}}

// ShowSettings shows the settings of a tenant (Named.Name, empty: the first).
var ShowSettings = Op[Named, AccountSettings]{"account.settings", func(ctx context.Context, c *core, in Named) (AccountSettings, error) {
	a, err := iam.FindAccount(ctx, c.db, in.Name)
	if err != nil {
		return AccountSettings{}, err
	}
	s, err := c.registry.Settings(ctx, iam.Operator().In(a))
	undelete := durationValue(s.Undelete)
	return AccountSettings{a.Name, undelete.String(), s.OwnUndelete, s.RetentionGuard}, err
}}

// patch reads the settings that are to change.
func (s SetAccount) patch() (p registry.SettingsPatch, err error) {
	switch {
	case s.Undelete == nil:
	case *s.Undelete == "default":
		p.DefaultUndelete = true
	default:
		var d durationValue
		if err := d.Set(*s.Undelete); err != nil {
			return p, fault.New(fault.Invalid, "%v, nor default for what the installation has.", err)
		}
		p.Undelete = (*time.Duration)(&d)
	}
	if s.RetentionGuard != nil {
		on, err := strconv.ParseBool(*s.RetentionGuard)
		if err != nil {
			return p, fault.New(fault.Invalid, "The retention guard is true or false.")
		}
		p.RetentionGuard = &on
	}
	return p, nil
}

func account(a iam.Account) Account {
	return Account{ID: a.ID, Name: a.Name, Enabled: a.Enabled, Created: a.Created, Description: a.Description, OrgID: a.OrgID, OrgPath: a.OrgPath}
}
