package swrapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// repo makes a repository as admin.
func (w *world) repo(name string, public bool) {
	w.t.Helper()
	_, err := w.reg.CreateRepo(w.t.Context(), w.users["admin"], oci.Name(name), registry.RepoSpec{Public: public})
	w.must(err)
}

// shareWith shares a repository of acme with an account for ever.
func (w *world) shareWith(repo, account string) {
	w.t.Helper()
	w.want("admin", "POST /v2/manage/namespaces/acme/repositories/"+repo+"/access-domains",
		`{"access_domain":"`+account+`","permit":"read","deadline":"forever"}`, 201, `{}`)
}

func TestAccessDomains(t *testing.T) {
	w := open(t, options{registry: registry.Options{MaxShares: 2}})
	w.repo("acme/team/app", false)
	w.repo("acme/public", true)
	_, err := w.iam.CreateAccount(t.Context(), iam.Operator(), "third")
	w.must(err)
	_, err = w.iam.CreateAccount(t.Context(), iam.Operator(), "fourth")
	w.must(err)
	const all = "/v2/manage/namespaces/acme/repositories/team$app/access-domains"
	const one = all + "/other"
	body := func(account, deadline, more string) string {
		return `{"access_domain":"` + account + `","permit":"read","deadline":"` + deadline + `"` + more + `}`
	}

	w.want("manager", "GET "+all, nil, 200, `[]`)
	w.want("manager", "GET "+one, nil, 200, `{"exist":false}`)
	w.want("manager", "GET "+all+"/no%2Fname", nil, 200, `{"exist":false}`)
	w.want("manager", "POST "+all, body("other", "2099-10-01T16:00:00.000Z", `,"description":"for tests"`), 201, `{}`)
	share := func(deadline, description string, valid bool) string {
		return fmt.Sprintf(`"namespace":"acme","repository":"team/app","access_domain":"other","permit":"read","deadline":"%s","description":"%s",
			"creator_id":"%s","creator_name":"manager","created":"*","updated":"*","status":%v`, deadline, description, w.users["manager"].User, valid)
	}
	w.want("reader", "GET "+one, nil, 200, `{"exist":true,`+share("2099-10-01T16:00:00Z", "for tests", true)+`}`)
	w.want("reader", "GET "+all, nil, 200, `[{`+share("2099-10-01T16:00:00Z", "for tests", true)+`}]`)
	w.want("manager", "PATCH "+one, `{"permit":"read","deadline":"2099-12-31"}`, 201, `{}`)
	w.want("reader", "GET "+one, nil, 200, `{"exist":true,`+share("2099-12-31T00:00:00Z", "", true)+`}`)
	w.want("manager", "PATCH "+one, `{"permit":"read","deadline":"forever","description":"again"}`, 201, `{}`)
	w.want("reader", "GET "+one, nil, 200, `{"exist":true,`+share("forever", "again", true)+`}`)

	// In the order of the checks.
	w.refused("", "POST "+all, nil, 401, "SVCSTG.S2I.4019000")
	w.refused("stranger", "POST /v2/manage/namespaces/acme/repositories/no--ne/access-domains", nil, 400, "4001029")
	w.refused("stranger", "POST /v2/manage/namespaces/none/repositories/app/access-domains", nil, 404, "4040058")
	for _, r := range []string{"POST " + all, "GET " + all, "GET " + one, "PATCH " + one, "DELETE " + one} {
		w.refused("stranger", r, `nonsense`, 403, "4039001") // being shared with gives nothing here
		w.refused("nobody", r, `nonsense`, 403, "4039002")
	}
	w.refused("writer", "POST "+all, `nonsense`, 403, "4039002")
	w.refused("writer", "PATCH "+one, `nonsense`, 403, "4039002")
	w.refused("reader", "DELETE "+one, `nonsense`, 403, "4039002")
	w.refused("manager", "POST /v2/manage/namespaces/acme/repositories/none/access-domains", `nonsense`, 404, "4040010")
	for _, tt := range []struct{ body, code string }{
		{`nonsense`, "4001018"}, {`[]`, "4001018"}, {`{"access_domain":7}`, "4001018"},
		{`{}`, "4001014"}, {`{"access_domain":"third"}`, "4001014"}, {`{"access_domain":"third","permit":"read"}`, "4001014"},
		{`{"access_domain":"third","permit":"write","deadline":"forever"}`, "4001066"}, {`{"access_domain":"third","permit":"","deadline":"forever"}`, "4001066"},
		{body("unknown", "forever", ""), "4001041"}, {body("", "forever", ""), "4001041"}, {body("a b", "forever", ""), "4001041"}, {body("admin", "forever", ""), "4000014"},
		{body("third", "2021-10-01", ""), "4000014"}, {body("third", "tomorrow", ""), "4000014"}, {body("third", "", ""), "4000014"},
	} {
		w.refused("manager", "POST "+all, tt.body, 400, tt.code)
	}
	w.refused("manager", "POST "+all, body("third", "forever", `,"description":"`+strings.Repeat("ä", 1001)+`"`), 413, "4131012")
	w.refused("manager", "POST "+all, body("other", "forever", ""), 409, "4090089")
	w.refused("manager", "POST /v2/manage/namespaces/acme/repositories/public/access-domains", body("other", "forever", ""), 400, "4000014")
	w.refused("manager", "PATCH "+all+"/third", `{"permit":"read","deadline":"forever"}`, 404, "4040091")
	w.refused("manager", "PATCH "+one, `{"permit":"read","deadline":"2021-10-01"}`, 400, "4000014")
	w.refused("manager", "PATCH "+one, `{"permit":"read"}`, 400, "4001014")
	w.refused("manager", "PATCH "+one, `{"deadline":"forever"}`, 400, "4001014")
	w.refused("manager", "DELETE "+all+"/third", nil, 404, "4040091")
	w.want("manager", "POST "+all, body("third", "forever", `,"description":"`+strings.Repeat("ä", 1000)+`"`), 201, `{}`)
	w.refused("manager", "POST "+all, body("fourth", "forever", ""), 400, "4000014") // the quota
	w.want("manager", "DELETE "+one, nil, 204, ``)
	w.refused("manager", "DELETE "+one, nil, 404, "4040091")
	w.want("manager", "GET "+one, nil, 200, `{"exist":false}`)
}

