package server

import (
	"context"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

// RegionSpec is a region that is registered or changed; nil stays as it is.
type RegionSpec struct {
	Name      string  `json:"name"`
	URL       *string `json:"url"`
	Type      *string `json:"type"`
	Prefix    *string `json:"prefix"`
	Username  *string `json:"username"`
	Password  *string `json:"password"`
	CA        *string `json:"ca"` // PEM
	Optional  *bool   `json:"optional"`
	PlainHTTP *bool   `json:"insecure_http"`
}

func (s RegionSpec) patch() registry.RegionPatch {
	return registry.RegionPatch{URL: s.URL, Type: s.Type, Prefix: s.Prefix, Username: s.Username, Password: s.Password, CA: s.CA, Optional: s.Optional, PlainHTTP: s.PlainHTTP}
}

// Region is a region as the command shows it.
type Region struct {
	Name     string    `json:"name"`
	URL      string    `json:"url"`
	Type     string    `json:"type"`
	Prefix   string    `json:"prefix"`
	Username string    `json:"username"`
	CA       bool      `json:"own_ca"`
	Optional bool      `json:"optional"`
	Updated  time.Time `json:"updated"`
}

// RegionCheck is the argument of CheckRegion.
type RegionCheck struct {
	Name         string `json:"name"`
	Organization string `json:"organization"` // empty: the login alone is tried
}

// AddRegion registers a region.
var AddRegion = Op[RegionSpec, None]{"region.add", func(ctx context.Context, c *core, in RegionSpec) (None, error) {
	if in.Name == c.region {
		return None{}, fault.New(fault.Invalid, "%s is this installation's own region.", in.Name)
	}
	return None{}, c.registry.AddRegion(ctx, iam.Operator(), in.Name, in.patch())
}}

// SetRegion changes a region.
var SetRegion = Op[RegionSpec, None]{"region.set", func(ctx context.Context, c *core, in RegionSpec) (None, error) {
	return None{}, c.registry.SetRegion(ctx, iam.Operator(), in.Name, in.patch())
}}

// ListRegions lists all regions.
var ListRegions = Op[None, []Region]{"region.list", func(ctx context.Context, c *core, _ None) ([]Region, error) {
	list, err := c.registry.Regions(ctx, iam.Operator())
	out := make([]Region, len(list))
	for i, r := range list {
		out[i] = Region{r.Name, r.URL, string(r.Type), r.Prefix, r.Username, r.CA != "", r.Optional, r.Updated}
	}
	return out, err
}}

// DeleteRegion forgets a region.
var DeleteRegion = Op[RegionCheck, None]{"region.delete", func(ctx context.Context, c *core, in RegionCheck) (None, error) {
	return None{}, c.registry.DeleteRegion(ctx, iam.Operator(), in.Name)
}}

// CheckRegion connects to a region and logs in.
var CheckRegion = Op[RegionCheck, None]{"region.check", func(ctx context.Context, c *core, in RegionCheck) (None, error) {
	return None{}, c.mirror.CheckRegion(ctx, iam.Operator(), in.Name, in.Organization)
}}
