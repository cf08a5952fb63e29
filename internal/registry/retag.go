package registry

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// Retag points the tag to to what from points to. A tag that is there is moved
// with override only. Errors: TagInvalid, TagUnknown (from), Exists (to),
// Quota, RepoUnknown, Denied, Unauthorized.
func (r *Registry) Retag(ctx context.Context, who iam.Caller, name oci.Name, from, to string, override bool) error {
	if _, err := oci.ParseTag(to); err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		rp, err := r.repoFor(tx, who, name, iam.CreateTag)
		if err != nil {
			return err
		}
		if err := lockRepo(tx, rp.ID, name, tx.ForKeyShare()); err != nil {
			return err
		}
		unknown := fault.New(fault.TagUnknown, "The repository %s has no tag %s.", name, from)
		target, err := db.One[tagTarget](tx.Context(), tx, `SELECT t.manifest, m.digest, t.updated FROM tag t JOIN manifest m ON m.id = t.manifest
			WHERE t.repository = $1 AND t.name = $2`, rp.ID, from)
		if errors.Is(err, db.ErrNone) {
			return unknown
		}
		if err != nil {
			return err
		}
		// Whoever deletes a manifest locks it before its tags.
		live, err := exists(tx, `SELECT 1 FROM manifest WHERE id = $1 AND deleted IS NULL`+tx.ForShare(), target.Manifest)
		switch {
		case err != nil:
			return err
		case !live:
			return unknown
		}
		taken := fault.New(fault.Exists, "The repository %s has a tag %s already.", name, to)
		if !override {
			there, err := exists(tx, `SELECT 1 FROM tag WHERE repository = $1 AND name = $2`, rp.ID, to)
			if err != nil {
				return err
			}
			if there {
				return taken
			}
		}
		var moves tagMoves
		moved, err := r.setTag(tx, who, rp, to, target.Manifest, oci.Digest(target.Digest), "retag", false, &moves)
		if err != nil || !moved {
			return err
		}
		if !override && moves.tags == 0 { // somebody has made it since
			return taken
		}
		if err := r.iam.Audit(tx, who, iam.CreateTag, rp.Path+":"+to, "ok"); err != nil {
			return err
		}
		return r.settle(tx, rp, &moves, true)
	})
}
