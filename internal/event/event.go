// Package event is the outbox: what happened to images, written with its cause
// and kept until somebody has turned it into jobs.
//
// Only events that a rule waits for are written. Who waits for which kind is a
// sum of kinds beside each repository and organization.
package event

import (
	"strings"

	"berth.dev/berth/internal/db"
)

// A Kind is what happened. Kinds add up to sets; the numbers are stored.
type Kind int64

// The kinds.
const (
	Push      Kind = 1 << iota // a tag was pointed to an image, or an image was pushed by its digest
	Delete                     // a tag or an image was deleted
	Pull                       // an image was pulled
	Retention                  // a policy removed tags
	Sync                       // an image was synchronized, or was not
	Trigger                    // a trigger changed a workload, or did not
)

// All is every kind.
const All = Push | Delete | Pull | Retention | Sync | Trigger

// names are in the order of the bits.
var names = [...]string{"push", "delete", "pull", "retention", "sync", "trigger"}

// String is the name of a kind, "push" for Push; sets have theirs joined by "+".
func (k Kind) String() string {
	var has []string
	for i, name := range names {
		if k&(1<<i) != 0 {
			has = append(has, name)
		}
	}
	return strings.Join(has, "+")
}

// ParseKind returns the kind of a name.
func ParseKind(s string) (Kind, bool) {
	for i, name := range names {
		if s == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// An Event is one thing that happened in a repository.
type Event struct {
	ID           int64
	Kind         Kind // one
	Account      string
	Organization int64
	Repository   int64
	Path         string // organization/name, as it was
	Tag          string // empty: an image by its digest
	Digest       string
	Actor        string // as iam.Caller.String tells
	Detail       string // JSON object of what only this kind has; empty: nothing
	Created      int64  // microseconds since 1970; Emit sets it
}

// Emit writes an event with the transaction.
func Emit(tx *db.Tx, e Event) error {
	return tx.Append(`INSERT INTO event (kind, account, organization, repository, path, tag, digest, actor, detail, created)`,
		e.Kind.String(), e.Account, e.Organization, e.Repository, e.Path, e.Tag, e.Digest, e.Actor, e.Detail, tx.Micros())
}

type row struct {
	ID                               int64
	Kind, Account                    string
	Organization, Repository         int64
	Path, Tag, Digest, Actor, Detail string
	Created                          int64
}

const columns = `id, kind, account, organization, repository, path, tag, digest, actor, detail, created`

// Pending returns the oldest events, n at most, without taking them. Who else
// asks waits until this transaction ends: were the next ones given out meanwhile,
// the older of two pushes could be acted upon last.
func Pending(tx *db.Tx, n int) ([]Event, error) {
	rows, err := db.All[row](tx.Context(), tx, `SELECT `+columns+` FROM event ORDER BY id LIMIT $1`+tx.ForUpdate(), n)
	if err != nil {
		return nil, err
	}
	out := make([]Event, len(rows))
	for i, r := range rows {
		k, _ := ParseKind(r.Kind)
		out[i] = Event{r.ID, k, r.Account, r.Organization, r.Repository, r.Path, r.Tag, r.Digest, r.Actor, r.Detail, r.Created}
	}
	return out, nil
}

// Forget removes an event of Pending, in the transaction that did with it what
// was to be done.
func Forget(tx *db.Tx, id int64) error {
	_, err := tx.Exec(`DELETE FROM event WHERE id = $1`, id)
	return err
}

// Later returns the tags of events of the same kind and repository that were
// written behind e and are still there, the newest first. Whoever expands e may
// leave to them what only the newest counts for. Like Pending it is for those
// who expand events.
func Later(tx *db.Tx, e Event, n int) ([]string, error) {
	return db.All[string](tx.Context(), tx, `SELECT tag FROM event WHERE id > $1 AND kind = $2 AND repository = $3 AND tag <> '' ORDER BY id DESC LIMIT $4`,
		e.ID, e.Kind.String(), e.Repository, n)
}
