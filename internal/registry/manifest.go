package registry

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// manifestRow is a live manifest as a reader needs it.
type manifestRow struct {
	ID        int64
	Digest    string
	MediaType string
	Size      int64
}

const byTag = `SELECT m.id, m.digest, m.media_type, m.size FROM tag t JOIN manifest m ON m.id = t.manifest WHERE t.repository = $1 AND t.name = $2`
const byDigest = `SELECT id, digest, media_type, size FROM manifest WHERE repository = $1 AND digest = $2 AND deleted IS NULL`

func manifestQuery(ref oci.Reference) (query, arg string) {
	if ref.Tag != "" {
		return byTag, ref.Tag
	}
	return byDigest, string(ref.Digest)
}

// Manifest reads a manifest by tag or digest. Only with count does it count as
// a pull. Errors: ManifestUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) Manifest(ctx context.Context, who iam.Caller, name oci.Name, ref oci.Reference, count bool) (*Manifest, error) {
	rp, err := r.lookup(ctx, who, name, iam.Pull)
	if err != nil {
		return nil, err
	}
	m, err := r.manifest(ctx, rp.ID, ref)
	if errors.Is(err, db.ErrNone) {
		return nil, manifestUnknown(name, ref)
	}
	if err == nil && count {
		r.pulls.add(rp, ref.Tag, m.Digest, who)
	}
	return m, err
}

func manifestUnknown(name oci.Name, ref oci.Reference) error {
	if ref.Tag != "" {
		return fault.New(fault.ManifestUnknown, "The repository %s has no tag %s.", name, ref.Tag)
	}
	return fault.New(fault.ManifestUnknown, "The repository %s has no manifest %s.", name, ref.Digest)
}

// manifest reads through the cache: whole answers where the cache is exact,
// else only bodies, behind the one query that proves what the tag is now.
func (r *Registry) manifest(ctx context.Context, repo int64, ref oci.Reference) (*Manifest, error) {
	query, arg := manifestQuery(ref)
	if r.db.Exact() {
		return cached(r.cache, manifestKey{repo, arg}, func() (*Manifest, int, error) {
			return r.readManifest(ctx, query, repo, arg)
		})
	}
	m, err := db.One[manifestRow](ctx, r.db, query, repo, arg)
	if err != nil {
		return nil, err
	}
	body, err := cached(r.cache, bodyKey(m.ID), func() ([]byte, int, error) {
		b, err := db.One[[]byte](ctx, r.db, `SELECT data FROM manifest_body WHERE manifest = $1`, m.ID)
		return b, 128 + len(b), err
	})
	return &Manifest{Digest: oci.Digest(m.Digest), MediaType: m.MediaType, Size: m.Size, Body: body}, err
}

func (r *Registry) readManifest(ctx context.Context, query string, repo int64, arg string) (*Manifest, int, error) {
	type row struct {
		manifestRow
		Body []byte
	}
	// The row and its body are read in one statement: between two the
	// collector could remove the manifest.
	m, err := db.One[row](ctx, r.db, `SELECT q.id, q.digest, q.media_type, q.size, b.data FROM (`+query+`) q
		JOIN manifest_body b ON b.manifest = q.id`, repo, arg)
	if err != nil {
		return nil, 0, err
	}
	return &Manifest{Digest: oci.Digest(m.Digest), MediaType: m.MediaType, Size: m.Size, Body: m.Body}, 256 + len(m.Body), nil
}
