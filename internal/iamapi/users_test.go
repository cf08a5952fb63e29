package iamapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"berth.dev/berth/internal/iam"
)

func TestProjects(t *testing.T) {
	w := open(t)
	alice := w.login("alice")
	all := w.as(alice, "GET", "/v3/projects?name=region-1", "").status(200)
	all.has("projects.#", 1).has("projects.0.name", "region-1").has("projects.0.domain_id", w.acme.ID).has("projects.0.parent_id", w.acme.ID).
		has("projects.0.enabled", true).has("projects.0.is_domain", false).has("projects.0.description", "").has("links.next", nil)
	id := all.text("projects.0.id")
	for path, n := range map[string]int{
		"/v3/projects": 1, "/v3/auth/projects": 1, "/v3/projects?name=Region-1": 0, "/v3/projects?name=%00%ff": 0, "/v3/projects?domain_id=" + w.acme.ID: 1,
		"/v3/projects?domain_id=" + w.users["admin"].Account: 0, "/v3/projects?enabled=true": 1, "/v3/projects?enabled=false": 0, "/v3/projects?parent_id=x": 0,
		"/v3/projects?page=1&per_page=10": 1, "/v3/projects?page=2&per_page=1": 0, "/v3/projects?page=2147483647&per_page=2147483647": 0, "/v3/projects?page=2": 1,
	} {
		w.as(alice, "GET", path, "").status(200).has("projects.#", n)
	}
	w.as(alice, "POST", "/v3/auth/projects", "").status(200).has("projects.0.id", id)
	for _, path := range []string{"/v3/projects?enabled=x", "/v3/projects?page=0", "/v3/projects?per_page=-1", "/v3/projects?a=%zz"} {
		w.as(alice, "GET", path, "").fails(400, "IAM.0011")
	}
	w.as(alice, "GET", "/v3/projects/"+id, "").status(200).has("project.name", "region-1")
	foreign, err := w.iam.Projects(t.Context(), iam.Operator(), "admin")
	w.must(err)
	w.as(alice, "GET", "/v3/projects/"+foreign[0].ID, "").fails(404, "IAM.0004")
	w.as(alice, "GET", "/v3/projects/%00", "").fails(404, "IAM.0004")
	r := w.request("GET", "/v3/projects", "")
	r.Header.Set("X-Auth-Token", alice)
	r.Header.Set("X-Project-Id", foreign[0].ID)
	w.do(r).fails(403, "IAM.0002")
}

func TestListUsers(t *testing.T) {
	w := open(t)
	alice, boss, admin := w.login("alice"), w.login("boss"), w.login("admin")
	w.as(boss, "GET", "/v3/users", "").status(200).has("users.#", 2).has("users.0.name", "alice").has("users.1.name", "boss").has("links.next", nil)
	w.as(boss, "GET", "/v3/users?name=alice", "").status(200).has("users.#", 1).has("users.0.id", w.users["alice"].ID).has("users.0.domain_id", w.acme.ID).
		has("users.0.enabled", true).has("users.0.pwd_status", true).has("users.0.password_expires_at", "")
	for query, n := range map[string]int{"name=nobody": 0, "name=%00": 0, "name=admin": 0, "enabled=false": 0, "enabled=true": 2, "domain_id=" + w.acme.ID: 2, "domain_id=" + w.users["admin"].Account: 0} {
		w.as(boss, "GET", "/v3/users?"+query, "").status(200).has("users.#", n)
	}
	w.as(alice, "GET", "/v3/users", "").status(200).has("users.#", 1).has("users.0.name", "alice")
	w.as(alice, "GET", "/v3/users?name=boss", "").status(200).has("users.#", 0)
	w.as(admin, "GET", "/v3/users", "").status(200).has("users.#", 1).has("users.0.name", "admin")
	first := w.as(boss, "GET", "/v3/users?limit=1&enabled=true", "").status(200).has("users.#", 1)
	next, err := url.Parse(first.text("links.next"))
	w.must(err)
	w.as(boss, "GET", next.RequestURI(), "").status(200).has("users.#", 1).has("users.0.name", "boss").has("links.next", nil)
	for _, query := range []string{"limit=0", "limit=x", "marker=%00", "enabled=maybe"} {
		w.as(boss, "GET", "/v3/users?"+query, "").fails(400, "IAM.0011")
	}
}

