package swrapi

import (
	"net/http"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

var usageRoutes = []route{
	{method: http.MethodGet, pattern: "/v2/manage/projects/{project_id}/quotas", name: "ListQuotas", do: iam.ListQuotas, handle: (*API).listQuotas},
	{method: http.MethodGet, pattern: "/v2/manage/overview", name: "ShowDomainOverview", do: iam.ShowOverview, handle: (*API).showOverview},
	{method: http.MethodGet, pattern: "/v2/manage/reports/{resource_type}/{frequency}", name: "ShowDomainResourceReports", do: iam.ShowReports, handle: (*API).showReport},
}

type quota struct {
	Key   string `json:"quota_key"`
	Limit int64  `json:"quota_limit"` // -1: none
	Used  int64  `json:"used"`
	Unit  string `json:"unit"`
}

func (a *API) listQuotas(c *call) error {
	if err := a.ownProject(c); err != nil {
		return err
	}
	quotas, err := a.reg.Quotas(c.r.Context(), c.who)
	if err != nil {
		return err
	}
	out := struct {
		Quotas []quota `json:"quotas"`
	}{make([]quota, len(quotas))}
	for i, q := range quotas {
		out.Quotas[i] = quota{Key: q.Key, Limit: q.Limit, Used: q.Used}
		if q.Limit == 0 {
			out.Quotas[i].Limit = -1
		}
	}
	return c.ok(out)
}

// overview has a misspelt member that clients know by that name. Sizes are bytes.
type overview struct {
	DomainID   string `json:"domain_id"`
	DomainName string `json:"domain_name"`
	Namespaces int64  `json:"namspace_num"`
	Repos      int64  `json:"repo_num"`
	Images     int64  `json:"image_num"`
	Store      int64  `json:"store_space"`
	Downflow   int64  `json:"downflow_size"`
}

func (a *API) showOverview(c *call) error {
	o, err := a.reg.Overview(c.r.Context(), c.who)
	if err != nil {
		return err
	}
	return c.ok(overview{c.who.Account, c.who.AccountName, o.Orgs, o.Repos, o.Images, o.Stored, o.Downflow})
}

// reportDays is how far a report reaches back, today included.
const reportDays = 30

type dayValue struct {
	Date  string `json:"date"`
	Value int64  `json:"value"`
}

func (a *API) showReport(c *call) error {
	what := registry.Report(c.path["resource_type"])
	if what != registry.StoreReport && what != registry.DownflowReport {
		return fault.New(fault.Invalid, "There are reports of store and of downflow.")
	}
	if c.path["frequency"] != "daily" {
		return fault.New(fault.Invalid, "Reports are daily.")
	}
	days, err := a.reg.Daily(c.r.Context(), c.who, what, reportDays)
	if err != nil {
		return err
	}
	out := make([]dayValue, len(days))
	for i, d := range days {
		out[i] = dayValue{d.Day.Format(time.DateOnly), d.Value}
	}
	return c.ok(out)
}
