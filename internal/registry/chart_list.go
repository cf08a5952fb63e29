package registry

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/helm"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// A GroupState names what a chart group holds: as long as it is the same,
// nothing has changed.
type GroupState struct {
	ID      int64 // of the group
	Created int64 // µs
	Name    string
	Changes int64 // of its tags, since it was made
}

// ChartGroupState tells what the index of a group stands at, for those who may
// pull all of it. Errors: OrgUnknown, Denied; Unauthorized for strangers,
// whether the group exists or not.
func (r *Registry) ChartGroupState(ctx context.Context, who iam.Caller, name string) (GroupState, error) {
	o, err := r.org(ctx, name)
	if fault.Is(err, fault.OrgUnknown) || err == nil && o.Kind != kindChart {
		if who.Anonymous() {
			return GroupState{}, fault.New(fault.Unauthorized, "Log in to pull from %s.", name)
		}
		return GroupState{}, noGroup(name)
	}
	if err != nil {
		return GroupState{}, err
	}
	return GroupState{o.ID, o.Created, o.Name, o.Charts}, r.iam.Check(ctx, who, iam.Pull, o.resource())
}

// MayPushCharts decides, before an archive is read, whether the caller may
// upload charts to a group. Errors: OrgUnknown, Denied; Unauthorized for
// strangers, whether the group exists or not.
func (r *Registry) MayPushCharts(ctx context.Context, who iam.Caller, group string) error {
	if who.Anonymous() {
		return fault.New(fault.Unauthorized, "Log in to push to %s.", group)
	}
	o, err := r.org(ctx, group)
	if fault.Is(err, fault.OrgUnknown) || err == nil && o.Kind != kindChart {
		return noGroup(group)
	}
	if err != nil {
		return err
	}
	return r.iam.Check(ctx, who, iam.Push, o.resource())
}

// A ChartChange is what became of one tag of a chart group.
type ChartChange struct {
	N          int64 // of the change: they grow
	Repository int64 // its id
	Tag        string
	Changed    int64 // µs
	Version    *ChartVersion
}

// A ChartVersion is a version of a chart as the index of its group has it.
type ChartVersion struct {
	Name       string
	Digest     oci.Digest // of the archive
	Size       int64      // bytes
	Provenance oci.Digest // empty: none
	Metadata   string     // Chart.yaml as JSON
	Entry      string     // helm.Entry of it
}

// ChartChanges is a page of what became of a group's tags.
type ChartChanges struct {
	Page[ChartChange]
	Now   int64 // GroupState.Changes when the page was read: with the last page all changes up to it are known
	Whole bool  // so much was forgotten that only a list from the beginning is whole; there are no items
}

// ChartChanges lists changes of the tags of a group behind one, in their order.
// A change whose Version is nil means that the tag is not a version, or not any
// more. known is what Now was when the caller last had all of a list, or began
// one from 0 on. Errors: those of ChartGroupState.
func (r *Registry) ChartChanges(ctx context.Context, who iam.Caller, group string, after, known int64, n int) (ChartChanges, error) {
	s, err := r.ChartGroupState(ctx, who, group)
	if err != nil {
		return ChartChanges{}, err
	}
	out := ChartChanges{Now: s.Changes}
	if after > 0 && s.Changes-known >= keptTags {
		out.Whole = true
		return out, nil
	}
	type row struct {
		N, Repository int64
		Tag           string
		Changed       int64
		Path          string
		Digest        *oci.Digest
		Size          *int64
		Provenance    *oci.Digest
		Metadata      *string
		Entry         *string
	}
	n = clampPage(n)
	rows, err := db.All[row](ctx, r.db, `SELECT t.n, t.repository, t.tag, t.changed, coalesce(r.name, ''), c.digest, c.size, c.provenance, c.metadata, c.entry
		FROM chart_tag t LEFT JOIN repository r ON r.id = t.repository LEFT JOIN chart c ON c.manifest = t.manifest AND c.tag = t.tag
		WHERE t.organization = $1 AND t.n > $2 ORDER BY t.n LIMIT $3`, s.ID, after, n+1)
	if err != nil {
		return ChartChanges{}, err
	}
	out.More = len(rows) > n
	for _, w := range rows[:min(n, len(rows))] {
		c := ChartChange{N: w.N, Repository: w.Repository, Tag: w.Tag, Changed: w.Changed}
		if w.Digest != nil {
			c.Version = &ChartVersion{Name: w.Path, Digest: *w.Digest, Size: *w.Size, Provenance: *w.Provenance, Metadata: *w.Metadata, Entry: *w.Entry}
		}
		out.Items = append(out.Items, c)
	}
	return out, nil
}

