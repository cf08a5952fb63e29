package registry

import (
	"context"
	"errors"
	"strconv"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// What those who copy images ask besides manifests and blobs.

func syncRuleKey(rule int64) string { return strconv.FormatInt(rule, 10) }

// A TagDigest is a tag with the digest of its image.
type TagDigest struct {
	Tag    string
	Digest string
}

// TagDigests lists tags with their digests by name, those behind after.
// Errors: RepoUnknown, Denied, Unauthorized.
func (r *Registry) TagDigests(ctx context.Context, who iam.Caller, name oci.Name, after string, n int) (Page[TagDigest], error) {
	rp, err := r.lookup(ctx, who, name, iam.ListTags)
	if err != nil {
		return Page[TagDigest]{}, err
	}
	n = clampPage(n)
	rows, err := db.All[TagDigest](ctx, r.db, `SELECT t.name, m.digest FROM tag t JOIN manifest m ON m.id = t.manifest
		WHERE t.repository = $1 AND t.name > $2 ORDER BY t.name LIMIT $3`, rp.ID, after, n+1)
	return page(rows, n), err
}

// Attachments returns the tags that are made of a digest, for what is attached
// to the image, as far as there are such tags. Errors: RepoUnknown, Denied,
// Unauthorized.
func (r *Registry) Attachments(ctx context.Context, who iam.Caller, name oci.Name, d oci.Digest) ([]TagDigest, error) {
	rp, err := r.lookup(ctx, who, name, iam.ListTags)
	if err != nil {
		return nil, err
	}
	args := []any{rp.ID}
	for _, a := range attachments {
		args = append(args, attachmentTag(d, a.end))
	}
	return db.All[TagDigest](ctx, r.db, `SELECT t.name, m.digest FROM tag t JOIN manifest m ON m.id = t.manifest
		WHERE t.repository = $1 AND t.name IN ($2, $3, $4) ORDER BY t.name LIMIT 3`, args...)
}

// SyncRoom tells how many more tags of a repository may wait to be copied.
// Errors: RepoUnknown, Denied.
func (r *Registry) SyncRoom(ctx context.Context, who iam.Caller, name oci.Name) (int, error) {
	rp, err := r.lookup(ctx, who, name, iam.ListSyncs)
	if err != nil {
		return 0, err
	}
	open, err := openSyncJobs(ctx, r.db, rp.ID)
	return maxOpenJobs - open, err
}

// A SyncUpload is a blob that is on its way, of which the other side has the
// beginning.
type SyncUpload struct {
	Region, Path, Digest string
	Location             string // where the rest goes
	Received             int64  // bytes that were acknowledged
}

// uploadsKept is for how long an upload is gone on with.
const uploadsKept = 7 * 24 * time.Hour

// FindSyncUpload returns where an upload stands; nil: there is none. Errors: Denied.
func (r *Registry) FindSyncUpload(ctx context.Context, who iam.Caller, region, path, digest string) (*SyncUpload, error) {
	if err := systemOnly(who); err != nil {
		return nil, err
	}
	u, err := db.One[SyncUpload](ctx, r.db, `SELECT region, path, digest, location, received FROM sync_upload WHERE region = $1 AND path = $2 AND digest = $3`, region, path, digest)
	if errors.Is(err, db.ErrNone) {
		return nil, nil
	}
	return &u, err
}

// KeepSyncUpload writes down where an upload stands, and forgets some that
// nobody went on with. Errors: Denied.
func (r *Registry) KeepSyncUpload(ctx context.Context, who iam.Caller, u SyncUpload) error {
	if err := systemOnly(who); err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`DELETE FROM sync_upload WHERE (region, path, digest) IN (SELECT region, path, digest FROM sync_upload WHERE updated < $1 LIMIT 10)`,
			tx.Micros()-uploadsKept.Microseconds()); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO sync_upload (region, path, digest, location, received, updated) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (region, path, digest) DO UPDATE SET location = excluded.location, received = excluded.received, updated = excluded.updated`,
			u.Region, u.Path, u.Digest, u.Location, u.Received, tx.Micros())
		return err
	})
}

// DropSyncUpload forgets an upload that is done or of no use. Errors: Denied.
func (r *Registry) DropSyncUpload(ctx context.Context, who iam.Caller, region, path, digest string) error {
	if err := systemOnly(who); err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`DELETE FROM sync_upload WHERE region = $1 AND path = $2 AND digest = $3`, region, path, digest)
		return err
	})
}
