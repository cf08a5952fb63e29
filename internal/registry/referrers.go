package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// A Referrer is one entry of a referrers list.
type Referrer struct {
	Digest       oci.Digest
	ArtifactType string
	Descriptor   json.RawMessage // of the manifest, as the list shows it
}

// maxListedReferrers bounds the lists that are kept in memory; longer ones are
// read a page at a time.
const maxListedReferrers = 2000

// referrersList is what is kept of a subject's referrers: all of them, or that
// they are too many.
type referrersList struct {
	all  []Referrer
	long bool
}

// Referrers lists the manifests whose subject is d, by digest, those behind
// after; with artifactType only those of that type. The subject need not exist,
// nor the repository: there are none then (distribution-spec, Listing Referrers).
// Errors: Denied, Unauthorized.
func (r *Registry) Referrers(ctx context.Context, who iam.Caller, name oci.Name, d oci.Digest, artifactType, after string, n int) (Page[Referrer], error) {
	rp, err := r.lookup(ctx, who, name, iam.Pull)
	if fault.Is(err, fault.RepoUnknown) {
		return Page[Referrer]{Items: []Referrer{}}, nil
	}
	if err != nil {
		return Page[Referrer]{}, err
	}
	n = clampPage(n)
	if r.db.Exact() {
		list, err := r.listedReferrers(ctx, rp.ID, d)
		if err != nil {
			return Page[Referrer]{}, err
		}
		if !list.long {
			return page(pick(list.all, artifactType, after, n+1), n), nil
		}
	}
	list, cut, err := r.readReferrers(ctx, rp.ID, d, artifactType, after, n+1)
	p := page(list, n)
	p.More = p.More || cut
	return p, err
}

// listedReferrers reads the list through the cache.
func (r *Registry) listedReferrers(ctx context.Context, repo int64, d oci.Digest) (referrersList, error) {
	return cached(r.cache, referrersKey{repo, d}, func() (referrersList, int, error) {
		const entry = 256 // besides the text of each
		all, cut, err := r.readReferrers(ctx, repo, d, "", "", maxListedReferrers+1)
		size := entry
		for _, m := range all {
			size += entry + len(m.Descriptor)
		}
		if cut || len(all) > maxListedReferrers || size > r.cache.largest() {
			return referrersList{long: true}, entry, err
		}
		return referrersList{all: all}, size, err
	})
}

// pick returns a page of a sorted list.
func pick(all []Referrer, artifactType, after string, n int) []Referrer {
	from, found := slices.BinarySearchFunc(all, after, func(m Referrer, after string) int {
		return cmp.Compare(string(m.Digest), after)
	})
	if found {
		from++
	}
	list := make([]Referrer, 0, min(n, len(all)-from))
	for _, m := range all[from:] {
		if len(list) == n {
			break
		}
		if artifactType == "" || m.ArtifactType == artifactType {
			list = append(list, m)
		}
	}
	return list
}

// maxReferrersBytes bounds the annotations on one page, which can be nearly as
// large as the manifests themselves.
const maxReferrersBytes = 4 << 20

// readReferrers reads a page of at most n entries. cut says that it ends early
// because its entries are large.
func (r *Registry) readReferrers(ctx context.Context, repo int64, d oci.Digest, artifactType, after string, n int) (list []Referrer, cut bool, err error) {
	from := ` FROM manifest WHERE repository = $1 AND subject = $2 AND subject <> '' AND digest > $3 AND deleted IS NULL`
	args := []any{repo, string(d), after, n}
	if artifactType != "" {
		from += ` AND artifact_type = $5`
		args = append(args, artifactType)
	}
	sizes, err := db.All[int64](ctx, r.db, `SELECT length(annotations)`+from+` ORDER BY digest LIMIT $4`, args...)
	if err != nil {
		return nil, false, err
	}
	total := int64(0)
	for i, size := range sizes {
		if total += size; total > maxReferrersBytes && i > 0 {
			args[3], cut = i, true
			break
		}
	}
	type row struct {
		MediaType, Digest         string
		Size                      int64
		ArtifactType, Annotations string
	}
	rows, err := db.All[row](ctx, r.db, `SELECT media_type, digest, size, artifact_type, annotations`+from+` ORDER BY digest LIMIT $4`, args...)
	if err != nil {
		return nil, false, err
	}
	list = make([]Referrer, len(rows))
	for i, m := range rows {
		shown := struct {
			MediaType    string          `json:"mediaType"`
			Digest       string          `json:"digest"`
			Size         int64           `json:"size"`
			ArtifactType string          `json:"artifactType,omitempty"`
			Annotations  json.RawMessage `json:"annotations,omitempty"`
		}{m.MediaType, m.Digest, m.Size, m.ArtifactType, nil}
		if m.Annotations != "" {
			shown.Annotations = json.RawMessage(m.Annotations)
		}
		text, err := encode(shown)
		if err != nil {
			return nil, false, err
		}
		list[i] = Referrer{Digest: oci.Digest(m.Digest), ArtifactType: m.ArtifactType, Descriptor: text}
	}
	return list, cut, nil
}

// encode is json.Marshal without the escapes for HTML, which make a text up to
// six times as long.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
