package iam

import (
	"context"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// A User belongs to one account. Administrators have every right in it.
type User struct {
	ID, Name             string
	Account, AccountName string
	Description          string
	Contact              Contact
	Admin, Enabled       bool
	Password             bool // can log in by password
	AccessMode           AccessMode
	Reset                bool // the password should be replaced by its user; nothing insists
	Created              time.Time
}

// AccessMode is what a user is meant for. It is kept and shown, for consoles
// and for clients that compare it; every credential of the user stays good.
type AccessMode string

// The access modes.
const (
	AnyAccess    AccessMode = "default"
	ProgramsOnly AccessMode = "programmatic"
	ConsoleOnly  AccessMode = "console"
)

func (m AccessMode) check() error {
	if m != AnyAccess && m != ProgramsOnly && m != ConsoleOnly {
		return fault.New(fault.Invalid, "The access mode is %s, %s or %s.", AnyAccess, ProgramsOnly, ConsoleOnly)
	}
	return nil
}

type userRow struct {
	ID, Name             string
	Account, AccountName string
	Description          string
	Admin, Enabled       bool
	Password             bool
	AccessMode           AccessMode
	Reset                bool
	Created              int64
	Email                string
	AreaCode, Phone      string
}

func (r userRow) user() User {
	return User{ID: r.ID, Name: r.Name, Account: r.Account, AccountName: r.AccountName, Description: r.Description,
		Contact: Contact{Email: r.Email, AreaCode: r.AreaCode, Phone: r.Phone},
		Admin:   r.Admin, Enabled: r.Enabled, Password: r.Password,
		AccessMode: r.AccessMode, Reset: r.Reset, Created: fromMicros(r.Created)}
}

const selectUser = `SELECT u.id, u.name, a.id, a.name, u.description, u.admin, u.enabled, u.password <> '', u.access_mode, u.reset, u.created, u.email, u.areacode, u.phone
	FROM iam_user u JOIN account a ON a.id = u.account `

// FindUser looks a user up by the account's id and the user's name. It asks
// nobody's right. Errors: fault.UserUnknown.
func FindUser(ctx context.Context, q db.Querier, account, name string) (User, error) {
	return oneUser(ctx, q, name, selectUser+`WHERE u.account = $1 AND u.name = $2`, account, name)
}

func oneUser(ctx context.Context, q db.Querier, called, query string, args ...any) (User, error) {
	row, err := userRow{}, db.ErrNone
	if isName(called) {
		row, err = db.One[userRow](ctx, q, query, args...)
	}
	if errors.Is(err, db.ErrNone) {
		return User{}, fault.New(fault.UserUnknown, "There is no user %s in the account.", clip(called))
	}
	return row.user(), err
}

// findUser looks a user of an account up by id or name.
func findUser(ctx context.Context, q db.Querier, account string, ref UserRef) (User, error) {
	if ref.ID == "" {
		return FindUser(ctx, q, account, ref.Name)
	}
	return oneUser(ctx, q, ref.ID, selectUser+`WHERE u.account = $1 AND u.id = $2`, account, ref.ID)
}

// ownerOf is the account that a user is looked for in: the caller's own, or
// for system callers the one that is named, or that has the id.
func (a *Authority) ownerOf(tx *db.Tx, who Caller, ref UserRef, lock string) (Account, error) {
	if ref.ID == "" || !who.System() {
		return lookAccount(tx, who, ref.Account.Name, lock)
	}
	u, err := oneUser(tx.Context(), tx, ref.ID, selectUser+`WHERE u.id = $1`, ref.ID)
	if err != nil {
		return Account{}, err
	}
	return findAccount(tx.Context(), tx, u.AccountName, lock)
}

// manageUser finds a user and decides whether the caller may do this to him.
// Only those who may manage the account learn that a user does not exist.
func (a *Authority) manageUser(tx *db.Tx, who Caller, do Action, ref UserRef, lock string) (User, error) {
	acc, err := a.ownerOf(tx, who, ref, lock)
	if err != nil {
		return User{}, err
	}
	u, unknown := findUser(tx.Context(), tx, acc.ID, ref)
	if unknown != nil && !fault.Is(unknown, fault.UserUnknown) {
		return User{}, unknown
	}
	if err := a.Allow(tx, who, do, Resource{Account: acc.ID, User: u.ID}); err != nil {
		return User{}, err
	}
	return u, unknown
}

// NewUser is a user to be made. Without a password he logs in by access keys
// only; without an AccessMode it is AnyAccess.
type NewUser struct {
	Name, Password  string
	Description     string
	Contact         Contact
	AccessMode      AccessMode
	Admin, Disabled bool
	KeepPassword    bool // it is not meant to be replaced
}

func (n *NewUser) check() error {
	if n.AccessMode == "" {
		n.AccessMode = AnyAccess
	}
	if err := checkName("a user", n.Name); err != nil {
		return err
	}
	if err := checkDescription(n.Description); err != nil {
		return err
	}
	if err := n.Contact.check(); err != nil {
		return err
	}
	return n.AccessMode.check()
}

// CreateUser makes a user with a password, or none. Errors: as AddUser.
func (a *Authority) CreateUser(ctx context.Context, who Caller, account, name, password string, admin bool) (User, error) {
	return a.AddUser(ctx, who, account, NewUser{Name: name, Password: password, Admin: admin})
}

// AddUser makes a user. Errors: Denied, AccountUnknown, Invalid, Exists,
// TooMany.
func (a *Authority) AddUser(ctx context.Context, who Caller, account string, n NewUser) (User, error) {
	if err := n.check(); err != nil {
		return User{}, err
	}
	if err := a.Check(ctx, who, CreateUser, Resource{Account: who.Account}); err != nil {
		return User{}, err // before a password is hashed for him
	}
	phc, err := a.newPassword(ctx, n.Password)
	if err != nil {
		return User{}, err
	}
	id := newID()
	return db.Update(ctx, a.db, func(tx *db.Tx) (User, error) {
		acc, err := a.manage(tx, who, CreateUser, account, "")
		if err != nil {
			return User{}, err
		}
		return a.insertUser(tx, who, acc, id, phc, n)
	})
}

func (a *Authority) newPassword(ctx context.Context, password string) (phc string, err error) {
	if err := checkPassword(password); err != nil || password == "" {
		return "", err
	}
	return a.hasher.hash(ctx, password)
}

func (a *Authority) insertUser(tx *db.Tx, who Caller, acc Account, id, phc string, n NewUser) (User, error) {
	made, err := tx.Exec(`INSERT INTO iam_user (id, account, name, password, version, admin, enabled, description, created, access_mode, reset, email, areacode, phone)
		VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (account, name) DO NOTHING`,
		id, acc.ID, n.Name, phc, n.Admin, !n.Disabled, n.Description, tx.Micros(), string(n.AccessMode), !n.KeepPassword,
		n.Contact.Email, n.Contact.AreaCode, n.Contact.Phone)
	if err != nil {
		return User{}, err
	}
	if made == 0 {
		return User{}, fault.New(fault.Exists, "A user with the name %s exists already.", n.Name)
	}
	if err := a.changed(tx, who, acc.ID, CreateUser, n.Name); err != nil {
		return User{}, err
	}
	return FindUser(tx.Context(), tx, acc.ID, n.Name)
}
