package swrapi

import (
	"net/http"
	"slices"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/trigger"
)

var accountRoutes = []route{
	{method: http.MethodGet, pattern: "/v2/manage/regions", name: "ListSyncRegions", do: iam.ShowSync, handle: (*API).listRegions},
	{method: http.MethodGet, pattern: "/v2/manage/projects/{project_id}/feature-gates", name: "ShowShareFeatureGates", do: iam.ListQuotas, handle: (*API).showFeatures},
	{method: http.MethodGet, pattern: "/v2/manage/agency", name: "CheckAgency", do: iam.ListQuotas, handle: (*API).checkAgency},
	{method: http.MethodPost, pattern: "/v2/manage/agency", name: "CreateAgency", do: iam.CreateAgency, handle: (*API).createAgency},
}

// region is a place that images can be synchronized to.
type region struct {
	RegionID string `json:"regionID"`
}

func (a *API) listRegions(c *call) error {
	names, err := a.reg.RegionNames(c.r.Context(), c.who)
	if err != nil {
		return err
	}
	out := make([]region, len(names))
	for i, name := range names {
		out[i] = region{name}
	}
	return c.ok(out)
}

// features tell a console what to offer. What Berth does not do is false.
type features struct {
	Experience         bool `json:"enable_experience"`          // a place to try images out
	HSS                bool `json:"enable_hss_service"`         // host security service
	ImageScan          bool `json:"enable_image_scan"`          // for vulnerabilities
	SM3                bool `json:"enable_sm3"`                 // digests by SM3
	ImageSync          bool `json:"enable_image_sync"`          // to the regions of ListSyncRegions
	CCI                bool `json:"enable_cci_service"`         // triggers of the mode cci: the account has marked a cluster for them
	ImageLabel         bool `json:"enable_image_label"`         //
	Pipeline           bool `json:"enable_pipeline"`            //
	AuthorizationToken bool `json:"enable_authorization_token"` // CreateAuthorizationToken
	Resource           bool `json:"enable_resource"`            //
	ListV3             bool `json:"enable_list_v3"`             // lists with a marker
	ImageQuota         bool `json:"enable_image_quota"`         // on repositories and tags
}

func (a *API) showFeatures(c *call) error {
	if err := a.ownProject(c); err != nil {
		return err
	}
	regions, err := a.reg.RegionNames(c.r.Context(), c.who)
	if err != nil {
		return err
	}
	clusters, err := a.triggers.Clusters(c.r.Context(), c.who)
	if err != nil {
		return err
	}
	marked := slices.ContainsFunc(clusters, func(c trigger.Cluster) bool { return c.Marked })
	return c.ok(features{ImageSync: len(regions) > 0, CCI: marked, AuthorizationToken: true, ListV3: true, ImageQuota: true})
}

// agency is whether the account lets the registry act for it.
type agency struct {
	DomainID string `json:"domain_id"`
	IsAgency bool   `json:"is_agency"`
}

func (a *API) checkAgency(c *call) error {
	there, err := a.reg.HasAgency(c.r.Context(), c.who)
	if err != nil {
		return err
	}
	return c.ok(agency{c.who.Account, there})
}

func (a *API) createAgency(c *call) error {
	if err := a.reg.CreateAgency(c.r.Context(), c.who); err != nil {
		return err
	}
	return c.noContent()
}
