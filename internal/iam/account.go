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
	ID, Name    string
	Enabled     bool
	Created     time.Time
	Description string
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
	Description    string
	OrgID, OrgPath string
	Seq            int64
}

// firstAccount is the number of the account whose administrators administer the
// installation. No account is ever deleted, so it stays the same one.
const firstAccount = 1

func (r accountRow) account() Account {
	return Account{ID: r.ID, Name: r.Name, Enabled: r.Enabled, Created: fromMicros(r.Created), Description: r.Description, OrgID: r.OrgID, OrgPath: r.OrgPath}
}

const (
	accountColumns = `id, name, enabled, created, description, org_id, org_path, seq`
	selectAccount  = `SELECT ` + accountColumns + ` FROM account `
)

// FindAccount looks an account up by its name; the empty name means the first
// account. It asks nobody's right. Errors: fault.AccountUnknown.
func FindAccount(ctx context.Context, q db.Querier, name string) (Account, error) {
	return findAccount(ctx, q, name, "")
}

// FindAccountByID looks an account up by its id. It asks nobody's right.
// Errors: fault.AccountUnknown.
func FindAccountByID(ctx context.Context, q db.Querier, id string) (Account, error) {
	row, err := readAccount(ctx, q, AccountRef{ID: id}, "")
	return row.account(), err
}

func findAccount(ctx context.Context, q db.Querier, name, lock string) (Account, error) {
	row, err := readAccount(ctx, q, AccountRef{Name: name}, lock)
	return row.account(), err
}

// readAccount reads a row by id or name; neither means the first account.
// Errors: fault.AccountUnknown.
func readAccount(ctx context.Context, q db.Querier, ref AccountRef, lock string) (accountRow, error) {
	where, arg, called := `WHERE seq = $1`, any(int64(firstAccount)), "1"
	switch {
	case ref.ID != "":
		where, arg, called = `WHERE id = $1`, ref.ID, ref.ID
	case ref.Name != "":
		where, arg, called = `WHERE name = $1`, ref.Name, ref.Name
	}
	row, err := accountRow{}, db.ErrNone
	if isName(called) {
		row, err = db.One[accountRow](ctx, q, selectAccount+where+lock, arg)
	}
	if errors.Is(err, db.ErrNone) {
		return row, fault.New(fault.AccountUnknown, "There is no account %s.", clip(called))
	}
	return row, err
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