func TestUsers(t *testing.T) {
	w := open(t)
	alice, boss, admin := w.login("alice"), w.login("boss"), w.login("admin")
	const users = "/v3.0/OS-USER/users"
	made := w.as(boss, "POST", users, `{"user":{"name":"carol","domain_id":"`+w.acme.ID+`","password":"carol-password","enabled":true,"access_mode":"programmatic","description":"of the builds","pwd_status":false,"email":"c@example.com","areacode":"0086","phone":"13800000000"}}`).status(201)
	made.has("user.name", "carol").has("user.domain_id", w.acme.ID).has("user.enabled", true).has("user.is_domain_owner", false).has("user.access_mode", "programmatic").
		has("user.description", "of the builds").has("user.pwd_status", false).has("user.email", "c@example.com").has("user.areacode", "0086").has("user.phone", "13800000000")
	id := made.text("user.id")
	w.users["carol"] = iam.User{ID: id}
	carol := w.login("carol")
	w.as(carol, "GET", users+"/"+id, "").status(200).has("user.name", "carol")
	w.as(carol, "GET", users+"/"+id, "").status(200).has("user.email", "c@example.com").has("user.areacode", "0086").has("user.phone", "13800000000")
	w.as(carol, "GET", "/v3/users/"+id, "").status(200).has("user.name", "carol").has("user.access_mode", nil).has("user.email", nil)
	w.as(boss, "GET", users+"/"+w.users["boss"].ID, "").status(200).has("user.is_domain_owner", true)

	w.as(boss, "POST", users, `{"user":{"name":"carol"}}`).fails(409, "IAM.0005")
	for _, body := range []string{"", "null", "{}", `{"user":{}}`, `{"user":{"name":""}}`, `{"user":null}`} {
		w.as(boss, "POST", users, body).fails(400, "IAM.0072")
	}
	for _, body := range []string{"[]", `{"user":[]}`, `{"user":{"name":1}}`, `{"user":{"name":"a b"}}`, `{"user":{"name":"a\u0000"}}`, `{"user":{"name":"dave","password":"short"}}`,
		`{"user":{"name":"dave","access_mode":"x"}}`, `{"user":{"name":"dave","enabled":"true"}}`, `{"user":{"name":"dave","description":"\u0000"}}`, `{"user":{"name":"dave","email":"dave"}}`, `{"user":{"name":"dave","phone":"1"}}`, `{"user":{"name":"dave","areacode":"+1","phone":"1"}}`, `{"user":{"name":"dave","phone":1}}`, `{"user":{"name":"dave","description":"` + strings.Repeat("x", 256) + `"}}`} {
		w.as(boss, "POST", users, body).fails(400, "IAM.0011")
	}
	w.as(boss, "POST", users, `{"user":{"name":"dave","domain_id":"`+w.users["admin"].Account+`"}}`).fails(403, "IAM.0002")
	w.as(alice, "POST", users, `{"user":{"name":"dave"}}`).fails(403, "IAM.0003")

	put := func(token, body string) answer { return w.as(token, "PUT", users+"/"+id, body) }
	put(boss, `{"user":{"description":"","access_mode":"default"}}`).status(200).has("user.description", "").has("user.access_mode", "default").has("user.name", "carol")
	put(boss, `{"user":{"email":"carol@example.com"}}`).status(200).has("user.email", "carol@example.com").has("user.phone", "13800000000")
	put(boss, `{"user":{"phone":"","areacode":""}}`).status(200).has("user.email", "carol@example.com").has("user.phone", "").has("user.areacode", "")
	put(boss, `{"user":{"phone":"1"}}`).fails(400, "IAM.0011")
	w.as(carol, "GET", users+"/"+id, "").status(200)
	put(boss, `{"user":{"password":"another-password"}}`).status(200)
	w.as(carol, "GET", users+"/"+id, "").fails(401, "IAM.0067")
	put(boss, `{"user":{"enabled":false}}`).status(200).has("user.enabled", false)
	w.as(boss, "GET", "/v3/users?enabled=false", "").status(200).has("users.0.name", "carol")
	put(boss, `{"user":{"enabled":true,"name":"carla"}}`).status(200).has("user.enabled", true).has("user.name", "carla")
	put(boss, `{"user":{"name":"alice"}}`).fails(409, "IAM.0005")
	put(boss, `{"user":{"password":""}}`).fails(400, "IAM.0011")
	put(boss, `{"user":{"password":"short"}}`).fails(400, "IAM.0011")
	put(boss, `{}`).fails(400, "IAM.0072")
	put(alice, `{"user":{"enabled":false}}`).fails(403, "IAM.0003")
	put(admin, `{"user":{"enabled":false}}`).fails(404, "IAM.0004")
	w.as(boss, "PUT", users+"/"+w.users["boss"].ID, `{"user":{"enabled":false}}`).fails(409, "IAM.0005")

	for _, other := range []string{w.users["admin"].ID, "nobody", "%00", strings.Repeat("x", 1000)} {
		w.as(boss, "GET", users+"/"+other, "").fails(404, "IAM.0004")
		w.as(boss, "GET", "/v3/users/"+other, "").fails(404, "IAM.0004")
		w.as(boss, "PUT", users+"/"+other, `{"user":{"enabled":false}}`).fails(404, "IAM.0004")
		w.as(boss, "DELETE", "/v3/users/"+other, "").fails(404, "IAM.0004")
		w.as(alice, "GET", users+"/"+other, "").fails(403, "IAM.0003")
	}
	w.as(alice, "DELETE", "/v3/users/"+id, "").fails(403, "IAM.0003")
	w.as(boss, "DELETE", "/v3/users/"+id, "").status(204)
	w.as(boss, "DELETE", "/v3/users/"+id, "").fails(404, "IAM.0004")
	w.as(boss, "DELETE", "/v3/users/"+w.users["boss"].ID, "").fails(409, "IAM.0005")
}

func TestChangePassword(t *testing.T) {
	w := open(t)
	alice, boss := w.login("alice"), w.login("boss")
	path := "/v3/users/" + w.users["alice"].ID + "/password"
	body := func(original, password string) string {
		return fmt.Sprintf(`{"user":{"original_password":%q,"password":%q}}`, original, password)
	}
	w.as(alice, "POST", path, body("wrong", "a new password")).fails(401, "IAM.0062")
	w.as(alice, "POST", path, body("alice-password", "short")).fails(400, "IAM.0011")
	w.as(alice, "POST", path, body("alice-password", "")).fails(400, "IAM.0072")
	w.as(boss, "POST", path, body("alice-password", "a new password")).fails(403, "IAM.0003")
	w.as(alice, "POST", path, body("alice-password", "a new password")).status(204)
	w.as(alice, "GET", "/v3/projects", "").fails(401, "IAM.0067")
	w.do(w.request("POST", "/v3/auth/tokens", asking(""))).fails(401, "IAM.0062")
	w.do(w.request("POST", "/v3/auth/tokens", strings.Replace(asking(""), "alice-password", "a new password", 1))).status(http.StatusCreated)
}
