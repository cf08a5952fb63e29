package iam

import (
	"context"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// An Account is a tenant: its users, organizations and images are its own.
type Account struct {
	ID, Name string
	Enabled  bool
	Created  time.Time
	// OrgID and OrgPath say where the account stands in a directory of
	// organizations that is kept elsewhere, for rules that ask for it. They are
	// the operator's word; empty: nowhere.
	OrgID, OrgPath string
}

// Page is one page of a list; More says that another follows it.
type Page[T any] struct {
	Items []T
	More  bool
}

// MaxPage bounds every list.
const MaxPage = 1000

func clampPage(n int) int { return min(max(n, 1), MaxPage) }

// page makes a page of the rows that were fetched with LIMIT n+1.
func page[R, T any](rows []R, n int, item func(R) T) Page[T] {
	p := Page[T]{More: len(rows) > n, Items: make([]T, 0, min(len(rows), n))}
	for _, r := range rows[:min(len(rows), n)] {
		p.Items = append(p.Items, item(r))
	}
	return p
}

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

type accountRow struct {
	ID, Name       string
	Enabled        bool
	Created        int64
	OrgID, OrgPath string
}

func (r accountRow) account() Account {
	return Account{ID: r.ID, Name: r.Name, Enabled: r.Enabled, Created: fromMicros(r.Created), OrgID: r.OrgID, OrgPath: r.OrgPath}
}

const selectAccount = `SELECT id, name, enabled, created, org_id, org_path FROM account `

// FindAccount looks an account up by its name; the empty name means the first
// account. It asks nobody's right. Errors: fault.AccountUnknown.
func FindAccount(ctx context.Context, q db.Querier, name string) (Account, error) {
	return findAccount(ctx, q, name, "")
}

// FindAccountByID looks an account up by its id. It asks nobody's right.
// Errors: fault.AccountUnknown.
func FindAccountByID(ctx context.Context, q db.Querier, id string) (Account, error) {
	row, err := db.One[accountRow](ctx, q, selectAccount+`WHERE id = $1`, id)
	if errors.Is(err, db.ErrNone) {
		return Account{}, fault.New(fault.AccountUnknown, "There is no account with the id %s.", id)
	}
	return row.account(), err
}

func findAccount(ctx context.Context, q db.Querier, name, lock string) (Account, error) {
	where, args := `WHERE name = $1`, []any{name}
	if name == "" {
		where, args = `ORDER BY seq LIMIT 1`, nil
	}
	row, err := db.One[accountRow](ctx, q, selectAccount+where+lock, args...)
	if errors.Is(err, db.ErrNone) {
		return Account{}, fault.New(fault.AccountUnknown, "There is no account %s.", name)
	}
	return row.account(), err
}

// lookAccount finds the account that a management call names: the empty name
// is the caller's own. Of an account that is not the caller's, users learn
// nothing: the zero account stands for it, which nobody has rights in.
func lookAccount(tx *db.Tx, who Caller, name, lock string) (Account, error) {
	if name == "" {
		name = who.AccountName
	}
	if !who.System() && name != who.AccountName {
		return Account{}, nil
	}
	return findAccount(tx.Context(), tx, name, lock)
}

// manage finds an account and decides whether the caller may do this in it.
// With a lock (tx.ForUpdate) changes of one account come one after the other.
func (a *Authority) manage(tx *db.Tx, who Caller, do Action, name, lock string) (Account, error) {
	acc, err := lookAccount(tx, who, name, lock)
	if err != nil {
		return acc, err
	}
	return acc, a.Allow(tx, who, do, Resource{Account: acc.ID})
}

// changed ends every change of an account: caches end and the audit knows.
func (a *Authority) changed(tx *db.Tx, who Caller, account string, do Action, resource string) error {
	if err := a.Raise(tx, account); err != nil {
		return err
	}
	return entry{account, who.String(), do, resource}.write(tx, "ok", RequestOf(tx.Context()))
}

// CreateAccount makes an account with its first project. It has no users yet.
// Errors: Denied, Invalid, Exists.
func (a *Authority) CreateAccount(ctx context.Context, who Caller, name string) (Account, error) {
	if err := checkName("an account", name); err != nil {
		return Account{}, err
	}
	id, project := newID(), newID()
	return db.Update(ctx, a.db, func(tx *db.Tx) (Account, error) {
		if err := a.Allow(tx, who, CreateAccount, Resource{}); err != nil {
			return Account{}, err
		}
		return a.insertAccount(tx, who, id, name, project)
	})
}

func (a *Authority) insertAccount(tx *db.Tx, who Caller, id, name, project string) (Account, error) {
	seq, err := db.One[int64](tx.Context(), tx, `SELECT coalesce(max(seq), 0) + 1 FROM account`)
	if err != nil {
		return Account{}, err
	}
	row, err := db.One[accountRow](tx.Context(), tx, `INSERT INTO account (id, seq, name, enabled, created) VALUES ($1, $2, $3, true, $4)
		ON CONFLICT (name) DO NOTHING RETURNING id, name, enabled, created, org_id, org_path`, id, seq, name, tx.Micros())
	if errors.Is(err, db.ErrNone) {
		return Account{}, fault.New(fault.Exists, "An account with the name %s exists already.", name)
	}
	if err != nil {
		return Account{}, err
	}
	if _, err := tx.Exec(`INSERT INTO project (id, account, name, created) VALUES ($1, $2, $3, $4)`, project, id, a.o.Region, tx.Micros()); err != nil {
		return Account{}, err
	}
	return row.account(), a.changed(tx, who, id, CreateAccount, name)
}

// Accounts lists the accounts by name, those behind after: all of them for
// system callers, their own for users. Errors: Unauthorized.
func (a *Authority) Accounts(ctx context.Context, who Caller, after string, n int) (Page[Account], error) {
	if err := a.Check(ctx, who, ListAccounts, Resource{Account: who.Account}); err != nil {
		return Page[Account]{}, err
	}
	n = clampPage(n)
	query, args := selectAccount+`WHERE name > $1 ORDER BY name LIMIT $2`, []any{after, n + 1}
	if !who.System() {
		query, args = selectAccount+`WHERE name > $1 AND id = $3 ORDER BY name LIMIT $2`, append(args, who.Account)
	}
	rows, err := db.All[accountRow](ctx, a.db, query, args...)
	return page(rows, n, accountRow.account), err
}

// SetAccountEnabled lets the users of an account in, or keeps all of them out.
// Errors: Denied, AccountUnknown.
func (a *Authority) SetAccountEnabled(ctx context.Context, who Caller, account string, on bool) error {
	_, err := db.Update(ctx, a.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		acc, err := a.manage(tx, who, UpdateAccount, account, tx.ForUpdate())
		if err != nil {
			return none, err
		}
		if _, err := tx.Exec(`UPDATE account SET enabled = $2 WHERE id = $1`, acc.ID, on); err != nil {
			return none, err
		}
		return none, a.changed(tx, who, acc.ID, UpdateAccount, acc.Name+state(on))
	})
	return err
}