// ChartVersion shows one version of a chart. Errors: RepoUnknown, TagUnknown,
// Denied, Unauthorized.
func (r *Registry) ChartVersion(ctx context.Context, who iam.Caller, name oci.Name, version string) (ChartVersion, error) {
	_, v, err := r.chartVersion(ctx, who, name, version)
	return v, err
}

func (r *Registry) chartVersion(ctx context.Context, who iam.Caller, name oci.Name, version string) (repoRow, ChartVersion, error) {
	rp, err := r.lookup(ctx, who, name, iam.Pull)
	if err != nil {
		return rp, ChartVersion{}, err
	}
	v, err := db.One[ChartVersion](ctx, r.db, `SELECT '', c.digest, c.size, c.provenance, c.metadata, c.entry
		FROM tag t JOIN chart c ON c.manifest = t.manifest AND c.tag = t.name WHERE t.repository = $1 AND t.name = $2`, rp.ID, helm.TagOf(version))
	if errors.Is(err, db.ErrNone) || err == nil && !rp.Chart {
		return rp, v, fault.New(fault.TagUnknown, "The chart %s has no version %s.", name.Repository(), shown(version))
	}
	v.Name = name.Repository()
	return rp, v, err
}

// OpenChart opens the archive of a version, or the provenance file beside it,
// and counts the former as a pull. Errors: as ChartVersion, BlobUnknown where
// there is no provenance file.
func (r *Registry) OpenChart(ctx context.Context, who iam.Caller, name oci.Name, version string, provenance, count bool) (Blob, error) {
	rp, v, err := r.chartVersion(ctx, who, name, version)
	if err != nil {
		return Blob{}, err
	}
	d := v.Digest
	if provenance {
		if d = v.Provenance; d == "" {
			return Blob{}, fault.New(fault.BlobUnknown, "%s %s has no provenance file.", v.Name, version)
		}
	}
	l, err := r.link(ctx, rp, d)
	if err != nil {
		return Blob{}, err
	}
	if count && !provenance {
		if m, err := r.manifest(ctx, rp.ID, oci.Reference{Tag: helm.TagOf(version)}); err == nil {
			r.pulls.add(rp, helm.TagOf(version), m.Digest, who)
		}
	}
	return Blob{Descriptor: oci.Descriptor{MediaType: octetStream, Digest: d, Size: l.Size}, key: l.Key, inline: l.Data, account: rp.Account, r: r}, nil
}

// ChartContent reads the files of a version that people look at.
// Errors: as ChartVersion.
func (r *Registry) ChartContent(ctx context.Context, who iam.Caller, name oci.Name, version string) (ChartVersion, *helm.Chart, error) {
	rp, v, err := r.chartVersion(ctx, who, name, version)
	if err != nil {
		return v, nil, err
	}
	c, _, err := r.unpackChart(ctx, rp, v.Digest)
	return v, c, err
}

// ChartBlob reads a blob of a chart that is as small as a provenance file.
// Errors: BlobUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) ChartBlob(ctx context.Context, who iam.Caller, name oci.Name, d oci.Digest) ([]byte, error) {
	rp, err := r.lookup(ctx, who, name, iam.Pull)
	if err != nil {
		return nil, err
	}
	return r.smallBlob(ctx, rp, d, helm.MaxProvenance)
}
