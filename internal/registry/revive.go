package registry

import (
	"slices"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// maxRevived is how many manifests, and links of blobs that were deleted by
// themselves, one transaction brings back at most.
const maxRevived = 500

// A revival brings manifests back within one transaction: those that are in
// their undelete window, with the children and the subjects that are, too.
type revival struct {
	r    *Registry
	tx   *db.Tx
	rp   repoRow
	rows int // manifests and links that it changed
	n    int // images that it was asked for
}

// kept is a manifest that is locked.
type kept struct {
	ID              int64
	Digest, Subject oci.Digest
	Deleted         *int64
}

// bring makes sure that a manifest is live and stays, and returns its id, or
// ErrNone where it can not be had any more. Who brings several does so in the
// order of their digests.
func (v *revival) bring(d oci.Digest) (int64, error) {
	v.n++
	roots, err := v.lock([]oci.Digest{d})
	if err != nil {
		return 0, err
	}
	if len(roots) == 0 {
		return 0, db.ErrNone
	}
	seen := map[oci.Digest]bool{d: true}
	for level, root := roots, true; len(level) > 0; root = false {
		var next []oci.Digest
		for _, m := range level {
			if m.Deleted != nil {
				if err := v.wake(m, root); err != nil {
					return 0, err
				}
			}
			if !root && m.Deleted == nil {
				continue // what it names is as those wanted it who let it live
			}
			under, err := db.All[string](v.tx.Context(), v.tx, `SELECT m.digest FROM ref f JOIN manifest m ON m.repository = f.repository AND m.digest = f.child
				WHERE f.manifest = $1 AND f.kind <> 'b' AND m.deleted IS NOT NULL LIMIT $2`, m.ID, maxRevived+1)
			if err != nil {
				return 0, err
			}
			for _, u := range under {
				if d := oci.Digest(u); !seen[d] {
					seen[d] = true
					next = append(next, d)
				}
			}
		}
		if len(seen) > maxRevived {
			return 0, v.tooMuch(d)
		}
		slices.Sort(next)
		if level, err = v.lock(next); err != nil {
			return 0, err
		}
	}
	return roots[0].ID, nil
}

func (v *revival) tooMuch(d oci.Digest) error {
	if v.n > 1 {
		return fault.New(fault.Invalid, "More than %d images and layers of the repository %s were deleted that would come back at once; narrow the pattern.", maxRevived, v.rp.Path)
	}
	return fault.New(fault.TooLarge, "The image %s refers to more that was deleted than comes back at once; push it again.", d)
}

// lock locks manifests in the order of their digests, and leaves out those that
// are gone or going. The collector locks them before it looks at their tags.
func (v *revival) lock(digests []oci.Digest) ([]kept, error) {
	var all []kept
	for chunk := range slices.Chunk(digests, chunkSize) {
		args := []any{v.rp.ID, apart}
		for _, d := range chunk {
			args = append(args, string(d))
		}
		rows, err := db.All[kept](v.tx.Context(), v.tx, `SELECT id, digest, subject, deleted FROM manifest
			WHERE repository = $1 AND (deleted IS NULL OR deleted <> $2) AND digest IN (`+placeholders(3, len(chunk))+`) ORDER BY digest`+v.tx.ForNoKeyUpdate(), args...)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// wake makes one deleted manifest live again, and the links of its blobs. One
// that no tag comes to, as it is not the root, stays like one that was pushed
// by its digest.
func (v *revival) wake(m kept, root bool) error {
	tx, repo := v.tx, v.rp.ID
	if v.rows++; v.rows > maxRevived {
		return v.tooMuch(m.Digest)
	}
	if tx.ForShare() != "" {
		// Who deletes a blob looks for manifests after it has locked the link.
		const held = `SELECT count(*) FROM (SELECT 1 FROM link l JOIN ref f ON l.repository = f.repository AND l.digest = f.child
			WHERE f.manifest = $1 AND f.kind = 'b' ORDER BY l.digest `
		if _, err := db.One[int64](tx.Context(), tx, held+tx.ForShare()+` OF l) q`, m.ID); err != nil {
			return err
		}
	}
	links, err := db.All[string](tx.Context(), tx, `SELECT l.digest FROM ref f JOIN link l ON l.repository = f.repository AND l.digest = f.child
		WHERE f.manifest = $1 AND f.kind = 'b' AND l.deleted IS NOT NULL ORDER BY l.digest LIMIT $2`, m.ID, maxRevived+1)
	if err != nil {
		return err
	}
	if v.rows += len(links); v.rows > maxRevived {
		return v.tooMuch(m.Digest)
	}
	for _, d := range links {
		if _, err := tx.Exec(`UPDATE link SET deleted = NULL WHERE repository = $1 AND digest = $2`, repo, d); err != nil {
			return err
		}
		tx.Invalidate(blobKey{repo, oci.Digest(d)})
	}
	if _, err := tx.Exec(`UPDATE manifest SET deleted = NULL WHERE id = $1`, m.ID); err != nil {
		return err
	}
	tx.Invalidate(manifestKey{repo, string(m.Digest)})
	if m.Subject != "" {
		tx.Invalidate(referrersKey{repo, m.Subject})
	}
	if root {
		return nil
	}
	_, err = tx.Exec(`DELETE FROM review WHERE repository = $1 AND digest = $2 AND kind = $3`, repo, string(m.Digest), kindManifest)
	return err
}
