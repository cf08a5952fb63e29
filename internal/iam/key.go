package iam

import (
	"context"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// maxKeys is how many access keys a user can have.
const maxKeys = 2

// A Key is an access key (AK, SK) of a user.
type Key struct {
	Access               string // 20 upper-case letters and digits
	Secret               string // 40 letters and digits; only CreateKey tells it
	User, UserName       string
	Account, AccountName string
	Description          string
	Enabled              bool
	Created              time.Time
	Expires              time.Time // zero: does not
}

func sealedKey(access string) string { return "access_key:" + access }

type keyRow struct {
	Access               string
	User, UserName       string
	Account, AccountName string
	Description          string
	Enabled              bool
	Created              int64
	Expires              *int64
}

func (r keyRow) key() Key {
	k := Key{Access: r.Access, User: r.User, UserName: r.UserName, Account: r.Account, AccountName: r.AccountName,
		Description: r.Description, Enabled: r.Enabled, Created: fromMicros(r.Created)}
	if r.Expires != nil {
		k.Expires = fromMicros(*r.Expires)
	}
	return k
}

const selectKey = `SELECT k.access, u.id, u.name, a.id, a.name, k.description, k.enabled, k.created, k.expires
	FROM access_key k JOIN iam_user u ON u.id = k.iam_user JOIN account a ON a.id = k.account `

// CreateKey makes an access key for a user; users may make their own. Errors:
// Denied, AccountUnknown, UserUnknown, Invalid, Quota above two keys.
func (a *Authority) CreateKey(ctx context.Context, who Caller, account, user, description string) (Key, error) {
	return a.AddKey(ctx, who, named(account, user), description)
}

// AddKey is CreateKey for a user by id or name. Errors: as CreateKey.
func (a *Authority) AddKey(ctx context.Context, who Caller, user UserRef, description string) (Key, error) {
	if err := checkDescription(description); err != nil {
		return Key{}, err
	}
	access, secret := randomText(upperAlphanumeric, accessSize), randomText(alphanumeric, secretKeySize)
	sealed := a.Seal(sealedKey(access), []byte(secret))
	return db.Update(ctx, a.db, func(tx *db.Tx) (Key, error) {
		u, err := a.manageUser(tx, who, CreateKey, user, tx.ForUpdate())
		if err != nil {
			return Key{}, err
		}
		if isCredentialID(who.Key) {
			return Key{}, lasting(tx, who, "create access keys")
		}
		n, err := db.One[int64](tx.Context(), tx, `SELECT count(*) FROM access_key WHERE iam_user = $1 AND kind = ''`, u.ID)
		if err != nil {
			return Key{}, err
		}
		if n >= maxKeys {
			return Key{}, fault.New(fault.Quota, "%s has %d access keys, which is the most: delete one first.", u.Name, n)
		}
		if _, err := tx.Exec(`INSERT INTO access_key (access, account, iam_user, secret, enabled, description, created)
			VALUES ($1, $2, $3, $4, true, $5, $6)`, access, u.Account, u.ID, sealed, description, tx.Micros()); err != nil {
			return Key{}, err
		}
		if err := a.changed(tx, who, u.Account, CreateKey, access+" of "+u.Name); err != nil {
			return Key{}, err
		}
		return Key{Access: access, Secret: secret, User: u.ID, UserName: u.Name, Account: u.Account, AccountName: u.AccountName,
			Description: description, Enabled: true, Created: fromMicros(tx.Micros())}, nil
	})
}

// Keys lists a user's access keys, without secrets and without those that
// expire. Errors: Denied,
// AccountUnknown, UserUnknown.
func (a *Authority) Keys(ctx context.Context, who Caller, account, user string) ([]Key, error) {
	return a.KeysOf(ctx, who, named(account, user))
}

// KeysOf is Keys for a user by id or name. Errors: as Keys.
func (a *Authority) KeysOf(ctx context.Context, who Caller, user UserRef) ([]Key, error) {
	rows, err := db.View(ctx, a.db, func(tx *db.Tx) ([]keyRow, error) {
		u, err := a.manageUser(tx, who, ListKeys, user, "")
		if err != nil {
			return nil, err
		}
		return db.All[keyRow](tx.Context(), tx, selectKey+`WHERE k.iam_user = $1 AND k.kind = '' ORDER BY k.access LIMIT $2`, u.ID, MaxPage)
	})
	return page(rows, MaxPage, keyRow.key).Items, err
}

// SetKeyEnabled lets a key log in or not, from the next call on. Errors:
// Denied, KeyUnknown.
func (a *Authority) SetKeyEnabled(ctx context.Context, who Caller, access string, on bool) error {
	_, err := a.ChangeKey(ctx, who, access, KeyChange{Enabled: &on})
	return err
}

// Key shows a key, without its secret. Errors: Denied, KeyUnknown.
func (a *Authority) Key(ctx context.Context, who Caller, access string) (Key, error) {
	return db.View(ctx, a.db, func(tx *db.Tx) (Key, error) {
		k, err := a.manageKey(tx, who, ListKeys, access)
		return k.key(), err
	})
}

// KeyChange is what is changed of a key; nil stays as it is.
type KeyChange struct {
	Enabled     *bool
	Description *string
}

// ChangeKey changes a key. Of a temporary one that is switched off what it made
// ends for good. Errors: Denied, KeyUnknown, Invalid.
func (a *Authority) ChangeKey(ctx context.Context, who Caller, access string, c KeyChange) (Key, error) {
	note := ""
	if c.Enabled != nil {
		note = state(*c.Enabled)
	}
	if c.Description != nil {
		if err := checkDescription(*c.Description); err != nil {
			return Key{}, err
		}
	}
	return db.Update(ctx, a.db, func(tx *db.Tx) (Key, error) {
		k, err := a.manageKey(tx, who, UpdateKey, access)
		if err != nil {
			return Key{}, err
		}
		if c.Enabled != nil && *c.Enabled && isCredentialID(who.Key) {
			return Key{}, lasting(tx, who, "enable access keys")
		}
		if c.Enabled != nil {
			k.Enabled = *c.Enabled
		}
		if c.Description != nil {
			k.Description = *c.Description
		}
		if _, err := tx.Exec(`UPDATE access_key SET enabled = $2, description = $3 WHERE access = $1`, access, k.Enabled, k.Description); err != nil {
			return Key{}, err
		}
		if !k.Enabled {
			if err := endDescendants(tx, access); err != nil {
				return Key{}, err
			}
		}
		return k.key(), a.changed(tx, who, k.Account, UpdateKey, access+" of "+k.UserName+note)
	})
}

// DeleteKey removes a key; what it made ends with it. Errors: Denied, KeyUnknown.
func (a *Authority) DeleteKey(ctx context.Context, who Caller, access string) error {
	_, err := db.Update(ctx, a.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		k, err := a.manageKey(tx, who, DeleteKey, access)
		if err != nil {
			return none, err
		}
		// The key first: whoever is about to make another with it waits or has done so.
		if _, err := tx.Exec(`DELETE FROM access_key WHERE access = $1`, access); err != nil {
			return none, err
		}
		if err := endDescendants(tx, access); err != nil {
			return none, err
		}
		return none, a.changed(tx, who, k.Account, DeleteKey, access+" of "+k.UserName)
	})
	return err
}

// manageKey finds a key and decides whether the caller may do this to it. A
// key of another account answers as one that does not exist.
func (a *Authority) manageKey(tx *db.Tx, who Caller, do Action, access string) (keyRow, error) {
	k, err := keyRow{}, db.ErrNone
	if isAccess(access) {
		k, err = db.One[keyRow](tx.Context(), tx, selectKey+`WHERE k.access = $1`, access)
	}
	unknown := errors.Is(err, db.ErrNone)
	if err != nil && !unknown {
		return k, err
	}
	if !who.System() && k.Account != who.Account {
		unknown = true
		k = keyRow{Account: who.Account}
	}
	if err := a.Allow(tx, who, do, Resource{Account: k.Account, User: k.User}); err != nil {
		return k, err
	}
	if unknown {
		return k, fault.New(fault.KeyUnknown, "There is no access key %s.", clip(access))
	}
	return k, nil
}
