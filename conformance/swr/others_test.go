package swr

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/images"
)

// What belongs to the APIs and neither of the clients sends.

// The examples of the description are what its own schemas describe.
func TestExamplesFitTheirSchemas(t *testing.T) {
	for _, problem := range worlds[0].described.CheckExamples() {
		t.Error(problem)
	}
}

func TestTokensEnd(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withPassword(f.Admin(), "admin", f.admin.User)
		for _, to := range []string{"/v3", "/v3/"} {
			c.want(to, `{"versions":{"values":[{"id":"<str>","status":"stable","links":[{"rel":"self","href":"`+f.URL()+`/v3/"}]}]},"version":"<any>"}`)
		}
		c.do("POST", "/v3/auth/projects", "", true, 200)
		c.do("GET", "/v3/auth/projects", "", true, 200)

		other := f.withPassword(f.Admin(), "admin", f.admin.User)
		send := func(method, subject string) int {
			r, err := http.NewRequestWithContext(f.Context(), method, f.URL()+"/v3/auth/tokens", nil)
			if err != nil {
				f.Fatal(err)
			}
			r.Header.Set("X-Auth-Token", c.token)
			if subject != "" {
				r.Header.Set("X-Subject-Token", subject)
			}
			resp, err := c.http.Do(r)
			if err != nil {
				f.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		for _, step := range []struct {
			method, subject string
			status          int
		}{
			{"HEAD", other.token, 200}, {"GET", other.token, 200}, {"GET", "", 400}, {"GET", "none", 404}, {"HEAD", "none", 404},
			{"DELETE", other.token, 204}, {"HEAD", other.token, 404}, {"DELETE", other.token, 404},
		} {
			if got := send(step.method, step.subject); got != step.status {
				f.Errorf("%s of a token: %d, want %d", step.method, got, step.status)
			}
		}
		other.do("GET", namespaces, "", false, 401)
		c.do("GET", namespaces, "", true, 200)

		// A token gets another one for a project, and a domain may stand
		// beside the user.
		_, body := c.do("POST", "/v3/auth/tokens", `{"auth":{"identity":{"methods":["token"],"token":{"id":"`+c.token+`"}},"scope":{"project":{"id":"`+c.project+`"}}}}`, true, 201)
		var answer loginAnswer
		if err := json.Unmarshal(body, &answer); err != nil || answer.Token.Project.ID != c.project {
			f.Errorf("%v: %s", err, body)
		}
		l := f.Admin()
		_, body = c.do("POST", "/v3/auth/tokens?nocatalog=true", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"`+l.User+`","password":"`+l.Password+`"},"domain":{"name":"admin"}}}}}`, true, 201)
		if err := json.Unmarshal(body, &answer); err != nil || answer.Token.Domain.Name != "admin" || len(answer.Token.Catalog) != 0 || !strings.Contains(string(body), `"catalog":[]`) {
			f.Errorf("%v: %s", err, body)
		}
	})
}

// How the identity API refuses: statuses and codes, both forms in one body.
func TestIdentityErrors(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withKey(f.admin)
		l := f.User(f.T, f.org+"-user")
		off := f.User(f.T, f.org+"-off")
		f.Disable(f.T, off.User)
		login := func(user, password, scope string) string {
			return `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"` + user + `","password":"` + password + `","domain":{"name":"admin"}}}}` + scope + `}}`
		}
		for name, tt := range map[string]struct {
			body   string
			status int
			code   string
		}{
			"no JSON":                  {`{`, 400, "IAM.0011"},
			"nothing in it":            {`{}`, 400, "IAM.0072"},
			"no method":                {`{"auth":{"identity":{"methods":[]}}}`, 400, "IAM.0072"},
			"a method of the future":   {`{"auth":{"identity":{"methods":["retina"]}}}`, 400, "IAM.0011"},
			"a wrong password":         {login(l.User, "wrong", ""), 401, "IAM.0062"},
			"a user who is not there":  {login("nobody-knows", "wrong", ""), 401, "IAM.0062"},
			"disabled, right password": {login(off.User, off.Password, ""), 403, "IAM.0002"},
			"disabled, wrong password": {login(off.User, "wrong", ""), 401, "IAM.0062"},
			"an unknown project":       {login(l.User, l.Password, `,"scope":{"project":{"name":"nowhere"}}`), 401, "IAM.0001"},
			"another's domain":         {login(l.User, l.Password, `,"scope":{"domain":{"name":"partner"}}`), 401, "IAM.0001"},
		} {
			anonymous := &terraform{fixture: f, http: f.client()}
			resp, body := anonymous.send("POST", "/v3/auth/tokens", tt.body)
			f.identityError(name, resp, body, tt.status, tt.code)
		}
		first := f.AccessKey(f.T, "", l.User)
		key := func() (*http.Response, []byte) {
			return c.send("POST", "/v3.0/OS-CREDENTIAL/credentials", `{"credential":{"user_id":"`+first.User+`"}}`)
		}
		if resp, body := key(); resp.StatusCode != 201 {
			f.Errorf("a second key: %d %s", resp.StatusCode, body)
		}
		resp, body := key()
		f.identityError("a third key", resp, body, 400, "IAM.0011")
		if !strings.Contains(string(body), `"message":"akSkNumExceed"`) || !strings.Contains(string(body), `"title":"Bad Request"`) {
			f.Errorf("a third key: %s", body)
		}
		anonymous := &terraform{fixture: f, http: f.client()}
		resp, body = anonymous.send("GET", "/v3/projects", "")
		f.identityError("no credential", resp, body, 401, "IAM.0001")
	})
}

func (f *fixture) identityError(name string, resp *http.Response, body []byte, status int, code string) {
	f.Helper()
	var e struct {
		Error struct {
			Code           int
			Message, Title string
		}
		ErrorCode string `json:"error_code"`
		ErrorMsg  string `json:"error_msg"`
	}
	if err := json.Unmarshal(body, &e); err != nil || resp.StatusCode != status || e.Error.Code != status || e.Error.Title != http.StatusText(status) ||
		e.Error.Message == "" || e.ErrorMsg == "" || e.ErrorCode != code {
		f.Errorf("%s: %d %s, want %d %s", name, resp.StatusCode, body, status, code)
	}
	if resp.Header.Get("X-IAM-Trace-Id") == "" {
		f.Errorf("%s: the answer has no X-IAM-Trace-Id", name)
	}
}

// Rules by which a repository is shared have a design of our own.
func TestShareRules(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withKey(f.admin)
		c.organization()
		image := c.push("team/app", "v1")
		all := c.at("/repos/team$app/shares")
		make := func(kind, target string) string {
			_, body := c.do("POST", all, `{"target_type":"`+kind+`","target":"`+target+`","permit":"read","deadline":"forever","description":"d"}`, true, 201)
			var made struct{ ID json.Number }
			if err := json.Unmarshal(body, &made); err != nil {
				f.Errorf("%v: %s", err, body)
			}
			return made.ID.String()
		}
		shown := func(id, kind, target, deadline string) string {
			return `{"id":` + id + `,"namespace":"` + f.org + `","repository":"team/app","target_type":"` + kind + `","target":"` + target + `","permit":"read","deadline":"` + deadline +
				`","description":"d","creator_id":"` + f.admin.User + `","creator_name":"admin","created":"<time>","updated":"<time>","status":true}`
		}
		c.want(all, `[]`)
		f.pulls(f.partner, "team/app", image, false)
		account := make("account", "partner")
		f.pulls(f.partner, "team/app", image, true)
		c.do("POST", all, `{"target_type":"account","target":"partner","permit":"read","deadline":"forever"}`, false, 409)
		c.want(all+"/"+account, shown(account, "account", "partner", "forever"))
		c.do("PATCH", all+"/"+account, `{"deadline":"2099-12-31"}`, true, 201)
		c.want(all+"/"+account, shown(account, "account", "partner", "2099-12-31T00:00:00Z"))
		org := make("org_id", "o-1")
		path := make("org_path", "o-1/r-1/ou-1")
		c.want(all, `[`+shown(account, "account", "partner", "2099-12-31T00:00:00Z")+`,`+shown(org, "org_id", "o-1", "forever")+`,`+shown(path, "org_path", "o-1/r-1/ou-1", "forever")+`]`)
		for _, id := range []string{account, org, path} {
			c.do("DELETE", all+"/"+id, "", false, 204)
			c.gone(all + "/" + id)
		}
		c.want(all, `[]`)
		f.pulls(f.partner, "team/app", image, false)
		c.do("POST", all, `{"target_type":"planet","target":"mars","permit":"read","deadline":"forever"}`, false, 400)
		c.do("POST", all, `{"target_type":"account","target":"nobody-knows","permit":"read","deadline":"forever"}`, false, 400)
		f.withKey(f.partner).do("GET", all, "", false, 403)
	})
}

