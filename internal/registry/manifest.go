package registry

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// MaxTagsPerPush bounds the tags that one manifest PUT may set.
const MaxTagsPerPush = 100

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
		r.pulls.add(rp.ID, ref.Tag)
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

// A push is a manifest that is about to be stored.
type push struct {
	*oci.Manifest
	digest oci.Digest
	body   []byte
	tags   []string
}

// PutManifest stores a manifest and points tags to it: the one in ref and
// those in tags. Every blob and every child manifest it names must be in the
// repository; a subject may come later.
//
// Errors: ManifestInvalid, DigestInvalid, TagInvalid, Unsupported,
// ReferenceUnknown (Detail: the digest), Denied, Unauthorized, Full.
func (r *Registry) PutManifest(ctx context.Context, who iam.Caller, name oci.Name, ref oci.Reference, tags []string, mediaType string, body []byte) (PutResult, error) {
	if err := r.mayPush(ctx, who, name); err != nil {
		return PutResult{}, err
	}
	p, err := newPush(ref, tags, mediaType, body)
	if err != nil {
		return PutResult{}, err
	}
	result := PutResult{Digest: p.digest, Tags: p.tags}
	if p.Subject != nil {
		result.Subject = p.Subject.Digest
	}
	if there, err := r.isThere(ctx, name, p); err != nil || there {
		return result, err
	}
	if err := r.blobs.Free(ctx); err != nil {
		return PutResult{}, err
	}
	_, err = db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
		rp, err := r.repoForPush(tx, who, name)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, r.put(tx, who, rp, p)
	})
	if err != nil {
		return PutResult{}, err
	}
	return result, nil
}

func newPush(ref oci.Reference, tags []string, mediaType string, body []byte) (push, error) {
	m, err := oci.ParseManifest(mediaType, body)
	if err != nil {
		return push{}, err
	}
	a := oci.SHA256
	if ref.Digest != "" {
		a = ref.Digest.Algorithm()
	}
	p := push{Manifest: m, digest: a.FromBytes(body), body: body}
	if ref.Digest != "" && ref.Digest != p.digest {
		return p, fault.New(fault.DigestInvalid, "The manifest's digest is %s, not %s.", p.digest, ref.Digest)
	}
	if ref.Tag != "" {
		p.tags = append(p.tags, ref.Tag)
	}
	for _, t := range tags {
		if _, err := oci.ParseTag(t); err != nil {
			return p, err
		}
		if !slices.Contains(p.tags, t) {
			p.tags = append(p.tags, t)
		}
	}
	if len(p.tags) > MaxTagsPerPush {
		return p, fault.New(fault.TagInvalid, "One push sets at most %d tags.", MaxTagsPerPush)
	}
	return p, nil
}

// isThere tells whether the push would change nothing: a pipeline that pushes
// an unchanged image costs no write.
func (r *Registry) isThere(ctx context.Context, name oci.Name, p push) (bool, error) {
	rp, err := r.repo(ctx, name)
	if err != nil {
		return false, ignoreNone(err)
	}
	refs := []oci.Reference{{Digest: p.digest}}
	for _, t := range p.tags {
		refs = append(refs, oci.Reference{Tag: t})
	}
	for _, ref := range refs {
		m, err := r.manifest(ctx, rp.ID, ref)
		if err != nil {
			return false, ignoreNone(err)
		}
		if m.Digest != p.digest || m.MediaType != p.MediaType {
			return false, nil
		}
	}
	return true, nil
}

func ignoreNone(err error) error {
	if errors.Is(err, db.ErrNone) {
		return nil
	}
	return err
}

func (r *Registry) put(tx *db.Tx, who iam.Caller, rp repoRow, p push) error {
	if err := lockRepo(tx, rp.ID, oci.Name(rp.Path), tx.ForKeyShare()); err != nil {
		return err
	}
	if err := checkReferences(tx, rp, p); err != nil {
		return err
	}
	id, err := addManifest(tx, rp, p)
	if err != nil {
		return err
	}
	for _, t := range slices.Sorted(slices.Values(p.tags)) { // in one order: no deadlock
		if err := r.setTag(tx, who, rp, t, id, p.digest, "push"); err != nil {
			return err
		}
	}
	tx.Invalidate(manifestKey{rp.ID, string(p.digest)})
	if err := touch(tx, rp.ID); err != nil {
		return err
	}
	return r.iam.Audit(tx, who, iam.Push, rp.Path+"@"+string(p.digest), "ok")
}

