package iam

import (
	"context"
	"errors"
	"slices"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// AccountRef names an account by id or, where that is empty, by name.
type AccountRef struct{ ID, Name string }

// UserRef names a user by id or, where that is empty, by account and name.
type UserRef struct {
	ID, Name string
	Account  AccountRef
}

// Scope is what a token is wanted for: a project, by id or by name in Account,
// or without one an account as a whole. It is the user's own account in any
// case; an empty Account means that.
type Scope struct {
	ProjectID, Project string
	Account            AccountRef
}

// PasswordToken logs a user in by password and makes a token.
//
// Errors: Unauthorized, with WrongPassword, alike and at the same cost whatever
// is wrong with the login, and for a scope that is not of the user's account;
// Denied, with Disabled, after the right password of a user who is kept out;
// TooMany as Password.
func (a *Authority) PasswordToken(ctx context.Context, user UserRef, password, addr string, scope Scope) (APIToken, error) {
	spelled, err := a.spell(ctx, user)
	if err != nil {
		return APIToken{}, err
	}
	who, version, err := a.login(ctx, spelled, password, addr)
	if err != nil {
		if ReasonOf(err) == Disabled {
			err = fault.New(fault.Denied, "The user or the account is disabled.").With(Disabled)
		}
		return APIToken{}, err
	}
	p, err := a.inScope(ctx, who, scope)
	if err != nil {
		return APIToken{}, err
	}
	now := a.now()
	return a.issueToken(who, p, tokenClaims{Version: version, Methods: []string{"password"},
		Issued: now.UnixMicro(), Expires: now.Add(a.o.APITokenLife).UnixMicro()})
}

// RescopeToken makes a token from another one, for the same user and another
// scope. It expires and is revoked with the first one. Errors: Unauthorized.
func (a *Authority) RescopeToken(ctx context.Context, raw string, scope Scope) (APIToken, error) {
	c, who, err := a.openToken(ctx, raw)
	if err != nil {
		return APIToken{}, err
	}
	if len(c.From) >= maxDerived {
		return APIToken{}, fault.New(fault.Unauthorized, "The token was made from too many others, one after the other: log in again.").With(WrongToken)
	}
	p, err := a.inScope(ctx, who, scope)
	if err != nil {
		return APIToken{}, err
	}
	c.From = c.lineage()
	c.Issued = a.now().UnixMicro()
	if !slices.Contains(c.Methods, "token") {
		c.Methods = append([]string{"token"}, c.Methods...)
	}
	return a.issueToken(who, p, c)
}

// inScope finds the project of a scope; the zero one for the whole account.
func (a *Authority) inScope(ctx context.Context, who Caller, s Scope) (Project, error) {
	refused := fault.New(fault.Unauthorized, "The scope of the token is no project or account of this user.")
	if s.Account.ID != "" && s.Account.ID != who.Account || s.Account.ID == "" && s.Account.Name != "" && s.Account.Name != who.AccountName {
		return Project{}, refused
	}
	var p Project
	var err error
	switch {
	case s.ProjectID != "":
		p, err = oneProject(ctx, a.db, s.ProjectID, selectProject+`AND id = $2`, who.Account, s.ProjectID)
	case s.Project != "":
		p, err = findProject(ctx, a.db, who.Account, s.Project)
	}
	if fault.Is(err, fault.ProjectUnknown) {
		err = refused
	}
	return p, err
}

// spell returns the user part of a login, ACCOUNT/USER, so that failures count
// for one user however he is named. Who does not exist is spelled as he was
// named: that logs nobody in.
func (a *Authority) spell(ctx context.Context, u UserRef) (string, error) {
	account, user := u.Account.Name, u.Name
	var err error
	switch {
	case isName(u.ID):
		var found User
		found, err = oneUser(ctx, a.db, u.ID, selectUser+`WHERE u.id = $1`, u.ID)
		account, user = found.AccountName, found.Name
	case u.ID == "" && isName(u.Account.ID):
		account, err = db.One[string](ctx, a.db, `SELECT name FROM account WHERE id = $1`, u.Account.ID)
	}
	if err != nil && !errors.Is(err, db.ErrNone) && !fault.Is(err, fault.UserUnknown) {
		return "", err
	}
	if !isName(account) || !isName(user) {
		return "/" + u.ID + "/" + u.Account.ID + "/" + u.Account.Name + "/" + u.Name, nil
	}
	return account + "/" + user, nil
}
