package server

import (
	"context"
	"time"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// Org is an organization as the command shows it.
type Org struct {
	ID      int64     `json:"id"`
	Name    string    `json:"name"`
	Account string    `json:"account_id"`
	Creator string    `json:"creator_name"`
	Created time.Time `json:"created"`

	Description string `json:"description"`
	Public      bool   `json:"public"`
}

// NewOrg is the argument of CreateOrg.
type NewOrg struct {
	Named
	Description string `json:"description"`
	Public      bool   `json:"public"`
}

// SetOrg is the argument of ChangeOrg; null stays as it is.
type SetOrg struct {
	Named
	Description *string `json:"description"`
	Public      *bool   `json:"public"`
}

// ChangedOrg is an organization, and how many of its repositories are public
// by themselves.
type ChangedOrg struct {
	Org
	PublicRepos int64 `json:"public_repositories"`
}

// Repo is a repository as the command shows it.
type Repo struct {
	Name        string    `json:"name"` // organization/repository
	Public      bool      `json:"public"`
	Open        bool      `json:"effective_public"` // or its organization is
	Category    string    `json:"category"`
	Description string    `json:"description"`
	Tags        int64     `json:"tags"`
	Pulls       int64     `json:"pulls"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
}

// CreateOrg makes an organization that belongs to an account.
var CreateOrg = Op[NewOrg, Org]{"org.create", func(ctx context.Context, c *core, in NewOrg) (Org, error) {
	a, err := iam.FindAccount(ctx, c.db, in.Account)
	if err != nil {
		return Org{}, err
	}
	o, err := c.registry.AddOrg(ctx, iam.Operator().In(a), registry.OrgSpec{Name: in.Name, Description: in.Description, Public: in.Public})
	return org(o), err
}}

// ChangeOrg changes description and visibility of an organization.
var ChangeOrg = Op[SetOrg, ChangedOrg]{"org.set", func(ctx context.Context, c *core, in SetOrg) (ChangedOrg, error) {
	o, err := c.registry.UpdateOrg(ctx, iam.Operator(), in.Name, registry.OrgPatch{Description: in.Description, Public: in.Public})
	return ChangedOrg{org(o.Org), o.PublicRepos}, err
}}

// ListOrgs pages through all organizations by name.
var ListOrgs = Op[List, Page[Org]]{"org.list", func(ctx context.Context, c *core, in List) (Page[Org], error) {
	p, err := c.registry.Orgs(ctx, iam.Operator(), in.After, pageSize)
	return pageOf(p.Items, p.More, org, func(o registry.Org) string { return o.Name }), err
}}

// DeleteOrg removes an organization that is empty.
var DeleteOrg = Op[Named, None]{"org.delete", func(ctx context.Context, c *core, in Named) (None, error) {
	return None{}, c.registry.DeleteOrg(ctx, iam.Operator(), in.Name)
}}

// ListRepos pages through the repositories of the organization List.In.
var ListRepos = Op[List, Page[Repo]]{"repo.list", func(ctx context.Context, c *core, in List) (Page[Repo], error) {
	p, err := c.registry.Repos(ctx, iam.Operator(), in.In, in.After, pageSize)
	return pageOf(p.Items, p.More, repo, func(r registry.Repo) string { return r.Name.Repository() }), err
}}

// SetPublic lets everyone pull from a repository, or only those with a right.
var SetPublic = Op[Switch, None]{"repo.public", func(ctx context.Context, c *core, in Switch) (None, error) {
	name, err := oci.ParseName(in.Name)
	if err != nil {
		return None{}, err
	}
	return None{}, c.registry.UpdateRepo(ctx, iam.Operator(), name, registry.RepoPatch{Public: &in.On})
}}

// DeleteRepo removes a repository, one that has tags where On is set.
var DeleteRepo = Op[Switch, None]{"repo.delete", func(ctx context.Context, c *core, in Switch) (None, error) {
	name, err := oci.ParseName(in.Name)
	if err != nil {
		return None{}, err
	}
	if in.On {
		return None{}, c.registry.DeleteRepoAndTags(ctx, iam.Operator(), name)
	}
	return None{}, c.registry.DeleteRepo(ctx, iam.Operator(), name)
}}

func org(o registry.Org) Org {
	return Org{ID: o.ID, Name: o.Name, Account: o.Account, Creator: o.CreatorName, Created: o.Created, Description: o.Description, Public: o.Public}
}

func repo(r registry.Repo) Repo {
	return Repo{Name: string(r.Name), Public: r.Public, Open: r.Open, Category: r.Category, Description: r.Description,
		Tags: r.Tags, Pulls: r.Pulls, Created: r.Created, Updated: r.Updated}
}