func TestShares(t *testing.T) {
	w := open(t, options{})
	w.repo("acme/team/app", false)
	const all = "/v2/manage/namespaces/acme/repos/team$app/shares"
	other := w.users["stranger"].Account
	made := func(kind, target string) string {
		t.Helper()
		rec := w.send("manager", "POST "+all, `{"target_type":"`+kind+`","target":"`+target+`","permit":"read","deadline":"2099-12-31"}`)
		var out struct{ ID int64 }
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != 201 || out.ID == 0 {
			t.Fatalf("%s %s: %d %s", kind, target, rec.Code, rec.Body)
		}
		return fmt.Sprint(out.ID)
	}
	rule := func(id, kind, target, deadline, description string) string {
		return fmt.Sprintf(`{"id":%s,"namespace":"acme","repository":"team/app","target_type":"%s","target":"%s","permit":"read","deadline":"%s","description":"%s",
			"creator_id":"%s","creator_name":"manager","created":"*","updated":"*","status":true}`, id, kind, target, deadline, description, w.users["manager"].User)
	}
	const end = "2099-12-31T00:00:00Z"
	w.want("manager", "GET "+all, nil, 200, `[]`)
	byID, byOrg, byPath := made("account_id", other), made("org_id", "o-1"), made("org_path", "/root/dev/")
	w.want("reader", "GET "+all, nil, 200, `[`+rule(byID, "account_id", other, end, "")+`,`+rule(byOrg, "org_id", "o-1", end, "")+`,`+rule(byPath, "org_path", "root/dev", end, "")+`]`)
	w.want("reader", "GET "+all+"/"+byOrg, nil, 200, rule(byOrg, "org_id", "o-1", end, ""))

	// What is left out stays.
	w.want("manager", "PATCH "+all+"/"+byOrg, `{"description":"ours"}`, 201, `{}`)
	w.want("manager", "PATCH "+all+"/"+byOrg, `{"deadline":"forever"}`, 201, `{}`)
	w.want("manager", "PATCH "+all+"/"+byOrg, `{}`, 201, `{}`)
	w.want("reader", "GET "+all+"/"+byOrg, nil, 200, rule(byOrg, "org_id", "o-1", "forever", "ours"))

	// An account is the same by whichever name and door.
	w.want("reader", "GET /v2/manage/namespaces/acme/repositories/team$app/access-domains/other", nil, 200, `{"exist":true,"namespace":"acme","repository":"team/app",
		"access_domain":"other","permit":"read","deadline":"`+end+`","description":"","creator_id":"*","creator_name":"manager","created":"*","updated":"*","status":true}`)
	w.refused("manager", "POST "+all, `{"target_type":"account","target":"other","permit":"read","deadline":"forever"}`, 409, "4090089")

	for _, tt := range []struct{ body, code string }{
		{`{}`, "4001014"}, {`{"target_type":"org_id"}`, "4001014"}, {`{"target_type":"org_id","target":"o-2"}`, "4001014"},
		{`{"target_type":"org_id","target":"o-2","permit":"write","deadline":"forever"}`, "4001066"},
		{`{"target_type":"everyone","target":"x","permit":"read","deadline":"forever"}`, "4000014"},
		{`{"target_type":"org_path","target":"a//b","permit":"read","deadline":"forever"}`, "4000014"},
		{`{"target_type":"account_id","target":"unknown","permit":"read","deadline":"forever"}`, "4001041"},
	} {
		w.refused("manager", "POST "+all, tt.body, 400, tt.code)
	}
	for _, id := range []string{"999999", "0", "-1", "x", "99999999999999999999"} {
		w.refused("manager", "GET "+all+"/"+id, nil, 404, "4040091")
		w.refused("manager", "PATCH "+all+"/"+id, `{}`, 404, "4040091")
		w.refused("manager", "DELETE "+all+"/"+id, nil, 404, "4040091")
	}
	for _, r := range []string{"POST " + all, "GET " + all, "GET " + all + "/" + byID, "PATCH " + all + "/" + byID, "DELETE " + all + "/" + byID} {
		w.refused("stranger", r, `nonsense`, 403, "4039001")
		w.refused("nobody", r, `nonsense`, 403, "4039002")
	}
	w.refused("writer", "DELETE "+all+"/"+byID, nil, 403, "4039002")
	// A rule of another repository is none of this one.
	w.repo("acme/app", false)
	w.refused("manager", "GET /v2/manage/namespaces/acme/repos/app/shares/"+byID, nil, 404, "4040091")
	w.want("manager", "DELETE "+all+"/"+byID, nil, 204, ``)
	w.refused("manager", "DELETE "+all+"/"+byID, nil, 404, "4040091")
}