// Nothing redirects, whatever the path looks like, and every address answers
// in the form of its API.
func TestAddresses(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withKey(f.admin)
		c.organization()
		for to, want := range map[string]struct {
			status int
			code   string
		}{
			namespaces + "/":                    {404, "SVCSTG.SWR.4040083"},
			namespaces + "//repos":              {404, "SVCSTG.SWR.4040083"},
			c.at("/../" + c.org):                {404, "SVCSTG.SWR.4040083"},
			c.at("/repos/app/"):                 {404, "SVCSTG.SWR.4040083"},
			"/v2/manage/":                       {404, "SVCSTG.SWR.4040083"},
			"/v3/manage/nothing":                {404, "SVCSTG.SWR.4040083"},
			c.at("/repos/none"):                 {404, "SVCSTG.SWR.4040010"},
			c.at("/repos/team%24none"):          {404, "SVCSTG.SWR.4040010"},
			c.at("/repos/team%2Fnone"):          {404, "SVCSTG.SWR.4040010"},
			"/v3.0/OS-USER/nothing":             {404, "IAM.0004"},
			"/v2/manage/repos?filter=x":         {400, "SVCSTG.SWR.4001035"},
			"/v2/manage/repos?limit=0&offset=0": {400, "SVCSTG.SWR.4001025"},
		} {
			resp, body := c.send("GET", to, "")
			if resp.StatusCode != want.status || !strings.Contains(string(body), want.code) {
				f.Errorf("GET %s: %d %s, want %d %s", to, resp.StatusCode, body, want.status, want.code)
			}
		}
		c.do("POST", c.at("/repos"), `{"repository":"team/app","is_public":false}`, true, 201)
		for _, spelled := range []string{"team$app", "team%24app", "team%2Fapp", "team%2fapp"} {
			c.do("GET", c.at("/repos/"+spelled), "", true, 200)
		}
		resp, body := c.send("PUT", c.at(""), `{}`)
		if resp.StatusCode != 405 || !strings.Contains(string(body), "SVCSTG.SWR.4031033") || resp.Header.Get("Allow") == "" {
			f.Errorf("PUT: %d %s %v", resp.StatusCode, body, resp.Header)
		}
		anonymous := &terraform{fixture: f, http: f.client()}
		resp, body = anonymous.send("GET", c.at(""), "")
		if resp.StatusCode != 401 || !strings.Contains(string(body), "SVCSTG.S2I.4019000") {
			f.Errorf("without a credential: %d %s", resp.StatusCode, body)
		}
		big := `{"namespace":"` + strings.Repeat("x", 1<<20) + `"}`
		if resp, body := c.send("POST", namespaces, big); resp.StatusCode != 413 || !strings.Contains(string(body), "SVCSTG.SWR.4131001") {
			f.Errorf("a body over the limit: %d %.200s", resp.StatusCode, body)
		}
	})
}

