package swrapi

import (
	"bytes"
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

var repositoryRoutes = []route{
	{method: http.MethodPost, pattern: "/v2/manage/namespaces/{namespace}/repos", name: "CreateRepo", do: iam.CreateRepo, about: aRepo, handle: (*API).createRepo},
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}", name: "ShowRepository", do: iam.ShowRepo, about: aRepo, handle: (*API).showRepo},
	{method: http.MethodPatch, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}", name: "UpdateRepo", do: iam.UpdateRepo, about: aRepo, handle: (*API).updateRepo},
	{method: http.MethodDelete, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}", name: "DeleteRepo", do: iam.DeleteRepo, about: aRepo, handle: (*API).deleteRepo},
	{method: http.MethodGet, pattern: "/v2/manage/repos", name: "ListReposDetails", do: iam.ListRepos, about: aRepo, handle: (*API).listRepos},
	{method: http.MethodGet, pattern: "/v3/manage/repos", name: "ListRepoDetails", do: iam.ListRepos, about: aRepo, handle: (*API).listReposV3},
}

// repository is a repository by itself.
type repository struct {
	ID           int64  `json:"id"`
	NsID         int64  `json:"ns_id"`
	Name         string `json:"name"`
	Category     string `json:"category"`
	Description  string `json:"description"`
	CreatorID    string `json:"creator_id"`
	CreatorName  string `json:"creator_name"`
	Size         int64  `json:"size"`
	IsPublic     bool   `json:"is_public"`
	Open         bool   `json:"effective_public,omitempty"` // or its organization is
	NumImages    int64  `json:"num_images"`
	NumDownload  int64  `json:"num_download"`
	URL          string `json:"url"` // kept empty
	Path         string `json:"path"`
	InternalPath string `json:"internal_path"`
	Created      stamp  `json:"created"`
	Updated      stamp  `json:"updated"`
	DomainID     string `json:"domain_id"`
	Priority     int    `json:"priority"` // all are alike
}

// repoBody is what POST and PATCH carry.
type repoBody struct {
	Repository  *string `json:"repository"`
	IsPublic    *bool   `json:"is_public"`
	Category    *string `json:"category"`
	Description *string `json:"description"`
}

func (a *API) createRepo(c *call) error {
	in, err := c.repoBody()
	switch {
	case err != nil:
		return err
	case in.Repository == nil:
		return missing("repository")
	case in.IsPublic == nil:
		return missing("is_public")
	}
	if _, err := oci.ParseRepository(*in.Repository); err != nil {
		return err
	}
	s := registry.RepoSpec{Public: *in.IsPublic}
	if in.Category != nil {
		s.Category = *in.Category
	}
	if in.Description != nil {
		s.Description = *in.Description
	}
	if _, err := a.reg.CreateRepo(c.r.Context(), c.who, oci.Name(c.org+"/"+*in.Repository), s); err != nil {
		return err
	}
	return c.created(empty{})
}

// repoBody reads the body of POST, which some clients send as the query.
func (c *call) repoBody() (in repoBody, err error) {
	if len(bytes.TrimSpace(c.body)) > 0 || !c.query.Has("repository") {
		return in, c.decode(&in)
	}
	text := func(key string) *string {
		if !c.query.Has(key) {
			return nil
		}
		v := c.query.Get(key)
		return &v
	}
	in.Repository, in.Category, in.Description = text("repository"), text("category"), text("description")
	if v := text("is_public"); v != nil {
		switch *v {
		case "true", "false":
			public := *v == "true"
			in.IsPublic = &public
		default:
			return in, problemf(badPublic, "is_public is true or false.")
		}
	}
	return in, nil
}

func (a *API) showRepo(c *call) error {
	r, err := a.reg.Repo(c.r.Context(), c.who, c.repo)
	if err != nil {
		return err
	}
	path := a.imagePath(c, string(c.repo))
	return c.ok(repository{
		ID: r.ID, NsID: r.OrgID, Name: r.Name.Repository(), Category: r.Category, Description: r.Description,
		CreatorID: r.Creator, CreatorName: r.CreatorName, Size: r.Size, IsPublic: r.Public, Open: r.Open, NumImages: r.Tags, NumDownload: r.Pulls,
		Path: path, InternalPath: path, Created: stamp(r.Created), Updated: stamp(r.Updated), DomainID: r.Account,
	})
}

func (a *API) updateRepo(c *call) error {
	var in repoBody
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Category != nil && *in.Category == "" {
		in.Category = nil // as some clients spell what they do not set
	}
	err := a.reg.UpdateRepo(c.r.Context(), c.who, c.repo, registry.RepoPatch{Public: in.IsPublic, Category: in.Category, Description: in.Description})
	if err != nil {
		return err
	}
	return c.created(empty{})
}

func (a *API) deleteRepo(c *call) error {
	force, err := c.flag("force")
	if err != nil {
		return err
	}
	remove := a.reg.DeleteRepo
	if force {
		remove = a.reg.DeleteRepoAndTags
	}
	if err := remove(c.r.Context(), c.who, c.repo); err != nil {
		return err
	}
	return c.noContent()
}

// readBool reads true or false from a list's parameters; nil: neither is asked for.
func (l list) readBool(key string) (*bool, error) {
	switch v := l.values[key]; v {
	case "":
		return nil, nil
	case "true", "false":
		b := v == "true"
		return &b, nil
	}
	return nil, fault.New(fault.PageInvalid, "%s is true or false.", key)
}
