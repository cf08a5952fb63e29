package registry

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// maxTagTries bounds a race with somebody who makes and deletes the same tag.
const maxTagTries = 3

type tagTarget struct {
	Manifest int64
	Digest   string
	Updated  int64
}

// setTag points a tag to a manifest and tells whether it did not before. What
// it pointed to is reviewed when its undelete window is over. Where the
// manifest is a new one the tag often is, too: then it is made without a look.
// The caller settles moves.
func (r *Registry) setTag(tx *db.Tx, who iam.Caller, rp repoRow, name string, manifest int64, d oci.Digest, cause string, isNew bool, moves *tagMoves) (moved bool, err error) {
	var old tagTarget
	for try := 0; ; try++ {
		if !isNew || try > 0 {
			old, err = currentTag(tx, rp.ID, name)
			if err == nil {
				break
			}
			if !errors.Is(err, db.ErrNone) {
				return false, err
			}
		}
		n, err := tx.Exec(`INSERT INTO tag (repository, name, manifest, created, updated) VALUES ($1, $2, $3, $4, $4)
			ON CONFLICT (repository, name) DO NOTHING`, rp.ID, name, manifest, tx.Micros())
		if err != nil {
			return false, err
		}
		if n == 1 {
			tx.Invalidate(manifestKey{rp.ID, name})
			moves.tags++
			moves.gain(manifest)
			moves.name(name, manifest)
			if err := dropDeleted(tx, rp, name, manifest, d, moves); err != nil {
				return false, err
			}
			return true, r.addTagEvent(tx, rp, name, string(d), "", who, cause, "")
		}
		// It is there after all, to be locked and read, unless it goes again.
		if try == maxTagTries {
			return false, fault.New(fault.Unavailable, "The tag %s is being changed; push again.", name)
		}
	}
	if old.Manifest == manifest {
		if cause == "push" {
			err = r.renewTag(tx, rp.ID, name, old.Updated)
		}
		return false, err
	}
	if _, err := tx.Exec(`UPDATE tag SET manifest = $3, updated = $4 WHERE repository = $1 AND name = $2`, rp.ID, name, manifest, tx.Micros()); err != nil {
		return false, err
	}
	tx.Invalidate(manifestKey{rp.ID, name})
	moves.lose(old.Manifest)
	moves.gain(manifest)
	moves.name(name, manifest)
	if err := dropDeleted(tx, rp, name, manifest, d, moves); err != nil {
		return false, err
	}
	if err := r.loseTag(tx, rp, name, old.Digest, who, cause, moves); err != nil {
		return false, err
	}
	return true, r.addTagEvent(tx, rp, name, string(d), old.Digest, who, cause, "")
}

// currentTag reads what a tag points to and keeps others from moving it until
// the transaction ends.
func currentTag(tx *db.Tx, repo int64, name string) (tagTarget, error) {
	lock := tx.ForUpdate()
	if lock != "" {
		lock += " OF t"
	}
	return db.One[tagTarget](tx.Context(), tx, `SELECT t.manifest, m.digest, t.updated FROM tag t JOIN manifest m ON m.id = t.manifest
		WHERE t.repository = $1 AND t.name = $2`+lock, repo, name)
}

// loseTag notes that a tag does not point to a manifest any more, and has settle
// queue a look at the manifest for when the undelete window is over.
func (r *Registry) loseTag(tx *db.Tx, rp repoRow, tag, digest string, who iam.Caller, cause string, moves *tagMoves) error {
	if !r.o.KeepUntagged {
		moves.look = append(moves.look, digest)
	}
	return r.addDeleted(tx, rp, tag, digest, who, cause)
}

// addTagEvent writes a change of a tag into its history, and tells those who
// wait for such changes. digest is empty where the tag was removed; detail is
// what only this cause has, a JSON object or empty.
func (r *Registry) addTagEvent(tx *db.Tx, rp repoRow, tag, digest, previous string, who iam.Caller, cause, detail string) error {
	if err := tx.Append(`INSERT INTO tag_event (repository, tag, digest, previous, actor, cause, detail, created)`,
		rp.ID, tag, digest, previous, who.String(), cause, detail, tx.Micros()); err != nil {
		return err
	}
	return r.emitTag(tx, rp, tag, digest, previous, who, cause)
}

// Tags lists a repository's tags by name, those behind after.
// Errors: RepoUnknown, Denied, Unauthorized.
func (r *Registry) Tags(ctx context.Context, who iam.Caller, name oci.Name, after string, n int) (Page[string], error) {
	rp, err := r.lookup(ctx, who, name, iam.Pull)
	if err != nil {
		return Page[string]{}, err
	}
	n = clampPage(n)
	tags, err := db.All[string](ctx, r.db, `SELECT name FROM tag WHERE repository = $1 AND name > $2 ORDER BY name LIMIT $3`, rp.ID, after, n+1)
	return page(tags, n), err
}

// DeleteTag removes a tag and only that: the manifest and its other tags stay.
// Errors: TagUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) DeleteTag(ctx context.Context, who iam.Caller, name oci.Name, tag string) error {
	_, err := db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		rp, err := r.repoFor(tx, who, name, iam.DeleteTag)
		if err != nil {
			return none, err
		}
		var moves tagMoves
		switch there, err := r.dropTag(tx, who, rp, tag, "delete", "", &moves); {
		case err != nil:
			return none, err
		case !there:
			return none, fault.New(fault.TagUnknown, "The repository %s has no tag %s.", name, tag)
		}
		if err := r.iam.Audit(tx, who, iam.DeleteTag, rp.Path+":"+tag, "ok"); err != nil {
			return none, err
		}
		return none, r.settle(tx, rp, &moves, false)
	})
	return err
}

// dropTag removes a tag and tells whether it was there. detail is what its
// history is to say beside the cause. The caller settles moves.
func (r *Registry) dropTag(tx *db.Tx, who iam.Caller, rp repoRow, tag, cause, detail string, moves *tagMoves) (bool, error) {
	old, err := currentTag(tx, rp.ID, tag)
	if errors.Is(err, db.ErrNone) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if _, err := tx.Exec(`DELETE FROM tag WHERE repository = $1 AND name = $2`, rp.ID, tag); err != nil {
		return false, err
	}
	moves.tags--
	moves.lose(old.Manifest)
	moves.name(tag, 0)
	tx.Invalidate(manifestKey{rp.ID, tag})
	tx.AfterCommit(r.wakeCollector)
	if err := r.loseTag(tx, rp, tag, old.Digest, who, cause, moves); err != nil {
		return false, err
	}
	return true, r.addTagEvent(tx, rp, tag, "", old.Digest, who, cause, detail)
}
