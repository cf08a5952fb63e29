// Package chartapi serves chart groups as chart repositories in the style of
// ChartMuseum, everything below /chart/: what `helm repo add`, `helm pull` and
// the plugin cm-push ask for. It translates and does nothing else.
package chartapi

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"berth.dev/berth/internal/chart"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/web"
)

// Path is where the API must be mounted.
const Path = chart.ContextPath + "/"

// Options are what the API shares with the rest of the server.
type Options struct {
	Origin  *web.Origin  // how clients reach us
	Metrics *web.Metrics // counts by route
}

// API is the http.Handler of everything below Path.
type API struct {
	reg    *registry.Registry
	charts *chart.Charts
	iam    *iam.Authority
	origin *web.Origin

	routes  []served
	unknown *web.Route
}

// served is a route as requests are held against it.
type served struct {
	*route
	parts   []string // of the pattern
	metrics *web.Route
}

// New assembles the API.
func New(r *registry.Registry, c *chart.Charts, a *iam.Authority, o Options) *API {
	metrics := cmp.Or(o.Metrics, web.NewMetrics(nil))
	api := &API{reg: r, charts: c, iam: a, origin: cmp.Or(o.Origin, &web.Origin{})}
	fail := func(w http.ResponseWriter, r *http.Request, err error) { api.fail(&call{w: w, r: r}, err) }
	for i := range routes {
		rt := &routes[i]
		api.routes = append(api.routes, served{rt, strings.Split(rt.pattern, "/"), metrics.Route("chart_"+rt.name, fail)})
	}
	api.unknown = metrics.Route("chart_unknown", fail)
	return api
}

// A route is one operation. The names in braces stand for one part of a path.
type route struct {
	methods []string
	pattern string
	name    string
	handle  func(*API, *call) error
}

var (
	read  = []string{http.MethodGet, http.MethodHead}
	post  = []string{http.MethodPost}
	erase = []string{http.MethodDelete}
)

// routes is the whole API. A path that begins with api is none of a group: no
// group has that name.
var routes = []route{
	{read, "/chart/api/{group}/charts", "ListCharts", (*API).list},
	{post, "/chart/api/{group}/charts", "UploadChart", (*API).upload},
	{post, "/chart/api/{group}/prov", "UploadProvenance", (*API).provenance},
	{read, "/chart/api/{group}/charts/{chart}", "ListChartVersions", (*API).versions},
	{read, "/chart/api/{group}/charts/{chart}/{version}", "ShowChartVersion", (*API).version},
	{erase, "/chart/api/{group}/charts/{chart}/{version}", "DeleteChartVersion", (*API).remove},
	{read, "/chart/{group}/index.yaml", "ShowChartIndex", (*API).index},
	{read, "/chart/{group}/charts/{file}", "DownloadChart", (*API).file},
}

// A Route is an operation as tests and the API description know it.
type Route struct{ Method, Pattern, Name string }

// Routes lists every operation, once for each of its methods.
func Routes() []Route {
	var out []Route
	for _, rt := range routes {
		for _, m := range rt.methods {
			out = append(out, Route{m, rt.pattern, rt.name})
		}
	}
	return out
}

// call is one request on its way through a route.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	who  iam.Caller
	path map[string]string
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{w: w, r: r}
	rt, err := c.match(a.routes)
	if err != nil {
		web.Of(w).Serve(a.unknown)
		a.fail(c, err)
		return
	}
	web.Of(w).Serve(rt.metrics)
	if err := a.serve(c, rt.route); err != nil {
		a.fail(c, err)
	}
}

// match finds the route by path and method. Nothing is cleaned and nothing
// redirected.
func (c *call) match(routes []served) (*served, error) {
	parts := strings.Split(c.r.URL.Path, "/")
	api := len(parts) > 2 && parts[2] == "api"
	var allow []string
	for i := range routes {
		rt := &routes[i]
		if api != (rt.parts[2] == "api") || !fits(rt.parts, parts) {
			continue
		}
		if !slices.Contains(rt.methods, c.r.Method) {
			allow = append(allow, rt.methods...)
			continue
		}
		c.path = map[string]string{}
		for j, p := range rt.parts {
			if name, ok := strings.CutPrefix(p, "{"); ok {
				c.path[strings.TrimSuffix(name, "}")] = parts[j]
			}
		}
		return rt, nil
	}
	if allow != nil {
		list := strings.Join(allow, ", ")
		return nil, fault.New(fault.Unsupported, "The methods of this address are %s.", list).With(list)
	}
	return nil, fault.New(fault.RepoUnknown, "Nothing is served at this address.")
}

func fits(pattern, parts []string) bool {
	if len(pattern) != len(parts) {
		return false
	}
	for i, p := range pattern {
		if value := strings.HasPrefix(p, "{"); value && parts[i] == "" || !value && p != parts[i] {
			return false
		}
	}
	return true
}

func (a *API) serve(c *call, rt *route) error {
	if err := a.identify(c); err != nil {
		return err
	}
	// The audit names the request, of what was done and of what was refused.
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		c.r = c.r.WithContext(iam.WithRequest(c.r.Context(), web.Of(c.w).RequestID()))
	}
	return rt.handle(a, c)
}

// identify reads the credential: a user and password, or whatever else logs in
// to the registry in its place, or an access credential alone as the plugin's
// --access-token sends it. Without one the caller is anonymous.
func (a *API) identify(c *call) error {
	if len(c.r.Header["Authorization"]) == 0 {
		return nil
	}
	user, password, ok := c.r.BasicAuth()
	if !ok {
		password, ok = web.Bearer(c.r.Header.Get("Authorization"))
	}
	if !ok {
		return fault.New(fault.Unauthorized, "Log in with a user and a password, or with an access credential.")
	}
	who, err := a.iam.Password(c.r.Context(), user, password, a.origin.Client(c.r))
	if err == nil {
		c.who = who
		web.Of(c.w).Caller(who)
	}
	return err
}
