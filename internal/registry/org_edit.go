package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// OrgSpec is what a caller says of an organization that it creates.
type OrgSpec struct {
	Name        string
	Description string
	Public      bool // everyone pulls every image in it, also without a login
}

// OrgPatch changes the members that are not nil.
type OrgPatch struct {
	Description *string
	Public      *bool
}

const maxOrgDescription = 255 // characters

func checkOrgDescription(s string) error {
	if utf8.RuneCountInString(s) > maxOrgDescription {
		return fault.New(fault.TooLong, "The description has at most %d characters.", maxOrgDescription)
	}
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return fault.New(fault.Invalid, "The description is text.")
	}
	return nil
}

func (p OrgPatch) check() error {
	if p.Description == nil {
		return nil
	}
	return checkOrgDescription(*p.Description)
}

// An EditedOrg is an organization as it is now, and how many of its
// repositories are public by themselves: those stay so when it becomes private.
type EditedOrg struct {
	Org
	PublicRepos int64
}

// UpdateOrg changes description and visibility of an organization. Its
// repositories keep what was said of each; whoever is kept out by it is so with
// the next request. Errors: OrgUnknown, Denied, Invalid, TooLong.
func (r *Registry) UpdateOrg(ctx context.Context, who iam.Caller, name string, p OrgPatch) (EditedOrg, error) {
	if err := p.check(); err != nil {
		return EditedOrg{}, err
	}
	return db.Update(ctx, r.db, func(tx *db.Tx) (EditedOrg, error) {
		o, err := orgByName(tx.Context(), tx, name)
		if err != nil {
			return EditedOrg{}, err
		}
		if o.Kind != "" {
			return EditedOrg{}, noOrg(name)
		}
		if o, err = r.changeOrg(tx, who, o, p); err != nil {
			return EditedOrg{}, err
		}
		n, err := db.One[int64](tx.Context(), tx, `SELECT CAST(coalesce(sum(n), 0) AS BIGINT) FROM repository_count WHERE account = $1 AND organization = $2 AND public`, o.Account, o.ID)
		return EditedOrg{o.org(), n}, err
	})
}

// changeOrg changes an organization of either kind.
func (r *Registry) changeOrg(tx *db.Tx, who iam.Caller, o orgRow, p OrgPatch) (orgRow, error) {
	if err := r.iam.Allow(tx, who, iam.UpdateOrg, o.resource()); err != nil {
		return o, err
	}
	is, err := db.One[orgRow](tx.Context(), tx, `UPDATE organization SET description = coalesce($2, description), public = coalesce($3, public)
		WHERE id = $1 RETURNING `+orgColumns, o.ID, p.Description, p.Public)
	if errors.Is(err, db.ErrNone) {
		return o, fault.New(fault.OrgUnknown, "The organization %s does not exist.", o.Name)
	}
	if err != nil {
		return o, err
	}
	note := o.Name
	if p.Public != nil {
		note = fmt.Sprintf("%s public=%t", o.Name, is.Public)
	}
	if err := r.iam.Audit(tx, who, iam.UpdateOrg, note, "ok"); err != nil {
		return o, err
	}
	tx.Invalidate(orgKey(o.Name), allKeys{}) // rows of repositories have the visibility too
	return is, r.iam.Raise(tx, o.Account)
}

// noOrg is for the name of a chart group where an organization is meant.
func noOrg(name string) error {
	return fault.New(fault.OrgUnknown, "%s is a chart group, and no organization for images.", name)
}
