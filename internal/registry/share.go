package registry

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// A Share is a rule by which the users of other accounts may pull from a
// repository. docs/sharing.md says what follows from it.
type Share struct {
	ID          int64
	Repo        oci.Name
	Kind        TargetKind
	Target      string // as it was named
	Account     string // name of the account it is for, "" where it is for organizations
	Deadline    string // Forever, or a time in UTC
	Description string
	Creator     string // user id
	CreatorName string
	Created     time.Time
	Updated     time.Time
	Valid       bool // the deadline is not over
}

// SharePatch changes the members that are not nil.
type SharePatch struct {
	Deadline    *string
	Description *string
}

const maxShareDescription = 1000 // characters

type shareRow struct {
	ID                            int64
	Kind, Name, Account, Deadline string
	Expires                       int64
	Description                   string
	Creator, CreatorName          string
	Created, Updated              int64
}

const selectShare = `SELECT id, kind, name, account, deadline, expires, description, creator, creator_name, created, updated FROM share WHERE repository = $1 `

func (s shareRow) share(repo oci.Name, now int64) Share {
	return Share{ID: s.ID, Repo: repo, Kind: TargetKind(s.Kind), Target: s.Name, Account: s.Account, Deadline: s.Deadline, Description: s.Description,
		Creator: s.Creator, CreatorName: s.CreatorName, Created: fromMicros(s.Created), Updated: fromMicros(s.Updated), Valid: now < s.Expires}
}

// terms are what a rule says beside its target.
type terms struct {
	deadline    *deadline
	description *string
}

func (p SharePatch) terms() (t terms, err error) {
	if p.Description != nil {
		if utf8.RuneCountInString(*p.Description) > maxShareDescription {
			return t, fault.New(fault.TooLong, "The description of a share has at most %d characters.", maxShareDescription)
		}
		if strings.ContainsRune(*p.Description, 0) || !utf8.ValidString(*p.Description) {
			return t, fault.New(fault.Invalid, "The description of a share is text.")
		}
		t.description = p.Description
	}
	if p.Deadline != nil {
		d, err := parseDeadline(*p.Deadline)
		if err != nil {
			return t, err
		}
		t.deadline = &d
	}
	return t, nil
}

// CreateShare shares a private repository by a new rule and returns its id.
// A target has one rule on a repository, whichever way it was made or named.
// Errors: RepoUnknown, Denied, Invalid, TooLong, AccountUnknown, Quota, Exists.
func (r *Registry) CreateShare(ctx context.Context, who iam.Caller, name oci.Name, kind TargetKind, target, deadline, description string) (int64, error) {
	return r.createShare(ctx, who, name, iam.CreateShare, kind, target, SharePatch{&deadline, &description})
}

func (r *Registry) createShare(ctx context.Context, who iam.Caller, name oci.Name, do iam.Action, kind TargetKind, named string, p SharePatch) (int64, error) {
	terms, err := p.terms()
	if err != nil {
		return 0, err
	}
	return db.Update(ctx, r.db, func(tx *db.Tx) (int64, error) {
		rp, err := r.repoFor(tx, who, name, do)
		if err != nil {
			return 0, err
		}
		if rp.Public {
			return 0, fault.New(fault.Invalid, "The repository %s is public, so everyone may pull from it already: only private ones are shared.", name)
		}
		t, err := r.findTarget(tx, rp.Account, kind, named)
		if err != nil {
			return 0, err
		}
		if terms.deadline.isOver(tx.Micros()) {
			return 0, errPast()
		}
		if err := r.shareFree(tx, rp, t); err != nil {
			return 0, err
		}
		id, err := db.One[int64](tx.Context(), tx, `INSERT INTO share
				(repository, target, kind, name, account, deadline, expires, description, creator, creator_name, created, updated)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) RETURNING id`,
			rp.ID, string(t.matches), string(t.kind), t.name, t.account, terms.deadline.text, terms.deadline.expires, *terms.description,
			who.User, creatorName(who), tx.Micros())
		if err != nil {
			return 0, err
		}
		if _, err := tx.Exec(`UPDATE repository SET shares = shares + 1 WHERE id = $1`, rp.ID); err != nil {
			return 0, err
		}
		return id, r.sharesChanged(tx, who, rp, do, t.name)
	})
}

func errPast() error { return fault.New(fault.Invalid, "The deadline is over already.") }