func TestSharedRepositories(t *testing.T) {
	w := open(t, options{})
	w.push("acme/team/app", "layer", "v1", "v2")
	w.push("acme/lib", "other layer", "v1")
	w.push("acme/own", "third layer", "v1")
	for _, repo := range []string{"team$app", "lib"} {
		w.shareWith(repo, "other")
	}
	const list, theirs = "/v2/manage/shared-repositories", "/v2/manage/shared-repositories?center=thirdparty"
	item := func(name, tags string, images, total int, valid bool) string {
		path := host + "/acme/" + name
		return fmt.Sprintf(`{"name":"%s","category":"other","description":"","size":"*","is_public":false,"num_images":%d,"num_download":0,"created_at":"*","updated_at":"*",
			"logo":"","url":"","path":"%s","internal_path":"%s","domain_name":"admin","namespace":"acme","tags":%s,"status":%v,"total_range":%d}`, name, images, path, path, tags, valid, total)
	}
	app := func(total int, valid bool) string { return item("team/app", `["v1","v2"]`, 2, total, valid) }
	lib := func(total int, valid bool) string { return item("lib", `["v1"]`, 1, total, valid) }
	w.want("stranger", "GET "+theirs+"&order_column=name&order_type=desc", nil, 200, `[`+app(2, true)+`,`+lib(2, true)+`]`)
	w.want("stranger", "GET "+list, nil, 200, `[]`)
	w.want("reader", "GET "+list+"?order_column=name&order_type=asc", nil, 200, `[`+lib(2, false)+`,`+app(2, false)+`]`)
	w.want("reader", "GET "+theirs, nil, 200, `[]`)
	w.want("nobody", "GET "+list, nil, 200, `[]`)

	for _, tt := range []struct {
		query, want, window string
	}{
		{"&name=app", `[` + app(1, true) + `]`, ""},
		{"&name=none", `[]`, ""},
		{"&namespace=acme&name=lib", `[` + lib(1, true) + `]`, ""},
		{"&namespace=acm", `[]`, ""},
		{"&domain_name=admin&name=lib", `[` + lib(1, true) + `]`, ""},
		{"&domain_name=other", `[]`, ""},
		{"&limit=1&offset=1&order_column=name&order_type=asc", `[` + app(2, true) + `]`, "1-1/2"},
		{"&limit=5&offset=9", `[]`, "9-0/2"},
		{"&limit=1&name=lib", `[` + lib(1, true) + `]`, ""}, // alone it has no effect
		{"&filter=center::thirdparty|namespace::cm|name::li", `[` + lib(1, true) + `]`, ""},
		{"&filter=center%3A%3Athirdparty%7Climit%3A%3A1%7Coffset%3A%3A0%7Corder_column%3A%3Atag_count%7Corder_type%3A%3Adesc", `[` + app(2, true) + `]`, "0-1/2"},
		{"&filter=name::lib", `[]`, ""}, // the query does not count beside a filter
	} {
		rec := w.want("stranger", "GET "+theirs+tt.query, nil, 200, tt.want)
		if got := page(rec); got != tt.window {
			t.Errorf("%s: Content-Range %q, want %q", tt.query, got, tt.window)
		}
	}
	for query, code := range map[string]string{
		"?center=all": "4001025", "?limit=x&offset=0": "4001025", "?limit=0&offset=0": "4001025", "?limit=1&offset=-1": "4001025",
		"?order_column=size&order_type=asc": "4001025", "?order_column=name&order_type=up": "4001025", "?filter=name": "4001035",
	} {
		w.refused("stranger", "GET "+list+query, nil, 400, code)
	}
	w.refused("", "GET "+list, nil, 401, "SVCSTG.S2I.4019000")

	const v3 = "/v3/manage/shared-repositories?shared_by=thirdparty"
	row := func(name string, images int) string {
		return fmt.Sprintf(`{"id":"*","name":"%s","category":"other","description":"","size":"*","num_images":%d,"num_download":0,"is_public":false,"created_at":"*","updated_at":"*",
			"domain_name":"admin","namespace_name":"acme","status":true}`, name, images)
	}
	w.want("stranger", "GET "+v3, nil, 200, `{"repos":[`+row("lib", 1)+`,`+row("team/app", 2)+`]}`)
	w.want("stranger", "GET "+v3+"&name=none", nil, 200, `{"repos":[]}`)
	w.want("stranger", "GET "+v3+"&status=false", nil, 200, `{"repos":[]}`)
	w.want("stranger", "GET "+v3+"&status=true&namespace=acme&name=lib", nil, 200, `{"repos":[`+row("lib", 1)+`]}`)
	rec := w.want("stranger", "GET "+v3+"&limit=1", nil, 200, `{"repos":[`+row("lib", 1)+`],"nextMarker":"*"}`)
	var first struct{ NextMarker int64 }
	w.must(json.Unmarshal(rec.Body.Bytes(), &first))
	w.want("stranger", fmt.Sprintf("GET %s&limit=1&marker=%d", v3, first.NextMarker), nil, 200, `{"repos":[`+row("team/app", 2)+`]}`)
	w.want("reader", "GET /v3/manage/shared-repositories?shared_by=self&name=lib", nil, 200, `{"repos":[`+strings.Replace(row("lib", 1), `"status":true`, `"status":false`, 1)+`]}`)
	for _, query := range []string{"&limit=0", "&limit=x", "&marker=x", "&marker=-1", "&status=maybe"} {
		w.refused("stranger", "GET "+v3+query, nil, 400, "4001025")
	}
	w.refused("stranger", "GET /v3/manage/shared-repositories?shared_by=all", nil, 400, "4001025")

	// A share that is over stays in the list, without what is inside.
	w.want("admin", "PATCH /v2/manage/namespaces/acme/repositories/lib/access-domains/other",
		`{"permit":"read","deadline":"`+time.Now().UTC().Format(time.DateOnly)+`"}`, 201, `{}`)
	w.later.Store(int64(24 * time.Hour))
	w.relog()
	w.want("stranger", "GET "+theirs+"&name=lib", nil, 200, `[`+strings.Replace(item("lib", `[]`, 0, 1, false), `"size":"*"`, `"size":0`, 1)+`]`)
	w.want("stranger", "GET "+v3+"&status=false", nil, 200, `{"repos":[`+strings.NewReplacer(`"status":true`, `"status":false`, `"size":"*"`, `"size":0`).Replace(row("lib", 0))+`]}`)
	w.want("admin", "GET /v2/manage/namespaces/acme/repositories/lib/access-domains", nil, 200, `[{"namespace":"acme","repository":"lib","access_domain":"other","permit":"read",
		"deadline":"*","description":"","creator_id":"*","creator_name":"admin","created":"*","updated":"*","status":false}]`)
}

// relog fetches new tokens for everyone, after the clock went on.
func (w *world) relog() {
	w.t.Helper()
	for name, who := range w.users {
		t, err := w.iam.PasswordToken(w.t.Context(), iam.UserRef{Name: name, Account: iam.AccountRef{Name: who.AccountName}}, name+"-password", "", iam.Scope{})
		w.must(err)
		w.token[name] = t.Value
	}
}
