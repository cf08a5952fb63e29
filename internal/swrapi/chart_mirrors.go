package swrapi

import (
	"net/http"
	"time"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

const mirrorPath = groupsPath + "/{group}/mirror"

var chartMirrorRoutes = []route{
	{method: http.MethodPut, pattern: mirrorPath, name: "SetChartMirror", do: iam.UpdateOrg, handle: (*API).setMirror},
	{method: http.MethodGet, pattern: mirrorPath, name: "ShowChartMirror", do: iam.ShowOrg, handle: (*API).showMirror},
	{method: http.MethodDelete, pattern: mirrorPath, name: "DeleteChartMirror", do: iam.UpdateOrg, handle: (*API).deleteMirror},
	{method: http.MethodPost, pattern: mirrorPath + "/run", name: "RunChartMirror", do: iam.UpdateOrg, handle: (*API).runMirror},
}

// chartMirror is what a group imports, as it is shown.
type chartMirror struct {
	URL      string   `json:"url"`
	Username string   `json:"username"`
	Password bool     `json:"has_password"`
	Charts   []string `json:"charts"`
	Versions string   `json:"versions"`
	Every    int64    `json:"every_hours"`
	Status   string   `json:"status"`
	Detail   string   `json:"detail"`
	Imported int64    `json:"imported"`
	Finished *stamp   `json:"finished_at"`
}

func (a *API) setMirror(c *call) error {
	var in struct {
		URL      *string  `json:"url"`
		Username string   `json:"username"`
		Password *string  `json:"password"`
		Charts   []string `json:"charts"`
		Versions string   `json:"versions"`
		Every    int64    `json:"every_hours"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.URL == nil {
		return missing("url")
	}
	// More hours than a duration holds are too many anyway.
	every := time.Duration(min(max(in.Every, -1), 1<<20)) * time.Hour
	m := registry.ChartMirror{URL: *in.URL, Username: in.Username, Charts: in.Charts, Versions: in.Versions, Every: every}
	if err := a.charts.SetMirror(c.r.Context(), c.who, c.org, m, in.Password); err != nil {
		return err
	}
	return a.showMirror(c)
}

func (a *API) showMirror(c *call) error {
	m, err := a.reg.ChartMirror(c.r.Context(), c.who, c.org)
	if err != nil {
		return err
	}
	out := chartMirror{URL: m.URL, Username: m.Username, Password: m.Password, Charts: m.Charts, Versions: m.Versions, Every: int64(m.Every / time.Hour),
		Status: m.Status, Detail: m.Detail, Imported: m.Imported}
	if !m.Finished.IsZero() {
		at := stamp(m.Finished)
		out.Finished = &at
	}
	return c.ok(out)
}

func (a *API) deleteMirror(c *call) error {
	if err := a.reg.DeleteChartMirror(c.r.Context(), c.who, c.org); err != nil {
		return err
	}
	return c.noContent()
}

func (a *API) runMirror(c *call) error {
	if err := a.reg.RunChartMirror(c.r.Context(), c.who, c.org); err != nil {
		return err
	}
	return c.ok(empty{})
}
