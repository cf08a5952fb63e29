// Package swrapi is the management API of SWR (Software Repository for
// Container), everything below /v2/manage/ and /v3/manage/.
//
// It translates and does nothing else: find the route, find out who asks, make
// the checks of the path in the order that clients rely on, decode, make one
// call of the core, render. Wire types live here only.
package swrapi

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
	"time"

	"berth.dev/berth/internal/chart"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/mirror"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/trigger"
	"berth.dev/berth/internal/web"
)

// Options are what the API shares with the rest of the server.
type Options struct {
	Mirror       *mirror.Mirror    // speaks to other regions; nil: one of its own
	Origin       *web.Origin       // how clients reach us
	Metrics      *web.Metrics      // counts by route
	ObjectErrors bool              // errors are objects, not lists; errors.go says more
	Triggers     *trigger.Triggers // the clusters of accounts
	LoginLife    time.Duration     // of logins to the registry that clients ask for; default 24 h
	Charts       *chart.Charts     // the chart groups
	Now          func() time.Time
}

// API is the http.Handler of everything below "/v2/manage/" and "/v3/manage/".
type API struct {
	reg      *registry.Registry
	triggers *trigger.Triggers
	mirror   *mirror.Mirror
	iam      *iam.Authority
	auth     *web.Authenticator
	origin   *web.Origin
	now      func() time.Time
	object   bool
	charts   *chart.Charts

	loginLife time.Duration

	routes  []served // in the order of the table
	unknown *web.Route
}

// served is a route with its metrics and its pattern cut at the slashes.
type served struct {
	*route
	metrics *web.Route
	parts   []string
}

// New assembles the API.
func New(r *registry.Registry, a *iam.Authority, o Options) *API {
	metrics := cmp.Or(o.Metrics, web.NewMetrics(nil))
	if o.Mirror == nil {
		o.Mirror = mirror.New(r, mirror.Options{})
	}
	api := &API{reg: r, iam: a, triggers: o.Triggers, mirror: o.Mirror, origin: cmp.Or(o.Origin, &web.Origin{}), now: o.Now, object: o.ObjectErrors,
		loginLife: cmp.Or(o.LoginLife, 24*time.Hour)}
	api.charts = o.Charts
	api.auth = web.NewAuthenticator(a, api.origin)
	if api.now == nil {
		api.now = time.Now
	}
	fail := func(w http.ResponseWriter, r *http.Request, err error) { api.fail(&call{w: w, r: r}, err) }
	for _, group := range routes() {
		for i := range group {
			rt := &group[i]
			api.routes = append(api.routes, served{rt, metrics.Route("swr_"+rt.name, fail), split(rt.pattern)})
		}
	}
	api.unknown = metrics.Route("swr_unknown", fail)
	return api
}

// call is one request on its way through a route.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	rt     *route
	who    iam.Caller
	path   map[string]string // values of the pattern's names
	org    string            // of the path, "" where it has none
	group  bool              // it is to be a chart group
	repo   oci.Name          // likewise, with its organization
	query  url.Values
	body   []byte    // nil on routes that stream
	stream io.Reader // the body of those
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	res := web.Of(w)
	c := &call{w: w, r: r}
	m, err := a.match(r.Method, r.URL.EscapedPath())
	if err != nil {
		res.Serve(a.unknown)
		a.fail(c, err)
		return
	}
	res.Serve(m.metrics)
	c.rt, c.path = m.route, m.values
	if err := a.serve(c); err != nil {
		a.fail(c, err)
	}
}

// serve makes the checks in the order of CONTRACT: who asks, the names, the
// organization, the caller's right, the repository; the handler does the rest.
func (a *API) serve(c *call) error {
	if err := a.authenticate(c); err != nil {
		return err
	}
	if err := c.names(); err != nil {
		return err
	}
	if err := a.permit(c); err != nil {
		return err
	}
	var err error
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return fault.New(fault.PageInvalid, "The query of the address is malformed.")
	}
	return c.rt.handle(a, c)
}

func (a *API) authenticate(c *call) error {
	var known bool
	var err error
	if c.rt.streams {
		// The handler reads the body, which fails at its end where it is not
		// the one that was signed.
		c.who, c.stream, known, err = a.auth.IdentifyStream(c.r)
	} else {
		c.who, c.body, known, err = a.auth.Identify(c.r, web.MaxJSON)
	}
	if err != nil {
		return err
	}
	if !known || c.who.Anonymous() {
		return errNoCredential
	}
	web.Of(c.w).Caller(c.who)
	// The audit names the request, of what was done and of what was refused.
	c.r = c.r.WithContext(iam.WithRequest(c.r.Context(), web.Of(c.w).RequestID()))
	return nil
}

// names reads organization and repository from the path.
func (c *call) names() error {
	ns, ok := c.path["namespace"]
	if !ok {
		if ns, c.group = c.path["group"]; !c.group {
			return nil
		}
	}
	if _, err := oci.ParseOrganization(ns); err != nil && !fault.Is(err, fault.Reserved) {
		return problem(badOrgName, err)
	}
	c.org = ns
	repo, ok := c.path["repository"]
	if !ok {
		return nil
	}
	if _, err := oci.ParseRepository(repo); err != nil {
		return problem(badRepoName, err)
	}
	c.repo = oci.Name(ns + "/" + repo)
	return nil
}

// permit decides everything about the path before the body is looked at: that
// the organization is there and of the caller's account, that the caller may
// do this, that the repository is there. The core decides again, with the rows
// that it works on.
func (a *API) permit(c *call) error {
	ctx := c.r.Context()
	switch {
	case c.org == "":
		if c.rt.do == "" {
			return nil
		}
		return a.iam.Check(ctx, c.who, c.rt.do, iam.Resource{Account: c.who.Account})
	case c.group:
		return a.reg.MayChartGroup(ctx, c.who, c.org, c.rt.do)
	case c.repo == "":
		return a.reg.MayOrg(ctx, c.who, c.org, c.rt.do)
	}
	return a.reg.MayRepo(ctx, c.who, c.repo, c.rt.do)
}
