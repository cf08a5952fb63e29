package registry

import (
	"context"
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

// A push is a manifest that is about to be stored.
type push struct {
	*oci.Manifest
	digest oci.Digest
	body   []byte
	tags   []string
	chart  *chartRow  // what is known of a chart that goes into a chart group
	fresh  bool       // none of the tags may be there already
	over   oci.Digest // of the archive that the tag's chart must have, to be replaced; empty: it may have any
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
	return r.putManifest(ctx, who, name, p)
}

func (r *Registry) putManifest(ctx context.Context, who iam.Caller, name oci.Name, p push) (PutResult, error) {
	result := PutResult{Digest: p.digest, Tags: p.tags}
	if p.Subject != nil {
		result.Subject = p.Subject.Digest
	}
	if there, err := r.isThere(ctx, name, p); err != nil || there {
		if there && p.fresh {
			err = versionExists(name, p.tags[0])
		}
		return result, err
	}
	var err error
	if p.chart, err = r.chartOf(ctx, name, p); err != nil {
		return PutResult{}, err
	}
	if err := r.blobs.Free(ctx); err != nil {
		return PutResult{}, err
	}
	type outcome struct {
		repo    int64
		changed bool
	}
	out, err := db.Update(ctx, r.db, func(tx *db.Tx) (outcome, error) {
		rp, err := r.repoForPush(tx, who, name)
		if err != nil {
			return outcome{}, err
		}
		if p.over != "" {
			if err := checkOver(tx, rp, p.tags[0], p.over); err != nil {
				return outcome{}, err
			}
		}
		var moves tagMoves
		changed, err := r.put(tx, who, rp, p, &moves)
		if err == nil && p.fresh && moves.tags < int64(len(p.tags)) {
			err = versionExists(name, p.tags[0])
		}
		if err == nil && changed {
			err = r.settle(tx, rp, &moves, true)
		}
		return outcome{rp.ID, changed}, err
	})
	if err != nil {
		return PutResult{}, err
	}
	if !out.changed {
		r.remember(ctx, out.repo, p)
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

// references are the names under which the push can be read afterwards.
func (p push) references() []oci.Reference {
	refs := []oci.Reference{{Digest: p.digest}}
	for _, t := range p.tags {
		refs = append(refs, oci.Reference{Tag: t})
	}
	return refs
}

// isThere tells whether it is known that the push would change nothing: a
// pipeline that pushes an unchanged image costs no transaction. Where the
// cache is exact only the cache is asked; the transaction finds out the rest.
func (r *Registry) isThere(ctx context.Context, name oci.Name, p push) (bool, error) {
	if len(p.tags) == 0 || len(p.Optional()) > 0 {
		// There may be a review to take back, or a foreign layer that has
		// come since: only the transaction sees that.
		return false, nil
	}
	rp, err := r.repo(ctx, name)
	if err != nil {
		return false, ignoreNone(err)
	}
	for _, ref := range p.references() {
		if ref.Tag != "" && !r.isRenewed(rp.ID, ref.Tag) {
			return false, nil
		}
		var m *Manifest
		if r.db.Exact() {
			_, key := manifestQuery(ref)
			m, _ = peek[*Manifest](r.cache, manifestKey{rp.ID, key})
		} else if m, err = r.manifest(ctx, rp.ID, ref); err != nil {
			return false, ignoreNone(err)
		}
		if m == nil || m.Digest != p.digest || m.MediaType != p.MediaType {
			return false, nil
		}
	}
	return true, nil
}

// remember reads what a push found unchanged, for the next one to find.
func (r *Registry) remember(ctx context.Context, repo int64, p push) {
	for _, ref := range p.references() {
		if _, err := r.manifest(ctx, repo, ref); err != nil {
			return // it will be read when it is needed
		}
	}
}

func ignoreNone(err error) error {
	if errors.Is(err, db.ErrNone) {
		return nil
	}
	return err
}

// put stores what of the push is not there yet, and tells whether that was
// anything at all. The caller settles moves.
func (r *Registry) put(tx *db.Tx, who iam.Caller, rp repoRow, p push, moves *tagMoves) (changed bool, err error) {
	if err := lockRepo(tx, rp.ID, oci.Name(rp.Path), tx.ForKeyShare()); err != nil {
		return false, err
	}
	if rp.Chart {
		if err := p.fitsGroup(); err != nil {
			return false, err
		}
	}
	id, err := db.One[int64](tx.Context(), tx, `SELECT id FROM manifest WHERE repository = $1 AND digest = $2 AND media_type = $3 AND deleted IS NULL`+tx.ForShare(),
		rp.ID, string(p.digest), p.MediaType)
	isNew := errors.Is(err, db.ErrNone)
	switch {
	case isNew:
		changed = true
		id, err = r.addNew(tx, rp, p, moves)
	case err == nil:
		err = addForeign(tx, rp, id, p)
	}
	if err != nil {
		return false, err
	}
	if len(p.tags) == 0 {
		// Pushed by its digest it is wanted, whatever tag it lost before.
		moves.look = slices.DeleteFunc(moves.look, func(d string) bool { return d == string(p.digest) })
		if _, err := tx.Exec(`DELETE FROM review WHERE repository = $1 AND digest = $2 AND kind = $3`, rp.ID, string(p.digest), kindManifest); err != nil {
			return false, err
		}
	}
	for _, t := range slices.Sorted(slices.Values(p.tags)) { // in one order: no deadlock
		moved, err := r.setTag(tx, who, rp, t, id, p.digest, "push", isNew, moves)
		if err != nil {
			return false, err
		}
		changed = changed || moved
	}
	if !changed {
		return false, nil
	}
	if len(p.tags) == 0 {
		if err := r.emitTag(tx, rp, "", string(p.digest), "", who, "push"); err != nil {
			return false, err
		}
	}
	return true, r.iam.Audit(tx, who, iam.Push, rp.Path+"@"+string(p.digest), "ok")
}

// addForeign notes the foreign layers that have come to the repository since
// the manifest was stored.
func addForeign(tx *db.Tx, rp repoRow, id int64, p push) error {
	foreign, err := lockLinked(tx, rp, p.Optional())
	if err != nil || len(foreign) == 0 {
		return err
	}
	return addRefs(tx, rp.ID, id, p, foreign)
}

// addNew stores a manifest that is not there, or that is deleted.
func (r *Registry) addNew(tx *db.Tx, rp repoRow, p push, moves *tagMoves) (int64, error) {
	size, err := checkReferences(tx, rp, p)
	if err != nil {
		return 0, err
	}
	foreign, err := lockLinked(tx, rp, p.Optional())
	if err != nil {
		return 0, err
	}
	tx.Invalidate(manifestKey{rp.ID, string(p.digest)})
	if p.Subject != nil {
		tx.Invalidate(referrersKey{rp.ID, p.Subject.Digest})
	}
	id, made, err := addManifest(tx, rp, p, size, foreign)
	if made {
		moves.made, moves.madeSize = id, size
	}
	if err == nil && rp.Chart {
		err = addChart(tx, rp, id, p)
	}
	return id, err
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
// whoever comes second sees what the first has done. It returns the size of the
// content: of the blobs as they are stored, not as the manifest claims, and of
// all that the children have; foreign layers do not count.
func checkReferences(tx *db.Tx, rp repoRow, p push) (int64, error) {
	var children []oci.Digest
	for _, c := range p.Children {
		children = append(children, c.Digest)
	}
	slices.Sort(children)
	children = slices.Compact(children)
	size := int64(0)
	for _, need := range []struct {
		lock    func(*db.Tx, repoRow, []oci.Digest) ([]held, error)
		digests []oci.Digest
	}{{lockLinked, p.Blobs()}, {lockManifests, children}} {
		found, err := need.lock(tx, rp, need.digests)
		if err != nil {
			return 0, err
		}
		if len(found) < len(need.digests) {
			for _, d := range need.digests {
				if !slices.ContainsFunc(found, func(h held) bool { return h.Digest == d }) {
					return 0, fault.New(fault.ReferenceUnknown, "The repository %s does not have %s, which the manifest names; push it first.", rp.Path, d).With(d)
				}
			}
		}
		for _, h := range found {
			size = min(size+h.Size, maxContent)
		}
	}
	return size, nil
}

// held is a blob or a manifest that is locked, with the size of its content.
type held struct {
	Digest oci.Digest
	Size   int64
}

// lockLinked locks those of the blobs that the repository links, with their
// links, and returns them. digests are unique and sorted.
func lockLinked(tx *db.Tx, rp repoRow, digests []oci.Digest) ([]held, error) {
	return lockAll(tx, rp, `SELECT b.digest, b.size FROM blob b JOIN link l ON l.digest = b.digest
		WHERE l.repository = $1 AND l.deleted IS NULL AND l.digest IN (`, ` ORDER BY b.digest`, digests)
}

// lockManifests does the same with manifests of the repository.
func lockManifests(tx *db.Tx, rp repoRow, digests []oci.Digest) ([]held, error) {
	return lockAll(tx, rp, `SELECT digest, content_size FROM manifest WHERE repository = $1 AND deleted IS NULL AND digest IN (`, ` ORDER BY digest`, digests)
}

func lockAll(tx *db.Tx, rp repoRow, query, order string, digests []oci.Digest) ([]held, error) {
	var found []held
	for chunk := range slices.Chunk(digests, chunkSize) {
		args := []any{rp.ID}
		for _, d := range chunk {
			args = append(args, string(d))
		}
		some, err := db.All[held](tx.Context(), tx, query+placeholders(2, len(chunk))+`)`+order+tx.ForShare(), args...)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

// addManifest stores the manifest, or brings a deleted one back, with what it
// refers to. All of it may be there already; made tells that the manifest was
// not. foreign are the layers that need not be in the repository, and are.
func addManifest(tx *db.Tx, rp repoRow, p push, size int64, foreign []held) (id int64, made bool, err error) {
	var config, subject, annotations string
	if p.Config != nil {
		config = string(p.Config.Digest)
	}
	if p.Subject != nil {
		subject = string(p.Subject.Digest)
	}
	if len(p.Annotations) > 0 {
		b, err := encode(p.Annotations)
		if err != nil {
			return 0, false, err
		}
		annotations = string(b)
	}
	const insert = `INSERT INTO manifest (repository, digest, media_type, artifact_type, config, subject, annotations, size, content_size, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (repository, digest) DO `
	args := []any{rp.ID, string(p.digest), p.MediaType, p.ArtifactType, config, subject, annotations, len(p.body), size, tx.Micros()}
	id, err = db.One[int64](tx.Context(), tx, insert+`NOTHING RETURNING id`, args...)
	if made = err == nil; errors.Is(err, db.ErrNone) {
		id, err = db.One[int64](tx.Context(), tx, insert+`UPDATE SET deleted = NULL, media_type = excluded.media_type RETURNING id`, args...)
	}
	if err != nil {
		return 0, false, err
	}
	if _, err := tx.Exec(`INSERT INTO manifest_body (manifest, data) VALUES ($1, $2) ON CONFLICT (manifest) DO NOTHING`, id, p.body); err != nil {
		return 0, false, err
	}
	return id, made, addRefs(tx, rp.ID, id, p, foreign)
}

func addRefs(tx *db.Tx, repo, manifest int64, p push, foreign []held) error {
	type ref struct {
		child oci.Digest
		kind  string
	}
	var refs []ref
	for _, d := range p.Blobs() {
		refs = append(refs, ref{d, "b"})
	}
	for _, h := range foreign {
		refs = append(refs, ref{h.Digest, "b"})
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
