package swrapi

import (
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

const regionPath = "/v2/manage/regions/{region}"

// regionRoutes are for those who run the installation.
var regionRoutes = []route{
	{method: http.MethodPost, pattern: "/v2/manage/regions", name: "CreateRegion", do: iam.CreateRegion, about: aSync, handle: (*API).createRegion},
	{method: http.MethodGet, pattern: regionPath, name: "ShowRegion", do: iam.ShowRegion, about: aSync, handle: (*API).showRegion},
	{method: http.MethodPatch, pattern: regionPath, name: "UpdateRegion", do: iam.UpdateRegion, about: aSync, handle: (*API).updateRegion},
	{method: http.MethodDelete, pattern: regionPath, name: "DeleteRegion", do: iam.DeleteRegion, about: aSync, handle: (*API).deleteRegion},
	{method: http.MethodPost, pattern: regionPath + "/check", name: "CheckRegion", do: iam.ShowRegion, about: aSync, handle: (*API).checkRegion},
}

// regionRequest is a region that is registered or changed; what is left out
// stays as it is.
type regionRequest struct {
	RegionID     string  `json:"regionID"`
	URL          *string `json:"url"`
	Type         *string `json:"type"`
	Prefix       *string `json:"prefix"`
	Username     *string `json:"username"`
	Password     *string `json:"password"`
	CA           *string `json:"ca"`
	Optional     *bool   `json:"optional"`
	InsecureHTTP *bool   `json:"insecure_http"`
}

func (r regionRequest) patch() registry.RegionPatch {
	return registry.RegionPatch{URL: r.URL, Type: r.Type, Prefix: r.Prefix, Username: r.Username, Password: r.Password, CA: r.CA, Optional: r.Optional, PlainHTTP: r.InsecureHTTP}
}

type regionDetails struct {
	RegionID  string `json:"regionID"`
	URL       string `json:"url"`
	Type      string `json:"type"`
	Prefix    string `json:"prefix"`
	Username  string `json:"username"`
	Password  bool   `json:"has_password"`
	CA        string `json:"ca"`
	Optional  bool   `json:"optional"`
	CreatedAt stamp  `json:"created_at"`
	UpdatedAt stamp  `json:"updated_at"`
}

func (a *API) createRegion(c *call) error {
	var in regionRequest
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.RegionID == "" {
		return missing("regionID")
	}
	if err := a.reg.AddRegion(c.r.Context(), c.who, in.RegionID, in.patch()); err != nil {
		return err
	}
	return c.created(empty{})
}

func (a *API) showRegion(c *call) error {
	r, err := a.reg.Region(c.r.Context(), c.who, c.path["region"])
	if err != nil {
		return err
	}
	return c.ok(regionDetails{r.Name, r.URL, string(r.Type), r.Prefix, r.Username, r.Password, r.CA, r.Optional, stamp(r.Created), stamp(r.Updated)})
}

func (a *API) updateRegion(c *call) error {
	var in regionRequest
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.RegionID != "" && in.RegionID != c.path["region"] {
		return fault.New(fault.Invalid, "regionID cannot be changed.")
	}
	if err := a.reg.SetRegion(c.r.Context(), c.who, c.path["region"], in.patch()); err != nil {
		return err
	}
	return c.ok(empty{})
}

func (a *API) deleteRegion(c *call) error {
	if err := a.reg.DeleteRegion(c.r.Context(), c.who, c.path["region"]); err != nil {
		return err
	}
	return c.ok(empty{})
}

// checkRegion connects to the region; with remoteNamespace in the body it also
// asks whether that organization takes images.
func (a *API) checkRegion(c *call) error {
	var in syncRequest
	if len(c.body) > 0 {
		if err := c.decode(&in); err != nil {
			return err
		}
	}
	if err := a.mirror.CheckRegion(c.r.Context(), c.who, c.path["region"], in.RemoteNamespace); err != nil {
		return err
	}
	return c.ok(empty{})
}
