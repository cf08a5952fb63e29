package iam

import (
	"context"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// maxCredentials is how many access credentials a user can have.
const maxCredentials = 100

// A Credential is an access credential: a word that logs its user in wherever a
// password or a token would, until it expires, is disabled or deleted. It is an
// access key of a kind of its own (credentialKey), with what only it has beside
// it, so that all that holds of keys holds of it.
type Credential struct {
	ID                   string
	Secret               string // the whole word; only AddCredential tells it
	User, UserName       string
	Account, AccountName string
	Description          string
	Limits               Limits
	Enabled              bool
	Created              time.Time
	Expires              time.Time // zero: does not
	Used                 time.Time // zero: never
}

// State is expired, disabled or enabled, the first that is true.
func (c Credential) State(now time.Time) string {
	switch {
	case !c.Expires.IsZero() && !now.Before(c.Expires):
		return "expired"
	case !c.Enabled:
		return "disabled"
	}
	return "enabled"
}

type credentialRow struct {
	ID                   string
	User, UserName       string
	Account, AccountName string
	Description          string
	Limits               string
	Enabled              bool
	Created              int64
	Expires              *int64
	Used                 int64
}

const selectCredential = `SELECT k.access, u.id, u.name, a.id, a.name, k.description, c.limits, k.enabled, k.created, k.expires, c.used
	FROM credential c JOIN access_key k ON k.access = c.access JOIN iam_user u ON u.id = k.iam_user JOIN account a ON a.id = k.account `

// credential also knows what this node has not written yet.
func (a *Authority) credential(r credentialRow) (Credential, error) {
	c := Credential{ID: r.ID, User: r.User, UserName: r.UserName, Account: r.Account, AccountName: r.AccountName,
		Description: r.Description, Enabled: r.Enabled, Created: fromMicros(r.Created)}
	if r.Expires != nil {
		c.Expires = fromMicros(*r.Expires)
	}
	if used := max(r.Used, a.uses.of(r.ID)); used != 0 {
		c.Used = fromMicros(used)
	}
	l, err := parseLimits(r.Limits)
	if l != nil {
		c.Limits = *l
	}
	return c, err
}

// NewCredential is a credential to be made.
type NewCredential struct {
	Description string
	Expires     Expiry
	Limits      Limits
}

// AddCredential makes an access credential for a user; users may make their
// own. What itself is a credential or a temporary key makes none: it would live
// on in it. Of a user who has as many as he can those that have expired go,
// the oldest first. Errors: Denied, AccountUnknown, UserUnknown, Invalid, Quota
// above 100.
func (a *Authority) AddCredential(ctx context.Context, who Caller, user UserRef, n NewCredential) (Credential, error) {
	if err := checkDescription(n.Description); err != nil {
		return Credential{}, err
	}
	if err := n.Limits.check(); err != nil {
		return Credential{}, err
	}
	limits, err := n.Limits.text()
	if err != nil {
		return Credential{}, err
	}
	word := newCredentialWord()
	return db.Update(ctx, a.db, func(tx *db.Tx) (Credential, error) {
		u, err := a.manageUser(tx, who, CreateCredential, user, tx.ForUpdate())
		if err != nil {
			return Credential{}, err
		}
		if err := lasting(tx, who, "create access credentials"); err != nil {
			return Credential{}, err
		}
		expires, err := a.ends(n.Expires, tx.Now())
		if err != nil {
			return Credential{}, err
		}
		if err := roomForCredential(tx, u); err != nil {
			return Credential{}, err
		}
		if _, err := tx.Exec(`INSERT INTO access_key (access, account, iam_user, secret, enabled, description, created, expires, kind)
			VALUES ($1, $2, $3, $4, true, $5, $6, $7, $8)`, word.id, u.Account, u.ID, []byte{}, n.Description, tx.Micros(), expires, string(credentialKey)); err != nil {
			return Credential{}, err
		}
		if _, err := tx.Exec(`INSERT INTO credential (access, account, hash, limits) VALUES ($1, $2, $3, $4)`, word.id, u.Account, word.hash(), limits); err != nil {
			return Credential{}, err
		}
		if err := a.changed(tx, who, u.Account, CreateCredential, word.id+" of "+u.Name); err != nil {
			return Credential{}, err
		}
		c, err := a.credential(credentialRow{ID: word.id, User: u.ID, UserName: u.Name, Account: u.Account, AccountName: u.AccountName,
			Description: n.Description, Limits: limits, Enabled: true, Created: tx.Micros(), Expires: expires})
		c.Secret = word.word
		return c, err
	})
}

// lasting refuses to a caller who came by a credential or a temporary key what
// would outlive these.
func lasting(tx *db.Tx, who Caller, what string) error {
	if who.Key == "" {
		return nil
	}
	kind, err := db.One[string](tx.Context(), tx, `SELECT kind FROM access_key WHERE access = $1`, who.Key)
	switch {
	case errors.Is(err, db.ErrNone):
		return fault.New(fault.Unauthorized, "This login is not valid any more.")
	case err != nil:
		return err
	case keyKind(kind) != lastingKey:
		return fault.New(fault.Denied, "You may not %s with an access credential or a temporary access key: log in by your password or an access key.", what)
	}
	return nil
}

// roomForCredential makes sure that the user can have one more.
func roomForCredential(tx *db.Tx, u User) error {
	const count = `SELECT count(*) FROM access_key WHERE iam_user = $1 AND kind = $2`
	n, err := db.One[int64](tx.Context(), tx, count, u.ID, string(credentialKey))
	if err != nil || n < maxCredentials {
		return err
	}
	gone, err := tx.Exec(`DELETE FROM access_key WHERE access IN (SELECT access FROM access_key
		WHERE iam_user = $1 AND kind = $2 AND expires <= $3 ORDER BY expires LIMIT $4)`, u.ID, string(credentialKey), tx.Micros(), n-maxCredentials+1)
	if err != nil {
		return err
	}
	if n -= gone; n >= maxCredentials {
		return fault.New(fault.Quota, "%s has %d access credentials, which is the most: delete one first.", u.Name, n)
	}
	return nil
}

// CredentialsOf lists a user's access credentials, the newest first, without
// secrets. Errors: Denied, AccountUnknown, UserUnknown.
func (a *Authority) CredentialsOf(ctx context.Context, who Caller, user UserRef) ([]Credential, error) {
	rows, err := db.View(ctx, a.db, func(tx *db.Tx) ([]credentialRow, error) {
		u, err := a.manageUser(tx, who, ListCredentials, user, "")
		if err != nil {
			return nil, err
		}
		return db.All[credentialRow](tx.Context(), tx, selectCredential+`WHERE k.iam_user = $1 ORDER BY k.created DESC, k.access LIMIT $2`, u.ID, MaxPage)
	})
	if err != nil {
		return nil, err
	}
	return a.credentials(rows)
}

func (a *Authority) credentials(rows []credentialRow) ([]Credential, error) {
	out := make([]Credential, len(rows))
	for i, r := range rows {
		var err error
		if out[i], err = a.credential(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// AccountCredentials lists those of all users of an account by id, those behind
// after. Errors: Denied, AccountUnknown.
func (a *Authority) AccountCredentials(ctx context.Context, who Caller, account, after string, n int) (Page[Credential], error) {
	if after != "" && !isCredentialID(after) {
		return Page[Credential]{}, fault.New(fault.PageInvalid, "The marker of a page is the id of the last credential of the one before.")
	}
	n = clampPage(n)
	rows, err := db.View(ctx, a.db, func(tx *db.Tx) ([]credentialRow, error) {
		acc, err := a.manage(tx, who, ListCredentials, account, "")
		if err != nil {
			return nil, err
		}
		return db.All[credentialRow](tx.Context(), tx, selectCredential+`WHERE c.account = $1 AND c.access > $2 ORDER BY c.access LIMIT $3`, acc.ID, after, n+1)
	})
	if err != nil {
		return Page[Credential]{}, err
	}
	items, err := a.credentials(rows[:min(len(rows), n)])
	return Page[Credential]{Items: items, More: len(rows) > n}, err
}
