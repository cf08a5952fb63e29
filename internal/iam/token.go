package iam

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"berth.dev/berth/internal/fault"
)

const (
	// ExpiredFor is how long an expired token still tells who it was made for,
	// so that an upload it opened can end.
	ExpiredFor = 24 * time.Hour

	defaultTokenLife = time.Hour
	audience         = "registry" // keeps other JWTs of ours apart

	maxToken  = 16 << 10 // bytes
	maxAccess = 128      // entries of one token
	maxTokens = 2048     // in the cache, twice at most
	maxCached = 2 << 10  // bytes of a token that is cached
)

// Access is a piece of a token's scope, as the docker token protocol spells
// it: "repository", "org/app", ["pull", "push"].
type Access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// Token is a registry token for a client.
type Token struct {
	Value  string
	Issued time.Time     // whole seconds
	Life   time.Duration // from Issued
}

// Grant is what a credential gives: the caller, limited to the scope of the
// token that named it. Access is shared with others and read-only; nil (a
// login without a token) means no limit. An expired token gives nothing but
// the name of the caller, to end the upload it opened.
type Grant struct {
	Caller
	Access          []Access
	Issued, Expires time.Time
	Expired         bool
}

// Permits reports whether the scope has the action; what the caller may do is
// another question.
func (g *Grant) Permits(typ, name, action string) bool {
	if g.Access == nil {
		return !g.Expired
	}
	if g.Expired {
		return false
	}
	for i := range g.Access {
		if a := &g.Access[i]; a.Name == name && a.Type == typ && (slices.Contains(a.Actions, action) || slices.Contains(a.Actions, "*")) {
			return true
		}
	}
	return false
}

// claims is what a registry token says. The names of account and user are not
// in it: they are looked up with the live state.
type claims struct {
	jwt.RegisteredClaims          // sub is the user's id, empty for anonymous
	Account              string   `json:"account,omitempty"`
	Key                  string   `json:"key,omitempty"`
	Access               []Access `json:"access"`
}

// Issue makes a token for the caller, anonymous or a user, with this scope.
// Whether the caller may do what the scope says is decided with each use.
// Errors: fault.TooLarge for a scope that does not fit a token.
func (a *Authority) Issue(_ context.Context, who Caller, access []Access) (Token, error) {
	if who.System() {
		return Token{}, errors.New("iam: a token is for users")
	}
	if len(access) > maxAccess {
		return Token{}, fault.New(fault.TooLarge, "A token has at most %d scopes.", maxAccess)
	}
	if access == nil {
		access = []Access{}
	}
	now := a.now().Truncate(time.Second)
	keys := a.ring.Load()
	k := keys.current(now, a.settle)
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, &claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject:   who.User,
			Audience:  jwt.ClaimStrings{audience},
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(a.o.TokenLife)),
			ID:        hex.EncodeToString(randomBytes(12)),
		},
		Account: who.Account,
		Key:     who.Key,
		Access:  access,
	})
	t.Header["kid"] = k.kid
	value, err := t.SignedString(k.jwt)
	if err != nil {
		return Token{}, fmt.Errorf("iam: signing a token: %w", err)
	}
	if len(value) > maxToken {
		return Token{}, fault.New(fault.TooLarge, "The scopes are too long for a token.")
	}
	if who.User != "" && len(value) <= maxCached {
		// It is about to come back: what was just signed need not be verified.
		a.tokens.put(value, &parsed{ring: keys, account: who.Account, user: who.User, key: who.Key,
			access: access, issued: now, expires: now.Add(a.o.TokenLife).Truncate(time.Second)})
	}
	return Token{Value: value, Issued: now, Life: a.o.TokenLife}, nil
}

// A parsed token is authentic as long as the ring is the one it was verified
// with. Nothing else about it is certain.
type parsed struct {
	ring               *ring
	account, user, key string
	access             []Access
	issued, expires    time.Time
}

// Token looks at a bearer token: its signature (once) and whether its user and
// key are still good (each time). One that has expired, by less than
// ExpiredFor, gives a Grant that says so. Errors: fault.Unauthorized.
func (a *Authority) Token(ctx context.Context, raw string) (Grant, error) {
	if len(raw) > maxToken {
		return Grant{}, badToken(nil)
	}
	keys := a.ring.Load()
	t, ok := a.tokens.get(raw)
	if !ok || t.ring != keys {
		var err error
		if t, err = parseToken(keys, raw); err != nil {
			return Grant{}, badToken(err)
		}
		if len(raw) <= maxCached {
			a.tokens.put(strings.Clone(raw), t) // raw may be a part of something large
		}
	}
	now := a.now()
	g := Grant{Access: t.access, Issued: t.issued, Expires: t.expires, Expired: !now.Before(t.expires)}
	if g.Expired && !now.Before(t.expires.Add(ExpiredFor)) {
		return Grant{}, badToken(nil)
	}
	if t.user == "" {
		return g, nil
	}
	s, err := a.standing(ctx, t.account, ask{user: t.user, key: t.key})
	if err != nil {
		return Grant{}, err
	}
	if !s.good(now) || s.Account != t.account {
		return Grant{}, a.ended(ctx, t.key)
	}
	g.Caller = s.caller(t.user, t.key)
	a.uses.note(t.key, now)
	return g, nil
}

// ended is what a genuine token says of which the user or the key is not good
// any more. What came of an access credential says what is wrong with that.
func (a *Authority) ended(ctx context.Context, key string) error {
	if isCredentialID(key) {
		return a.whyNot(ctx, key)
	}
	return badToken(nil)
}

func badToken(err error) error {
	return fault.Wrap(fault.Unauthorized, err, "The token is not valid, or not any more: log in again.")
}

// parseToken verifies the signature. The expiry is for the caller to judge.
func parseToken(keys *ring, raw string) (*parsed, error) {
	var c claims
	if strings.ContainsAny(raw, "\r\n") { // the decoder passes over them
		return nil, errors.New("a line break")
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(raw, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if k := keys.key(kid); k != nil {
			return k.jwt, nil
		}
		return nil, errors.New("unknown signing key")
	})
	switch {
	case err != nil:
		return nil, err
	case !slices.Equal(c.Audience, jwt.ClaimStrings{audience}) || c.ExpiresAt == nil || c.IssuedAt == nil:
		return nil, errors.New("a claim is missing")
	case c.Subject == "" && (c.Account != "" || c.Key != ""):
		return nil, errors.New("the claims contradict each other")
	}
	if c.Access == nil {
		c.Access = []Access{} // never without limit
	}
	return &parsed{ring: keys, account: c.Account, user: c.Subject, key: c.Key,
		access: c.Access, issued: c.IssuedAt.Time, expires: c.ExpiresAt.Time}, nil
}
