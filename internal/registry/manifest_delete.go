package registry

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// maxTagsPerDelete bounds the tags that one transaction removes with their
// manifest; one with more takes several.
const maxTagsPerDelete = 300

// DeleteManifest removes a manifest and the tags that point to it. What it
// refers to stays for the undelete window.
// Errors: ManifestUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) DeleteManifest(ctx context.Context, who iam.Caller, name oci.Name, d oci.Digest) error {
	for {
		done, err := db.Update(ctx, r.db, func(tx *db.Tx) (bool, error) { return r.deleteManifest(tx, who, name, d) })
		if done || err != nil {
			return err
		}
	}
}

func (r *Registry) deleteManifest(tx *db.Tx, who iam.Caller, name oci.Name, d oci.Digest) (done bool, err error) {
	rp, err := r.repoFor(tx, who, name, iam.DeleteTag)
	if err != nil {
		return false, err
	}
	type row struct {
		ID      int64
		Subject oci.Digest
	}
	m, err := db.One[row](tx.Context(), tx, `SELECT id, subject FROM manifest WHERE repository = $1 AND digest = $2 AND deleted IS NULL`+tx.ForUpdate(), rp.ID, string(d))
	if errors.Is(err, db.ErrNone) {
		return false, manifestUnknown(name, oci.Reference{Digest: d})
	}
	if err != nil {
		return false, err
	}
	tags, err := db.All[string](tx.Context(), tx, `SELECT name FROM tag WHERE manifest = $1 AND id IN (SELECT id FROM tag WHERE manifest = $1 LIMIT $2) ORDER BY name`+tx.ForUpdate(),
		m.ID, maxTagsPerDelete) // locked in the order in which others lock tags
	if err != nil {
		return false, err
	}
	var moves tagMoves
	for _, t := range tags {
		if _, err := tx.Exec(`DELETE FROM tag WHERE repository = $1 AND name = $2`, rp.ID, t); err != nil {
			return false, err
		}
		moves.tags--
		moves.lose(m.ID)
		moves.name(t, 0)
		tx.Invalidate(manifestKey{rp.ID, t})
		if err := r.addDeleted(tx, rp, t, string(d), who, "manifest_delete"); err != nil {
			return false, err
		}
		if err := r.addTagEvent(tx, rp, t, "", string(d), who, "manifest_delete", ""); err != nil {
			return false, err
		}
	}
	// How many were removed does not tell: on PostgreSQL a tag that was chosen and
	// has moved meanwhile is not among them.
	more, err := exists(tx, `SELECT 1 FROM tag WHERE manifest = $1 LIMIT 1`, m.ID)
	if err != nil {
		return false, err
	}
	if more {
		return false, r.settle(tx, rp, &moves, false)
	}
	if _, err := tx.Exec(`UPDATE manifest SET deleted = $2 WHERE id = $1`, m.ID, tx.Micros()); err != nil {
		return false, err
	}
	tx.Invalidate(manifestKey{rp.ID, string(d)})
	if m.Subject != "" {
		tx.Invalidate(referrersKey{rp.ID, m.Subject})
	}
	tx.AfterCommit(r.wakeCollector)
	if err := r.review(tx, rp.ID, d, kindManifest, r.undelete(rp)); err != nil {
		return false, err
	}
	if err := r.iam.Audit(tx, who, iam.DeleteTag, rp.Path+"@"+string(d), "ok"); err != nil {
		return false, err
	}
	if err := r.emitTag(tx, rp, "", "", string(d), who, "manifest_delete"); err != nil {
		return false, err
	}
	return true, r.settle(tx, rp, &moves, false)
}
