package iam

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

const (
	// maxUserPart bounds the user part of a login.
	maxUserPart = 256
	// maxVerified bounds the cache of verified passwords: twice as many.
	maxVerified = 8192
	// loginLimit ends a login that waits for the database or a core.
	loginLimit = 30 * time.Second
)

// A login is what the user part of a credential can mean. A key is named by
// `{project}@{AK}`, a user by `{account}/{user}` or, in the first account, by
// `{user}`. What follows these forms is not yet known to exist; the zero login
// is of nobody.
type login struct {
	project, key  string
	account, user string
}

// parseLogin reads a user part. No name holds an @, so that a part with one
// means a key or nobody.
func parseLogin(s string) login {
	if len(s) > maxUserPart {
		return login{}
	}
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		if !isName(s[:at]) || !isAccess(s[at+1:]) {
			return login{}
		}
		return login{project: s[:at], key: s[at+1:]}
	}
	account, user, ok := strings.Cut(s, "/")
	if !ok {
		account, user = "", s
	} else if !isName(account) {
		return login{}
	}
	if !isName(user) {
		return login{}
	}
	return login{account: account, user: user}
}

// A verified credential needs no second look but the one at the live state:
// the user is enabled, the key too, the password is still of this version.
type verified struct {
	account, user, key string
	version            int64
}

// Password logs in by the user part and the password of HTTP Basic, from an
// address (with or without port) that repeated failures are counted for.
//
// An access credential in place of the password logs its user in, whatever the
// user part is.
//
// Errors: fault.Unauthorized, alike and at the same cost whatever is wrong;
// fault.TooMany with the time to wait (time.Duration) as Detail. A credential
// that was verified before, and a key, are never slowed down.
func (a *Authority) Password(ctx context.Context, userPart, password, addr string) (Caller, error) {
	if c, ok := parseCredential(password); ok {
		return a.byCredential(ctx, c)
	}
	who, _, err := a.login(ctx, userPart, password, addr)
	if err != nil && ReasonOf(err) == Disabled {
		err = wrongPassword() // whether the password was right is nobody's business here
	}
	return who, err
}

func wrongPassword() error {
	return fault.New(fault.Unauthorized, "The user name or the password is wrong.").With(WrongPassword)
}

// login is Password, and returns the version of the password too. Of who is
// disabled it tells by the reason Disabled whether the password was right.
func (a *Authority) login(ctx context.Context, userPart, password, addr string) (Caller, int64, error) {
	if len(userPart) > maxUserPart || len(password) > MaxPassword {
		userPart, password = "", ""
	}
	mark := a.prints.of(userPart, password)
	if v, ok := a.verified.get(mark); ok {
		if who, ok, err := a.recall(ctx, v); ok || err != nil {
			return who, v.version, err
		}
	}
	l := parseLogin(userPart)
	if l.key != "" {
		v, ok, err := a.verifyKey(ctx, l, password)
		if err != nil {
			return Caller{}, 0, err
		}
		if ok {
			switch who, ok, err := a.recall(ctx, v); {
			case err != nil:
				return Caller{}, 0, err
			case ok:
				a.verified.put(mark, v)
				return who, 0, nil
			}
		}
	}
	return a.hashed(ctx, l, password, a.slow.attempt(userPart, addr), mark)
}

// A loggedIn is who a password belongs to.
type loggedIn struct {
	who     Caller
	version int64
}

// hashed is the part of a login that hashes the password, and that failures
// slow down. All who ask the same at once share one run.
func (a *Authority) hashed(ctx context.Context, l login, password string, at attempt, mark fingerprint) (Caller, int64, error) {
	if wait := a.slow.wait(at, a.now()); wait > 0 {
		return Caller{}, 0, fault.New(fault.TooMany, "Too many failed logins: wait %s before the next.", max(time.Second, wait.Round(time.Second))).With(wait)
	}
	run := a.flights.DoChan(string(mark[:]), func() (any, error) {
		// It goes on for the others when the client that began it goes away.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loginLimit)
		defer cancel()
		return a.verifyPassword(ctx, l, password, at, mark)
	})
	select {
	case r := <-run:
		in, _ := r.Val.(loggedIn)
		return in.who, in.version, r.Err
	case <-ctx.Done():
		return Caller{}, 0, ctx.Err()
	}
}

