package registry

import (
	"context"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// What a review looks at.
const (
	kindBlob     = "b" // the link of a blob: does a manifest need it?
	kindManifest = "m" // a manifest: does a tag, an index or a subject need it?
	kindRepo     = "r" // a deleted repository: is it empty?
)

// review queues a look at something that may not be needed any more, after the
// time given. A review that is queued for later already stays there.
func (r *Registry) review(tx *db.Tx, repo int64, d oci.Digest, kind string, after time.Duration) error {
	due := tx.Micros() + after.Microseconds()
	_, err := tx.Exec(`INSERT INTO review (repository, digest, kind, created, due) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (repository, digest, kind) DO UPDATE SET due = excluded.due, created = excluded.created WHERE review.due < excluded.due`,
		repo, string(d), kind, tx.Micros(), due)
	return err
}

// maxHold bounds how long HEAD requests alone can keep an unreferenced blob.
const maxHold = 7 * 24 * time.Hour

// needsHold tells whether a blob is so near its review that a push relying on
// it could come too late.
func (r *Registry) needsHold(queued, due int64) bool {
	now := time.Now().UnixMicro()
	return due-now < r.o.Grace.Microseconds()/2 && now-queued < maxHold.Microseconds()
}

func (r *Registry) hold(ctx context.Context, rp repoRow, d oci.Digest) error {
	_, err := db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
		tx.Invalidate(blobKey{rp.ID, d})
		n, err := tx.Exec(`UPDATE review SET due = $4 WHERE repository = $1 AND digest = $2 AND kind = $3 AND due < $4`,
			rp.ID, string(d), kindBlob, tx.Micros()+r.o.Grace.Microseconds())
		if err != nil || n == 1 {
			return struct{}{}, err
		}
		// The collector was here first: it has kept the link, or taken it.
		there, err := exists(tx, `SELECT 1 FROM link WHERE repository = $1 AND digest = $2 AND deleted IS NULL`, rp.ID, string(d))
		if err == nil && !there {
			err = fault.New(fault.BlobUnknown, "The repository %s has no blob %s.", rp.Path, d)
		}
		return struct{}{}, err
	})
	return err
}

// addGarbage hands a storage key to the collector.
func addGarbage(tx *db.Tx, key string) error {
	_, err := tx.Exec(`INSERT INTO garbage (key, due) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`, key, tx.Micros())
	return err
}
