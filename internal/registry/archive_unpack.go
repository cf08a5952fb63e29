package registry

import (
	"context"
	"slices"

	"berth.dev/berth/internal/archive"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// unpack makes an archive's content blobs and images. Blobs come first, one by
// one, as in a push; all manifests and tags come in one transaction with the
// note that the archive is done. Ended anywhere before, nothing is to be seen
// but blobs without a manifest, which the collector knows; begun again, it
// finds these.
func (u *unpacking) unpack(ctx context.Context) error {
	if err := u.r.mayArchive(ctx, u.who, u.a.Org); err != nil {
		return err // the right, or the organization, may have gone since
	}
	src, err := u.r.openArchive(ctx, &u.a)
	if err != nil {
		return err
	}
	defer src.end()
	index, err := src.index()
	if err != nil {
		return err
	}
	plan, err := index.Plan(u.a.target())
	if err != nil {
		return err
	}
	for _, repository := range plan.Repositories() {
		if err := u.r.mayPush(ctx, u.who, u.name(repository)); err != nil {
			return err
		}
	}
	u.stored, u.packed = make([]archive.Stored, len(plan.Blobs)), make([]bool, len(plan.Blobs))
	for i, b := range plan.Blobs {
		if u.stored[i], u.packed[i], err = u.store(ctx, src, b); err != nil {
			return err
		}
	}
	pushes, images, err := u.pushes(plan)
	if err != nil {
		return err
	}
	return u.r.update(ctx, func(tx *db.Tx) error {
		if err := u.done(tx, images); err != nil {
			return err
		}
		var sums []*unsettled
		for i, img := range plan.Images { // sorted by their repositories
			rp, err := u.r.repoForPush(tx, u.who, u.name(img.Repository))
			if err != nil {
				return err
			}
			if n := len(sums); n == 0 || sums[n-1].repo.ID != rp.ID {
				sums = append(sums, &unsettled{repo: rp})
			}
			if err := u.push(tx, plan, img, pushes[i], sums[len(sums)-1]); err != nil {
				return err
			}
		}
		for _, s := range sums { // last, as in every push
			if !s.changed {
				continue
			}
			if err := u.r.settle(tx, s.repo, &s.moves, true); err != nil {
				return err
			}
		}
		return u.r.iam.Audit(tx, u.who, iam.UploadPage, u.a.Org+"/"+u.a.ID, "ok")
	})
}

// pushes reads the manifests of every image, as pushes of them would send them.
func (u *unpacking) pushes(plan *archive.Plan) ([][]push, []ArchiveImage, error) {
	all := make([][]push, len(plan.Images))
	images := make([]ArchiveImage, len(plan.Images))
	for i := range plan.Images {
		img := &plan.Images[i]
		if err := img.Build(u.stored); err != nil {
			return nil, nil, err
		}
		for n, m := range img.Manifests {
			var tags []string
			last := n == len(img.Manifests)-1
			if last {
				tags = img.Tags
			}
			p, err := newPush(oci.Reference{Digest: m.Digest}, tags, m.MediaType, m.Body)
			if err != nil {
				return nil, nil, err
			}
			if last {
				images[i] = ArchiveImage{Repository: img.Repository, Tags: nonNilStrings(img.Tags), Digest: p.digest}
				if p.Config != nil {
					images[i].Config = p.Config.Digest
				}
			}
			all[i] = append(all[i], p)
		}
	}
	return all, images, nil
}

func nonNilStrings(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// unsettled is a repository whose sums are still to be changed.
type unsettled struct {
	repo    repoRow
	moves   tagMoves // of each tag once: no two images have one name
	changed bool
}

// push stores the manifests of one image and its tags.
func (u *unpacking) push(tx *db.Tx, plan *archive.Plan, img archive.Image, pushes []push, s *unsettled) error {
	rp := s.repo
	for _, p := range pushes {
		changed, err := u.r.put(tx, u.who, rp, p, &s.moves)
		if err != nil {
			return err
		}
		s.changed = s.changed || changed
	}
	for i, b := range plan.Blobs {
		if !u.packed[i] || !slices.Contains(b.Repositories, img.Repository) {
			continue
		}
		if err := notePacked(tx, rp.ID, b.Diff, u.stored[i].Digest); err != nil {
			return err
		}
	}
	return nil
}

// expireArchives forgets archives whose time is over. One whose upload is still
// there lives as long as that.
func (r *Registry) expireArchives(ctx context.Context) (bool, error) {
	return db.Update(ctx, r.db, func(tx *db.Tx) (bool, error) {
		type row struct {
			ID            string
			UploadExpires *int64
		}
		rows, err := db.All[row](tx.Context(), tx, `SELECT a.id, (SELECT u.expires FROM upload u WHERE u.id = a.id) FROM archive a
			WHERE a.expires <= $1 ORDER BY a.expires LIMIT $2`, tx.Micros(), rowsPerBatch)
		if err != nil {
			return false, err
		}
		for _, a := range rows {
			if a.UploadExpires != nil && *a.UploadExpires > tx.Micros() {
				_, err = tx.Exec(`UPDATE archive SET expires = $2 WHERE id = $1`, a.ID, *a.UploadExpires)
			} else {
				_, err = tx.Exec(`DELETE FROM archive WHERE id = $1 AND expires <= $2`, a.ID, tx.Micros())
			}
			if err != nil {
				return false, err
			}
		}
		return len(rows) == rowsPerBatch, nil
	})
}
