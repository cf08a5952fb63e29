package iam

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// keyKind says what an access key is good for.
type keyKind string

const (
	lastingKey keyKind = ""        // signatures and logins, until it is disabled or deleted
	loginKey   keyKind = "login"   // a login to the registry, for a time
	sessionKey keyKind = "session" // signatures beside its security token, for a time

	credentialKey keyKind = "credential" // logins by a word of its own, until it expires, is disabled or deleted
)

// maxTemporary bounds the temporary keys of one user that have not expired.
const maxTemporary = 5000

const securityPurpose = "security token"

// belongs reports whether the request has the security token of a key.
func (a *Authority) belongs(r *Request, access string) bool {
	token, ok := r.one("x-security-token")
	if !ok {
		return false
	}
	b, err := a.Verify(securityPurpose, token)
	return err == nil && string(b) == access
}

// A temporary is a new key that expires.
type temporary struct {
	access, secret string
	sealed         []byte
	kind           keyKind
	life           time.Duration
}

func (a *Authority) newTemporary(kind keyKind, life time.Duration) temporary {
	access, secret := randomText(upperAlphanumeric, accessSize), randomText(alphanumeric, secretKeySize)
	return temporary{access: access, secret: secret, sealed: a.Seal(sealedKey(access), []byte(secret)), kind: kind, life: life}
}

// maxAncestors bounds what a temporary key was made with, one after the other.
const maxAncestors = 32

type parentKey struct {
	Kind    keyKind
	Parent  string
	Expires *int64
}

// insertTemporary gives the caller a key, and returns when it expires. It ends
// with the key or the token that the caller asked with, and with what these
// were made with: what was lost must not live on in what it made. The account's epoch stays, since nobody has asked for the new key.
func (a *Authority) insertTemporary(tx *db.Tx, who Caller, do Action, t temporary) (time.Time, error) {
	n, err := db.One[int64](tx.Context(), tx, `SELECT count(*) FROM access_key WHERE iam_user = $1 AND expires > $2 AND kind <> $3`, who.User, tx.Micros(), string(credentialKey))
	if err != nil {
		return time.Time{}, err
	}
	if n >= maxTemporary {
		return time.Time{}, fault.New(fault.TooMany, "%s has %d temporary keys: wait until some have expired.", who.UserName, n)
	}
	expires, parent := tx.Micros()+t.life.Microseconds(), who.Key
	ancestors, err := goodTokens(tx, who)
	if err != nil {
		return time.Time{}, err
	}
	if who.Key != "" {
		p, err := db.One[parentKey](tx.Context(), tx, `SELECT kind, parent, expires FROM access_key WHERE access = $1 AND enabled`+tx.ForKeyShare(), who.Key)
		if errors.Is(err, db.ErrNone) {
			return time.Time{}, fault.New(fault.Unauthorized, "This login is not valid any more.")
		}
		if err != nil {
			return time.Time{}, err
		}
		if p.Expires != nil {
			expires = min(expires, *p.Expires)
		}
		if p.Kind != lastingKey {
			parent = p.Parent
			further, err := db.All[string](tx.Context(), tx, `SELECT ancestor FROM lineage WHERE access = $1 ORDER BY ancestor LIMIT $2`, who.Key, maxAncestors+1)
			if err != nil {
				return time.Time{}, err
			}
			ancestors = append(append(ancestors, who.Key), further...)
		}
	}
	if len(ancestors) > maxAncestors {
		return time.Time{}, fault.New(fault.TooMany, "The key of this call was made with too many others, one after the other: log in again.")
	}
	expires -= expires % time.Second.Microseconds() // what the client is told has no fraction
	if _, err := tx.Exec(`INSERT INTO access_key (access, account, iam_user, secret, enabled, description, created, expires, kind, parent)
		VALUES ($1, $2, $3, $4, true, '', $5, $6, $7, $8)`,
		t.access, who.Account, who.User, t.sealed, tx.Micros(), expires, string(t.kind), parent); err != nil {
		return time.Time{}, err
	}
	for _, ancestor := range ancestors {
		if _, err := tx.Exec(`INSERT INTO lineage (ancestor, access) VALUES ($1, $2)`, ancestor, t.access); err != nil {
			return time.Time{}, err
		}
	}
	return fromMicros(expires), a.Audit(tx, who, do, t.access, "ok")
}

