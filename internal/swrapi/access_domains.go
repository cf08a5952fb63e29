package swrapi

import (
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

var accessDomainRoutes = []route{
	{method: http.MethodPost, pattern: "/v2/manage/namespaces/{namespace}/repositories/{repository}/access-domains", name: "CreateRepoDomains", do: iam.CreateDomain, about: aShare, handle: (*API).createAccessDomain},
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}/repositories/{repository}/access-domains", name: "ListRepoDomains", do: iam.ListDomains, about: aShare, handle: (*API).listAccessDomains},
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}/repositories/{repository}/access-domains/{access_domain}", name: "ShowAccessDomain", do: iam.ShowDomain, about: aShare, handle: (*API).showAccessDomain},
	{method: http.MethodPatch, pattern: "/v2/manage/namespaces/{namespace}/repositories/{repository}/access-domains/{access_domain}", name: "UpdateRepoDomains", do: iam.UpdateDomain, about: aShare, handle: (*API).updateAccessDomain},
	{method: http.MethodDelete, pattern: "/v2/manage/namespaces/{namespace}/repositories/{repository}/access-domains/{access_domain}", name: "DeleteRepoDomains", do: iam.DeleteDomain, about: aShare, handle: (*API).deleteAccessDomain},
}

// shareTerms is what every rule says beside its target.
type shareTerms struct {
	Permit      string `json:"permit"`
	Deadline    string `json:"deadline"`
	Description string `json:"description"`
	CreatorID   string `json:"creator_id"`
	CreatorName string `json:"creator_name"`
	Created     stamp  `json:"created"`
	Updated     stamp  `json:"updated"`
	Status      bool   `json:"status"` // the deadline is not over
}

// permitRead is all that a share permits.
const permitRead = "read"

func termsOf(s registry.Share) shareTerms {
	return shareTerms{Permit: permitRead, Deadline: s.Deadline, Description: s.Description, CreatorID: s.Creator, CreatorName: s.CreatorName,
		Created: stamp(s.Created), Updated: stamp(s.Updated), Status: s.Valid}
}

// accessDomain is the rule for one account.
type accessDomain struct {
	Namespace    string `json:"namespace"`
	Repository   string `json:"repository"`
	AccessDomain string `json:"access_domain"`
	shareTerms
}

func accessDomainOf(s registry.Share) *accessDomain {
	return &accessDomain{Namespace: s.Repo.Organization(), Repository: s.Repo.Repository(), AccessDomain: s.Account, shareTerms: termsOf(s)}
}

// givenTerms are the terms as a request has them.
type givenTerms struct {
	Permit      *string `json:"permit"`
	Deadline    *string `json:"deadline"`
	Description *string `json:"description"`
}

// check makes sure that permit is one, and with all that nothing is missing but
// the description, which is empty then.
func (g *givenTerms) check(all bool) error {
	switch {
	case all && g.Permit == nil:
		return missing("permit")
	case g.Permit != nil && *g.Permit != permitRead:
		return fault.New(fault.RightInvalid, "A share permits read and nothing else.")
	case all && g.Deadline == nil:
		return missing("deadline")
	case all && g.Description == nil:
		g.Description = new(string)
	}
	return nil
}

func (a *API) createAccessDomain(c *call) error {
	var in struct {
		AccessDomain *string `json:"access_domain"`
		givenTerms
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.AccessDomain == nil {
		return missing("access_domain")
	}
	if err := in.check(true); err != nil {
		return err
	}
	if err := a.reg.ShareWithAccount(c.r.Context(), c.who, c.repo, *in.AccessDomain, *in.Deadline, *in.Description); err != nil {
		return err
	}
	return c.created(empty{})
}

func (a *API) listAccessDomains(c *call) error {
	shares, err := a.reg.AccountShares(c.r.Context(), c.who, c.repo)
	if err != nil {
		return err
	}
	out := make([]*accessDomain, len(shares))
	for i, s := range shares {
		out[i] = accessDomainOf(s)
	}
	return c.ok(out)
}

func (a *API) showAccessDomain(c *call) error {
	s, there, err := a.reg.AccountShare(c.r.Context(), c.who, c.repo, c.path["access_domain"])
	if err != nil {
		return err
	}
	var out struct {
		Exist         bool `json:"exist"`
		*accessDomain      // nil: none of its members
	}
	if out.Exist = there; there {
		out.accessDomain = accessDomainOf(s)
	}
	return c.ok(out)
}

func (a *API) updateAccessDomain(c *call) error {
	var in givenTerms
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := in.check(true); err != nil {
		return err
	}
	p := registry.SharePatch{Deadline: in.Deadline, Description: in.Description}
	if err := a.reg.ChangeAccountShare(c.r.Context(), c.who, c.repo, c.path["access_domain"], p); err != nil {
		return err
	}
	return c.created(empty{})
}

func (a *API) deleteAccessDomain(c *call) error {
	if err := a.reg.EndAccountShare(c.r.Context(), c.who, c.repo, c.path["access_domain"]); err != nil {
		return err
	}
	return c.noContent()
}