// AccountChange is what is changed of an account; nil stays as it is.
type AccountChange struct{ OrgID, OrgPath *string }

// ChangeAccount changes an account. Errors: Denied, AccountUnknown, Invalid.
func (a *Authority) ChangeAccount(ctx context.Context, who Caller, account string, c AccountChange) (Account, error) {
	for _, s := range []*string{c.OrgID, c.OrgPath} {
		if s == nil {
			continue
		}
		if err := checkDescription(*s); err != nil {
			return Account{}, fault.New(fault.Invalid, "The id and the path of an organization are text of at most %d bytes, without control characters.", maxDescription)
		}
	}
	return db.Update(ctx, a.db, func(tx *db.Tx) (Account, error) {
		acc, err := a.manage(tx, who, UpdateAccount, account, tx.ForUpdate())
		if err != nil {
			return Account{}, err
		}
		if c.OrgID != nil {
			acc.OrgID = *c.OrgID
		}
		if c.OrgPath != nil {
			acc.OrgPath = *c.OrgPath
		}
		if _, err := tx.Exec(`UPDATE account SET org_id = $2, org_path = $3 WHERE id = $1`, acc.ID, acc.OrgID, acc.OrgPath); err != nil {
			return Account{}, err
		}
		return acc, a.changed(tx, who, acc.ID, UpdateAccount, acc.Name+" in "+acc.OrgID+" "+acc.OrgPath)
	})
}

// state is how the audit tells a switch.
func state(on bool) string {
	if on {
		return " on"
	}
	return " off"
}
