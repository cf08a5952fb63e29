package iamapi

import (
	"net/http"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/web"
)

// Project is what clients scope themselves by. Example: {"id":
// "0123456789abcdef0123456789abcdef", "name": "region-1", …}.
type Project struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	DomainID    string `json:"domain_id"`
	ParentID    string `json:"parent_id"` // the domain: projects have no projects
	Enabled     bool   `json:"enabled"`
	IsDomain    bool   `json:"is_domain"`
	Description string `json:"description"`
	Links       Links  `json:"links"`
}

// Domain is an account.
type Domain struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Enabled     bool   `json:"enabled"`
	Description string `json:"description"`
	Links       Links  `json:"links"`
}

func (a *API) project(c *call, p iam.Project) Project {
	return Project{ID: p.ID, Name: p.Name, DomainID: c.who.Account, ParentID: c.who.Account, Enabled: true,
		Links: a.links(c, "/v3/projects/"+p.ID)}
}

// listProjects lists the projects of the caller's account, which are all that
// he sees; a filter that asks for others finds nothing.
func (a *API) listProjects(c *call) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	enabled, err := flag(q, "enabled")
	if err != nil {
		return err
	}
	page, err := number(q, "page")
	if err != nil {
		return err
	}
	size, err := number(q, "per_page")
	if err != nil {
		return err
	}
	all, err := a.iam.Projects(c.ctx(), c.who, "")
	if err != nil {
		return err
	}
	foreign := func(id string) bool { return id != "" && id != c.who.Account }
	out := []Project{}
	for _, p := range all {
		switch name := q.Get("name"); {
		case name != "" && name != p.Name, enabled != nil && !*enabled, foreign(q.Get("domain_id")), foreign(q.Get("parent_id")):
		default:
			out = append(out, a.project(c, p))
		}
	}
	if page > 0 && size > 0 { // they count as a pair
		from := min(int64(page-1)*int64(size), int64(len(out)))
		out = out[from:min(from+int64(size), int64(len(out)))]
	}
	web.WriteJSON(c.w, http.StatusOK, struct {
		Projects []Project `json:"projects"`
		Links    Links     `json:"links"`
	}{out, a.links(c, c.r.URL.EscapedPath())})
	return nil
}

func (a *API) showProject(c *call) error {
	p, err := a.iam.Project(c.ctx(), c.who, c.id)
	if err != nil {
		return err
	}
	web.WriteJSON(c.w, http.StatusOK, map[string]Project{"project": a.project(c, p)})
	return nil
}

// listDomains answers with the caller's own account, and no other.
func (a *API) listDomains(c *call) error {
	d := Domain{ID: c.who.Account, Name: c.who.AccountName, Enabled: true, Links: a.links(c, "/v3/domains/"+c.who.Account)}
	web.WriteJSON(c.w, http.StatusOK, struct {
		Domains []Domain `json:"domains"`
		Links   Links    `json:"links"`
	}{[]Domain{d}, a.links(c, "/v3/auth/domains")})
	return nil
}
