package registry

import (
	"context"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// The management API tells more than the registry does: that an organization
// does not exist, and that one belongs to another account. Of what is inside
// another account's organization it tells nothing; every path answers the
// same, before anything in it is looked for.

// enter finds the organization and makes sure that it is of the caller's
// account. Errors: OrgUnknown, Foreign.
func (r *Registry) enter(ctx context.Context, who iam.Caller, name string) (orgRow, error) {
	o, err := r.org(ctx, name)
	if err != nil {
		return o, err
	}
	if !who.System() && o.Account != who.Account {
		return o, fault.New(fault.Foreign, "The organization %s belongs to another account.", name)
	}
	return o, nil
}

// MayOrg tells whether the caller may do this to an organization.
// Errors: OrgUnknown, Foreign, Denied, Unauthorized.
func (r *Registry) MayOrg(ctx context.Context, who iam.Caller, org string, do iam.Action) error {
	o, err := r.enter(ctx, who, org)
	if err != nil {
		return err
	}
	return r.iam.Check(ctx, who, do, o.resource())
}

// MayChartGroup tells whether the caller may do this to a chart group. Errors:
// as MayOrg.
func (r *Registry) MayChartGroup(ctx context.Context, who iam.Caller, group string, do iam.Action) error {
	o, err := r.enter(ctx, who, group)
	if fault.Is(err, fault.OrgUnknown) || err == nil && o.Kind != kindChart {
		return noGroup(group)
	}
	if err != nil {
		return err
	}
	return r.iam.Check(ctx, who, do, o.resource())
}

// MayRepo tells whether the caller may do this to a repository. That it does
// not exist is told to those who may.
// Errors: OrgUnknown, Foreign, Denied, RepoUnknown, Unauthorized.
func (r *Registry) MayRepo(ctx context.Context, who iam.Caller, name oci.Name, do iam.Action) error {
	if _, err := r.enter(ctx, who, name.Organization()); err != nil {
		return err
	}
	_, err := r.lookup(ctx, who, name, do)
	return err
}
