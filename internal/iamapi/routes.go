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
	Pattern string // parts in braces are open
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

	{Route{"GET", "/v3/domains", "listAllDomains", iam.ListAccounts, false}, (*API).listAllDomains},
	{Route{"POST", "/v3/domains", "createDomain", iam.CreateAccount, false}, (*API).createDomain},
	{Route{"GET", "/v3/domains/{domain_id}", "showDomain", iam.ShowAccount, false}, (*API).showDomain},
	{Route{"PATCH", "/v3/domains/{domain_id}", "updateDomain", iam.UpdateAccount, false}, (*API).updateDomain},
	{Route{"DELETE", "/v3/domains/{domain_id}", "deleteDomain", iam.UpdateAccount, false}, (*API).deleteDomain},

	{Route{"GET", "/v3/roles", "listRoles", "", false}, (*API).listRoles},
	{Route{"GET", "/v3/roles/{role_id}", "showRole", "", false}, (*API).showRole},
	{Route{"GET", "/v3/domains/{domain_id}/users/{user_id}/roles", "listUserRoles", iam.ShowUser, false}, (*API).listUserRoles},
	{Route{"HEAD", "/v3/domains/{domain_id}/users/{user_id}/roles/{role_id}", "checkUserRole", iam.ShowUser, false}, (*API).checkUserRole},
	{Route{"PUT", "/v3/domains/{domain_id}/users/{user_id}/roles/{role_id}", "assignRole", iam.UpdateUser, false}, (*API).assignRole},
	{Route{"DELETE", "/v3/domains/{domain_id}/users/{user_id}/roles/{role_id}", "removeRole", iam.UpdateUser, false}, (*API).removeRole},

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

// find returns the index of a route and what stands in its open parts. HEAD is
// good wherever GET is. Nothing is cleaned, so nothing is redirected. Errors:
// fault.Unsupported, whose Detail lists the methods of a known path or is nil.
func find(method, path string) (index int, parts []string, err error) {
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
		return 0, nil, errNoRoute
	}
	slices.Sort(allow)
	return 0, nil, fault.New(fault.Unsupported, "This address answers %s.", strings.Join(allow, ", ")).With(strings.Join(allow, ", "))
}

// fits compares a path with a pattern, part by part; an open part takes what
// is not empty.
func fits(pattern, path string) (parts []string, ok bool) {
	for {
		want, patterns, more := strings.Cut(pattern, "/")
		have, paths, further := strings.Cut(path, "/")
		switch {
		case more != further:
			return nil, false
		case !strings.HasPrefix(want, "{"):
			if want != have {
				return nil, false
			}
		case have == "":
			return nil, false
		default:
			parts = append(parts, have)
		}
		if !more {
			return parts, true
		}
		pattern, path = patterns, paths
	}
}
