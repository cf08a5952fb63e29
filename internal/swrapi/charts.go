package swrapi

import (
	"encoding/json"
	"net/http"

	"berth.dev/berth/internal/chart"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/helm"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

const chartsPath = groupsPath + "/{group}/charts"

var chartRoutes = []route{
	{method: http.MethodGet, pattern: chartsPath, name: "ListGroupCharts", do: iam.Pull, about: anOrg, handle: (*API).listCharts},
	{method: http.MethodGet, pattern: chartsPath + "/{chart}", name: "ShowGroupChart", do: iam.Pull, about: aRepo, handle: (*API).showChart},
	{method: http.MethodGet, pattern: chartsPath + "/{chart}/versions/{version}", name: "ShowGroupChartVersion", do: iam.Pull, about: aTag, handle: (*API).showChartVersion},
	{method: http.MethodDelete, pattern: chartsPath + "/{chart}/versions/{version}", name: "DeleteGroupChartVersion", do: iam.DeleteOrg, about: aTag, handle: (*API).deleteChartVersion},
}

// chartItem is a chart in a list, by its newest version.
type chartItem struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Icon        string `json:"icon"`
	Deprecated  bool   `json:"deprecated"`
	Latest      string `json:"latest"`
	AppVersion  string `json:"app_version"`
	Versions    int    `json:"version_count"`
	Updated     stamp  `json:"updated_at"`
}

// chartVersion is a version in a list.
type chartVersion struct {
	Version     string `json:"version"`
	AppVersion  string `json:"app_version"`
	Description string `json:"description"`
	Icon        string `json:"icon"`
	Deprecated  bool   `json:"deprecated"`
	KubeVersion string `json:"kube_version"`
	Type        string `json:"type"`
	Digest      string `json:"digest"`
	Size        int64  `json:"size"`
	Signed      bool   `json:"signed"` // there is a provenance file
	URL         string `json:"url"`
	OCI         string `json:"oci"`
	Created     stamp  `json:"created_at"`
}

// latest is the version that stands for a chart: the newest that is no
// pre-release, else the newest.
func latest(h chart.Chart) *chart.Version {
	for _, v := range h.Versions {
		if !v.Prerelease() {
			return v
		}
	}
	return h.Versions[0]
}

func (a *API) versionOf(c *call, v *chart.Version, m helm.Metadata) chartVersion {
	scheme, host := a.origin.External(c.r)
	return chartVersion{Version: v.Version, AppVersion: m.AppVersion, Description: m.Description, Icon: m.Icon, Deprecated: m.Deprecated,
		KubeVersion: m.KubeVersion, Type: m.Type, Digest: string(v.Digest), Size: v.Size, Signed: v.Provenance != "",
		URL: scheme + "://" + host + "/chart/" + c.org + "/" + v.Path(), OCI: "oci://" + host + "/" + c.org + "/" + v.Name, Created: stamp(v.Created)}
}

// listCharts pages by a marker, the name of the last chart of the page before.
func (a *API) listCharts(c *call) error {
	n, err := digits("limit", c.query.Get("limit"))
	if err != nil {
		return err
	}
	if n == 0 || n > maxLimit {
		n = unpaged
	}
	x, err := a.charts.Index(c.r.Context(), c.who, c.org)
	if err != nil {
		return err
	}
	out := struct {
		Charts     []chartItem `json:"charts"`
		NextMarker string      `json:"next_marker,omitempty"`
		Total      int         `json:"total"`
	}{Charts: []chartItem{}, Total: len(x.Charts)}
	marker := c.query.Get("marker")
	for _, h := range x.Charts {
		if h.Name <= marker {
			continue
		}
		if len(out.Charts) == n {
			out.NextMarker = out.Charts[n-1].Name
			break
		}
		v := latest(h)
		m, err := metadataOf(v)
		if err != nil {
			return err
		}
		out.Charts = append(out.Charts, chartItem{Name: h.Name, Description: m.Description, Icon: m.Icon, Deprecated: m.Deprecated,
			Latest: v.Version, AppVersion: m.AppVersion, Versions: len(h.Versions), Updated: stamp(h.Versions[0].Created)})
	}
	return c.ok(out)
}

func metadataOf(v *chart.Version) (m helm.Metadata, err error) {
	return m, json.Unmarshal([]byte(v.Metadata), &m)
}

// chart finds the chart in the path.
func (a *API) chart(c *call) (chart.Chart, error) {
	x, err := a.charts.Index(c.r.Context(), c.who, c.org)
	if err != nil {
		return chart.Chart{}, err
	}
	for _, h := range x.Charts {
		if h.Name == c.path["chart"] {
			return h, nil
		}
	}
	return chart.Chart{}, fault.New(fault.RepoUnknown, "There is no chart of this name in %s.", c.org)
}

func (a *API) showChart(c *call) error {
	h, err := a.chart(c)
	if err != nil {
		return err
	}
	out := struct {
		Name     string         `json:"name"`
		Latest   string         `json:"latest"`
		Versions []chartVersion `json:"versions"`
	}{h.Name, latest(h).Version, make([]chartVersion, len(h.Versions))}
	for i, v := range h.Versions {
		m, err := metadataOf(v)
		if err != nil {
			return err
		}
		out.Versions[i] = a.versionOf(c, v, m)
	}
	return c.ok(out)
}

func (a *API) showChartVersion(c *call) error {
	h, err := a.chart(c)
	if err != nil {
		return err
	}
	for _, v := range h.Versions {
		if v.Version == c.path["version"] {
			return a.showVersion(c, v)
		}
	}
	return fault.New(fault.TagUnknown, "The chart %s has no such version.", h.Name)
}

func (a *API) showVersion(c *call, v *chart.Version) error {
	name := oci.Name(c.org + "/" + v.Name)
	stored, content, err := a.reg.ChartContent(c.r.Context(), c.who, name, v.Version)
	if err != nil {
		return err
	}
	out := struct {
		chartVersion
		Metadata   helm.Metadata `json:"metadata"`
		Readme     string        `json:"readme"`
		Values     string        `json:"values"`
		Schema     string        `json:"values_schema"`
		Provenance string        `json:"provenance"`
	}{a.versionOf(c, v, content.Metadata), content.Metadata, content.Readme, content.Values, content.Schema, ""}
	if stored.Provenance != "" {
		b, err := a.reg.ChartBlob(c.r.Context(), c.who, name, stored.Provenance)
		if err != nil {
			return err
		}
		out.Provenance = string(b)
	}
	return c.ok(out)
}

func (a *API) deleteChartVersion(c *call) error {
	if _, err := oci.ParseRepository(c.path["chart"]); err != nil {
		return fault.New(fault.RepoUnknown, "There is no chart of this name in %s.", c.org)
	}
	if err := a.reg.DeleteChart(c.r.Context(), c.who, oci.Name(c.org+"/"+c.path["chart"]), c.path["version"]); err != nil {
		return err
	}
	return c.noContent()
}
