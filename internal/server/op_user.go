package server

import (
	"context"
	"time"

	"berth.dev/berth/internal/iam"
)

// User is a user as the command shows it.
type User struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Account     string    `json:"account_id"`
	Admin       bool      `json:"admin"`
	Enabled     bool      `json:"enabled"`
	Description string    `json:"description"`
	Email       string    `json:"email"`
	AreaCode    string    `json:"areacode"`
	Phone       string    `json:"phone"`
	AccessMode  string    `json:"access_mode"`
	Created     time.Time `json:"created"`
}

// NewUser is the argument of CreateUser.
type NewUser struct {
	Named
	Password string `json:"password"`
	Admin    bool   `json:"admin"`
}

// Password is the argument of SetPassword.
type Password struct {
	Named
	Password string `json:"password"`
}

// SetUser is the argument of ChangeUser; null stays as it is.
type SetUser struct {
	Named
	NewName     *string `json:"new_name"`
	Description *string `json:"description"`
	Email       *string `json:"email"`
	AreaCode    *string `json:"areacode"`
	Phone       *string `json:"phone"`
	AccessMode  *string `json:"access_mode"`
}

// CreateUser makes a user who logs in by password.
var CreateUser = Op[NewUser, User]{"user.create", func(ctx context.Context, c *core, in NewUser) (User, error) {
	u, err := c.iam.CreateUser(ctx, iam.Operator(), in.Account, in.Name, in.Password, in.Admin)
	return user(u), err
}}

// ListUsers pages through the users of the account List.In by name.
var ListUsers = Op[List, Page[User]]{"user.list", func(ctx context.Context, c *core, in List) (Page[User], error) {
	p, err := c.iam.Users(ctx, iam.Operator(), in.In, in.After, pageSize)
	return pageOf(p.Items, p.More, user, func(u iam.User) string { return u.Name }), err
}}

// SetPassword replaces a password. Logins by the old one, refresh tokens and
// tokens of the management API end at once; registry tokens live out tokens.life.
var SetPassword = Op[Password, None]{"user.password", func(ctx context.Context, c *core, in Password) (None, error) {
	return None{}, c.iam.SetPassword(ctx, iam.Operator(), in.Account, in.Name, in.Password)
}}

// ChangeUser gives a user another name, description, contact or access mode. Another
// name ends logins by the old one.
var ChangeUser = Op[SetUser, User]{"user.set", func(ctx context.Context, c *core, in SetUser) (User, error) {
	ref := iam.UserRef{Name: in.Name, Account: iam.AccountRef{Name: in.Account}}
	u, err := c.iam.ChangeUser(ctx, iam.Operator(), ref, iam.UserChange{Name: in.NewName, Description: in.Description,
		Email: in.Email, AreaCode: in.AreaCode, Phone: in.Phone, AccessMode: (*iam.AccessMode)(in.AccessMode)})
	return user(u), err
}}

// EnableUser lets a user in or keeps the user out.
var EnableUser = Op[Switch, None]{"user.enable", func(ctx context.Context, c *core, in Switch) (None, error) {
	return None{}, c.iam.SetUserEnabled(ctx, iam.Operator(), in.Account, in.Name, in.On)
}}

// SetAdmin makes a user an administrator of the account, or no more.
var SetAdmin = Op[Switch, None]{"user.admin", func(ctx context.Context, c *core, in Switch) (None, error) {
	return None{}, c.iam.SetAdmin(ctx, iam.Operator(), in.Account, in.Name, in.On)
}}

// DeleteUser removes a user with keys and grants.
var DeleteUser = Op[Named, None]{"user.delete", func(ctx context.Context, c *core, in Named) (None, error) {
	return None{}, c.iam.DeleteUser(ctx, iam.Operator(), in.Account, in.Name)
}}

func user(u iam.User) User {
	return User{ID: u.ID, Name: u.Name, Account: u.Account, Admin: u.Admin, Enabled: u.Enabled,
		Description: u.Description, Email: u.Contact.Email, AreaCode: u.Contact.AreaCode, Phone: u.Contact.Phone, AccessMode: string(u.AccessMode), Created: u.Created}
}
