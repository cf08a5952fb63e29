package swrapi

import (
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// ownProject makes sure that the project in the path is one of the caller's
// account. One that does not exist is nobody's, and answers as others' do.
func (a *API) ownProject(c *call) error {
	id := c.path["project_id"]
	own := iam.IsName(id) // ids have the form of names
	if own {
		var err error
		if own, err = a.iam.OwnsProject(c.r.Context(), c.who, id); err != nil {
			return err
		}
	}
	if !own {
		return fault.New(fault.Foreign, "The project is none of your account.")
	}
	return nil
}
