package registry

import (
	"context"

	"berth.dev/berth/internal/iam"
)

// A Reach is what a caller may do with the images or charts of an organization.
type Reach struct {
	Org
	Push bool // to each of its repositories; to pull is what all can to whom it is shown
}

// Reach shows an organization or a chart group to whoever may pull from it or
// from one of its repositories. Errors: OrgUnknown, Foreign, Denied,
// Unauthorized.
func (r *Registry) Reach(ctx context.Context, who iam.Caller, name string) (Reach, error) {
	o, err := orgByName(ctx, r.db, name)
	if err != nil {
		return Reach{}, err
	}
	may, err := r.iam.May(ctx, who, iam.Pull, o.resource())
	if err == nil && !may {
		may, err = r.readsIn(ctx, who, o)
	}
	if err != nil {
		return Reach{}, err
	}
	if !may {
		if _, err := r.enter(ctx, who, name); err != nil {
			return Reach{}, err
		}
		if err := r.iam.Check(ctx, who, iam.ShowOrg, o.resource()); err != nil {
			return Reach{}, err
		}
	}
	push, err := r.iam.May(ctx, who, iam.Push, o.resource())
	return Reach{o.org(), push}, err
}
