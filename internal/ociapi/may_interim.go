package ociapi

import (
	"context"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// mayNow stands in until registry.May is there.
func (a *API) mayNow(c *call, name oci.Name, do iam.Action) error {
	if m, ok := any(a.reg).(interface {
		May(context.Context, iam.Caller, oci.Name, iam.Action) error
	}); ok {
		return m.May(c.ctx(), c.who, name, do)
	}
	if do == iam.Push {
		_, err := a.reg.StartUpload(c.ctx(), c.who, name, "")
		return err
	}
	_, err := a.reg.Tags(c.ctx(), c.who, name, "", 0)
	return err
}
