package swr

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"berth.dev/berth/conformance/internal/berthtest"
)

// The SDK has no operations for accounts and their administrators, so that the
// project's own client makes an account, and its administrator takes it from
// there: nobody touches the machine.
func TestInstallation(t *testing.T) {
	each(t, func(f *fixture) {
		root := f.withPassword(f.Admin(), "admin", f.admin.User)
		const password = "correct horse battery"
		_, body := root.do("POST", "/v3/domains", `{"domain":{"name":"`+f.org+`","description":"a tenant","org_id":"o-7","org_path":"root/`+f.org+`",
			"administrator":{"name":"chief","password":"`+password+`","email":"chief@example.com"}}}`, true, 201)
		if d := unlike(`{"domain":{"id":"<str>","name":"`+f.org+`","enabled":true,"description":"a tenant","org_id":"o-7","org_path":"root/`+f.org+`","create_time":"<time>",
			"links":"<any>","administrator":{"id":"<str>","name":"chief"}}}`, string(body)); d != "" {
			f.Error(d)
		}
		var made struct {
			Domain struct {
				ID            string
				Administrator struct{ ID string }
			}
		}
		if err := json.Unmarshal(body, &made); err != nil {
			f.Fatal(err)
		}
		at := "/v3/domains/" + made.Domain.ID
		root.do("GET", at, "", true, 200)
		root.do("GET", "/v3/domains?name="+f.org, "", true, 200)
		first := struct{ Links struct{ Next *string } }{}
		root.read("/v3/domains?limit=1", &first)
		if first.Links.Next == nil {
			f.Fatal("a list of several accounts ends on its first page")
		}
		next, err := url.Parse(*first.Links.Next)
		if err != nil {
			f.Fatal(err)
		}
		root.do("GET", next.RequestURI(), "", true, 200)
		root.do("DELETE", at, "", true, 405)

		chief := f.withPassword(berthtest.Login{User: "chief", Password: password}, f.org, made.Domain.Administrator.ID)
		chief.do("POST", namespaces, `{"namespace":"`+f.org+`"}`, false, 201)
		root.do("GET", namespaces+"/"+f.org, "", true, 403)
		root.do("GET", "/v3.0/OS-USER/users/"+made.Domain.Administrator.ID, "", true, 404)

		// A second administrator, by the role that tokens name.
		var user struct{ User struct{ ID string } }
		_, body = chief.do("POST", "/v3.0/OS-USER/users", `{"user":{"name":"second","password":"`+password+`"}}`, true, 201)
		if err := json.Unmarshal(body, &user); err != nil {
			f.Fatal(err)
		}
		var roles struct{ Roles []struct{ ID, Name string } }
		chief.read("/v3/roles?name=te_admin", &roles)
		if len(roles.Roles) != 1 {
			f.Fatalf("the roles of this name are %s", object(roles))
		}
		chief.do("GET", "/v3/roles/"+roles.Roles[0].ID, "", true, 200)
		role := func(user string) string { return at + "/users/" + user + "/roles/" + roles.Roles[0].ID }
		second := f.withPassword(berthtest.Login{User: "second", Password: password}, f.org, user.User.ID)
		second.do("POST", "/v3.0/OS-USER/users", `{"user":{"name":"third"}}`, true, 403)
		second.do("PUT", role(user.User.ID), "", true, 403)
		chief.do("HEAD", role(user.User.ID), "", false, 404)
		chief.do("PUT", role(user.User.ID), "", false, 204)
		chief.do("HEAD", role(user.User.ID), "", false, 204)
		chief.do("GET", at+"/users/"+user.User.ID+"/roles", "", true, 200)
		second.do("POST", "/v3.0/OS-USER/users", `{"user":{"name":"third"}}`, true, 201)
		second.do("DELETE", role(made.Domain.Administrator.ID), "", false, 204)
		second.do("DELETE", role(user.User.ID), "", true, 409)
		root.do("PUT", role(made.Domain.Administrator.ID), "", true, 403)

		// Administrators of other accounts are told nothing, whether it exists or not.
		partner := f.withKey(f.partner)
		_, there := partner.do("GET", at, "", true, 403)
		_, none := partner.do("GET", "/v3/domains/"+strings.Repeat("0", 32), "", true, 403)
		if string(there) != string(none) {
			f.Errorf("%s, and of none %s", there, none)
		}
		partner.do("GET", "/v3/domains", "", true, 403)
		partner.do("POST", "/v3/domains", `{"domain":{"name":"`+f.org+`"}}`, true, 403)
		partner.do("PATCH", at, `{"domain":{"enabled":false}}`, true, 403)
		partner.do("DELETE", at, "", true, 403)

		root.do("PATCH", at, `{"domain":{"enabled":false}}`, true, 200)
		chief.do("GET", namespaces, "", true, 401)
		root.do("PATCH", at, `{"domain":{"enabled":true}}`, true, 200)
		chief.do("GET", namespaces, "", true, 200)
		root.do("PATCH", "/v3/domains/"+f.admin.Account, `{"domain":{"enabled":false}}`, true, 409)
	})
}

// What a token made ends with the token, and not what another one made.
func TestRevokedTokenEndsItsKeys(t *testing.T) {
	each(t, func(f *fixture) {
		one, other := f.withPassword(f.Admin(), "admin", f.admin.User), f.withPassword(f.Admin(), "admin", f.admin.User)
		login := func(c *terraform) func() int {
			h, _ := c.do("POST", "/v2/manage/utils/secret?projectname="+region, "", true, 200)
			words := strings.Fields(h.Get("X-Swr-Dockerlogin")) // docker login -u USER -p PASSWORD HOST
			if len(words) < 6 {
				f.Fatalf("the command is %q", words)
			}
			return func() int {
				r, err := http.NewRequestWithContext(f.Context(), "GET", f.URL()+"/v2/", nil)
				if err != nil {
					f.Fatal(err)
				}
				r.SetBasicAuth(words[3], words[5])
				resp, err := f.Server.Client().Do(r)
				if err != nil {
					f.Fatal(err)
				}
				resp.Body.Close()
				return resp.StatusCode
			}
		}
		ends, stays := login(one), login(other)
		if ends() != 200 || stays() != 200 {
			f.Fatal("a login does not work")
		}
		r, err := http.NewRequestWithContext(f.Context(), "DELETE", f.URL()+"/v3/auth/tokens", nil)
		if err != nil {
			f.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", other.token)
		r.Header.Set("X-Subject-Token", one.token)
		resp, err := one.http.Do(r)
		if err != nil {
			f.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 204 || ends() != 401 || stays() != 200 {
			f.Errorf("revoked: %d, then %d and %d", resp.StatusCode, ends(), stays())
		}
	})
}
