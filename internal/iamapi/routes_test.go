package iamapi_test

import (
	"net/http"
	"strings"
	"testing"

	"berth.dev/berth/internal/iamapi"
)

func TestVersion(t *testing.T) {
	w := open(t)
	for _, path := range []string{"/v3", "/v3/"} {
		w.do(w.request("GET", path, "")).status(200).has("versions.values.0.status", "stable").has("versions.values.0.links.0.href", "http://"+w.host+"/v3/").has("version.id", "v3.6")
		w.do(w.request("POST", path, "")).fails(405, "IAM.0011")
	}
}

// Every route refuses who is not logged in before it looks at anything, and no
// body of a wrong shape is a failure of ours.
func TestRoutes(t *testing.T) {
	w := open(t)
	boss := w.login("boss")
	seen := map[string]bool{}
	for _, rt := range iamapi.Routes() {
		if seen[rt.Method+" "+rt.Pattern] || rt.Name == "" {
			t.Errorf("%+v twice, or without a name", rt)
		}
		seen[rt.Method+" "+rt.Pattern] = true
		path := strings.NewReplacer("{user_id}", "x", "{project_id}", "x", "{access_key}", "AKEXAMPLE0000000001A", "{domain_id}", "x", "{role_id}", "0").Replace(rt.Pattern)
		if !rt.Open {
			w.do(w.request(rt.Method, path, "{}")).status(http.StatusUnauthorized)
			r := w.request(rt.Method, path, "{}")
			r.SetBasicAuth("boss", "boss-password")
			w.do(r).status(http.StatusUnauthorized)
		}
		for _, body := range []string{"", "null", "{}", "[]", "[{}]", `"x"`, "1e400", "{", "\x00", "\xff", `{"user":{"user":{}}}`, strings.Repeat("[", 20000), `{"auth":{"identity":{"methods":["token","token"],"token":[]}}}`, `{"credential":[]}`} {
			if a := w.as(boss, rt.Method, path, body); a.StatusCode >= 500 {
				t.Errorf("%s %s with %q: %s", rt.Method, path, body, a.Status)
			}
		}
	}
}

func TestNoRoute(t *testing.T) {
	w := open(t)
	for _, path := range []string{"/v3/x", "/v3/users/", "/v3/users/a/b", "/v3/domains/", "/v3/domains/a/b", "/v3/domains//users/a/roles", "/v3/domains/a/users//roles/0", "/v3/domains/a/users/b/roles/", "/v3/domains/a/users/b/roles/0/1", "/v3/roles/", "/v3//users", "/v3/auth", "/v3/../v3/users", "/v3.0/", "/v3.0/OS-USER", "/v3/users//password", "/v3/auth/tokens/"} {
		w.do(w.request("GET", path, "")).fails(404, "IAM.0004")
	}
	a := w.do(w.request("PATCH", "/v3/auth/tokens", "")).fails(405, "IAM.0011")
	if allow := a.Header.Get("Allow"); allow != "DELETE, GET, HEAD, POST" {
		t.Errorf("Allow: %q", allow)
	}
	w.as(w.login("alice"), "HEAD", "/v3/projects", "").status(200)
}
