package registry

import (
	"bytes"
	"context"
	"errors"
	"io"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

const octetStream = "application/octet-stream"

// A Blob is content that the caller may read.
type Blob struct {
	oci.Descriptor
	key     string
	inline  []byte
	account string // whose it is
	r       *Registry
}

// Open reads n bytes from off on (n = -1: to the end). A blob in a directory
// comes as *os.File, which an HTTP server can hand to sendfile.
// Errors: BlobUnknown where it was collected since it was found, Unavailable.
func (b Blob) Open(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if b.key == "" {
		data := b.inline[off:]
		if n >= 0 {
			data = data[:n]
		}
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	rc, err := b.r.blobs.Open(ctx, b.key, off, n)
	if !errors.Is(err, blob.ErrAbsent) {
		return rc, err
	}
	key, rowErr := db.One[string](ctx, b.r.db, `SELECT key FROM blob WHERE digest = $1`, string(b.Digest))
	if errors.Is(rowErr, db.ErrNone) || rowErr == nil && key != b.key {
		return nil, fault.New(fault.BlobUnknown, "The blob %s was removed at this moment.", b.Digest)
	}
	return nil, err
}

// linkRow is a blob as one repository sees it.
type linkRow struct {
	Size   int64
	Key    string
	Data   []byte
	Queued *int64 // when its review was queued; nil: none is
	Due    *int64
}

// link reads a blob's row where the repository links it.
func (r *Registry) link(ctx context.Context, rp repoRow, d oci.Digest) (linkRow, error) {
	read := func() (linkRow, int, error) {
		l, err := db.One[linkRow](ctx, r.db, `SELECT b.size, b.key, c.data, v.created, v.due
			FROM link l JOIN blob b ON b.digest = l.digest
			LEFT JOIN content c ON c.digest = l.digest
			LEFT JOIN review v ON v.repository = l.repository AND v.digest = l.digest AND v.kind = 'b'
			WHERE l.repository = $1 AND l.digest = $2 AND l.deleted IS NULL`, rp.ID, string(d))
		return l, 256 + len(l.Data), err
	}
	var l linkRow
	var err error
	if r.db.Exact() {
		l, err = cached(r.cache, blobKey{rp.ID, d}, read)
	} else {
		l, _, err = read()
	}
	if errors.Is(err, db.ErrNone) {
		return l, fault.New(fault.BlobUnknown, "The repository %s has no blob %s.", rp.Path, d)
	}
	return l, err
}

// OpenBlob finds a blob for reading. Errors: BlobUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) OpenBlob(ctx context.Context, who iam.Caller, name oci.Name, d oci.Digest) (Blob, error) {
	rp, err := r.lookup(ctx, who, name, iam.Pull)
	if err != nil {
		return Blob{}, err
	}
	l, err := r.link(ctx, rp, d)
	if err != nil {
		return Blob{}, err
	}
	return Blob{Descriptor: oci.Descriptor{MediaType: octetStream, Digest: d, Size: l.Size}, key: l.Key, inline: l.Data, account: rp.Account, r: r}, nil
}

// StatBlob tells whether the repository has a blob. For a caller who may push
// it also holds the blob: an upload that relies on this answer has time to be
// completed. Errors: as OpenBlob.
func (r *Registry) StatBlob(ctx context.Context, who iam.Caller, name oci.Name, d oci.Digest) (oci.Descriptor, error) {
	rp, err := r.lookup(ctx, who, name, iam.Pull)
	if err != nil {
		return oci.Descriptor{}, err
	}
	l, err := r.link(ctx, rp, d)
	if err != nil {
		return oci.Descriptor{}, err
	}
	if l.Due != nil && r.needsHold(*l.Queued, *l.Due) {
		pusher, err := r.iam.May(ctx, who, iam.Push, resource(&rp))
		if err == nil && pusher {
			err = r.hold(ctx, rp, d)
		}
		if err != nil {
			return oci.Descriptor{}, err
		}
	}
	return oci.Descriptor{MediaType: octetStream, Digest: d, Size: l.Size}, nil
}

// commitBlob makes uploaded bytes a blob of the repository. Where the same
// content is there already its bytes stay and the new ones become garbage.
func (r *Registry) commitBlob(tx *db.Tx, rp repoRow, d oci.Digest, u blob.Upload) (int64, error) {
	made, err := addBlob(tx, d, u)
	if err != nil {
		return 0, err
	}
	switch {
	case made && u.Key == "":
		_, err = tx.Exec(`INSERT INTO content (digest, data) VALUES ($1, $2)`, string(d), nonNil(u.Inline))
	case !made && u.Key != "":
		err = addGarbage(tx, u.Key)
	}
	if err != nil {
		return 0, err
	}
	return u.Size, r.addLink(tx, rp.ID, d)
}

// addBlob inserts the blob's row, or locks the one that is there against the
// collector until the transaction ends.
func addBlob(tx *db.Tx, d oci.Digest, u blob.Upload) (made bool, err error) {
	// A row that the collector removes between the two statements is gone
	// when the lock is granted, and the insertion works the next time.
	for range 3 {
		n, err := tx.Exec(`INSERT INTO blob (digest, key, size, created) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING`,
			string(d), u.Key, u.Size, tx.Micros())
		if err != nil || n == 1 || tx.ForShare() == "" {
			return n == 1, err
		}
		_, err = db.One[int64](tx.Context(), tx, `SELECT size FROM blob WHERE digest = $1`+tx.ForShare(), string(d))
		if !errors.Is(err, db.ErrNone) {
			return false, err
		}
	}
	return false, fault.New(fault.Unavailable, "The blob %s is being removed; push it again.", d)
}

// nonNil keeps an empty value from being stored as NULL.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// addLink makes the blob readable in the repository and queues its review: a
// link that no manifest comes to need goes again.
func (r *Registry) addLink(tx *db.Tx, repo int64, d oci.Digest) error {
	if _, err := tx.Exec(`INSERT INTO link (repository, digest, created) VALUES ($1, $2, $3)
			ON CONFLICT (repository, digest) DO UPDATE SET deleted = NULL`, repo, string(d), tx.Micros()); err != nil {
		return err
	}
	tx.Invalidate(blobKey{repo, d})
	return r.review(tx, repo, d, kindBlob, r.o.Grace)
}

// maxMountCandidates bounds the search for a repository to mount from.
const maxMountCandidates = 32

// Mount links a blob that another repository has. Without from it looks for
// one that the caller may pull from. It answers false where the blob cannot be
// mounted, whatever the reason: the caller uploads it then.
// permits tells which repositories the caller's credential was issued for; nil:
// all that the caller may pull from. Errors: Denied, Unauthorized (for the target).
func (r *Registry) Mount(ctx context.Context, who iam.Caller, name oci.Name, d oci.Digest, from oci.Name, permits func(oci.Name) bool) (oci.Descriptor, bool, error) {
	if err := r.mayPush(ctx, who, name); err != nil {
		return oci.Descriptor{}, false, err
	}
	if from == "" {
		found, err := mountable(ctx, r.db, d, from, func(rp *repoRow) (bool, error) {
			if permits != nil && !permits(oci.Name(rp.Path)) {
				return false, nil
			}
			return r.iam.May(ctx, who, iam.Pull, resource(rp))
		})
		if err != nil || found == nil {
			return oci.Descriptor{}, false, err
		}
		from = oci.Name(found.Path)
	} else if err := r.warm(ctx, from, d); err != nil {
		return oci.Descriptor{}, false, err
	}
	size, err := db.Update(ctx, r.db, func(tx *db.Tx) (int64, error) {
		src, err := r.mountSource(tx, who, d, from)
		if err != nil || src == nil {
			return -1, err
		}
		rp, err := r.repoForPush(tx, who, name)
		if err != nil {
			return -1, err
		}
		if err := lockRepo(tx, rp.ID, name, tx.ForKeyShare()); err != nil {
			return -1, err
		}
		return src.Size, r.addLink(tx, rp.ID, d)
	})
	if err != nil || size < 0 {
		return oci.Descriptor{}, false, err
	}
	return oci.Descriptor{MediaType: octetStream, Digest: d, Size: size}, true, nil
}

// warm reads, where the cache is exact, what the transaction of a mount will
// want to know: several blobs are mounted from one repository.
func (r *Registry) warm(ctx context.Context, from oci.Name, d oci.Digest) error {
	if !r.db.Exact() {
		return nil
	}
	rp, err := r.repo(ctx, from)
	if err != nil {
		return ignoreNone(err)
	}
	if _, err := r.link(ctx, rp, d); err != nil && !fault.Is(err, fault.BlobUnknown) {
		return err
	}
	return nil
}

// mountSource finds the link to mount from, and keeps it from the collector.
func (r *Registry) mountSource(tx *db.Tx, who iam.Caller, d oci.Digest, from oci.Name) (*mountRow, error) {
	if rp, ok := peekIn[repoRow](tx, r.cache, repoKey(from)); ok && rp.ID != 0 {
		if l, ok := peekIn[linkRow](tx, r.cache, blobKey{rp.ID, d}); ok {
			may, err := r.mayPull(tx, who, &rp)
			if err != nil || !may {
				return nil, err
			}
			return &mountRow{rp, l.Size}, nil
		}
	}
	src, err := mountable(tx.Context(), tx, d, from, func(rp *repoRow) (bool, error) { return r.mayPull(tx, who, rp) })
	if err != nil || src == nil || tx.ForShare() == "" {
		return src, err
	}
	// Lock first, look second: the collector may be about to remove the link.
	_, err = db.One[int64](tx.Context(), tx, `SELECT b.size FROM blob b JOIN link l ON l.digest = b.digest
		WHERE l.repository = $1 AND l.digest = $2 AND l.deleted IS NULL`+tx.ForShare(), src.ID, string(d))
	if errors.Is(err, db.ErrNone) {
		return nil, nil
	}
	return src, err
}

// mayPull tells inside a transaction whether the caller may pull.
func (r *Registry) mayPull(tx *db.Tx, who iam.Caller, rp *repoRow) (bool, error) {
	err := r.iam.Allow(tx, who, iam.Pull, resource(rp))
	if fault.Is(err, fault.Denied) || fault.Is(err, fault.Unauthorized) {
		return false, nil
	}
	return err == nil, err
}

type mountRow struct {
	repoRow
	Size int64
}

// mountable returns a repository that has the blob and that may be pulled
// from, nil if there is none.
func mountable(ctx context.Context, q db.Querier, d oci.Digest, from oci.Name, may func(*repoRow) (bool, error)) (*mountRow, error) {
	// Whoever mounts from it tells nobody of it, and takes nothing away.
	const query = `SELECT r.id, r.organization, r.account, r.path, ` + openToAll + `, r.shares > 0, 0, r.chart, CAST(NULL AS BIGINT), b.size
		FROM link l JOIN repository r ON r.id = l.repository JOIN blob b ON b.digest = l.digest
		WHERE l.digest = $1 AND l.deleted IS NULL AND r.organization <> 0`
	var rows []mountRow
	var err error
	if from != "" {
		rows, err = db.All[mountRow](ctx, q, query+` AND r.path = $2`, string(d), string(from))
	} else {
		rows, err = db.All[mountRow](ctx, q, query+` LIMIT $2`, string(d), maxMountCandidates)
	}
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if ok, err := may(&rows[i].repoRow); ok || err != nil {
			return &rows[i], err
		}
	}
	return nil, nil
}

