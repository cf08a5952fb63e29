package iamapi_test

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"berth.dev/berth/internal/iam"
)

const noDomain = "0123456789abcdef0123456789abcdef"

func TestDomains(t *testing.T) {
	w := open(t)
	admin, boss, alice := w.login("admin"), w.login("boss"), w.login("alice")
	made := w.as(admin, "POST", "/v3/domains", `{"domain":{"name":"new","description":"a third","enabled":true,"org_id":"o-1","org_path":"root/new",
		"administrator":{"name":"chief","password":"chief-password","email":"chief@example.com","pwd_status":false}}}`).status(http.StatusCreated)
	id := made.text("domain.id")
	made.has("domain.name", "new").has("domain.description", "a third").has("domain.enabled", true).has("domain.org_id", "o-1").has("domain.org_path", "root/new").
		has("domain.links.self", "http://"+w.host+"/v3/domains/"+id).has("domain.administrator.name", "chief")
	w.users["chief"] = iam.User{ID: made.text("domain.administrator.id")}
	chief := w.login("chief")
	w.as(chief, "GET", "/v3/projects", "").status(200).has("projects.0.domain_id", id).has("projects.#", 1)
	w.as(chief, "GET", "/v3.0/OS-USER/users/"+w.users["chief"].ID, "").status(200).has("user.is_domain_owner", true).has("user.email", "chief@example.com").has("user.pwd_status", false)
	w.as(chief, "POST", "/v3.0/OS-USER/users", `{"user":{"name":"first"}}`).status(201)
	empty := w.as(admin, "POST", "/v3/domains", `{"domain":{"name":"asleep","enabled":false}}`).status(http.StatusCreated).has("domain.enabled", false).has("domain.administrator", nil)

	list := func(query string, names ...string) {
		t.Helper()
		a := w.as(admin, "GET", "/v3/domains"+query, "").status(200).has("domains.#", len(names)).has("links.next", nil)
		for i, name := range names {
			a.has("domains."+string(rune('0'+i))+".name", name)
		}
	}
	list("", "acme", "admin", "asleep", "new")
	list("?name=new", "new")
	list("?name=%00")
	list("?name=none")
	list("?enabled=false", "asleep")
	list("?enabled=true&limit=10", "acme", "admin", "new")
	page := w.as(admin, "GET", "/v3/domains?limit=2&enabled=true", "").status(200).has("domains.#", 2)
	next, err := url.Parse(page.text("links.next"))
	w.must(err)
	w.as(admin, "GET", next.RequestURI(), "").status(200).has("domains.#", 1).has("domains.0.name", "new").has("links.next", nil)
	for _, query := range []string{"limit=0", "enabled=perhaps", "marker=%00", "a=%zz"} {
		w.as(admin, "GET", "/v3/domains?"+query, "").fails(400, "IAM.0011")
	}

	w.as(admin, "GET", "/v3/domains/"+id, "").status(200).has("domain.name", "new").has("domain.description", "a third")
	w.as(chief, "GET", "/v3/domains/"+id, "").status(200).has("domain.name", "new") // one's own
	w.as(admin, "GET", "/v3/domains/"+noDomain, "").fails(404, "IAM.0004")
	w.as(admin, "GET", "/v3/domains/%00", "").fails(404, "IAM.0004")
	patch := func(token, id, body string) answer { return w.as(token, "PATCH", "/v3/domains/"+id, body) }
	patch(admin, id, `{"domain":{"name":"new","description":"","org_path":""}}`).status(200).has("domain.description", "").has("domain.org_path", "").has("domain.org_id", "o-1").has("domain.enabled", true)
	patch(admin, id, `{"domain":{"enabled":false}}`).status(200).has("domain.enabled", false)
	w.as(chief, "GET", "/v3/projects", "").fails(401, "IAM.0067")
	patch(admin, id, `{"domain":{"enabled":true}}`).status(200)
	w.as(chief, "GET", "/v3/projects", "").status(200)
	patch(admin, w.users["admin"].Account, `{"domain":{"enabled":false}}`).fails(409, "IAM.0005")
	patch(admin, noDomain, `{"domain":{"enabled":false}}`).fails(404, "IAM.0004")
	w.as(admin, "GET", "/v3/projects", "").status(200)

	for _, body := range []string{"", "{}", `{"domain":null}`, `{"domain":{}}`, `{"domain":{"name":""}}`, `{"domain":{"name":"x","administrator":{}}}`, `{"domain":{"name":"x","administrator":{"name":"y"}}}`} {
		w.as(admin, "POST", "/v3/domains", body).fails(400, "IAM.0072")
	}
	for _, body := range []string{"[]", `{"domain":[]}`, `{"domain":{"name":"a b"}}`, `{"domain":{"name":1}}`, `{"domain":{"name":"x","org_id":"a\u0000"}}`, `{"domain":{"name":"x","description":"a\u0000"}}`,
		`{"domain":{"name":"x","administrator":{"name":"y","password":"short"}}}`, `{"domain":{"name":"x","administrator":{"name":"y z","password":"long enough"}}}`} {
		w.as(admin, "POST", "/v3/domains", body).fails(400, "IAM.0011")
	}
	w.as(admin, "POST", "/v3/domains", `{"domain":{"name":"acme"}}`).fails(409, "IAM.0005")
	patch(admin, id, `{"domain":{"name":"other"}}`).fails(400, "IAM.0011")
	patch(admin, id, `{"domain":{"administrator":{"name":"y","password":"long enough"}}}`).fails(400, "IAM.0011")
	patch(admin, id, `{}`).fails(400, "IAM.0072")
	list("", "acme", "admin", "asleep", "new")

	gone := w.as(admin, "DELETE", "/v3/domains/"+empty.text("domain.id"), "").fails(405, "IAM.0011")
	if allow := gone.Header.Get("Allow"); allow != "GET, HEAD, PATCH" || !strings.Contains(gone.text("error_msg"), "disable") {
		t.Errorf("%s %s", allow, gone.body)
	}

	// Of others' accounts nobody else learns even that they are there.
	for name, token := range map[string]string{"boss": boss, "alice": alice} {
		for _, rq := range []struct{ method, body string }{{"GET", ""}, {"PATCH", `{"domain":{"enabled":false}}`}, {"DELETE", ""}} {
			there := w.as(token, rq.method, "/v3/domains/"+id, rq.body).fails(403, "IAM.0003")
			if not := w.as(token, rq.method, "/v3/domains/"+noDomain, rq.body).fails(403, "IAM.0003"); !bytes.Equal(there.body, not.body) {
				t.Errorf("%s %s: %s, and of none %s", rq.method, name, there.body, not.body)
			}
		}
		w.as(token, "GET", "/v3/domains", "").fails(403, "IAM.0003")
		w.as(token, "GET", "/v3/domains?name=new", "").fails(403, "IAM.0003")
		w.as(token, "POST", "/v3/domains", `{"domain":{"name":"acme"}}`).fails(403, "IAM.0003")
		patch(token, w.acme.ID, `{"domain":{"description":"mine"}}`).fails(403, "IAM.0003")
		w.as(token, "GET", "/v3/auth/domains", "").status(200).has("domains.#", 1).has("domains.0.name", "acme")
	}
	w.as(admin, "GET", "/v3/auth/domains", "").status(200).has("domains.#", 1).has("domains.0.name", "admin")
	w.as(admin, "GET", "/v3/users?domain_id="+id, "").status(200).has("users.#", 0)
	w.as(admin, "GET", "/v3.0/OS-USER/users/"+w.users["chief"].ID, "").fails(404, "IAM.0004")
	w.as(admin, "POST", "/v3.0/OS-USER/users", `{"user":{"name":"spy","domain_id":"`+id+`"}}`).fails(403, "IAM.0002")
	if strings.Contains(w.log.String(), "chief-password") {
		t.Error("a password is in the log")
	}
}

