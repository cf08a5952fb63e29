package swrapi

import (
	"context"
	"net/http"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

var grantRoutes = []route{
	{method: http.MethodPost, pattern: "/v2/manage/namespaces/{namespace}/access", name: "CreateNamespaceAuth", do: iam.GrantOrg, about: orgGrant, handle: (*API).grantOrg},
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}/access", name: "ShowNamespaceAuth", do: iam.ShowOrgGrants, about: orgGrant, handle: (*API).showOrgGrants},
	{method: http.MethodPatch, pattern: "/v2/manage/namespaces/{namespace}/access", name: "UpdateNamespaceAuth", do: iam.ChangeOrgGrant, about: orgGrant, handle: (*API).changeOrgGrants},
	{method: http.MethodDelete, pattern: "/v2/manage/namespaces/{namespace}/access", name: "DeleteNamespaceAuth", do: iam.RevokeOrg, about: orgGrant, handle: (*API).revokeOrg},

	{method: http.MethodPost, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/access", name: "CreateUserRepositoryAuth", do: iam.GrantRepo, about: repoGrant, handle: (*API).grantRepo},
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/access", name: "ShowUserRepositoryAuth", do: iam.ShowRepoGrants, about: repoGrant, handle: (*API).showRepoGrants},
	{method: http.MethodPatch, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/access", name: "UpdateUserRepositoryAuth", do: iam.ChangeRepoGrant, about: repoGrant, handle: (*API).changeRepoGrants},
	{method: http.MethodDelete, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/access", name: "DeleteUserRepositoryAuth", do: iam.RevokeRepo, about: repoGrant, handle: (*API).revokeRepo},
}

// userAuth is a user's right.
type userAuth struct {
	UserID   string `json:"user_id"`
	UserName string `json:"user_name"`
	Auth     int64  `json:"auth"`
}

// grants reads the array of rights that a request carries.
func (c *call) grants() ([]registry.Grant, error) {
	var in []struct {
		UserID   *string `json:"user_id"`
		UserName *string `json:"user_name"`
		Auth     *int64  `json:"auth"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if len(in) == 0 {
		return nil, missing("user_id")
	}
	out := make([]registry.Grant, 0, len(in))
	for _, g := range in {
		switch {
		case g.UserID == nil || *g.UserID == "":
			return nil, missing("user_id")
		case g.Auth == nil:
			return nil, missing("auth")
		}
		grant := registry.Grant{User: *g.UserID, Right: iam.Right(*g.Auth)}
		if g.UserName != nil {
			grant.UserName = *g.UserName
		}
		out = append(out, grant)
	}
	return out, nil
}

// change is what POST and PATCH have in common: an array of rights that are
// stored all or none.
func (c *call) change(apply func(context.Context, []registry.Grant) error) error {
	grants, err := c.grants()
	if err != nil {
		return err
	}
	if err := apply(c.r.Context(), grants); err != nil {
		return err
	}
	return c.created(empty{})
}

// revoke is DELETE: an array of ids of users, those without a right ignored.
func (c *call) revoke(apply func(context.Context, []string) error) error {
	var ids []string
	if err := c.decode(&ids); err != nil {
		return err
	}
	if err := apply(c.r.Context(), ids); err != nil {
		return err
	}
	return c.noContent()
}

func (a *API) grantOrg(c *call) error {
	return c.change(func(ctx context.Context, g []registry.Grant) error { return a.reg.GrantOrgRights(ctx, c.who, c.org, g) })
}

func (a *API) changeOrgGrants(c *call) error {
	return c.change(func(ctx context.Context, g []registry.Grant) error {
		return a.reg.ChangeOrgRights(ctx, c.who, c.org, g)
	})
}

func (a *API) revokeOrg(c *call) error {
	return c.revoke(func(ctx context.Context, ids []string) error { return a.reg.RevokeOrgRights(ctx, c.who, c.org, ids) })
}

func (a *API) grantRepo(c *call) error {
	return c.change(func(ctx context.Context, g []registry.Grant) error {
		return a.reg.GrantRepoRights(ctx, c.who, c.repo, g)
	})
}

func (a *API) changeRepoGrants(c *call) error {
	return c.change(func(ctx context.Context, g []registry.Grant) error {
		return a.reg.ChangeRepoRights(ctx, c.who, c.repo, g)
	})
}

func (a *API) revokeRepo(c *call) error {
	return c.revoke(func(ctx context.Context, ids []string) error {
		return a.reg.RevokeRepoRights(ctx, c.who, c.repo, ids)
	})
}

// authList is who has which right on an organization or a repository.
// CreatorName is the organization's alone.
type authList struct {
	ID          int64      `json:"id"`
	Name        string     `json:"name"`
	CreatorName *string    `json:"creator_name,omitempty"`
	SelfAuth    userAuth   `json:"self_auth"`
	OthersAuths []userAuth `json:"others_auths"`
}

// listOf renders rights: the caller's own apart from those of others, in the
// order in which they were granted. Clients take every entry of others as
// configured by them.
func listOf(r registry.Rights, who iam.Caller) authList {
	out := authList{ID: r.ID, Name: r.Name, OthersAuths: []userAuth{},
		SelfAuth: userAuth{UserID: who.User, UserName: who.UserName, Auth: int64(r.Own)}}
	for _, u := range r.Users {
		if u.User != who.User {
			out.OthersAuths = append(out.OthersAuths, userAuth{u.User, u.UserName, int64(u.Right)})
		}
	}
	return out
}

func (a *API) showOrgGrants(c *call) error {
	r, err := a.reg.OrgRights(c.r.Context(), c.who, c.org)
	if err != nil {
		return err
	}
	out := listOf(r, c.who)
	out.CreatorName = &r.CreatorName
	return c.ok(out)
}

func (a *API) showRepoGrants(c *call) error {
	r, err := a.reg.RepoRights(c.r.Context(), c.who, c.repo)
	if err != nil {
		return err
	}
	return c.ok(listOf(r, c.who))
}
