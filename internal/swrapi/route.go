package swrapi

import (
	"net/url"
	"slices"
	"strings"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// A route is one operation.
type route struct {
	method  string
	pattern string     // segments in braces are values; {repository...} takes several
	name    string     // of the operation, as SDKs call it
	do      iam.Action // what the caller must be allowed to do; "": every user may
	about   subject    // which codes its errors have
	streams bool       // the body is not JSON: the handler reads it from the request
	handle  func(*API, *call) error
}

// routes is the whole API, a group for each chapter.
func routes() [][]route {
	return [][]route{
		organizationRoutes,
		repositoryRoutes,
		tagRoutes,
		undoRoutes,
		downloadRoutes,
		usageRoutes,
		grantRoutes,
		archiveRoutes,
		triggerRoutes,
		clusterRoutes,
		retentionRoutes,
		retentionActRoutes,
		syncRoutes,
		regionRoutes,
		accessoryRoutes,
		accessDomainRoutes,
		shareRoutes,
		sharedRoutes,
		loginRoutes,
		credentialRoutes,
		guideRoutes,
		accountRoutes,
		settingsRoutes,
		jobRoutes,
		webhookRoutes(),
		chartGroupRoutes,
		chartRoutes,
		chartMirrorRoutes,
	}
}

// A Route is an operation as tests and the API description know it.
type Route struct{ Method, Pattern, Name string }

// Routes lists every operation.
func Routes() []Route {
	var out []Route
	for _, group := range routes() {
		for _, rt := range group {
			out = append(out, Route{rt.method, rt.pattern, rt.name})
		}
	}
	return out
}

// matched is a route with what the path says.
type matched struct {
	served
	values map[string]string
}

// split cuts a pattern or a path at its slashes.
func split(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }

// match finds the route of a request by its escaped path: the best pattern that
// fits, and the method among its routes. Nothing is cleaned and nothing
// redirected.
func (a *API) match(method, escaped string) (matched, error) {
	path := split(escaped)
	var best []string
	for i := range a.routes {
		if p := a.routes[i].parts; fits(p, path) && (best == nil || better(p, best)) {
			best = p
		}
	}
	if best == nil {
		return matched{}, problemf(unknownURL, "Nothing is served at this address.")
	}
	var allow []string
	for i := range a.routes {
		s := &a.routes[i]
		if !slices.Equal(s.parts, best) {
			continue
		}
		if s.method == method {
			values, err := valuesOf(best, path)
			return matched{*s, values}, err
		}
		allow = append(allow, s.method)
	}
	list := strings.Join(allow, ", ")
	return matched{}, fault.New(fault.Unsupported, "The methods of this address are %s.", list).With(list)
}

// open returns where a pattern has its {name...}, -1 for nowhere.
func open(pattern []string) int {
	return slices.IndexFunc(pattern, func(p string) bool { return strings.HasSuffix(p, "...}") })
}

func isValue(p string) bool { return strings.HasPrefix(p, "{") }

func fits(pattern, path []string) bool {
	at := open(pattern)
	if at < 0 && len(pattern) != len(path) || at >= 0 && len(path) < len(pattern) {
		return false
	}
	for i, p := range pattern {
		j := i
		switch {
		case i == at:
			continue
		case at >= 0 && i > at:
			j = len(path) - len(pattern) + i
		}
		if isValue(p) && path[j] == "" || !isValue(p) && p != path[j] {
			return false
		}
	}
	return true
}

// better tells which of two patterns that fit one path is meant: the one of
// fixed length, then the one with the earlier literal.
func better(a, b []string) bool {
	if x, y := open(a), open(b); (x < 0) != (y < 0) {
		return x < 0
	}
	for i := range min(len(a), len(b)) {
		if x, y := isValue(a[i]), isValue(b[i]); x != y {
			return y
		}
	}
	return false
}

func valuesOf(pattern, path []string) (map[string]string, error) {
	values := map[string]string{}
	at := open(pattern)
	for i, p := range pattern {
		if !isValue(p) {
			continue
		}
		name, raw := strings.Trim(p, "{}."), path[min(i, len(path)-1)]
		switch {
		case i == at:
			raw = strings.Join(path[i:len(path)-len(pattern)+i+1], "/")
		case at >= 0 && i > at:
			raw = path[len(path)-len(pattern)+i]
		}
		v, err := url.PathUnescape(raw)
		if err != nil {
			return nil, problemf(unknownURL, "The address is malformed.")
		}
		if name == "repository" {
			v = strings.ReplaceAll(v, "$", "/") // how clients spell a slash in a path
		}
		values[name] = v
	}
	return values, nil
}