// placeholders returns "$from, …" for n arguments.
func placeholders(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(from + i))
	}
	return b.String()
}

// chunkSize is how many digests one statement names.
const chunkSize = 100

// checkReferences locks all blobs with their links, and the rows of all child
// manifests, in the order of their digests, and tells whether they are all
// there. The collector locks the same rows before it looks for references:
// whoever comes second sees what the first has done.
func checkReferences(tx *db.Tx, rp repoRow, p push) error {
	var children []oci.Digest
	for _, c := range p.Children {
		children = append(children, c.Digest)
	}
	slices.Sort(children)
	children = slices.Compact(children)
	if err := checkAll(tx, rp, `SELECT b.digest FROM blob b JOIN link l ON l.digest = b.digest
		WHERE l.repository = $1 AND l.deleted IS NULL AND l.digest IN (`, ` ORDER BY b.digest`, p.Blobs()); err != nil {
		return err
	}
	return checkAll(tx, rp, `SELECT digest FROM manifest WHERE repository = $1 AND deleted IS NULL AND digest IN (`, ` ORDER BY digest`, children)
}

func checkAll(tx *db.Tx, rp repoRow, query, order string, digests []oci.Digest) error {
	for chunk := range slices.Chunk(digests, chunkSize) {
		args := []any{rp.ID}
		for _, d := range chunk {
			args = append(args, string(d))
		}
		found, err := db.All[string](tx.Context(), tx, query+placeholders(2, len(chunk))+`)`+order+tx.ForShare(), args...)
		if err != nil {
			return err
		}
		if len(found) == len(chunk) {
			continue
		}
		for _, d := range chunk {
			if !slices.Contains(found, string(d)) {
				return fault.New(fault.ReferenceUnknown, "The repository %s does not have %s, which the manifest names; push it first.", rp.Path, d).With(d)
			}
		}
	}
	return nil
}

// addManifest stores the manifest, or brings a deleted one back, with what it
// refers to. All of it may be there already.
func addManifest(tx *db.Tx, rp repoRow, p push) (int64, error) {
	var config, subject, annotations string
	size := int64(0)
	if p.Config != nil {
		config, size = string(p.Config.Digest), p.Config.Size
	}
	for _, l := range p.Layers {
		size += l.Size
	}
	if p.Subject != nil {
		subject = string(p.Subject.Digest)
	}
	if len(p.Annotations) > 0 {
		b, err := json.Marshal(p.Annotations)
		if err != nil {
			return 0, err
		}
		annotations = string(b)
	}
	type madeRow struct{ ID, Created int64 }
	made, err := db.One[madeRow](tx.Context(), tx, `INSERT INTO manifest
			(repository, digest, media_type, artifact_type, config, subject, annotations, size, content_size, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (repository, digest) DO UPDATE SET deleted = NULL, media_type = excluded.media_type RETURNING id, created`,
		rp.ID, string(p.digest), p.MediaType, p.ArtifactType, config, subject, annotations, len(p.body), size, tx.Micros())
	if err != nil {
		return 0, err
	}
	if _, err := tx.Exec(`INSERT INTO manifest_body (manifest, data) VALUES ($1, $2) ON CONFLICT (manifest) DO NOTHING`, made.ID, p.body); err != nil {
		return 0, err
	}
	return made.ID, addRefs(tx, rp.ID, made.ID, p)
}

func addRefs(tx *db.Tx, repo, manifest int64, p push) error {
	type ref struct {
		child oci.Digest
		kind  string
	}
	var refs []ref
	for _, d := range p.Blobs() {
		refs = append(refs, ref{d, "b"})
	}
	for _, c := range p.Children {
		if x := (ref{c.Digest, "m"}); !slices.Contains(refs, x) {
			refs = append(refs, x)
		}
	}
	if p.Subject != nil {
		refs = append(refs, ref{p.Subject.Digest, "s"})
	}
	for chunk := range slices.Chunk(refs, chunkSize) {
		args := []any{repo, manifest}
		var values strings.Builder
		for i, x := range chunk {
			if i > 0 {
				values.WriteString(", ")
			}
			values.WriteString(`($1, $2, $` + strconv.Itoa(3+2*i) + `, $` + strconv.Itoa(4+2*i) + `)`)
			args = append(args, string(x.child), x.kind)
		}
		if _, err := tx.Exec(`INSERT INTO ref (repository, manifest, child, kind) VALUES `+values.String()+` ON CONFLICT DO NOTHING`, args...); err != nil {
			return err
		}
	}
	return nil
}
