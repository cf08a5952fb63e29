package registry

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// The rules of a repository are its triggers, its retention policy and its
// synchronizations. They are rows of the repository and go with it.

// onRules is the frame of everything that changes a rule: the caller's right,
// the repository, which is not deleted meanwhile, and the audit, where target
// stands behind the repository's name.
func (r *Registry) onRules(tx *db.Tx, who iam.Caller, name oci.Name, do iam.Action, target string, change func(repoRow) error) error {
	rp, err := r.repoFor(tx, who, name, do)
	if err != nil {
		return err
	}
	if err := lockRepo(tx, rp.ID, name, tx.ForKeyShare()); err != nil {
		return err
	}
	if err := change(rp); err != nil {
		return err
	}
	if err := r.rewatch(tx, rp); err != nil {
		return err
	}
	return r.iam.Audit(tx, who, do, rp.Path+target, "ok")
}

// ruleOf reads one rule of a repository. unknown is what there is none of.
func ruleOf[T any](ctx context.Context, q db.Querier, unknown error, query string, args ...any) (T, error) {
	v, err := db.One[T](ctx, q, query, args...)
	if errors.Is(err, db.ErrNone) {
		return v, unknown
	}
	return v, err
}

// dropRules removes the rules of a repository that is being deleted. Their
// number is bounded; what came of them is the collector's to remove.
func (r *Registry) dropRules(tx *db.Tx, rp repoRow) error {
	for _, table := range []string{"repo_trigger", "repo_retention", "repo_sync"} {
		if _, err := tx.Exec(`DELETE FROM `+table+` WHERE repository = $1`, rp.ID); err != nil {
			return err
		}
	}
	return r.dropHooks(tx, scopeOfRepo(rp), rp.Path)
}

// dropHistories removes some of what came of the rules of a deleted
// repository, and of the history of its tags, and tells how many rows.
func dropHistories(tx *db.Tx, repo int64) (int64, error) {
	total := int64(0)
	for _, table := range []string{"trigger_history", "retention_log", "sync_job", "tag_event"} {
		n, err := tx.Exec(`DELETE FROM `+table+` WHERE id IN (SELECT id FROM `+table+` WHERE repository = $1 LIMIT $2)`, repo, refsPerReview-total)
		if total += n; err != nil || total >= refsPerReview {
			return total, err
		}
	}
	return total, nil
}

// keepNewest removes the oldest rows of a repository's history where it has
// more than keep. It does so in steps that suit one transaction; whoever adds
// a row calls it, so that a history is longer by a few rows at most. which
// narrows it to some rows of the repository.
func keepNewest(tx *db.Tx, table, which string, repo int64, keep int) error {
	_, err := tx.Exec(`DELETE FROM `+table+` WHERE id IN (SELECT id FROM `+table+` WHERE repository = $1`+which+`
		ORDER BY id DESC LIMIT $2 OFFSET $3)`, repo, rowsPerBatch, keep)
	return err
}

// counted is a page of a list that clients reach by a number of rows to skip.
type counted[T any] struct {
	rows  []T
	total int64
}

// listed reads a page of a repository's history, the newest first, and how
// long all of it is, on one snapshot.
func listed[T any](ctx context.Context, r *Registry, table, columns string, repo int64, offset, n int) ([]T, int64, error) {
	n = clampPage(n)
	p, err := db.View(ctx, r.db, func(tx *db.Tx) (p counted[T], err error) {
		if p.total, err = db.One[int64](tx.Context(), tx, `SELECT count(*) FROM `+table+` WHERE repository = $1`, repo); err != nil {
			return p, err
		}
		p.rows, err = db.All[T](tx.Context(), tx, `SELECT `+columns+` FROM `+table+` WHERE repository = $1
			ORDER BY id DESC LIMIT $2 OFFSET $3`, repo, n, max(offset, 0))
		return p, err
	})
	return p.rows, p.total, err
}

// tooMany is the error for one rule more than a repository may have. The
// bounds are there so that nothing grows without end: of several who come
// together on PostgreSQL each may find the last room.
func tooMany(name oci.Name, n int, what string) error {
	return fault.New(fault.Invalid, "The repository %s has %d %s, which is as many as it may have; delete one first.", name, n, what)
}