func TestRoles(t *testing.T) {
	w := open(t)
	admin, boss, alice := w.login("admin"), w.login("boss"), w.login("alice")
	w.as(alice, "GET", "/v3/roles", "").status(200).has("roles.#", 1).has("roles.0.id", "0").has("roles.0.name", "te_admin").has("roles.0.type", "AX").has("roles.0.domain_id", nil)
	for query, n := range map[string]int{"name=te_admin": 1, "name=admin": 0, "domain_id=" + w.acme.ID: 0, "type=XA": 0, "display_name=Administrator": 1} {
		w.as(alice, "GET", "/v3/roles?"+query, "").status(200).has("roles.#", n)
	}
	w.as(alice, "GET", "/v3/roles/0", "").status(200).has("role.name", "te_admin")
	w.as(alice, "GET", "/v3/roles/1", "").fails(404, "IAM.0004")

	of := func(user string) string { return "/v3/domains/" + w.acme.ID + "/users/" + w.users[user].ID + "/roles" }
	w.as(boss, "GET", of("boss"), "").status(200).has("roles.#", 1).has("roles.0.id", "0")
	w.as(boss, "GET", of("alice"), "").status(200).has("roles.#", 0)
	w.as(alice, "GET", of("alice"), "").status(200).has("roles.#", 0)
	w.as(alice, "GET", of("boss"), "").fails(403, "IAM.0003")
	w.as(boss, "HEAD", of("boss")+"/0", "").status(204)
	w.as(boss, "HEAD", of("alice")+"/0", "").status(404)
	w.as(boss, "HEAD", of("boss")+"/1", "").status(404)

	w.as(alice, "PUT", of("alice")+"/0", "").fails(403, "IAM.0003")
	w.as(alice, "DELETE", of("boss")+"/0", "").fails(403, "IAM.0003")
	w.as(alice, "PUT", of("alice")+"/nonsense", "").fails(403, "IAM.0003")
	w.as(alice, "POST", "/v3.0/OS-USER/users", `{"user":{"name":"x"}}`).fails(403, "IAM.0003")
	w.as(boss, "DELETE", of("boss")+"/0", "").fails(409, "IAM.0005") // the last one
	w.as(boss, "PUT", of("alice")+"/1", "").fails(404, "IAM.0004")
	w.as(boss, "PUT", of("alice")+"/0", "").status(204)
	w.as(boss, "PUT", of("alice")+"/te_admin", "").status(204) // again, and by its name
	w.as(alice, "GET", "/v3/users", "").status(200).has("users.#", 2)
	token := w.do(w.request("POST", "/v3/auth/tokens", asking(""))).status(201)
	token.has("token.roles.0.name", "te_admin")
	w.as(alice, "DELETE", of("boss")+"/0", "").status(204)
	w.as(boss, "GET", "/v3/users", "").status(200).has("users.#", 1)
	w.as(alice, "DELETE", of("alice")+"/0", "").fails(409, "IAM.0005")
	w.as(alice, "DELETE", of("boss")+"/0", "").status(204)

	// Nobody of another account: neither by the domain nor by the user.
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		path := map[string]string{"GET": ""}
		role, ok := path[method]
		if !ok {
			role = "/0"
		}
		w.as(admin, method, of("boss")+role, "").fails(403, "IAM.0002")
		w.as(admin, method, "/v3/domains/"+noDomain+"/users/"+w.users["boss"].ID+"/roles"+role, "").fails(403, "IAM.0002")
		w.as(admin, method, "/v3/domains/"+w.users["admin"].Account+"/users/"+w.users["boss"].ID+"/roles"+role, "").fails(404, "IAM.0004")
	}
	w.as(alice, "GET", of("boss"), "").status(200).has("roles.#", 0)
}
