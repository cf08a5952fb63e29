package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/helm"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// A chart is an OCI artifact as `helm push` makes it, in a repository of the
// chart's name, under a tag of its version. In a chart group it is read when
// its manifest comes, before the transaction, and what the group's index says
// of it is stored with the manifest.

// chartRow is what is stored of a chart.
type chartRow struct {
	Tag        string
	Digest     oci.Digest
	Size       int64
	Provenance oci.Digest // empty: none
	Metadata   string
	Entry      string
}

// MaxChart is how many bytes a chart's archive may have.
func (r *Registry) MaxChart() int64 { return r.o.ChartMax }

func (p push) isChart() bool { return p.Config != nil && p.Config.MediaType == helm.ConfigType }

// beside are the tags of what belongs to another manifest: signatures and
// attestations, and the list of referrers that clients without the API for
// them keep.
var beside = regexp.MustCompile(`^sha256-[0-9a-f]{64}(\.[a-z]+)?$`)

// fitsGroup refuses what is neither a chart nor belongs to one.
func (p push) fitsGroup() error {
	foreign := func(t string) bool { return !beside.MatchString(t) }
	if p.isChart() || p.Subject != nil || len(p.tags) > 0 && !slices.ContainsFunc(p.tags, foreign) {
		return nil
	}
	return fault.New(fault.ManifestInvalid, "This is a chart group: it takes Helm charts, whose config is of the type %s, and what is attached to them.", helm.ConfigType)
}

// chartOf reads the chart that a manifest for a chart group names; nil where it
// is none, or where its blobs are not there yet. Errors: ManifestInvalid,
// TooLarge, and those of storage.
func (r *Registry) chartOf(ctx context.Context, name oci.Name, p push) (*chartRow, error) {
	if !p.isChart() {
		return nil, nil
	}
	rp, err := r.repo(ctx, name)
	if err != nil || !rp.Chart {
		return nil, ignoreNone(err)
	}
	row, err := r.readChart(ctx, rp, p)
	if fault.Is(err, fault.BlobUnknown) {
		return nil, nil // the transaction says which is missing
	}
	return row, err
}

func (r *Registry) readChart(ctx context.Context, rp repoRow, p push) (*chartRow, error) {
	var archives, provenances []oci.Descriptor
	for _, l := range p.Layers {
		switch l.MediaType {
		case helm.ChartType:
			archives = append(archives, l)
		case helm.ProvenanceType:
			provenances = append(provenances, l)
		default:
			return nil, fault.New(fault.ManifestInvalid, "A chart has no layer of the type %s.", shown(l.MediaType))
		}
	}
	if len(archives) != 1 || len(provenances) > 1 {
		return nil, fault.New(fault.ManifestInvalid, "A chart has one layer of the type %s, and at most one of the type %s.", helm.ChartType, helm.ProvenanceType)
	}
	text, err := r.smallBlob(ctx, rp, p.Config.Digest, helm.MaxMetadata)
	if err != nil {
		return nil, err
	}
	config, err := helm.ParseJSON(text)
	if err != nil {
		return nil, err
	}
	c, size, err := r.unpackChart(ctx, rp, archives[0].Digest)
	if err != nil {
		return nil, err
	}
	if c.Name != config.Name || c.Version != config.Version {
		return nil, fault.New(fault.ManifestInvalid, "The config is that of %s %s, and the archive holds %s %s.", config.Name, config.Version, c.Name, c.Version)
	}
	if repo := oci.Name(rp.Path).Repository(); c.Name != repo {
		return nil, fault.New(fault.ManifestInvalid, "The chart %s goes into the repository %s/%s, not into %s.", c.Name, oci.Name(rp.Path).Organization(), c.Name, rp.Path)
	}
	row := &chartRow{Tag: helm.TagOf(c.Version), Digest: archives[0].Digest, Size: size}
	if len(provenances) == 1 {
		row.Provenance = provenances[0].Digest
		if err := r.checkProvenance(ctx, rp, row, c.Metadata); err != nil {
			return nil, err
		}
	}
	b, err := json.Marshal(c.Metadata)
	if err != nil {
		return nil, err
	}
	row.Metadata = string(b)
	row.Entry, err = helm.Entry(c.Metadata)
	return row, err
}

func (r *Registry) checkProvenance(ctx context.Context, rp repoRow, row *chartRow, m helm.Metadata) error {
	b, err := r.smallBlob(ctx, rp, row.Provenance, helm.MaxProvenance)
	if err != nil {
		return err
	}
	prov, err := helm.ParseProvenance(b)
	if err != nil {
		return err
	}
	return prov.Matches(m.Name, m.Version, string(row.Digest))
}

// unpackChart reads a chart's archive. Errors: BlobUnknown, TooLarge,
// ManifestInvalid.
func (r *Registry) unpackChart(ctx context.Context, rp repoRow, d oci.Digest) (*helm.Chart, int64, error) {
	l, err := r.link(ctx, rp, d)
	if err != nil {
		return nil, 0, err
	}
	if l.Size > r.o.ChartMax {
		return nil, 0, fault.New(fault.TooLarge, "A chart has at most %d bytes.", r.o.ChartMax)
	}
	src, err := Blob{Descriptor: oci.Descriptor{Digest: d, Size: l.Size}, key: l.Key, inline: l.Data, r: r}.Open(ctx, 0, -1)
	if err != nil {
		return nil, 0, err
	}
	defer src.Close()
	c, err := helm.Read(src)
	return c, l.Size, err
}

