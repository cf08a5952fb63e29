package iamapi

import (
	"net/http"
	"slices"
	"strings"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// Route is one row of the API, for whoever compares it with a description.
type Route struct {
	Method  string
	Pattern string // one part of it may be open, in braces
	Name    string
	Action  iam.Action // what the caller needs; empty: nothing but what Open says
	Open    bool       // without a login
}

type route struct {
	Route
	handle func(*API, *call) error
}

// routes is the whole API. Of two that fit, none has an open part where the
// other one has a word.
var routes = [...]route{
	{Route{"GET", "/v3", "showVersion", "", true}, (*API).version},
	{Route{"GET", "/v3/", "showVersion", "", true}, (*API).version},

	{Route{"POST", "/v3/auth/tokens", "createToken", "", true}, (*API).createToken},
	{Route{"GET", "/v3/auth/tokens", "showToken", iam.ShowToken, false}, (*API).showToken},
	{Route{"HEAD", "/v3/auth/tokens", "checkToken", iam.ShowToken, false}, (*API).showToken},
	{Route{"DELETE", "/v3/auth/tokens", "deleteToken", iam.DeleteToken, false}, (*API).deleteToken},

	{Route{"GET", "/v3/auth/projects", "listOwnProjects", iam.ListProjects, false}, (*API).listProjects},
	{Route{"POST", "/v3/auth/projects", "listOwnProjects", iam.ListProjects, false}, (*API).listProjects},
	{Route{"GET", "/v3/projects", "listProjects", iam.ListProjects, false}, (*API).listProjects},
	{Route{"GET", "/v3/projects/{project_id}", "showProject", iam.ListProjects, false}, (*API).showProject},
	{Route{"GET", "/v3/auth/domains", "listDomains", "", false}, (*API).listDomains},

	{Route{"GET", "/v3/users", "listUsers", iam.ListUsers, false}, (*API).listUsers},
	{Route{"GET", "/v3/users/{user_id}", "showKeystoneUser", iam.ShowUser, false}, (*API).showKeystoneUser},
	{Route{"DELETE", "/v3/users/{user_id}", "deleteUser", iam.DeleteUser, false}, (*API).deleteUser},
	{Route{"POST", "/v3/users/{user_id}/password", "changePassword", iam.SetPassword, false}, (*API).changePassword},
	{Route{"POST", "/v3.0/OS-USER/users", "createUser", iam.CreateUser, false}, (*API).createUser},
	{Route{"GET", "/v3.0/OS-USER/users/{user_id}", "showUser", iam.ShowUser, false}, (*API).showUser},
	{Route{"PUT", "/v3.0/OS-USER/users/{user_id}", "updateUser", iam.UpdateUser, false}, (*API).updateUser},

	{Route{"POST", "/v3.0/OS-CREDENTIAL/credentials", "createCredential", iam.CreateKey, false}, (*API).createKey},
	{Route{"GET", "/v3.0/OS-CREDENTIAL/credentials", "listCredentials", iam.ListKeys, false}, (*API).listKeys},
	{Route{"GET", "/v3.0/OS-CREDENTIAL/credentials/{access_key}", "showCredential", iam.ListKeys, false}, (*API).showKey},
	{Route{"PUT", "/v3.0/OS-CREDENTIAL/credentials/{access_key}", "updateCredential", iam.UpdateKey, false}, (*API).updateKey},
	{Route{"DELETE", "/v3.0/OS-CREDENTIAL/credentials/{access_key}", "deleteCredential", iam.DeleteKey, false}, (*API).deleteKey},
	{Route{"POST", "/v3.0/OS-CREDENTIAL/securitytokens", "createSecurityToken", iam.CreateSession, false}, (*API).createSession},
}

// Routes lists the API.
func Routes() []Route {
	out := make([]Route, len(routes))
	for i := range routes {
		out[i] = routes[i].Route
	}
	return out
}

// find returns the index of a route and what stands in its open part. HEAD is
// good wherever GET is. Nothing is cleaned, so nothing is redirected. Errors:
// fault.Unsupported, whose Detail lists the methods of a known path or is nil.
func find(method, path string) (index int, id string, err error) {
	var allow []string
	for i := range routes {
		rt := &routes[i]
		v, ok := fits(rt.Pattern, path)
		if !ok {
			continue
		}
		if rt.Method == method || method == http.MethodHead && rt.Method == http.MethodGet {
			return i, v, nil
		}
		allow = append(allow, rt.Method)
	}
	if allow == nil {
		return 0, "", errNoRoute
	}
	slices.Sort(allow)
	return 0, "", fault.New(fault.Unsupported, "This address answers %s.", strings.Join(allow, ", ")).With(strings.Join(allow, ", "))
}

// fits compares a path with a pattern; an open part takes what is not empty
// and has no slash.
func fits(pattern, path string) (id string, ok bool) {
	before, rest, open := strings.Cut(pattern, "{")
	if !open {
		return "", pattern == path
	}
	_, after, _ := strings.Cut(rest, "}")
	if len(path) <= len(before)+len(after) || !strings.HasPrefix(path, before) || !strings.HasSuffix(path, after) {
		return "", false
	}
	id = path[len(before) : len(path)-len(after)]
	return id, !strings.Contains(id, "/")
}
