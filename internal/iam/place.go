package iam

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// maxPlace bounds ids and paths of organizations, in bytes.
const maxPlace = 1024

// SetPlace says where an account stands in a directory of organizations, which
// is outside of this registry: the id of its organization, and the path of
// those above it, from the top and joined by slashes. Empty: nowhere. It is the
// operator's word, since what is shared with an organization follows from it.
// Errors: Denied, AccountUnknown, Invalid.
func (a *Authority) SetPlace(ctx context.Context, who Caller, account, orgID, orgPath string) error {
	orgPath = strings.Trim(orgPath, "/")
	if !isPlace(orgID) || !isPlace(orgPath) || strings.Contains(orgPath, "//") {
		return fault.New(fault.Invalid, "The id and the path of an organization are text of at most %d bytes, a path without empty parts.", maxPlace)
	}
	_, err := db.Update(ctx, a.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		acc, err := a.manage(tx, who, UpdateAccount, account, tx.ForUpdate())
		if err != nil {
			return none, err
		}
		if _, err := tx.Exec(`UPDATE account SET org_id = $2, org_path = $3 WHERE id = $1`, acc.ID, orgID, orgPath); err != nil {
			return none, err
		}
		return none, a.changed(tx, who, acc.ID, UpdateAccount, acc.Name+" in "+orgID+" "+orgPath)
	})
	return err
}

func isPlace(s string) bool {
	return len(s) <= maxPlace && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
