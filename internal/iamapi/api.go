// Package iamapi is the identity API below /v3 and /v3.0: tokens, projects,
// accounts (which clients call domains), users and access keys, in the shapes
// that clients of Keystone and of its relatives in clouds read.
//
// It translates and does nothing else: find the route, find out who asks, make
// one call of iam, render what comes back.
package iamapi

import (
	"cmp"
	"context"
	"net/http"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/web"
)

// Options are what the API shares with the rest of the server. All of it may
// be left out.
type Options struct {
	Origin  *web.Origin  // how clients reach us
	Metrics *web.Metrics // counts by route
	Region  string       // named in the catalog of a token; default region-1
}

// API is the http.Handler of "/v3" and everything below "/v3/" and "/v3.0/".
type API struct {
	iam    *iam.Authority
	auth   *web.Authenticator
	origin *web.Origin
	region string

	metrics []*web.Route // by the index of routes
	unknown *web.Route   // paths and methods that are no route
}

// New assembles the API.
func New(a *iam.Authority, o Options) *API {
	metrics := cmp.Or(o.Metrics, web.NewMetrics(nil))
	origin := cmp.Or(o.Origin, &web.Origin{})
	api := &API{iam: a, auth: web.NewAuthenticator(a, origin), origin: origin, region: cmp.Or(o.Region, "region-1")}
	fail := func(w http.ResponseWriter, r *http.Request, err error) { api.fail(&call{w: w, r: r}, err) }
	byName := make(map[string]*web.Route)
	for _, rt := range routes {
		name := "iam_" + rt.Name
		if byName[name] == nil {
			byName[name] = metrics.Route(name, fail)
		}
		api.metrics = append(api.metrics, byName[name])
	}
	api.unknown = metrics.Route("iam_unknown", fail)
	return api
}

// call is one request on its way through a route.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	parts []string // of the path, where the pattern leaves them open
	id    string   // the first of them
	who   iam.Caller
	body  []byte
}

func (c *call) ctx() context.Context { return c.r.Context() }

// self is the address of the request as the client knows it, of another path.
func (a *API) self(c *call, path string) string {
	scheme, host := a.origin.External(c.r)
	return scheme + "://" + host + path
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	res := web.Of(w)
	w.Header()["X-Iam-Trace-Id"] = []string{res.RequestID()}
	w.Header()["Cache-Control"] = noStore
	c := &call{w: w, r: r}
	i, parts, err := find(r.Method, r.URL.Path)
	if err != nil {
		res.Serve(a.unknown)
		a.fail(c, err)
		return
	}
	res.Serve(a.metrics[i])
	if c.parts = parts; len(parts) > 0 {
		c.id = parts[0]
	}
	if err := a.serve(c, &routes[i]); err != nil {
		a.fail(c, err)
	}
}

// What is answered here is a secret or about people.
var noStore = []string{"no-store"}

func (a *API) serve(c *call, rt *route) (err error) {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		// The audit names the request, of what was done and of what was refused.
		c.r = c.r.WithContext(iam.WithRequest(c.r.Context(), web.Of(c.w).RequestID()))
	}
	if rt.Open {
		return rt.handle(a, c)
	}
	known := false
	if c.who, c.body, known, err = a.auth.Identify(c.r, web.MaxJSON); err != nil {
		return err
	}
	if !known {
		return errAnonymous
	}
	web.Of(c.w).Caller(c.who)
	return rt.handle(a, c)
}