// shareFree locks the repository against other changes of its rules, and makes
// sure that one more may be made.
func (r *Registry) shareFree(tx *db.Tx, rp repoRow, t target) error {
	if err := lockRepo(tx, rp.ID, oci.Name(rp.Path), tx.ForUpdate()); err != nil {
		return err
	}
	there, err := exists(tx, `SELECT 1 FROM share WHERE repository = $1 AND (target = $2 OR account = $3 AND account <> '') LIMIT 1`, rp.ID, string(t.matches), t.account)
	switch {
	case err != nil:
		return err
	case there:
		return fault.New(fault.Exists, "The repository %s is shared with %s already: change that instead.", rp.Path, t.name)
	case r.o.MaxShares <= 0:
		return nil
	}
	n, err := db.One[int64](tx.Context(), tx, `SELECT shares FROM repository WHERE id = $1`, rp.ID)
	if err == nil && n >= int64(r.o.MaxShares) {
		err = fault.New(fault.Quota, "The repository %s is shared %d times, which is its quota.", rp.Path, n).With("share")
	}
	return err
}

// sharesChanged ends every change: what is cached of the owner's account ends,
// in which nobody else's rights are older than this.
func (r *Registry) sharesChanged(tx *db.Tx, who iam.Caller, rp repoRow, do iam.Action, target string) error {
	tx.Invalidate(repoKey(rp.Path))
	if err := r.iam.Raise(tx, rp.Account); err != nil {
		return err
	}
	return r.iam.Audit(tx, who, do, rp.Path+" with "+target, "ok")
}

// A shareKey finds one rule of a repository.
type shareKey struct {
	where string // with $2
	value any
	what  string // for sentences
}

func byShareID(id int64) shareKey { return shareKey{`AND id = $2`, id, "no such rule"} }

// UpdateShare changes a rule. Errors: RepoUnknown, Denied, Invalid, TooLong,
// ShareUnknown.
func (r *Registry) UpdateShare(ctx context.Context, who iam.Caller, name oci.Name, id int64, p SharePatch) error {
	return r.updateShare(ctx, who, name, iam.UpdateShare, byShareID(id), p)
}

func (r *Registry) updateShare(ctx context.Context, who iam.Caller, name oci.Name, do iam.Action, key shareKey, p SharePatch) error {
	terms, err := p.terms()
	if err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		rp, s, err := r.shareFor(tx, who, name, do, key, tx.ForUpdate())
		if err != nil {
			return err
		}
		if terms.deadline != nil {
			if terms.deadline.isOver(tx.Micros()) {
				return errPast()
			}
			s.Deadline, s.Expires = terms.deadline.text, terms.deadline.expires
		}
		if terms.description != nil {
			s.Description = *terms.description
		}
		if _, err := tx.Exec(`UPDATE share SET deadline = $2, expires = $3, description = $4, updated = $5 WHERE id = $1`,
			s.ID, s.Deadline, s.Expires, s.Description, tx.Micros()); err != nil {
			return err
		}
		return r.sharesChanged(tx, who, rp, do, s.Name)
	})
}

// DeleteShare ends a rule. Errors: RepoUnknown, Denied, ShareUnknown.
func (r *Registry) DeleteShare(ctx context.Context, who iam.Caller, name oci.Name, id int64) error {
	return r.deleteShare(ctx, who, name, iam.DeleteShare, byShareID(id))
}

func (r *Registry) deleteShare(ctx context.Context, who iam.Caller, name oci.Name, do iam.Action, key shareKey) error {
	return r.update(ctx, func(tx *db.Tx) error {
		rp, s, err := r.shareFor(tx, who, name, do, key, "")
		if err != nil {
			return err
		}
		if err := lockRepo(tx, rp.ID, name, tx.ForUpdate()); err != nil {
			return err
		}
		n, err := tx.Exec(`DELETE FROM share WHERE id = $1`, s.ID)
		if err != nil {
			return err
		}
		if n == 0 { // another request was first
			return noShare(name, key)
		}
		if _, err := tx.Exec(`UPDATE repository SET shares = shares - 1 WHERE id = $1`, rp.ID); err != nil {
			return err
		}
		return r.sharesChanged(tx, who, rp, do, s.Name)
	})
}

// shareFor finds a rule of a repository on which the caller may do this.
func (r *Registry) shareFor(tx *db.Tx, who iam.Caller, name oci.Name, do iam.Action, key shareKey, lock string) (repoRow, shareRow, error) {
	rp, err := r.repoFor(tx, who, name, do)
	if err != nil {
		return rp, shareRow{}, err
	}
	s, err := db.One[shareRow](tx.Context(), tx, selectShare+key.where+lock, rp.ID, key.value)
	if errors.Is(err, db.ErrNone) {
		err = noShare(name, key)
	}
	return rp, s, err
}

func noShare(name oci.Name, key shareKey) error {
	return fault.New(fault.ShareUnknown, "The repository %s has %s.", name, key.what)
}