// smallBlob reads a blob of at most so many bytes into memory.
func (r *Registry) smallBlob(ctx context.Context, rp repoRow, d oci.Digest, most int64) ([]byte, error) {
	l, err := r.link(ctx, rp, d)
	if err != nil {
		return nil, err
	}
	if l.Size > most {
		return nil, fault.New(fault.ManifestInvalid, "The blob %s of the chart is larger than %d bytes.", d, most)
	}
	src, err := Blob{Descriptor: oci.Descriptor{Digest: d, Size: l.Size}, key: l.Key, inline: l.Data, r: r}.Open(ctx, 0, -1)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	return io.ReadAll(io.LimitReader(src, most))
}

// addChart stores what is known of a chart with its manifest.
func addChart(tx *db.Tx, rp repoRow, manifest int64, p push) error {
	c := p.chart
	if c == nil && p.isChart() {
		return fault.New(fault.Unavailable, "The chart's blobs have only just come; push its manifest again.")
	}
	if c == nil {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO chart (manifest, repository, tag, digest, size, provenance, metadata, entry) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (manifest) DO NOTHING`, manifest, rp.ID, c.Tag, string(c.Digest), c.Size, string(c.Provenance), c.Metadata, c.Entry)
	return err
}

func versionExists(name oci.Name, tag string) error {
	return fault.New(fault.Exists, "%s %s exists already.", name.Repository(), helm.VersionOf(tag))
}

// ChartOver says which version of a chart may be there to be replaced: none,
// any, or with Archive only one of the same archive.
type ChartOver struct {
	Any     bool
	Archive oci.Digest
}

// PutChart stores the manifest of a chart whose blobs are in the repository,
// under the tag of its version. Errors: as PutManifest, Exists where there is
// another version than may be.
func (r *Registry) PutChart(ctx context.Context, who iam.Caller, name oci.Name, tag string, body []byte, over ChartOver) (PutResult, error) {
	if err := r.mayPush(ctx, who, name); err != nil {
		return PutResult{}, err
	}
	p, err := newPush(oci.Reference{Tag: tag}, nil, imageManifest, body)
	if err != nil {
		return PutResult{}, err
	}
	p.fresh, p.over = over == ChartOver{}, over.Archive
	return r.putManifest(ctx, who, name, p)
}

// checkOver makes sure that the tag is a version of that archive.
func checkOver(tx *db.Tx, rp repoRow, tag string, archive oci.Digest) error {
	if err := lockRepo(tx, rp.ID, oci.Name(rp.Path), tx.ForKeyShare()); err != nil {
		return err
	}
	now, err := currentTag(tx, rp.ID, tag)
	if err == nil {
		_, err = db.One[int64](tx.Context(), tx, `SELECT manifest FROM chart WHERE manifest = $1 AND digest = $2`, now.Manifest, string(archive))
	}
	if errors.Is(err, db.ErrNone) {
		return fault.New(fault.Exists, "%s %s was replaced meanwhile.", oci.Name(rp.Path).Repository(), helm.VersionOf(tag))
	}
	return err
}

const imageManifest = "application/vnd.oci.image.manifest.v1+json"

// keptTags is how many tags that are gone a group remembers: who knows its
// index from before reads it all again.
const keptTags = 1000

// noteChartTags writes down what became of tags of a chart group. The
// repository's row is locked; the group's is from here on, so that the numbers
// come in the order of the commits.
func noteChartTags(tx *db.Tx, rp repoRow, m *tagMoves) error {
	tags := make([]string, 0, len(m.names))
	for t := range m.names {
		tags = append(tags, t)
	}
	slices.Sort(tags)
	n, err := db.One[int64](tx.Context(), tx, `UPDATE organization SET charts = charts + $2 WHERE id = $1 RETURNING charts`, rp.Organization, len(tags))
	if errors.Is(err, db.ErrNone) {
		return fault.New(fault.RepoUnknown, "The repository %s does not exist.", rp.Path)
	}
	if err != nil {
		return err
	}
	tx.Invalidate(orgKey(oci.Name(rp.Path).Organization()))
	gone := false
	at := n - int64(len(tags))
	for chunk := range slices.Chunk(tags, chunkSize) {
		args := []any{rp.ID, rp.Organization, tx.Micros()}
		var values strings.Builder
		for i, t := range chunk {
			if i > 0 {
				values.WriteString(", ")
			}
			at++
			values.WriteString("($1, $2, $3, " + placeholders(len(args)+1, 3) + ")")
			args = append(args, t, at, m.names[t])
			gone = gone || m.names[t] == 0
		}
		if _, err := tx.Exec(`INSERT INTO chart_tag (repository, organization, changed, tag, n, manifest) VALUES `+values.String()+`
			ON CONFLICT (repository, tag) DO UPDATE SET n = excluded.n, manifest = excluded.manifest, changed = excluded.changed`, args...); err != nil {
			return err
		}
	}
	if gone {
		_, err = tx.Exec(`DELETE FROM chart_tag WHERE organization = $1 AND manifest = 0 AND n <= $2`, rp.Organization, n-keptTags)
	}
	return err
}
