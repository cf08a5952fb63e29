package iam

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

const (
	apiTokenPurpose     = "management token"
	defaultAPITokenLife = 24 * time.Hour
	apiTokenIDSize      = 12
	maxDerived          = 8 // tokens that one was made from, one after the other
)

// APIToken is a token of the management API. It says who its user is; what the
// user may do is decided with each use.
type APIToken struct {
	Value           string // empty where the token was only looked at
	Caller          Caller
	Methods         []string // how it was fetched: "password", "token"
	Project         Project  // zero: scoped to the account as a whole
	Issued, Expires time.Time
}

// tokenClaims are the payload of a token: base64url(kid, claims, HMAC).
type tokenClaims struct {
	ID      string   `json:"i"`
	From    []string `json:"f,omitempty"` // ids of the tokens it was made from
	Account string   `json:"a"`
	User    string   `json:"u"`
	Key     string   `json:"k,omitempty"`
	Version int64    `json:"v"` // of the password
	Project string   `json:"p,omitempty"`
	Methods []string `json:"m"`
	Issued  int64    `json:"n"` // microseconds
	Expires int64    `json:"x"`
}

// issueToken signs the claims. It stands in no table until it is revoked.
func (a *Authority) issueToken(who Caller, p Project, c tokenClaims) (APIToken, error) {
	c.ID = hex.EncodeToString(randomBytes(apiTokenIDSize))
	c.Account, c.User, c.Key, c.Project = who.Account, who.User, who.Key, p.ID
	payload, err := json.Marshal(c)
	if err != nil {
		return APIToken{}, fmt.Errorf("iam: a token: %w", err)
	}
	return APIToken{Value: a.Sign(apiTokenPurpose, payload), Caller: who, Methods: c.Methods, Project: p,
		Issued: fromMicros(c.Issued), Expires: fromMicros(c.Expires)}, nil
}

// openToken returns what a token says if all of it still holds: it has not
// expired and was not revoked, nor any that it was made from; its user, account
// and key are enabled; the password is the one that it was fetched by.
func (a *Authority) openToken(ctx context.Context, raw string) (tokenClaims, Caller, error) {
	b, err := a.Verify(apiTokenPurpose, raw)
	if err != nil {
		return tokenClaims{}, Caller{}, wrongToken(err)
	}
	var c tokenClaims
	if err := json.Unmarshal(b, &c); err != nil || c.User == "" || c.ID == "" {
		return tokenClaims{}, Caller{}, wrongToken(err)
	}
	now := a.now()
	if now.UnixMicro() >= c.Expires {
		return tokenClaims{}, Caller{}, fault.New(fault.Unauthorized, "The token has expired: fetch another.").With(ExpiredToken)
	}
	s, err := a.standing(ctx, c.Account, ask{user: c.User, key: c.Key})
	if err != nil {
		return tokenClaims{}, Caller{}, err
	}
	if !s.good(now) || s.Account != c.Account || s.Version != c.Version {
		return tokenClaims{}, Caller{}, wrongToken(nil)
	}
	for _, id := range append([]string{c.ID}, c.From...) {
		gone, err := a.isRevoked(ctx, c.Account, id)
		if err != nil {
			return tokenClaims{}, Caller{}, err
		}
		if gone {
			return tokenClaims{}, Caller{}, wrongToken(nil)
		}
	}
	return c, s.caller(c.User, c.Key), nil
}

func wrongToken(err error) error {
	return fault.Wrap(fault.Unauthorized, err, "The token is not valid, or not any more: fetch another.").With(WrongToken)
}

// APICaller returns whose token of the management API, or whose access
// credential, this is. Errors:
// fault.Unauthorized, with WrongToken or ExpiredToken.
func (a *Authority) APICaller(ctx context.Context, raw string) (Caller, error) {
	if w, ok := parseCredential(raw); ok {
		return a.byCredential(ctx, w)
	}
	c, who, err := a.openToken(ctx, raw)
	if err == nil {
		who.version, who.tokens = c.Version, strings.Join(c.lineage(), " ")
	}
	return who, err
}

// ShowToken describes a token: of the caller himself or, to administrators, of
// a user of their account. Errors: Denied; Unauthorized for one that is not
// valid, or is of another account.
func (a *Authority) ShowToken(ctx context.Context, who Caller, raw string) (APIToken, error) {
	c, owner, err := a.openOther(ctx, who, ShowToken, raw)
	if err != nil {
		return APIToken{}, err
	}
	t := APIToken{Caller: owner, Methods: c.Methods, Issued: fromMicros(c.Issued), Expires: fromMicros(c.Expires)}
	if c.Project != "" {
		t.Project, err = oneProject(ctx, a.db, c.Project, selectProject+`AND id = $2`, c.Account, c.Project)
	}
	return t, err
}

// openOther opens a token that the caller wants to do something to.
func (a *Authority) openOther(ctx context.Context, who Caller, do Action, raw string) (tokenClaims, Caller, error) {
	c, owner, err := a.openToken(ctx, raw)
	if err == nil && !who.System() && c.Account != who.Account {
		err = wrongToken(nil)
	}
	if err == nil {
		err = a.Check(ctx, who, do, Resource{Account: c.Account, User: c.User, Name: owner.UserName})
	}
	return c, owner, err
}

// A revocation is true while the account's epoch is the same.
type revocation struct {
	gone  bool
	epoch int64
}

// maxRevoked bounds the cache of what is known of tokens: twice as many.
const maxRevoked = 4096

// isRevoked asks the table, or what is known of it.
func (a *Authority) isRevoked(ctx context.Context, account, id string) (bool, error) {
	fresh, epoch := a.Fresh(), a.epochs.of(account)
	if r, ok := a.revoked.get(id); ok && fresh && r.epoch == epoch {
		return r.gone, nil
	}
	gone, err := db.One[bool](ctx, a.db, `SELECT EXISTS (SELECT 1 FROM revoked_token WHERE token = $1)`, id)
	if err == nil && fresh {
		a.revoked.put(id, revocation{gone, epoch})
	}
	return gone, err
}

// RevokeToken ends a token before its time, with all tokens, temporary keys
// and logins that were made with it: here with the next request, on other nodes within two seconds. The row goes
// when the token would have expired. Errors: as ShowToken.
func (a *Authority) RevokeToken(ctx context.Context, who Caller, raw string) error {
	c, owner, err := a.openOther(ctx, who, DeleteToken, raw)
	if err != nil {
		return err
	}
	_, err = db.Update(ctx, a.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		// Nobody makes a key with it meanwhile (insertTemporary).
		if _, err := db.One[string](tx.Context(), tx, `SELECT id FROM account WHERE id = $1`+tx.ForUpdate(), c.Account); err != nil {
			return none, err
		}
		if err := a.Allow(tx, who, DeleteToken, Resource{Account: c.Account, User: c.User}); err != nil {
			return none, err
		}
		if _, err := tx.Exec(`INSERT INTO revoked_token (token, expires) VALUES ($1, $2) ON CONFLICT (token) DO NOTHING`, c.ID, c.Expires); err != nil {
			return none, err
		}
		if err := endDescendants(tx, c.ID); err != nil {
			return none, err
		}
		return none, a.changed(tx, who, c.Account, DeleteToken, "of "+owner.UserName)
	})
	return err
}

// lineage is the line of tokens that one made from this has of a token made from this one.
func (c *tokenClaims) lineage() []string { return append(slices.Clone(c.From), c.ID) }
