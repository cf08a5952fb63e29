package server

import (
	"context"
	"strconv"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// Grant is a user's right as the command shows it.
type Grant struct {
	User     string    `json:"user_id"`
	UserName string    `json:"user_name"`
	Auth     iam.Right `json:"auth"` // 1 read, 3 edit, 7 manage
	Created  time.Time `json:"created"`
}

// Granting is the argument of operations on one grant.
type Granting struct {
	On   string    `json:"on"`   // organization or organization/repository
	User string    `json:"user"` // by name, in the account that On belongs to
	Auth iam.Right `json:"auth"`
}

// SetGrant gives a user a right, in place of the one the user may have.
var SetGrant = Op[Granting, None]{"grant.set", func(ctx context.Context, c *core, in Granting) (None, error) {
	who := iam.Operator()
	give := func() error { return c.registry.GrantOrg(ctx, who, in.On, in.User, in.Auth) }
	change := func() error { return c.registry.ChangeOrgGrant(ctx, who, in.On, in.User, in.Auth) }
	if onRepository(in.On) {
		name, err := oci.ParseName(in.On)
		if err != nil {
			return None{}, err
		}
		give = func() error { return c.registry.GrantRepo(ctx, who, name, in.User, in.Auth) }
		change = func() error { return c.registry.ChangeRepoGrant(ctx, who, name, in.User, in.Auth) }
	}
	err := give()
	if fault.Is(err, fault.Exists) {
		err = change()
	}
	return None{}, err
}}

// RemoveGrant takes a user's right away; Granting.Auth does not count.
var RemoveGrant = Op[Granting, None]{"grant.remove", func(ctx context.Context, c *core, in Granting) (None, error) {
	if !onRepository(in.On) {
		return None{}, c.registry.RevokeOrg(ctx, iam.Operator(), in.On, in.User)
	}
	name, err := oci.ParseName(in.On)
	if err != nil {
		return None{}, err
	}
	return None{}, c.registry.RevokeRepo(ctx, iam.Operator(), name, in.User)
}}

// ListGrants pages through the rights on the organization or repository
// List.In, in the order in which they were given.
var ListGrants = Op[List, Page[Grant]]{"grant.list", func(ctx context.Context, c *core, in List) (Page[Grant], error) {
	var after int64
	if in.After != "" {
		n, err := strconv.ParseInt(in.After, 10, 64)
		if err != nil {
			return Page[Grant]{}, fault.New(fault.PageInvalid, "%q is no page of grants.", in.After)
		}
		after = n
	}
	p, err := c.grants(ctx, in.In, after)
	return pageOf(p.Items, p.More, grant, func(r iam.UserRight) string { return strconv.FormatInt(r.ID, 10) }), err
}}

func (c *core) grants(ctx context.Context, target string, after int64) (iam.Page[iam.UserRight], error) {
	if !onRepository(target) {
		return c.registry.OrgGrants(ctx, iam.Operator(), target, after, pageSize)
	}
	name, err := oci.ParseName(target)
	if err != nil {
		return iam.Page[iam.UserRight]{}, err
	}
	return c.registry.RepoGrants(ctx, iam.Operator(), name, after, pageSize)
}

func grant(r iam.UserRight) Grant {
	return Grant{User: r.User, UserName: r.UserName, Auth: r.Right, Created: r.Created}
}

// ParseRight reads a right by its name or number.
func ParseRight(s string) (iam.Right, bool) {
	switch s {
	case "read", "1":
		return iam.Read, true
	case "edit", "3":
		return iam.Edit, true
	case "manage", "7":
		return iam.Manage, true
	}
	return iam.None, false
}