// Where a request has a token and a signature, the token counts.
func TestTokenBeforeSignature(t *testing.T) {
	each(t, func(f *fixture) {
		token := f.withPassword(f.Admin(), "admin", f.admin.User).token
		for _, tt := range []struct {
			token, secret string
			status        int
		}{{token, "wrong", 200}, {"wrong", f.admin.Secret, 401}, {"", "wrong", 401}, {"", f.admin.Secret, 200}} {
			r, err := http.NewRequestWithContext(f.Context(), "GET", f.URL()+namespaces, nil)
			if err != nil {
				f.Fatal(err)
			}
			r.Header.Set("User-Agent", agent)
			sign(r, f.admin.Access, tt.secret, nil)
			if tt.token != "" {
				r.Header.Set("X-Auth-Token", tt.token)
			}
			resp, err := f.client().Do(r)
			if err != nil {
				f.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tt.status {
				f.Errorf("a good token: %t, a good signature: %t: %d, want %d", tt.token == token, tt.secret != "wrong", resp.StatusCode, tt.status)
			}
		}
	})
}

// A signature is good for 15 minutes, for these bytes, by this algorithm.
func TestSignatures(t *testing.T) {
	each(t, func(f *fixture) {
		send := func(change func(*http.Request)) int {
			r, err := http.NewRequestWithContext(f.Context(), "GET", f.URL()+namespaces+"?filter=namespace::x", nil)
			if err != nil {
				f.Fatal(err)
			}
			r.Header.Set("User-Agent", agent)
			sign(r, f.admin.Access, f.admin.Secret, nil)
			change(r)
			resp, err := f.client().Do(r)
			if err != nil {
				f.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		for name, tt := range map[string]struct {
			status int
			change func(*http.Request)
		}{
			"as it was signed": {200, func(*http.Request) {}},
			"another query":    {401, func(r *http.Request) { r.URL.RawQuery = "filter=namespace%3A%3Ay" }},
			"another method":   {401, func(r *http.Request) { r.Method = "DELETE"; r.URL.Path += "/x" }},
			"another agent":    {401, func(r *http.Request) { r.Header.Set("User-Agent", "proxy") }},
			"another date": {401, func(r *http.Request) {
				r.Header.Set("X-Sdk-Date", time.Now().UTC().Add(time.Second).Format("20060102T150405Z"))
			}},
			"another algorithm": {401, func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "SDK-HMAC-SHA256", "SDK-HMAC-SM3", 1))
			}},
			"one digit less":     {401, func(r *http.Request) { a := r.Header.Get("Authorization"); r.Header.Set("Authorization", a[:len(a)-1]) }},
			"an unsigned header": {200, func(r *http.Request) { r.Header.Set("X-Language", "en-us") }},
		} {
			if got := send(tt.change); got != tt.status {
				f.Errorf("%s: %d, want %d", name, got, tt.status)
			}
		}
	})
}

