package iamapi

import (
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// TokenRequest asks for a token by password, or for another token by a token.
// Example: {"auth": {"identity": {"methods": ["password"], "password": {"user":
// {"name": "alice", "password": "…", "domain": {"name": "acme"}}}}, "scope":
// {"project": {"name": "region-1"}}}}.
type TokenRequest struct {
	Auth *struct {
		Identity *Identity `json:"identity"`
		Scope    *Scope    `json:"scope"`
	} `json:"auth"`
}

// Identity is who asks, by one method.
type Identity struct {
	Methods  []string `json:"methods"`
	Password *struct {
		User   *UserLogin `json:"user"`
		Domain *Ref       `json:"domain"` // some clients put it here, beside the user
	} `json:"password"`
	Token *struct {
		ID       string `json:"id"`
		Duration *int64 `json:"duration_seconds"` // of a security token alone
	} `json:"token"`
	Policy any `json:"policy"` // of a security token alone, and refused
}

// UserLogin names a user by id, or by name and domain.
type UserLogin struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Password string `json:"password"`
	Domain   *Ref   `json:"domain"`
}

// Scope is what the token is for: a project or a domain; without one the
// user's domain.
type Scope struct {
	Project *struct {
		ID     string `json:"id"`
		Name   string `json:"name"`
		Domain *Ref   `json:"domain"`
	} `json:"project"`
	Domain *Ref `json:"domain"`
}

const (
	byPassword = "password"
	byToken    = "token"
)

// method returns how the caller logs in. Errors: fault.Missing,
// fault.Unsupported.
func (t *TokenRequest) method() (string, error) {
	if t.Auth == nil || t.Auth.Identity == nil || len(t.Auth.Identity.Methods) == 0 {
		return "", missing("auth.identity.methods")
	}
	methods := t.Auth.Identity.Methods
	if len(methods) != 1 || methods[0] != byPassword && methods[0] != byToken {
		return "", fault.New(fault.Unsupported, "The method of auth.identity is %s or %s, one of them.", byPassword, byToken)
	}
	return methods[0], nil
}

func (t *TokenRequest) login() (iam.UserRef, string, error) {
	p := t.Auth.Identity.Password
	if p == nil || p.User == nil {
		return iam.UserRef{}, "", missing("auth.identity.password.user")
	}
	u := p.User
	domain := u.Domain
	if domain.empty() {
		domain = p.Domain
	}
	switch {
	case u.ID == "" && u.Name == "":
		return iam.UserRef{}, "", missing("the id or the name of the user")
	case u.ID == "" && domain.empty():
		return iam.UserRef{}, "", missing("the domain of the user")
	case u.Password == "":
		return iam.UserRef{}, "", missing("the password of the user")
	}
	return iam.UserRef{ID: u.ID, Name: u.Name, Account: domain.account()}, u.Password, nil
}

// token returns the token to make another from: that of the body, or that of
// the header.
func (t *TokenRequest) token(header string) (string, error) {
	if tok := t.Auth.Identity.Token; tok != nil && tok.ID != "" {
		return tok.ID, nil
	}
	if header == "" {
		return "", missing("auth.identity.token.id")
	}
	return header, nil
}

func (t *TokenRequest) scope() (iam.Scope, error) {
	if t.Auth == nil || t.Auth.Scope == nil {
		return iam.Scope{}, nil
	}
	s := t.Auth.Scope
	switch {
	case s.Project != nil && s.Domain != nil:
		return iam.Scope{}, fault.New(fault.Invalid, "The scope is a project or a domain, not both.")
	case s.Project != nil:
		if s.Project.ID == "" && s.Project.Name == "" {
			return iam.Scope{}, missing("the id or the name of the project")
		}
		return iam.Scope{ProjectID: s.Project.ID, Project: s.Project.Name, Account: s.Project.Domain.account()}, nil
	case s.Domain != nil && s.Domain.empty():
		return iam.Scope{}, missing("the id or the name of the domain")
	}
	return iam.Scope{Account: s.Domain.account()}, nil
}