// DeleteBlob removes a blob from a repository. The bytes go when nothing needs
// them any more. Errors: BlobUnknown, InUse, RepoUnknown, Denied, Unauthorized.
func (r *Registry) DeleteBlob(ctx context.Context, who iam.Caller, name oci.Name, d oci.Digest) error {
	_, err := db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		rp, err := r.repoFor(tx, who, name, iam.DeleteTag)
		if err != nil {
			return none, err
		}
		n, err := tx.Exec(`UPDATE link SET deleted = $3 WHERE repository = $1 AND digest = $2 AND deleted IS NULL`, rp.ID, string(d), tx.Micros())
		if err != nil {
			return none, err
		}
		if n == 0 {
			return none, fault.New(fault.BlobUnknown, "The repository %s has no blob %s.", name, d)
		}
		by, err := db.One[string](tx.Context(), tx, `SELECT m.digest FROM ref f JOIN manifest m ON m.id = f.manifest
			WHERE f.repository = $1 AND f.child = $2 AND f.kind = 'b' AND m.deleted IS NULL LIMIT 1`, rp.ID, string(d))
		if err == nil {
			return none, fault.New(fault.InUse, "The manifest %s needs this blob; delete the manifest first.", by)
		}
		if !errors.Is(err, db.ErrNone) {
			return none, err
		}
		tx.Invalidate(blobKey{rp.ID, d})
		tx.AfterCommit(r.wakeCollector)
		return none, r.review(tx, rp.ID, d, kindBlob, 0)
	})
	return err
}
