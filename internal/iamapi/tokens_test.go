package iamapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/iam"
)

const byName = `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"alice","password":"alice-password","domain":{"name":"acme"}}}}%s}}`

func asking(scope string) string { return strings.Replace(byName, "%s", scope, 1) }

func TestCreateToken(t *testing.T) {
	w := open(t)
	alice := w.users["alice"]
	projects, err := w.iam.Projects(t.Context(), iam.Operator(), "acme")
	w.must(err)
	region := projects[0].ID
	for name, c := range map[string]struct {
		body    string
		project bool
	}{
		"no scope":       {asking(""), false},
		"project":        {asking(`,"scope":{"project":{"name":"region-1"}}`), true},
		"project id":     {asking(`,"scope":{"project":{"id":"` + region + `"}}`), true},
		"project domain": {asking(`,"scope":{"project":{"name":"region-1","domain":{"name":"acme"}}}`), true},
		"domain":         {asking(`,"scope":{"domain":{"name":"acme"}}`), false},
		"domain id":      {asking(`,"scope":{"domain":{"id":"` + w.acme.ID + `"}}`), false},
		"by id":          {`{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"` + alice.ID + `","password":"alice-password"}}}}}`, false},
		"by domain id":   {strings.Replace(asking(""), `{"name":"acme"}`, `{"id":"`+w.acme.ID+`"}`, 1), false},
		"domain beside":  {`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"alice","password":"alice-password"},"domain":{"name":"acme"}}}}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.request("POST", "/v3/auth/tokens", c.body)
			r.Header.Set("Authorization", "SDK-HMAC-SHA256 Access=X, SignedHeaders=x, Signature=x") // does not count
			a := w.do(r).status(http.StatusCreated)
			a.has("token.user.id", alice.ID).has("token.user.name", "alice").has("token.user.domain.name", "acme").has("token.user.password_expires_at", "").
				has("token.methods.0", "password").has("token.roles.#", 0).has("token.catalog.#", 2).has("token.catalog.0.endpoints.0.url", "http://"+w.host+"/v3").
				has("token.catalog.1.endpoints.0.region", "region-1")
			if c.project {
				a.has("token.project.id", region).has("token.project.domain.id", w.acme.ID).has("token.domain", nil)
			} else {
				a.has("token.project", nil).has("token.domain.id", w.acme.ID)
			}
			var times struct {
				Token struct {
					Issued  time.Time `json:"issued_at"`
					Expires time.Time `json:"expires_at"`
				}
			}
			if err := json.Unmarshal(a.body, &times); err != nil || times.Token.Expires.Sub(times.Token.Issued) != 24*time.Hour || !strings.HasSuffix(a.text("token.issued_at"), "Z") {
				t.Errorf("%+v, %v", times, err)
			}
			token := a.Header.Get("X-Subject-Token")
			w.as(token, "GET", "/v3/auth/domains", "").status(200).has("domains.#", 1).has("domains.0.name", "acme").has("links.next", nil)
			r = w.request("GET", "/v3/auth/tokens?nocatalog=true", "")
			r.Header.Set("X-Auth-Token", token)
			r.Header.Set("X-Subject-Token", token)
			w.do(r).status(200).has("token.expires_at", a.text("token.expires_at")).has("token.catalog.#", 0)
			r.Method = "HEAD"
			if b := w.do(r).status(200); len(b.body) > 0 || b.Header.Get("X-Subject-Token") != token {
				t.Errorf("HEAD: %q %v", b.body, b.Header)
			}
		})
	}
	admin := w.do(w.request("POST", "/v3/auth/tokens?nocatalog=true", strings.NewReplacer("alice", "boss").Replace(asking("")))).status(201)
	admin.has("token.roles.0.name", "te_admin").has("token.catalog.#", 0)
}

func TestCreateTokenRefuses(t *testing.T) {
	w := open(t)
	foreign, err := w.iam.Projects(t.Context(), iam.Operator(), "admin")
	w.must(err)
	post := func(body string) answer { return w.do(w.request("POST", "/v3/auth/tokens", body)) }
	swap := func(old, with string) string { return strings.Replace(asking(""), old, with, 1) }
	for _, body := range []string{"x", "[]", "1", `"x"`, asking("") + "x", `{"auth":[]}`, `{"auth":{"identity":{"methods":"password"}}}`, asking(`,"scope":{"project":1}`),
		asking(`,"scope":{"project":{"name":"a"},"domain":{"name":"acme"}}`), swap(`["password"]`, `["password","totp"]`), swap(`["password"]`, `["saml"]`), swap(`"alice-password"`, `1`)} {
		post(body).fails(400, "IAM.0011")
	}
	for _, body := range []string{"", "null", "{}", `{"auth":{}}`, `{"auth":{"identity":{}}}`, `{"auth":{"identity":{"methods":["password"]}}}`, `{"auth":{"identity":{"methods":["token"]}}}`,
		swap(`,"domain":{"name":"acme"}`, ""), swap(`"name":"alice",`, ""), swap(`"password":"alice-password",`, ""), asking(`,"scope":{"project":{}}`), asking(`,"scope":{"domain":{}}`)} {
		post(body).fails(400, "IAM.0072")
	}
	for _, body := range []string{swap(`"alice"`, `"nobody"`), swap(`"acme"`, `"nowhere"`), swap("alice-password", "wrong"), swap(`"alice"`, `"a\u0000b"`), swap(`{"name":"acme"}`, `{"id":"\u0000\ud800"}`),
		swap(`"name":"alice"`, `"id":"x"`)} {
		post(body).fails(401, "IAM.0062").has("error_msg", "The username or password is wrong.")
	}
	for _, scope := range []string{`{"project":{"name":"x"}}`, `{"project":{"id":"` + foreign[0].ID + `"}}`, `{"project":{"name":"\u0000"}}`, `{"project":{"name":"region-1","domain":{"name":"admin"}}}`, `{"domain":{"name":"admin"}}`} {
		post(asking(`,"scope":`+scope)).fails(401, "IAM.0001")
	}
	post(asking(`,"x":"`+strings.Repeat("x", 64<<10)+`"`)).fails(413, "IAM.0011")
	odd := w.do(w.request("POST", "/v3/auth/tokens?nocatalog=perhaps", asking(""))).fails(400, "IAM.0011")
	if token := odd.Header.Get("X-Subject-Token"); token != "" {
		t.Error("an error carries a token")
	}

	w.must(w.iam.SetUserEnabled(t.Context(), iam.Operator(), "acme", "alice", false))
	post(asking("")).fails(403, "IAM.0002")
	post(swap("alice-password", "wrong")).fails(401, "IAM.0062")
	w.must(w.iam.SetUserEnabled(t.Context(), iam.Operator(), "acme", "alice", true))
	w.must(w.iam.SetAccountEnabled(t.Context(), iam.Operator(), "acme", false))
	post(asking("")).fails(403, "IAM.0002")
	w.must(w.iam.SetAccountEnabled(t.Context(), iam.Operator(), "acme", true))
	for range 5 {
		post(strings.Replace(asking(""), "alice", "boss", 1))
	}
	if a := post(strings.Replace(asking(""), `"name":"alice"`, `"name":"boss"`, 1)); a.StatusCode != 429 || a.Header.Get("Retry-After") == "" {
		t.Errorf("after five wrong passwords: %s %v", a.body, a.Header)
	}
}

func TestRescope(t *testing.T) {
	w := open(t)
	first := w.login("alice")
	const scoped = `{"auth":{"identity":{"methods":["token"],"token":{"id":"TOKEN"}},"scope":{"project":{"name":"region-1"}}}}`
	a := w.do(w.request("POST", "/v3/auth/tokens", strings.Replace(scoped, "TOKEN", first, 1))).status(201)
	a.has("token.project.name", "region-1").has("token.methods.0", "token")
	a = w.as(first, "POST", "/v3/auth/tokens", `{"auth":{"identity":{"methods":["token"]},"scope":{"domain":{"name":"acme"}}}}`).status(201)
	second := a.Header.Get("X-Subject-Token")
	w.do(w.request("POST", "/v3/auth/tokens", strings.Replace(scoped, "TOKEN", first+"x", 1))).fails(401, "IAM.0067")
	w.later.Store(int64(25 * time.Hour))
	w.do(w.request("POST", "/v3/auth/tokens", strings.Replace(scoped, "TOKEN", second, 1))).fails(401, "IAM.0066")
	w.as(first, "GET", "/v3/projects", "").fails(401, "IAM.0066")
}

func TestDeleteToken(t *testing.T) {
	w := open(t)
	w.user("bob", false)
	alice, boss, bob, admin := w.login("alice"), w.login("boss"), w.login("bob"), w.login("admin")
	on := func(method, caller, subject string) answer {
		r := w.request(method, "/v3/auth/tokens", "")
		if caller != "" {
			r.Header.Set("X-Auth-Token", caller)
		}
		if subject != "" {
			r.Header.Set("X-Subject-Token", subject)
		}
		return w.do(r)
	}
	for _, method := range []string{"GET", "DELETE"} {
		on(method, "", alice).fails(401, "IAM.0001")
		on(method, alice, "").fails(400, "IAM.0072")
		on(method, alice, "x").fails(404, "IAM.0004")
		on(method, bob, alice).fails(403, "IAM.0003")
		on(method, admin, alice).fails(404, "IAM.0004")
		on(method, "x", alice).fails(401, "IAM.0067")
	}
	on("HEAD", alice, "x").status(404)
	on("GET", boss, alice).status(200).has("token.user.name", "alice")
	on("DELETE", boss, bob).status(204)
	w.as(bob, "GET", "/v3/projects", "").fails(401, "IAM.0067")
	on("DELETE", alice, alice).status(204)
	w.as(alice, "GET", "/v3/projects", "").fails(401, "IAM.0067")
	on("GET", boss, alice).fails(404, "IAM.0004")
	w.as(boss, "GET", "/v3/projects", "").status(200)
}
