package server

import (
	"context"
	"time"

	"berth.dev/berth/internal/iam"
)

// AccessCredential is an access credential as the command shows it.
type AccessCredential struct {
	ID          string     `json:"id"`
	Secret      string     `json:"secret,omitempty"` // of a new one alone, this once
	User        string     `json:"user_id"`
	UserName    string     `json:"user_name"`
	AccountName string     `json:"account_name"`
	Description string     `json:"description"`
	Use         string     `json:"use"` // all, push, pull
	Scopes      []string   `json:"scopes"`
	State       string     `json:"state"`
	Created     time.Time  `json:"created"`
	Expires     *time.Time `json:"expires_at"`   // null: does not
	Used        *time.Time `json:"last_used_at"` // null: never
}

// NewCredential is the argument of CreateCredential. Without a user it is the
// first administrator of the account.
type NewCredential struct {
	Named
	Description string   `json:"description"`
	Expires     string   `json:"expires"`
	Use         string   `json:"use"`
	Scopes      []string `json:"scopes"`
}

// CreateCredential makes an access credential for a user.
var CreateCredential = Op[NewCredential, AccessCredential]{"credential.create", func(ctx context.Context, c *core, in NewCredential) (AccessCredential, error) {
	expires, err := iam.ParseExpiry(in.Expires)
	if err != nil {
		return AccessCredential{}, err
	}
	if in.Name == "" {
		if in.Name, err = c.iam.FirstAdministrator(ctx, iam.Operator(), in.Account); err != nil {
			return AccessCredential{}, err
		}
	}
	if in.Use == "all" {
		in.Use = ""
	}
	made, err := c.iam.AddCredential(ctx, iam.Operator(), iam.UserRef{Name: in.Name, Account: iam.AccountRef{Name: in.Account}}, iam.NewCredential{
		Description: in.Description, Expires: expires, Limits: iam.Limits{Only: iam.Use(in.Use), In: in.Scopes},
	})
	return accessCredential(made), err
}}

// ListCredentials lists the access credentials of a user or, where none is
// named, page by page those of the account.
var ListCredentials = Op[CredentialsOf, Page[AccessCredential]]{"credential.list", func(ctx context.Context, c *core, in CredentialsOf) (Page[AccessCredential], error) {
	if in.Name != "" {
		list, err := c.iam.CredentialsOf(ctx, iam.Operator(), iam.UserRef{Name: in.Name, Account: iam.AccountRef{Name: in.Account}})
		return pageOf(list, false, accessCredential, nil), err
	}
	p, err := c.iam.AccountCredentials(ctx, iam.Operator(), in.Account, in.After, pageSize)
	return pageOf(p.Items, p.More, accessCredential, func(c iam.Credential) string { return c.ID }), err
}}

// CredentialsOf is the argument of ListCredentials: a user, or an account.
type CredentialsOf struct {
	Named
	After string `json:"after"`
}

// EnableCredential lets an access credential (Named.Name is its id) in or
// keeps it out.
var EnableCredential = Op[Switch, AccessCredential]{"credential.enable", func(ctx context.Context, c *core, in Switch) (AccessCredential, error) {
	is, err := c.iam.ChangeCredential(ctx, iam.Operator(), in.Name, iam.CredentialChange{Enabled: &in.On})
	return accessCredential(is), err
}}

// DeleteCredential removes an access credential (Named.Name is its id).
var DeleteCredential = Op[Named, None]{"credential.delete", func(ctx context.Context, c *core, in Named) (None, error) {
	return None{}, c.iam.DeleteCredential(ctx, iam.Operator(), in.Name)
}}

func accessCredential(c iam.Credential) AccessCredential {
	out := AccessCredential{ID: c.ID, Secret: c.Secret, User: c.User, UserName: c.UserName, AccountName: c.AccountName, Description: c.Description,
		Use: string(c.Limits.Only), Scopes: c.Limits.In, State: c.State(time.Now()), Created: c.Created}
	if c.Limits.Only == iam.AnyUse {
		out.Use = "all"
	}
	if out.Scopes == nil {
		out.Scopes = []string{}
	}
	if !c.Expires.IsZero() {
		out.Expires = &c.Expires
	}
	if !c.Used.IsZero() {
		out.Used = &c.Used
	}
	return out
}
