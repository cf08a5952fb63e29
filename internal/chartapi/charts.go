package chartapi

import (
	"io"
	"net/http"
	"slices"
	"strconv"

	"berth.dev/berth/internal/chart"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/helm"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/web"
)

// name is the repository of the chart in the path. Errors: RepoUnknown for what
// cannot be a chart's name.
func (c *call) name(chart string) (oci.Name, error) {
	name, err := oci.ParseName(c.path["group"] + "/" + chart)
	if err != nil {
		return "", fault.New(fault.RepoUnknown, "There is no such chart.")
	}
	return name, nil
}

// list shows all charts, or some by offset and limit, which count charts.
func (a *API) list(c *call) error {
	x, err := a.charts.Index(c.r.Context(), c.who, c.path["group"])
	if err != nil {
		return err
	}
	q := c.r.URL.Query()
	offset, err := count("offset", q.Get("offset"), 0)
	if err != nil {
		return err
	}
	limit, err := count("limit", q.Get("limit"), len(x.Charts))
	if err != nil {
		return err
	}
	charts := x.Charts[min(offset, len(x.Charts)):]
	charts = charts[:min(limit, len(charts))]
	b := []byte{'{'}
	for i, h := range charts {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, h.Name) // of lower-case letters, digits and separators
		b = appendVersions(append(b, ':'), h.Versions)
	}
	return c.json(http.StatusOK, append(b, '}'))
}

func count(name, s string, otherwise int) (int, error) {
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fault.New(fault.PageInvalid, "%s is a number of digits.", name)
	}
	return int(n), nil
}

func appendVersions(b []byte, versions []*chart.Version) []byte {
	b = append(b, '[')
	for i, v := range versions {
		if i > 0 {
			b = append(b, ',')
		}
		b = v.AppendJSON(b)
	}
	return append(b, ']')
}

func (c *call) json(status int, b []byte) error {
	h := c.w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, err := c.w.Write(b)
		web.Of(c.w).Failed(err)
	}
	return nil
}

// chart finds the chart in the path.
func (a *API) chart(c *call) ([]*chart.Version, error) {
	x, err := a.charts.Index(c.r.Context(), c.who, c.path["group"])
	if err != nil {
		return nil, err
	}
	for _, h := range x.Charts {
		if h.Name == c.path["chart"] {
			return h.Versions, nil
		}
	}
	return nil, fault.New(fault.RepoUnknown, "There is no chart of this name in %s.", c.path["group"])
}

func (a *API) versions(c *call) error {
	versions, err := a.chart(c)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, appendVersions(nil, versions))
}

func (a *API) version(c *call) error {
	versions, err := a.chart(c)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(versions, func(v *chart.Version) bool { return v.Version == c.path["version"] })
	if c.path["version"] == "latest" {
		// As helm means it: a pre-release only where there is nothing else.
		i = max(0, slices.IndexFunc(versions, func(v *chart.Version) bool { return !v.Prerelease() }))
	}
	if i < 0 {
		return fault.New(fault.TagUnknown, "The chart %s has no such version.", c.path["chart"])
	}
	return c.json(http.StatusOK, versions[i].AppendJSON(nil))
}

// deleted is ChartMuseum's answer to a deletion.
type deleted struct {
	Deleted bool `json:"deleted"`
}

func (a *API) remove(c *call) error {
	if err := a.reg.MayPushCharts(c.r.Context(), c.who, c.path["group"]); err != nil {
		return err
	}
	name, err := c.name(c.path["chart"])
	if err != nil {
		return err
	}
	if err := a.reg.DeleteChart(c.r.Context(), c.who, name, c.path["version"]); err != nil {
		return err
	}
	web.WriteJSON(c.w, http.StatusOK, deleted{true})
	return nil
}

var (
	gzipType = []string{"application/gzip"}
	provType = []string{"application/pgp-signature"}
	noSniff  = []string{"nosniff"}
)

// file sends an archive or a provenance file.
func (a *API) file(c *call) error {
	chart, version, provenance, ok := helm.SplitFile(c.path["file"])
	if !ok {
		if err := a.mayRead(c); err != nil {
			return err
		}
		return fault.New(fault.BlobUnknown, "There is no such file.")
	}
	name, err := c.name(chart)
	if err != nil {
		return err
	}
	b, err := a.reg.OpenChart(c.r.Context(), c.who, name, version, provenance, c.r.Method == http.MethodGet)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h["Etag"] = []string{`"` + string(b.Digest) + `"`}
	h["Cache-Control"] = noCache
	if web.Matches(c.r.Header["If-None-Match"], string(b.Digest)) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Type"] = gzipType
	if provenance {
		h["Content-Type"] = provType
	}
	h["X-Content-Type-Options"] = noSniff
	if c.r.Method == http.MethodHead {
		h["Content-Length"] = []string{strconv.FormatInt(b.Size, 10)}
		c.w.WriteHeader(http.StatusOK)
		return nil
	}
	src, err := b.Open(c.r.Context(), 0, -1)
	if err != nil {
		return err
	}
	defer src.Close()
	h["Content-Length"] = []string{strconv.FormatInt(b.Size, 10)}
	c.w.WriteHeader(http.StatusOK)
	sent, err := io.CopyN(c.w, src, b.Size)
	b.Sent(sent)
	web.Of(c.w).Failed(err)
	return nil
}

// mayRead refuses those to whom it is not told what a group has.
func (a *API) mayRead(c *call) error {
	_, err := a.reg.ChartGroupState(c.r.Context(), c.who, c.path["group"])
	return err
}