// recall turns a verified credential into a caller if it is still good.
func (a *Authority) recall(ctx context.Context, v verified) (Caller, bool, error) {
	s, err := a.standing(ctx, v.account, ask{user: v.user, key: v.key})
	if err != nil || !s.good(a.now()) || s.Account != v.account || v.key == "" && s.Version != v.version {
		return Caller{}, false, err
	}
	a.uses.note(v.key, a.now())
	return s.caller(v.user, v.key), true, nil
}

type keyLogin struct {
	Account, User string
	Secret        []byte
	Project       bool // the account has a project of this name
}

// verifyKey compares a password with the one that belongs to a key. Whether
// the key is enabled is not asked here. A key that is good for nothing without
// its security token has no password.
func (a *Authority) verifyKey(ctx context.Context, l login, password string) (verified, bool, error) {
	row, err := db.One[keyLogin](ctx, a.db, `SELECT k.account, k.iam_user, k.secret,
			EXISTS (SELECT 1 FROM project p WHERE p.account = k.account AND p.name = $2)
		FROM access_key k WHERE k.access = $1 AND k.kind <> $3`, l.key, l.project, string(sessionKey))
	if errors.Is(err, db.ErrNone) {
		return verified{}, false, nil
	}
	if err != nil {
		return verified{}, false, err
	}
	secret, err := a.Unseal(sealedKey(l.key), row.Secret)
	if err != nil {
		return verified{}, false, err
	}
	ok := subtle.ConstantTimeCompare([]byte(KeyPassword(l.key, string(secret))), []byte(password)) == 1
	return verified{account: row.Account, user: row.User, key: l.key}, ok && row.Project, nil
}

// KeyPassword is the long-term login password of an access key: HMAC-SHA256 of
// the access key under its secret, in lower-case hex.
func KeyPassword(access, secret string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(access))
	return hex.EncodeToString(h.Sum(nil))
}

type passwordLogin struct {
	Account, User, Password string
	Version                 int64
}

// verifyPassword hashes once, whatever is wrong with the login.
func (a *Authority) verifyPassword(ctx context.Context, l login, password string, at attempt, mark fingerprint) (loggedIn, error) {
	row, err := a.findPassword(ctx, l)
	if err != nil {
		return loggedIn{}, err
	}
	right, err := a.hasher.verify(ctx, row.Password, password)
	if err != nil {
		return loggedIn{}, err
	}
	if right {
		v := verified{account: row.Account, user: row.User, version: row.Version}
		who, ok, err := a.recall(ctx, v)
		if err != nil {
			return loggedIn{}, err
		}
		if ok {
			a.slow.succeeded(at)
			a.verified.put(mark, v)
			return loggedIn{who, row.Version}, nil
		}
	}
	a.refused.Add(1)
	a.slow.failed(at, a.now())
	// What was typed as the name is not logged: it may be the password.
	a.log.Info("login refused", "address", at.addr, "user", row.User)
	if right {
		return loggedIn{}, fault.New(fault.Unauthorized, "This login is not valid any more.").With(Disabled)
	}
	return loggedIn{}, wrongPassword()
}

// findPassword returns the zero row for who does not exist.
func (a *Authority) findPassword(ctx context.Context, l login) (passwordLogin, error) {
	if l.user == "" {
		return passwordLogin{}, nil
	}
	row, err := db.One[passwordLogin](ctx, a.db, `SELECT u.account, u.id, u.password, u.version
		FROM iam_user u JOIN account a ON a.id = u.account
		WHERE u.name = $2 AND (a.name = $1 OR $1 = '' AND a.seq = (SELECT min(seq) FROM account))`, l.account, l.user)
	if errors.Is(err, db.ErrNone) {
		return passwordLogin{}, nil
	}
	return row, err
}
