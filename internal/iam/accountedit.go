package iam

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// NewAccount is an account to be made. Without an Administrator it has no
// users yet, and nobody but the operator can make any.
type NewAccount struct {
	Name, Description string
	Disabled          bool
	OrgID, OrgPath    string
	Administrator     *NewUser
}

func (n *NewAccount) check() error {
	if err := checkName("an account", n.Name); err != nil {
		return err
	}
	if err := checkPlace(n.OrgID, n.OrgPath); err != nil {
		return err
	}
	if err := checkDescription(n.Description); err != nil || n.Administrator == nil {
		return err
	}
	if n.Administrator.Password == "" {
		return fault.New(fault.Invalid, "The first administrator of an account has a password: without one nobody could log in.")
	}
	return n.Administrator.check()
}

func checkPlace(texts ...string) error {
	for _, s := range texts {
		if checkDescription(s) != nil {
			return fault.New(fault.Invalid, "The id and the path of an organization (org_id, org_path) are text of at most %d bytes, without control characters.", maxDescription)
		}
	}
	return nil
}

// CreateAccount makes an account with its first project. It has no users yet.
// Errors: as AddAccount.
func (a *Authority) CreateAccount(ctx context.Context, who Caller, name string) (Account, error) {
	acc, _, err := a.AddAccount(ctx, who, NewAccount{Name: name})
	return acc, err
}

// AddAccount makes an account with its first project and, where one is asked
// for, its first administrator, or nothing at all. Errors: Denied, Invalid,
// Exists, TooMany.
func (a *Authority) AddAccount(ctx context.Context, who Caller, n NewAccount) (Account, User, error) {
	if n.Administrator != nil { // what check fills in is ours
		admin := *n.Administrator
		admin.Admin, admin.Disabled = true, false
		n.Administrator = &admin
	}
	if err := a.Check(ctx, who, CreateAccount, Resource{}); err != nil {
		return Account{}, User{}, err // before a password is hashed for him
	}
	if err := n.check(); err != nil {
		return Account{}, User{}, err
	}
	phc := ""
	if n.Administrator != nil {
		var err error
		if phc, err = a.newPassword(ctx, n.Administrator.Password); err != nil {
			return Account{}, User{}, err
		}
	}
	type made struct {
		account Account
		admin   User
	}
	id, project, user := newID(), newID(), newID()
	out, err := db.Update(ctx, a.db, func(tx *db.Tx) (m made, err error) {
		if err := a.Allow(tx, who, CreateAccount, Resource{}); err != nil {
			return made{}, err
		}
		if m.account, err = a.insertAccount(tx, who, id, project, n); err != nil || n.Administrator == nil {
			return m, err
		}
		m.admin, err = a.insertUser(tx, who, m.account, user, phc, *n.Administrator)
		return m, err
	})
	return out.account, out.admin, err
}

func (a *Authority) insertAccount(tx *db.Tx, who Caller, id, project string, n NewAccount) (Account, error) {
	// Accounts get their numbers one after the other.
	if _, err := db.One[int64](tx.Context(), tx, `SELECT seq FROM account WHERE seq = $1`+tx.ForNoKeyUpdate(), firstAccount); err != nil && !errors.Is(err, db.ErrNone) {
		return Account{}, err
	}
	seq, err := db.One[int64](tx.Context(), tx, `SELECT coalesce(max(seq), 0) + 1 FROM account`)
	if err != nil {
		return Account{}, err
	}
	row, err := db.One[accountRow](tx.Context(), tx, `INSERT INTO account (id, seq, name, enabled, created, description, org_id, org_path)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING RETURNING `+accountColumns,
		id, seq, n.Name, !n.Disabled, tx.Micros(), n.Description, n.OrgID, n.OrgPath)
	if errors.Is(err, db.ErrNone) {
		return Account{}, fault.New(fault.Exists, "An account with the name %s exists already.", n.Name)
	}
	if err != nil {
		return Account{}, err
	}
	if _, err := tx.Exec(`INSERT INTO project (id, account, name, created) VALUES ($1, $2, $3, $4)`, project, id, a.o.Region, tx.Micros()); err != nil {
		return Account{}, err
	}
	return row.account(), a.changed(tx, who, id, CreateAccount, n.Name)
}

// AccountChange is what is changed of an account; nil stays as it is.
type AccountChange struct {
	Name           *string // the one that it has: logins and histories name it
	Description    *string
	Enabled        *bool
	OrgID, OrgPath *string
}

func (c *AccountChange) check() error {
	if c.Description != nil {
		if err := checkDescription(*c.Description); err != nil {
			return err
		}
	}
	for _, s := range []*string{c.OrgID, c.OrgPath} {
		if s != nil {
			if err := checkPlace(*s); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply returns what the audit says of it.
func (c *AccountChange) apply(row *accountRow) (note string) {
	if c.Description != nil {
		row.Description = *c.Description
	}
	if c.Enabled != nil {
		row.Enabled = *c.Enabled
		note += state(*c.Enabled)
	}
	if c.OrgID != nil {
		row.OrgID = *c.OrgID
	}
	if c.OrgPath != nil {
		row.OrgPath = *c.OrgPath
	}
	if c.OrgID != nil || c.OrgPath != nil {
		note += " in " + row.OrgID + " " + row.OrgPath
	}
	return note
}

// ChangeAccount changes an account, all of it or nothing. Users of one that is
// disabled are kept out; its images stay. Errors: Denied, AccountUnknown,
// Invalid, Unsupported for another name, InUse for who would disable the account that he administers the
// installation from.
func (a *Authority) ChangeAccount(ctx context.Context, who Caller, ref AccountRef, c AccountChange) (Account, error) {
	if err := c.check(); err != nil {
		return Account{}, err
	}
	return db.Update(ctx, a.db, func(tx *db.Tx) (Account, error) {
		if err := a.Allow(tx, who, UpdateAccount, Resource{}); err != nil {
			return Account{}, err
		}
		row, err := readAccount(tx.Context(), tx, ref, tx.ForUpdate())
		if err != nil {
			return Account{}, err
		}
		if c.Name != nil && *c.Name != row.Name {
			return Account{}, fault.New(fault.Unsupported, "An account keeps its name: logins and histories name it.")
		}
		if row.Seq == firstAccount && !who.System() && c.Enabled != nil && !*c.Enabled {
			return Account{}, fault.New(fault.InUse, "The account %s administers the installation: only the operator may disable it.", row.Name)
		}
		note := c.apply(&row)
		if _, err := tx.Exec(`UPDATE account SET description = $2, enabled = $3, org_id = $4, org_path = $5 WHERE id = $1`,
			row.ID, row.Description, row.Enabled, row.OrgID, row.OrgPath); err != nil {
			return Account{}, err
		}
		return row.account(), a.changed(tx, who, row.ID, UpdateAccount, row.Name+note)
	})
}

// SetAccountEnabled lets the users of an account in, or keeps all of them out.
// Errors: as ChangeAccount.
func (a *Authority) SetAccountEnabled(ctx context.Context, who Caller, account string, on bool) error {
	_, err := a.ChangeAccount(ctx, who, AccountRef{Name: account}, AccountChange{Enabled: &on})
	return err
}

// state is how the audit tells a switch.
func state(on bool) string {
	if on {
		return " on"
	}
	return " off"
}
