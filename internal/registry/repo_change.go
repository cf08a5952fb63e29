package registry

import (
	"context"
	"errors"
	"fmt"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// UpdateRepo changes a repository's attributes. Errors: RepoUnknown, Denied, Invalid, TooLong.
func (r *Registry) UpdateRepo(ctx context.Context, who iam.Caller, name oci.Name, p RepoPatch) error {
	if p.Category != nil {
		c, err := category(*p.Category)
		if err != nil {
			return err
		}
		p.Category = &c
	}
	if p.Description != nil {
		if err := checkDescription(*p.Description); err != nil {
			return err
		}
	}
	_, err := db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		rp, err := r.repoFor(tx, who, name, iam.UpdateRepo)
		if err != nil {
			return none, err
		}
		was, err := kindOf(tx, rp.ID, name, tx.ForNoKeyUpdate())
		if err != nil {
			return none, err
		}
		is := was
		if p.Public != nil {
			is.public = *p.Public
		}
		if p.Category != nil {
			is.category = *p.Category
		}
		if _, err := tx.Exec(`UPDATE repository SET public = $2, category = $3, description = coalesce($4, description), updated = $5 WHERE id = $1`,
			rp.ID, is.public, is.category, p.Description, tx.Micros()); err != nil {
			return none, err
		}
		tx.Invalidate(repoKey(name))
		if err := r.iam.Audit(tx, who, iam.UpdateRepo, string(name), "ok"); err != nil {
			return none, err
		}
		if is != was {
			if err := r.countRepos(tx, rp.Account, map[repoKind]int64{was: -1, is: 1}); err != nil {
				return none, err
			}
		}
		if is.public != was.public {
			return none, r.iam.Raise(tx, rp.Account)
		}
		return none, nil
	})
	return err
}

// kindOf reads what a repository is counted by, and locks its row.
func kindOf(tx *db.Tx, id int64, name oci.Name, lock string) (repoKind, error) {
	type row struct {
		Organization int64
		Category     string
		Public       bool
	}
	k, err := db.One[row](tx.Context(), tx, `SELECT organization, category, public FROM repository WHERE id = $1 AND organization <> 0`+lock, id)
	if errors.Is(err, db.ErrNone) {
		err = fault.New(fault.RepoUnknown, "The repository %s does not exist.", name)
	}
	return repoKind{k.Organization, k.Category, k.Public}, err
}

// DeleteRepoAndTags removes all tags of a repository, some at a time, and then
// the repository. Where it is cut off it can be called again; a tag that is
// pushed meanwhile ends it. Errors: those of DeleteRepo.
func (r *Registry) DeleteRepoAndTags(ctx context.Context, who iam.Caller, name oci.Name) error {
	if err := r.dropAllTags(ctx, who, name, true); err != nil {
		return err
	}
	return r.DeleteRepo(ctx, who, name)
}

// DeleteRepo removes a repository without tags. Its name is free at once; the
// collector empties what is left of it. Errors: RepoUnknown, Denied, NotEmpty.
func (r *Registry) DeleteRepo(ctx context.Context, who iam.Caller, name oci.Name) error {
	_, err := db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		rp, err := r.repoFor(tx, who, name, iam.DeleteRepo)
		if err != nil {
			return none, err
		}
		// Pushes lock the repository's row too, before they add anything.
		kind, err := kindOf(tx, rp.ID, name, tx.ForUpdate())
		if err != nil {
			return none, err
		}
		tag, err := db.One[string](tx.Context(), tx, `SELECT name FROM tag WHERE repository = $1 LIMIT 1`, rp.ID)
		if err == nil {
			return none, fault.New(fault.NotEmpty, "The repository %s still has tags, %s among them: delete these first, or use force.", name, tag)
		}
		if !errors.Is(err, db.ErrNone) {
			return none, err
		}
		if _, err := tx.Exec(`DELETE FROM repo_grant WHERE repository = $1`, rp.ID); err != nil {
			return none, err
		}
		if _, err := tx.Exec(`DELETE FROM share WHERE repository = $1`, rp.ID); err != nil {
			return none, err
		}
		if err := r.dropRules(tx, rp); err != nil {
			return none, err
		}
		if _, err := tx.Exec(`UPDATE repository SET path = $2, organization = 0, public = false, shares = 0 WHERE id = $1`, rp.ID, fmt.Sprintf("!%d", rp.ID)); err != nil {
			return none, err
		}
		if err := r.review(tx, rp.ID, "", kindRepo, 0); err != nil {
			return none, err
		}
		tx.Invalidate(repoKey(name))
		if err := r.iam.Audit(tx, who, iam.DeleteRepo, string(name), "ok"); err != nil {
			return none, err
		}
		if err := r.addUsage(tx, rp.Account, change{repos: -1}); err != nil {
			return none, err
		}
		if err := r.countRepos(tx, rp.Account, map[repoKind]int64{kind: -1}); err != nil {
			return none, err
		}
		return none, r.iam.Raise(tx, rp.Account)
	})
	return err
}
