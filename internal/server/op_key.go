package server

import (
	"context"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// AccessKey is an access key as the command shows it.
type AccessKey struct {
	Access      string     `json:"access"`
	User        string     `json:"user_id"`
	Description string     `json:"description"`
	Enabled     bool       `json:"enabled"`
	Created     time.Time  `json:"created"`
	Expires     *time.Time `json:"expires"` // null: does not
}

// CreatedKey is a new key with everything a program needs to use it. The
// secret is shown this once.
type CreatedKey struct {
	Access      string `json:"access"`
	Secret      string `json:"secret"`
	User        string `json:"user_id"`
	UserName    string `json:"user_name"`
	Account     string `json:"account_id"`
	AccountName string `json:"account_name"`
	Project     string `json:"project_id"`
	ProjectName string `json:"project_name"`
}

// NewKey is the argument of CreateKey.
type NewKey struct {
	Named              // the user
	Description string `json:"description"`
}

// CreateKey makes a pair of access and secret key for a user.
var CreateKey = Op[NewKey, CreatedKey]{"key.create", func(ctx context.Context, c *core, in NewKey) (CreatedKey, error) {
	u, err := c.iam.User(ctx, iam.Operator(), in.Account, in.Name)
	if err != nil {
		return CreatedKey{}, err
	}
	a, err := iam.FindAccount(ctx, c.db, in.Account)
	if err != nil {
		return CreatedKey{}, err
	}
	project, err := c.project(ctx, in.Account)
	if err != nil {
		return CreatedKey{}, err
	}
	k, err := c.iam.CreateKey(ctx, iam.Operator(), in.Account, in.Name, in.Description)
	if err != nil {
		return CreatedKey{}, err
	}
	return CreatedKey{
		Access: k.Access, Secret: k.Secret, User: u.ID, UserName: u.Name,
		Account: a.ID, AccountName: a.Name, Project: project.ID, ProjectName: project.Name,
	}, nil
}}

// ListKeys lists the keys of a user, without secrets.
var ListKeys = Op[Named, []AccessKey]{"key.list", func(ctx context.Context, c *core, in Named) ([]AccessKey, error) {
	keys, err := c.iam.Keys(ctx, iam.Operator(), in.Account, in.Name)
	out := make([]AccessKey, 0, len(keys))
	for _, k := range keys {
		out = append(out, key(k))
	}
	return out, err
}}

// EnableKey lets a key (Named.Name is its access part) in or keeps it out.
var EnableKey = Op[Switch, None]{"key.enable", func(ctx context.Context, c *core, in Switch) (None, error) {
	return None{}, c.iam.SetKeyEnabled(ctx, iam.Operator(), in.Name, in.On)
}}

// SetKey is the argument of ChangeKey: Named.Name is the access part.
type SetKey struct {
	Named
	Description *string `json:"description"` // null stays as it is
}

// ChangeKey gives a key another description.
var ChangeKey = Op[SetKey, AccessKey]{"key.set", func(ctx context.Context, c *core, in SetKey) (AccessKey, error) {
	k, err := c.iam.ChangeKey(ctx, iam.Operator(), in.Name, iam.KeyChange{Description: in.Description})
	return key(k), err
}}

// DeleteKey removes a key (Named.Name is its access part).
var DeleteKey = Op[Named, None]{"key.delete", func(ctx context.Context, c *core, in Named) (None, error) {
	return None{}, c.iam.DeleteKey(ctx, iam.Operator(), in.Name)
}}

// project is the account's project of this region, or its first.
func (c *core) project(ctx context.Context, account string) (iam.Project, error) {
	projects, err := c.iam.Projects(ctx, iam.Operator(), account)
	if err != nil {
		return iam.Project{}, err
	}
	for _, p := range projects {
		if p.Name == c.region {
			return p, nil
		}
	}
	if len(projects) == 0 {
		return iam.Project{}, fault.New(fault.ProjectUnknown, "The account has no project.")
	}
	return projects[0], nil
}

func key(k iam.Key) AccessKey {
	out := AccessKey{Access: k.Access, User: k.User, Description: k.Description, Enabled: k.Enabled, Created: k.Created}
	if !k.Expires.IsZero() {
		out.Expires = &k.Expires
	}
	return out
}
