package swrapi

import (
	"cmp"
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// Clients name the repository with slashes here, not with dollars.
const accessoriesPath = "/v2/manage/namespaces/{namespace}/repos/{repository...}/{tag}"

var accessoryRoutes = []route{
	{method: http.MethodGet, pattern: accessoriesPath + "/accessories", name: "ListRepoAccessories", do: iam.ListTags, about: aTag, handle: (*API).listAccessories},
	{method: http.MethodGet, pattern: accessoriesPath + "/references", name: "ListReferences", do: iam.ListTags, about: aTag, handle: (*API).listReferences},
}

// accessory is what was attached to an image.
type accessory struct {
	ID            int64      `json:"id"`
	DomainID      string     `json:"domain_id"`
	NamespaceName string     `json:"namespace_name"`
	RepoName      string     `json:"repo_name"`
	SigTag        string     `json:"sig_tag"`
	SigDigest     oci.Digest `json:"sig_digest"`
	TargetDigest  oci.Digest `json:"target_digest"`
	Size          int64      `json:"size"`
	Type          string     `json:"type"`
	CreatedAt     stamp      `json:"created_at"`
	UpdatedAt     stamp      `json:"updated_at"`
}

// fewAttached is how many are shown to who does not ask for a page.
const fewAttached = 10

func (a *API) listAccessories(c *call) error {
	ref, err := oci.ParseReference(c.path["tag"])
	if err != nil {
		return err
	}
	l, err := c.list(nil)
	if err != nil {
		return err
	}
	if !l.paged {
		l.limit, l.offset = fewAttached, 0
	}
	list, total, err := a.reg.Accessories(c.r.Context(), c.who, c.repo, ref, l.offset, l.limit)
	if err != nil {
		return err
	}
	out := struct {
		Total       int64       `json:"total"`
		Accessories []accessory `json:"accessories"`
	}{total, make([]accessory, len(list))}
	for i, x := range list {
		out.Accessories[i] = accessory{x.ID, c.who.Account, c.org, c.repo.Repository(), x.Tag, x.Digest, x.Target, x.Size, x.Type, stamp(x.Created), stamp(x.Updated)}
	}
	if l.paged {
		c.contentRange(l.offset, len(list), total)
	}
	return c.ok(out)
}

// listReferences pages by a marker, the last tag of the page before. A page
// that is not full is the last one.
func (a *API) listReferences(c *call) error {
	ref, err := oci.ParseReference(c.path["tag"])
	if err != nil {
		return err
	}
	limit, marker := c.query.Get("limit"), c.query.Get("marker")
	n, err := digits("limit", limit)
	if err != nil {
		return err
	}
	if limit != "" && n == 0 {
		return fault.New(fault.PageInvalid, "limit is at least 1.")
	}
	if _, err := oci.ParseTag(marker); marker != "" && err != nil {
		return fault.New(fault.PageInvalid, "marker is what an answer gave for next_marker.")
	}
	p, err := a.reg.References(c.r.Context(), c.who, c.repo, ref, marker, min(cmp.Or(n, fewAttached), maxLimit))
	if err != nil {
		return err
	}
	out := struct {
		Tags       []string `json:"tags"`
		HasMore    bool     `json:"has_more"`
		NextMarker string   `json:"next_marker"`
	}{Tags: p.Items, HasMore: p.More}
	if p.More {
		out.NextMarker = p.Items[len(p.Items)-1]
	}
	return c.ok(out)
}
