package iamapi

import (
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/web"
)

const subjectHeader = "X-Subject-Token"

// Token is a token as it is described; its value is in the header
// X-Subject-Token. One of Project and Domain is there: what it is good for.
type Token struct {
	Methods   []string      `json:"methods"`
	IssuedAt  string        `json:"issued_at"`
	ExpiresAt string        `json:"expires_at"`
	User      TokenUser     `json:"user"`
	Project   *TokenProject `json:"project,omitempty"`
	Domain    *Ref          `json:"domain,omitempty"`
	Roles     []Ref         `json:"roles"`
	Catalog   []Service     `json:"catalog"`
}

// TokenUser is whose token it is.
type TokenUser struct {
	ID              string `json:"id"`
	Name            string `json:"name"`
	PasswordExpires string `json:"password_expires_at"` // always empty: none does
	Domain          Ref    `json:"domain"`
}

// TokenProject is the project a token was fetched for.
type TokenProject struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Domain Ref    `json:"domain"`
}

// Service is one API of this server in the catalog of a token.
type Service struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Type      string     `json:"type"`
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is where a service is reached.
type Endpoint struct {
	ID        string `json:"id"`
	Interface string `json:"interface"`
	Region    string `json:"region"`
	RegionID  string `json:"region_id"`
	URL       string `json:"url"`
}

// maxLogin bounds the one body that strangers have us keep in memory. It has
// room for every token and password there is.
const maxLogin = 64 << 10

// createToken logs in. Whatever Authorization says does not count: clients sign
// this call like any other, before they could.
func (a *API) createToken(c *call) error {
	body, err := web.ReadBody(c.r, maxLogin)
	if err != nil {
		return err
	}
	c.body = body
	var in TokenRequest
	if err := c.read(&in); err != nil {
		return err
	}
	scope, err := in.scope()
	if err != nil {
		return err
	}
	method, err := in.method()
	if err != nil {
		return err
	}
	var t iam.APIToken
	if method == byPassword {
		user, password, err := in.login()
		if err != nil {
			return err
		}
		if t, err = a.iam.PasswordToken(c.ctx(), user, password, a.origin.Client(c.r), scope); err != nil {
			return loginFailure(err)
		}
	} else {
		raw, err := in.token(c.r.Header.Get("X-Auth-Token"))
		if err != nil {
			return err
		}
		if t, err = a.iam.RescopeToken(c.ctx(), raw, scope); err != nil {
			return err
		}
	}
	web.Of(c.w).Caller(t.Caller)
	return a.renderToken(c, http.StatusCreated, t.Value, t)
}

// wrongLogin is in the words of the APIs that clients were made for.
const wrongLogin = "The username or password is wrong."

func loginFailure(err error) error {
	if reason := iam.ReasonOf(err); reason == iam.WrongPassword {
		return fault.Wrap(fault.Unauthorized, err, wrongLogin).With(reason)
	}
	return err
}

// showToken describes the token in X-Subject-Token, of the caller or, for
// administrators, of a user.
func (a *API) showToken(c *call) error {
	raw, err := c.subject()
	if err != nil {
		return err
	}
	t, err := a.iam.ShowToken(c.ctx(), c.who, raw)
	if err != nil {
		return absent(err)
	}
	return a.renderToken(c, http.StatusOK, raw, t)
}

// deleteToken ends the token in X-Subject-Token.
func (a *API) deleteToken(c *call) error {
	raw, err := c.subject()
	if err != nil {
		return err
	}
	if err := a.iam.RevokeToken(c.ctx(), c.who, raw); err != nil {
		return absent(err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *call) subject() (string, error) {
	raw := c.r.Header.Get(subjectHeader)
	if raw == "" {
		return "", missing("the header " + subjectHeader)
	}
	return raw, nil
}

// absent: a token that is not good is one that does not exist. Whether the
// caller is logged in was found out before.
func absent(err error) error {
	if fault.Is(err, fault.Unauthorized) {
		return fault.Wrap(fault.KeyUnknown, err, "There is no such token, or it is not valid any more.")
	}
	return err
}

func (a *API) renderToken(c *call, status int, value string, t iam.APIToken) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	short, err := flag(q, "nocatalog")
	if err != nil {
		return err
	}
	admin, err := a.iam.Administers(c.ctx(), t.Caller)
	if err != nil {
		return err
	}
	domain := Ref{ID: t.Caller.Account, Name: t.Caller.AccountName}
	out := Token{
		Methods: t.Methods, IssuedAt: timeText(t.Issued), ExpiresAt: timeText(t.Expires),
		User:  TokenUser{ID: t.Caller.User, Name: t.Caller.UserName, Domain: domain},
		Roles: []Ref{}, Catalog: []Service{},
	}
	if admin {
		out.Roles = append(out.Roles, Ref{ID: adminRoleID, Name: adminRole})
	}
	if t.Project.ID != "" {
		out.Project = &TokenProject{ID: t.Project.ID, Name: t.Project.Name, Domain: domain}
	} else {
		out.Domain = &domain
	}
	if short == nil || !*short {
		out.Catalog = a.catalog(c)
	}
	c.w.Header()[subjectHeader] = []string{value} // an error carries none
	web.WriteJSON(c.w, status, map[string]Token{"token": out})
	return nil
}

// catalog is this server, which is all services at once.
func (a *API) catalog(c *call) []Service {
	service := func(name, kind, region, url string) Service {
		return Service{ID: name, Name: name, Type: kind, Endpoints: []Endpoint{
			{ID: name + "-public", Interface: "public", Region: region, RegionID: region, URL: url}}}
	}
	return []Service{
		service("iam", "identity", "*", a.self(c, "/v3")),
		service("swr", "swr", a.region, a.self(c, "")),
	}
}