// Regions are registered over HTTP as well. The test is not parallel: others
// compare the list of regions.
func TestRegions(t *testing.T) {
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			w.people(t)
			f := &fixture{T: t, world: w, org: "regions", content: images.New(t.Name())}
			c := f.withPassword(f.Admin(), "admin", f.admin.User)
			const one = "/v2/manage/regions/region-9"
			c.do("POST", "/v2/manage/regions", `{"regionID":"region-9","url":"http://example.com"}`, false, 400)
			c.do("POST", "/v2/manage/regions", `{"regionID":"region-9","url":"https://example.com","username":"u","password":"secret-of-region-9"}`, true, 201)
			c.do("POST", "/v2/manage/regions", `{"regionID":"region-9","url":"https://example.com"}`, false, 409)
			c.do("PATCH", one, `{"url":"https://elsewhere.example.com"}`, false, 400)
			c.do("PATCH", one, `{"optional":true}`, true, 200)
			_, body := c.do("GET", one, "", true, 200)
			if s := string(body); strings.Contains(s, "secret-of") || !strings.Contains(s, `"has_password":true`) || !strings.Contains(s, `"optional":true`) {
				f.Errorf("the region is shown as %s", s)
			}
			c.do("POST", "/v2/manage/regions/region-2/check", `{}`, true, 200)
			c.do("DELETE", one, "", true, 200)
			c.do("GET", one, "", false, 404)
		})
	}
}
