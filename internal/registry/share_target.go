package registry

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// TargetKind is how a rule names its target.
type TargetKind string

// The kinds of targets.
const (
	TargetAccount   TargetKind = "account"    // an account's name
	TargetAccountID TargetKind = "account_id" //
	TargetOrgID     TargetKind = "org_id"     // every account of this organization
	TargetOrgPath   TargetKind = "org_path"   // every account at this path of organizations or below
)

// maxTarget bounds ids and paths of organizations, in bytes.
const maxTarget = 1024

// target is whom a rule is for.
type target struct {
	kind    TargetKind
	name    string // as it was named
	account string // name of the account that is meant; "": organizations are
	matches iam.Target
}

// findTarget reads what a rule says of its target. Accounts have to exist, or,
// where the operator allows that, may come to exist by their name.
// Errors: Invalid, AccountUnknown.
func (r *Registry) findTarget(tx *db.Tx, owner string, kind TargetKind, name string) (target, error) {
	switch kind {
	case TargetAccount, TargetAccountID:
		return r.findAccount(tx, owner, kind, name)
	case TargetOrgID:
		if err := checkTarget(name); err != nil {
			return target{}, err
		}
		return target{kind: kind, name: name, matches: iam.OrgTarget(name)}, nil
	case TargetOrgPath:
		path := strings.Trim(name, "/")
		if err := checkTarget(path); err != nil {
			return target{}, err
		}
		if strings.Contains(path, "//") {
			return target{}, fault.New(fault.Invalid, "A path of organizations has no empty part.")
		}
		return target{kind: kind, name: path, matches: iam.PathTarget(path)}, nil
	}
	return target{}, fault.New(fault.Invalid, "A target is one of %s, %s, %s and %s.", TargetAccount, TargetAccountID, TargetOrgID, TargetOrgPath)
}

func (r *Registry) findAccount(tx *db.Tx, owner string, kind TargetKind, name string) (target, error) {
	if !iam.IsName(name) { // ids have the form of names
		return target{}, fault.New(fault.AccountUnknown, "There is no such account.")
	}
	find := iam.FindAccount
	if kind == TargetAccountID {
		find = iam.FindAccountByID
	}
	acc, err := find(tx.Context(), tx, name)
	switch {
	case err == nil && acc.ID == owner:
		return target{}, fault.New(fault.Invalid, "The repository belongs to this account: share it with another.")
	case err == nil:
		return target{kind, name, acc.Name, iam.AccountTarget(acc.ID)}, nil
	case fault.Is(err, fault.AccountUnknown) && kind == TargetAccount && r.o.ShareUnknown:
		return target{kind, name, name, iam.NamedTarget(name)}, nil
	}
	return target{}, err
}

// checkTarget makes sure that an id or a path is text that can be stored.
func checkTarget(s string) error {
	if s == "" || len(s) > maxTarget || !plainText(s) {
		return fault.New(fault.Invalid, "The id or path of an organization is text of 1 to %d bytes without control characters.", maxTarget)
	}
	return nil
}

func plainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