// goodTokens returns the ids of the tokens that the caller came with, unless
// one of them has been revoked since. What ends a token holds the account's row,
// and so does the caller, by holdAccount.
func goodTokens(tx *db.Tx, who Caller) ([]string, error) {
	tokens := strings.Fields(who.tokens)
	slices.Sort(tokens)
	tokens = slices.Compact(tokens)
	for _, id := range tokens {
		gone, err := db.One[bool](tx.Context(), tx, `SELECT EXISTS (SELECT 1 FROM revoked_token WHERE token = $1)`, id)
		if err != nil {
			return nil, err
		}
		if gone {
			return nil, wrongToken(nil)
		}
	}
	return tokens, nil
}

// endDescendants removes the temporary keys that were made with a token or a
// temporary key, directly or by others between.
func endDescendants(tx *db.Tx, ancestor string) error {
	_, err := tx.Exec(`DELETE FROM access_key WHERE access IN (SELECT access FROM lineage WHERE ancestor = $1)`, ancestor)
	return err
}

// endTemporary removes the temporary keys that go back to a login by password:
// whoever knew the old one must not live on in them.
func endTemporary(tx *db.Tx, user string) error {
	_, err := tx.Exec(`DELETE FROM access_key WHERE iam_user = $1 AND kind IN ('login', 'session') AND parent = ''`, user)
	return err
}

// holdAccount keeps changes of users, which lock the account, from coming
// between what Allow sees of the caller and his new key. Many may hold it.
func holdAccount(tx *db.Tx, who Caller) error {
	_, err := db.One[string](tx.Context(), tx, `SELECT id FROM account WHERE id = $1`+tx.ForKeyShare(), who.Account)
	if errors.Is(err, db.ErrNone) {
		return nil
	}
	return err
}

// Login is what `docker login` takes.
type Login struct {
	User, Password string
	Expires        time.Time // whole seconds
}

// CreateLogin makes a login to the registry for the caller, good for the time
// life or as long as the key that the caller used. It pulls and pushes like its
// user, and signs nothing. The project is named in the user part and has no
// further meaning; "" is the one named as the region.
//
// Errors: Denied, Unauthorized, Invalid for a life under a second,
// ProjectUnknown, TooMany.
func (a *Authority) CreateLogin(ctx context.Context, who Caller, project string, life time.Duration) (Login, error) {
	if err := forUsers(who); err != nil {
		return Login{}, err
	}
	if life < time.Second {
		return Login{}, fault.New(fault.Invalid, "A login lasts at least a second.")
	}
	if project == "" {
		project = a.o.Region
	}
	t := a.newTemporary(loginKey, life)
	return db.Update(ctx, a.db, func(tx *db.Tx) (Login, error) {
		if err := holdAccount(tx, who); err != nil {
			return Login{}, err
		}
		if err := a.Allow(tx, who, CreateLogin, Resource{Account: who.Account}); err != nil {
			return Login{}, err
		}
		p, err := findProject(tx.Context(), tx, who.Account, project)
		if err != nil {
			return Login{}, err
		}
		expires, err := a.insertTemporary(tx, who, CreateLogin, t)
		return Login{User: p.Name + "@" + t.access, Password: KeyPassword(t.access, t.secret), Expires: expires}, err
	})
}

// forUsers refuses what only a user can have.
func forUsers(who Caller) error {
	if who.System() {
		return fault.New(fault.Unsupported, "This is for users: %s is none.", who)
	}
	return nil
}

// A Session is a temporary access key: it signs requests that carry its token.
type Session struct {
	Access, Secret, Token string
	Expires               time.Time // whole seconds
}

// The life of a session.
const (
	MinSession = 15 * time.Minute
	MaxSession = 24 * time.Hour
)

// CreateSession makes a temporary access key for the caller, of a life between
// MinSession and MaxSession, but not longer than the key that the caller used.
// It does not count as one of the two keys. Errors: Denied, Unauthorized,
// Invalid, TooMany.
func (a *Authority) CreateSession(ctx context.Context, who Caller, life time.Duration) (Session, error) {
	if err := forUsers(who); err != nil {
		return Session{}, err
	}
	if life < MinSession || life > MaxSession {
		return Session{}, fault.New(fault.Invalid, "A temporary access key lasts %d to %d seconds.", int(MinSession.Seconds()), int(MaxSession.Seconds()))
	}
	t := a.newTemporary(sessionKey, life)
	token := a.Sign(securityPurpose, []byte(t.access))
	return db.Update(ctx, a.db, func(tx *db.Tx) (Session, error) {
		if err := holdAccount(tx, who); err != nil {
			return Session{}, err
		}
		if err := a.Allow(tx, who, CreateSession, Resource{Account: who.Account, User: who.User}); err != nil {
			return Session{}, err
		}
		expires, err := a.insertTemporary(tx, who, CreateSession, t)
		return Session{Access: t.access, Secret: t.secret, Token: token, Expires: expires}, err
	})
}
