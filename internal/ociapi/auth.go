package ociapi

import (
	"strings"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/web"
)

// problem is the error parameter of a challenge (RFC 6750, section 3.1).
type problem string

const (
	invalidToken      problem = "invalid_token"
	insufficientScope problem = "insufficient_scope"
)

// authorize finds out who asks and whether the credential is meant for this.
//
// A password, or the key of a user, is good for whatever its user may do. A
// token is good for what it was issued for: if it lacks the action and the
// caller has the right, the answer is a challenge, with which the client
// fetches a wider token; if the caller has no right, a refusal that says so.
//
// An expired token can only end the upload that it opened: the registry lets
// nobody but the one who opened an upload go on with it.
func (a *API) authorize(c *call) error {
	grant, known, err := a.authenticate(c)
	if err != nil {
		return err
	}
	c.who, c.grant = grant.Caller, grant
	switch {
	case grant.Expired && !(c.rt.late && a.now().Sub(grant.Expires) < iam.ExpiredFor):
		c.problem = invalidToken
		return fault.New(fault.Unauthorized, "The token has expired.")
	case c.rt.access == anyone || c.rt.access == catalog:
		// Clients send their credentials only when asked, so an anonymous
		// request is asked, and gets in with an anonymous token.
		if !known {
			return fault.New(fault.Unauthorized, "Log in, or fetch an anonymous token.")
		}
		if c.rt.access == catalog && !grant.Permits("registry", "catalog", "*") {
			c.problem = insufficientScope
			return fault.New(fault.Unauthorized, "The token was not issued for the catalog.")
		}
		return nil
	case !permits(grant, c.Name, c.rt.access):
		if err := a.may(c, c.Name, c.rt.do); err != nil {
			c.problem = insufficientScope
			return err
		}
		c.problem = insufficientScope
		return fault.New(fault.Unauthorized, "The token was not issued for %s on %s.", c.rt.access, c.Name)
	case c.who.Anonymous() && c.rt.access != pull:
		return fault.New(fault.Unauthorized, "Log in to %s.", verbs[c.rt.access])
	}
	if c.rt.early {
		return a.may(c, c.Name, c.rt.do)
	}
	return nil
}

// permits reports whether the credential was issued for this. Where an expired
// token comes this far, it is for what it was good for before.
func permits(g iam.Grant, name oci.Name, do access) bool {
	g.Expired = false
	return g.Permits("repository", string(name), string(do))
}

var verbs = map[access]string{push: "push", remove: "delete"}

// may decides without changing anything. That a repository does not exist
// counts as may: the operation itself answers that.
func (a *API) may(c *call, name oci.Name, do iam.Action) error {
	err := a.reg.May(c.ctx(), c.who, name, do)
	if fault.Is(err, fault.RepoUnknown) {
		return nil
	}
	return err
}

// authenticate reads the credential. known is false where there was none.
func (a *API) authenticate(c *call) (grant iam.Grant, known bool, err error) {
	v := c.r.Header["Authorization"]
	if len(v) == 0 {
		return iam.Grant{}, false, nil
	}
	scheme, rest, _ := strings.Cut(v[0], " ")
	switch {
	case strings.EqualFold(scheme, "bearer"):
		grant, err = a.iam.Token(c.ctx(), strings.TrimSpace(rest))
		if fault.Is(err, fault.Unauthorized) {
			c.problem = invalidToken
		}
	case strings.EqualFold(scheme, "basic"):
		grant.Caller, err = a.basic(c)
	default:
		err = fault.New(fault.Unauthorized, "Log in with a password or a token; this kind of credential is not supported.")
	}
	if err == nil {
		web.Of(c.w).Caller(grant.Caller)
	}
	return grant, true, err
}

func (a *API) basic(c *call) (iam.Caller, error) {
	user, password, ok := c.r.BasicAuth()
	if !ok {
		return iam.Caller{}, fault.New(fault.Unauthorized, "The credentials are malformed.")
	}
	return a.iam.Password(c.ctx(), user, password, a.origin.Client(c.r))
}
