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
}

// Repo is a repository as the command shows it.
type Repo struct {
	Name        string    `json:"name"` // organization/repository
	Public      bool      `json:"public"`
	Category    string    `json:"category"`
	Description string    `json:"description"`
	Tags        int64     `json:"tags"`
	Pulls       int64     `json:"pulls"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
}

// CreateOrg makes an organization that belongs to an account.
var CreateOrg = Op[Named, Org]{"org.create", func(ctx context.Context, c *core, in Named) (Org, error) {
	a, err := iam.FindAccount(ctx, c.db, in.Account)
	if err != nil {
		return Org{}, err
	}
	o, err := c.registry.CreateOrg(ctx, iam.Operator().In(a), in.Name)
	return org(o), err
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

// DeleteRepo removes a repository without tags.
var DeleteRepo = Op[Named, None]{"repo.delete", func(ctx context.Context, c *core, in Named) (None, error) {
	name, err := oci.ParseName(in.Name)
	if err != nil {
		return None{}, err
	}
	return None{}, c.registry.DeleteRepo(ctx, iam.Operator(), name)
}}

func org(o registry.Org) Org {
	return Org{ID: o.ID, Name: o.Name, Account: o.Account, Creator: o.CreatorName, Created: o.Created}
}

func repo(r registry.Repo) Repo {
	return Repo{Name: string(r.Name), Public: r.Public, Category: r.Category, Description: r.Description,
		Tags: r.Tags, Pulls: r.Pulls, Created: r.Created, Updated: r.Updated}
}
