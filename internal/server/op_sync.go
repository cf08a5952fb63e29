package server

import (
	"context"
	"time"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// SyncTarget is the argument of operations on a synchronization.
type SyncTarget struct {
	Repo         string   `json:"repository"`
	Region       string   `json:"region"`
	Organization string   `json:"organization"`
	Tags         []string `json:"tags"` // of RunSync: empty for all that differ
	Override     bool     `json:"override"`
	Refresh      bool     `json:"refresh"` // of DiffSync: compare anew
	Offset       int      `json:"offset"`
}

func (t SyncTarget) target() registry.SyncTarget {
	return registry.SyncTarget{Region: t.Region, Organization: t.Organization}
}

// Sync is a synchronization as the command shows it.
type Sync struct {
	Region       string    `json:"region"`
	Organization string    `json:"organization"`
	Auto         bool      `json:"auto"`
	Override     bool      `json:"override"`
	Behind       bool      `json:"behind"`
	Creator      string    `json:"creator"`
	Created      time.Time `json:"created"`
}

// SyncDiff is a page of the newest comparison.
type SyncDiff struct {
	State       string     `json:"state"`
	Detail      string     `json:"detail"`
	Equal       int64      `json:"equal"`
	Missing     int64      `json:"missing"`
	Different   int64      `json:"different"`
	Extra       int64      `json:"extra"`
	Listed      int64      `json:"listed"` // differences in all
	Differences []TagDiff  `json:"differences"`
	Updated     *time.Time `json:"updated"`
}

// TagDiff is one tag that is not the same on both sides.
type TagDiff struct {
	Tag    string `json:"tag"`
	Kind   string `json:"difference"` // missing, different, extra
	Digest string `json:"digest"`
	Remote string `json:"remote_digest"`
}

// ListSyncs lists the synchronizations of the repository List.In.
var ListSyncs = Op[List, []Sync]{"sync.list", func(ctx context.Context, c *core, in List) ([]Sync, error) {
	name, err := oci.ParseName(in.In)
	if err != nil {
		return nil, err
	}
	list, err := c.registry.Syncs(ctx, iam.Operator(), name)
	out := make([]Sync, len(list))
	for i, s := range list {
		out[i] = Sync{s.Region, s.Organization, s.Auto, s.Override, s.Behind, s.CreatorName, s.Created}
	}
	return out, err
}}

// RunSync copies tags, or without any has a synchronization compared and what
// differs copied. It returns the numbers of the jobs of tags.
var RunSync = Op[SyncTarget, []int64]{"sync.run", func(ctx context.Context, c *core, in SyncTarget) ([]int64, error) {
	name, err := oci.ParseName(in.Repo)
	if err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return []int64{}, c.registry.Reconcile(ctx, iam.Operator(), name, in.target())
	}
	return c.registry.SyncNow(ctx, iam.Operator(), name, in.Tags, in.target(), in.Override)
}}

// DiffSync shows what the newest comparison found, and begins one where there
// is none.
var DiffSync = Op[SyncTarget, SyncDiff]{"sync.diff", func(ctx context.Context, c *core, in SyncTarget) (SyncDiff, error) {
	name, err := oci.ParseName(in.Repo)
	if err != nil {
		return SyncDiff{}, err
	}
	r, err := c.registry.Differences(ctx, iam.Operator(), name, in.target(), in.Refresh, in.Offset, pageSize)
	if err != nil {
		return SyncDiff{}, err
	}
	out := SyncDiff{State: r.State, Detail: r.Detail, Equal: r.Equal, Missing: r.Missing, Different: r.Different, Extra: r.Extra, Listed: r.Listed, Differences: []TagDiff{}, Updated: &r.Updated}
	for _, d := range r.Entries {
		out.Differences = append(out.Differences, TagDiff{d.Tag, d.Kind, d.Digest, d.Remote})
	}
	return out, nil
}}
