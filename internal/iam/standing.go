package iam

import (
	"context"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
)

// A standing is what the rows say of a user at a moment: whether the user, the
// account and the key that logged in are enabled, and the rights on one
// organization and repository.
type standing struct {
	Account, AccountName string
	First                bool // the account is the one that administers the installation
	UserName             string
	Admin                bool
	Enabled              bool
	Version              int64  // of the password
	Expires              *int64 // of the key, in microseconds
	Org, Repo            Right
	Limits               string // of the credential

	limits *Limits // the same; nil: none
}

// ask names a standing: of a user, by a key or without one, about an
// organization and a repository or neither.
type ask struct {
	user, key string
	org, repo int64
}

// A cachedStanding is true while the account's epoch is the same. It is
// shared and never changed.
type cachedStanding struct {
	standing
	epoch int64
}

// maxStandings bounds the cache: twice as many entries at most.
const maxStandings = 8192

// A key of another user, or none of that name, is as good as a disabled one;
// so is a key whose parent is.
const standingQuery = `SELECT a.id, a.name, a.seq = 1, u.name, u.admin,
		u.enabled AND a.enabled AND ($2 = '' OR coalesce(k.enabled AND (k.parent = '' OR coalesce(p.enabled, false)), false)), u.version, k.expires,
		coalesce((SELECT g.auth FROM org_grant g WHERE g.organization = $3 AND g.iam_user = u.id), 0),
		coalesce((SELECT g.auth FROM repo_grant g WHERE g.repository = $4 AND g.iam_user = u.id), 0),
		coalesce((SELECT c.limits FROM credential c WHERE c.access = k.access), '')
	FROM iam_user u JOIN account a ON a.id = u.account
		LEFT JOIN access_key k ON k.access = $2 AND k.iam_user = u.id LEFT JOIN access_key p ON p.access = k.parent
	WHERE u.id = $1`

// readStanding reads the rows. A user who does not exist is one who is not
// enabled.
func readStanding(ctx context.Context, q db.Querier, about ask) (*standing, error) {
	s, err := db.One[standing](ctx, q, standingQuery, about.user, about.key, about.org, about.repo)
	if err != nil && !errors.Is(err, db.ErrNone) {
		return nil, err
	}
	s.limits, err = parseLimits(s.Limits)
	return &s, err
}

// standing is readStanding through the cache. The account is the user's own:
// its epoch covers everything a standing says.
func (a *Authority) standing(ctx context.Context, account string, about ask) (*standing, error) {
	fresh, epoch := a.Fresh(), a.epochs.of(account)
	if fresh {
		if s, ok := a.standings.get(about); ok && s.epoch == epoch {
			return &s.standing, nil
		}
	}
	s, err := readStanding(ctx, a.db, about)
	if err == nil && fresh && s.Account == account {
		a.standings.put(about, &cachedStanding{*s, epoch})
	}
	return s, err
}

// standingIn is readStanding inside a transaction. Where nothing that commits
// with it has raised the account's epoch, the cache says what the rows say.
func (a *Authority) standingIn(tx *db.Tx, account string, about ask) (*standing, error) {
	if tx.Settled(func(key any) bool { k, ok := key.(raised); return ok && k.account == account }) {
		epoch := a.epochs.of(account)
		if s, ok := a.standings.get(about); ok && s.epoch == epoch {
			return &s.standing, nil
		}
	}
	return readStanding(tx.Context(), tx, about)
}

// good reports whether the user may do anything at all at now.
func (s *standing) good(now time.Time) bool {
	return s.Enabled && (s.Expires == nil || now.UnixMicro() < *s.Expires)
}

// caller is the user this standing is of.
func (s *standing) caller(user, key string) Caller {
	return Caller{Account: s.Account, AccountName: s.AccountName, User: user, UserName: s.UserName, Key: key}
}
