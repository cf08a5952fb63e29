package registry

import (
	"context"
	"errors"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// An Accessory is what was attached to an image: a signature, an attestation,
// a list of parts. It names the image as its subject, or it has the tag that
// cosign makes of the image's digest.
type Accessory struct {
	ID      int64
	Tag     string // the one made of the digest, else the first; "": none
	Digest  oci.Digest
	Target  oci.Digest // the image
	Size    int64      // of its content
	Type    string
	Created time.Time
	Updated time.Time // when a tag was last set to it
}

// attachments are the tags that cosign makes of a digest by putting an end to
// it, and what they hold.
var attachments = []struct{ end, holds string }{
	{".sig", "signature.cosign"},
	{".att", "attestation.cosign"},
	{".sbom", "sbom.cosign"},
}

// artifactTypes are how clients call what they attach by its subject. Other
// types are shown as they are.
var artifactTypes = []struct{ begins, holds string }{
	{"application/vnd.dev.cosign.artifact.sig.", "signature.cosign"},
	{"application/vnd.dev.sigstore.bundle.", "signature.cosign"},
	{"application/vnd.dev.cosign.artifact.sbom.", "sbom.cosign"},
	{"application/vnd.cncf.notary.signature", "signature.notation"},
}

// attachmentTag returns the tag of an attachment to the digest.
func attachmentTag(d oci.Digest, end string) string {
	return strings.ReplaceAll(string(d), ":", "-") + end
}

// attachedTo returns the digest that a tag of an attachment is made of.
func attachedTo(tag string) (oci.Digest, bool) {
	for _, a := range attachments {
		if d, ok := strings.CutSuffix(tag, a.end); ok {
			digest, err := oci.ParseDigest(strings.Replace(d, "-", ":", 1))
			return digest, err == nil
		}
	}
	return "", false
}

// accessoryType tells what an accessory is.
func accessoryType(target oci.Digest, tag, artifactType string) string {
	for _, a := range attachments {
		if tag == attachmentTag(target, a.end) {
			return a.holds
		}
	}
	for _, a := range artifactTypes {
		if strings.HasPrefix(artifactType, a.begins) {
			return a.holds
		}
	}
	return artifactType
}

// accessories selects the manifests that are attached to the image $2 of the
// repository $1: those with it for a subject, and those with the tags $3 to $5.
const accessories = ` FROM manifest m WHERE m.deleted IS NULL AND m.id IN (
	SELECT id FROM manifest WHERE repository = $1 AND subject = $2 AND subject <> ''
	UNION SELECT manifest FROM tag WHERE repository = $1 AND name IN ($3, $4, $5))`

// Accessories lists what is attached to an image, in the order in which it
// came: at most n behind the first offset, and how many there are in all.
// Errors: TagUnknown, ManifestUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) Accessories(ctx context.Context, who iam.Caller, name oci.Name, ref oci.Reference, offset, n int) ([]Accessory, int64, error) {
	rp, err := r.lookup(ctx, who, name, iam.ListTags)
	if err != nil {
		return nil, 0, err
	}
	p, err := db.View(ctx, r.db, func(tx *db.Tx) (p counted[Accessory], err error) {
		m, _, err := subjectOf(tx, rp.ID, name, ref)
		if err != nil {
			return p, err
		}
		target := oci.Digest(m.Digest)
		args := []any{rp.ID, m.Digest}
		for _, a := range attachments {
			args = append(args, attachmentTag(target, a.end))
		}
		if p.total, err = db.One[int64](tx.Context(), tx, `SELECT count(*)`+accessories, args...); err != nil {
			return p, err
		}
		p.rows, err = readAccessories(tx, target, args, offset, clampPage(n))
		return p, err
	})
	return p.rows, p.total, err
}

func readAccessories(tx *db.Tx, target oci.Digest, args []any, offset, n int) ([]Accessory, error) {
	type row struct {
		ID                   int64
		Digest, ArtifactType string
		Size, Created        int64
		Attached, Tag        string
		Updated              int64
	}
	rows, err := db.All[row](tx.Context(), tx, `SELECT m.id, m.digest, m.artifact_type, m.content_size, m.created,
		coalesce((SELECT min(t.name) FROM tag t WHERE t.manifest = m.id AND t.name IN ($3, $4, $5)), ''),
		coalesce((SELECT min(t.name) FROM tag t WHERE t.manifest = m.id), ''),
		coalesce((SELECT max(t.updated) FROM tag t WHERE t.manifest = m.id), m.created)`+
		accessories+` ORDER BY m.id LIMIT $6 OFFSET $7`, append(args, n, max(offset, 0))...)
	if err != nil {
		return nil, err
	}
	list := make([]Accessory, len(rows))
	for i, v := range rows {
		if v.Attached != "" {
			v.Tag = v.Attached
		}
		list[i] = Accessory{ID: v.ID, Tag: v.Tag, Digest: oci.Digest(v.Digest), Target: target, Size: v.Size,
			Type: accessoryType(target, v.Tag, v.ArtifactType), Created: fromMicros(v.Created), Updated: fromMicros(v.Updated)}
	}
	return list, nil
}

// References lists the tags of the images that an accessory is attached to, by
// name, those behind after. For what is attached to nothing there are none.
// Errors: TagUnknown, ManifestUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) References(ctx context.Context, who iam.Caller, name oci.Name, ref oci.Reference, after string, n int) (Page[string], error) {
	rp, err := r.lookup(ctx, who, name, iam.ListTags)
	if err != nil {
		return Page[string]{}, err
	}
	n = clampPage(n)
	return db.View(ctx, r.db, func(tx *db.Tx) (Page[string], error) {
		_, subject, err := subjectOf(tx, rp.ID, name, ref)
		if err != nil {
			return Page[string]{}, err
		}
		target, ok := attachedTo(ref.Tag)
		if !ok {
			target = subject
		}
		if subject == "" {
			subject = target
		}
		if target == "" {
			return Page[string]{Items: []string{}}, nil
		}
		tags, err := db.All[string](tx.Context(), tx, `SELECT name FROM tag WHERE manifest IN
			(SELECT id FROM manifest WHERE repository = $1 AND digest IN ($2, $3) AND deleted IS NULL) AND name > $4 ORDER BY name LIMIT $5`,
			rp.ID, string(target), string(subject), after, n+1)
		return page(tags, n), err
	})
}

// subjectOf reads a manifest and the digest of its subject, "" for none.
func subjectOf(tx *db.Tx, repo int64, name oci.Name, ref oci.Reference) (manifestRow, oci.Digest, error) {
	query, arg := manifestQuery(ref)
	m, err := db.One[manifestRow](tx.Context(), tx, query, repo, arg)
	if errors.Is(err, db.ErrNone) {
		if ref.Tag != "" {
			return m, "", fault.New(fault.TagUnknown, "The repository %s has no tag %s.", name, ref.Tag)
		}
		return m, "", manifestUnknown(name, ref)
	}
	if err != nil {
		return m, "", err
	}
	subject, err := db.One[oci.Digest](tx.Context(), tx, `SELECT subject FROM manifest WHERE id = $1`, m.ID)
	return m, subject, err
}
