// Package ociapi is the OCI distribution API, everything below /v2/, with the
// token endpoint that docker and its kin log in at.
//
// It translates and does nothing else: parse the request, find out who asks,
// make one call of the registry, render what comes back. What a caller may do
// is decided by the registry; what is decided here is only whether a token was
// issued for the purpose it is used for.
package ociapi

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/web"
)

// TokenPath is where the token endpoint must be mounted: every challenge names
// it.
const TokenPath = "/auth/token"

// Options are what the API shares with the rest of the server. All of it may
// be left out.
type Options struct {
	Origin  *web.Origin  // how clients reach us
	Metrics *web.Metrics // counts by route
	Now     func() time.Time
}

// API is the http.Handler of "/v2" and everything below "/v2/".
type API struct {
	reg    *registry.Registry
	iam    *iam.Authority
	origin *web.Origin
	now    func() time.Time

	routes  [kinds]served // by kind
	version *web.Route
	token   *web.Route
	unknown *web.Route // paths and methods that are no route
}

const kinds = int(oci.UploadCancel) + 1

// served is a route with its metrics.
type served struct {
	*route
	metrics *web.Route
}

// New assembles the API.
func New(r *registry.Registry, a *iam.Authority, o Options) *API {
	metrics := cmp.Or(o.Metrics, web.NewMetrics(nil))
	api := &API{reg: r, iam: a, origin: cmp.Or(o.Origin, &web.Origin{}), now: o.Now}
	if api.now == nil {
		api.now = time.Now
	}
	fail := func(w http.ResponseWriter, r *http.Request, err error) { api.fail(&call{w: w, r: r}, err) }
	for i := range routes {
		rt := &routes[i]
		m := metrics.Route("oci_"+rt.kind.String(), fail)
		m.Secret = rt.upload
		m.Quiet = rt.step
		api.routes[rt.kind] = served{rt, m}
	}
	api.version = metrics.Route("version", fail)
	api.token = metrics.Route("oci_token", fail)
	api.unknown = metrics.Route("oci_unknown", fail)
	return api
}

// call is one request on its way through a route.
type call struct {
	oci.Request
	w       http.ResponseWriter
	r       *http.Request
	rt      *route
	who     iam.Caller
	grant   iam.Grant
	problem problem // what a challenge says of the credential
	basic   bool    // a challenge asks for the password itself
}

func (c *call) ctx() context.Context { return c.r.Context() }

var apiVersion = []string{"registry/2.0"}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Docker-Distribution-Api-Version"] = apiVersion
	res := web.Of(w)
	if r.URL.Path == "/v2" {
		res.Serve(a.version)
		a.showVersion(w, r)
		return
	}
	c := &call{w: w, r: r}
	q, err := oci.ParseRequest(r.Method, r.URL.Path)
	if err != nil {
		res.Serve(a.unknown)
		a.fail(c, err)
		return
	}
	rt := &a.routes[q.Kind]
	res.Serve(rt.metrics)
	c.Request, c.rt = q, rt.route
	if err := a.serve(c); err != nil {
		a.fail(c, err)
	}
}

func (a *API) serve(c *call) error {
	if c.rt.writes {
		// The audit names the request, of what was done and of what was refused.
		c.r = c.r.WithContext(iam.WithRequest(c.r.Context(), web.Of(c.w).RequestID()))
	}
	if err := a.authorize(c); err != nil {
		return err
	}
	return c.rt.handle(a, c)
}

// query returns the request's parameters. Errors: fault.Invalid.
func (c *call) query() (url.Values, error) {
	if c.r.URL.RawQuery == "" {
		return nil, nil
	}
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		// The text of err repeats the query, which may hold secrets.
		return nil, fault.New(fault.Invalid, "The query of the address is malformed.")
	}
	return q, nil
}
