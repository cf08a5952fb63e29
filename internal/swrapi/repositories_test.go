package swrapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

const repos = "/v2/manage/namespaces/acme/repos"

func TestRepositories(t *testing.T) {
	w := open(t, options{})
	w.want("writer", "POST "+repos, `{"repository":"team/app","is_public":true,"category":"linux","description":"<b>"}`, 201, `{}`)
	w.want("writer", "POST "+repos+"?repository=old&is_public=false&category=arms&description=d", nil, 201, `{}`)
	w.refused("writer", "POST "+repos, `{"repository":"team/app","is_public":true}`, 409, "4090006")
	w.refused("writer", "POST "+repos, `{"repository":"team--app","is_public":true}`, 400, "4001029")
	w.refused("writer", "POST "+repos, `{"repository":"team$app","is_public":true}`, 400, "4001029")
	w.refused("writer", "POST "+repos, `{"repository":"Team","is_public":true}`, 400, "4001029")
	w.refused("writer", "POST "+repos, `{"repository":"","is_public":true}`, 400, "4001029")
	w.refused("writer", "POST "+repos, `{"is_public":true}`, 400, "4001014")
	w.refused("writer", "POST "+repos, `{"repository":"x"}`, 400, "4001014")
	w.refused("writer", "POST "+repos+"?repository=x", nil, 400, "4001014")
	w.refused("writer", "POST "+repos+"?repository=x&is_public=1", nil, 400, "4001009")
	w.refused("writer", "POST "+repos, `{"repository":"x","is_public":"true"}`, 400, "4001009")
	w.refused("writer", "POST "+repos, `{"repository":7,"is_public":true}`, 400, "4001018")
	w.refused("writer", "POST "+repos, nil, 400, "4001018")
	w.refused("writer", "POST "+repos, `{"repository":"x","is_public":true,"category":"games"}`, 400, "4000014")
	w.refused("writer", "POST "+repos, `{"repository":"x","is_public":true,"description":"`+strings.Repeat("ä", 30001)+`"}`, 413, "4131012")
	w.refused("writer", "POST "+repos, `{"repository":"x","is_public":true,"description":"a\u0000b"}`, 400, "4000014")
	w.refused("reader", "POST "+repos, `nonsense`, 403, "4039002")
	w.refused("stranger", "POST "+repos, `nonsense`, 403, "4039001")
	w.refused("admin", "POST /v2/manage/namespaces/none/repos", `nonsense`, 404, "4040058")

	for _, path := range []string{repos + "/team$app", repos + "/team%24app", repos + "/team%2Fapp"} {
		w.want("reader", "GET "+path, nil, 200, `{"id":"*","ns_id":"*","name":"team/app","category":"linux","description":"<b>",
			"creator_id":"`+w.users["writer"].User+`","creator_name":"writer","size":0,"is_public":true,"effective_public":true,"num_images":0,"num_download":0,"url":"",
			"path":"registry.example:5000/acme/team/app","internal_path":"registry.example:5000/acme/team/app","created":"*","updated":"*",
			"domain_id":"`+w.users["writer"].Account+`","priority":0}`)
	}
	if rec := w.send("reader", "GET "+repos+"/old", nil); !strings.Contains(rec.Body.String(), `"category":"arm"`) {
		t.Errorf("arms is not stored as arm: %s", rec.Body)
	}
	w.refused("nobody", "GET "+repos+"/team$app", nil, 403, "4039002") // public is for pulls
	w.refused("stranger", "GET "+repos+"/team$app", nil, 403, "4039001")
	w.refused("stranger", "GET "+repos+"/none", nil, 403, "4039001")
	w.refused("reader", "GET "+repos+"/none", nil, 404, "4040010")

	w.want("writer", "PATCH "+repos+"/team$app", `{"is_public":false,"category":""}`, 201, `{}`)
	w.want("writer", "PATCH "+repos+"/team$app", `{"description":"new"}`, 201, `{}`)
	w.refused("writer", "PATCH "+repos+"/team$app", `{"is_public":0}`, 400, "4001009")
	w.refused("writer", "PATCH "+repos+"/team$app", `{"category":"games"}`, 400, "4000014")
	w.refused("reader", "PATCH "+repos+"/team$app", `{}`, 403, "4039002")
	w.refused("writer", "PATCH "+repos+"/none", `nonsense`, 404, "4040010")
	rec := w.send("reader", "GET "+repos+"/team$app", nil)
	for _, part := range []string{`"category":"linux"`, `"description":"new"`, `"is_public":false`} {
		if !strings.Contains(rec.Body.String(), part) {
			t.Errorf("after the changes there is no %s: %s", part, rec.Body)
		}
	}

	w.push("acme/team/app", "layer", "v1")
	w.refused("manager", "DELETE "+repos+"/team$app", nil, 406, "4060012")
	w.refused("writer", "DELETE "+repos+"/old", nil, 403, "4039002")
	w.want("manager", "DELETE "+repos+"/old", nil, 204, ``)
	w.refused("manager", "DELETE "+repos+"/old", nil, 404, "4040010")

	w.refused("writer", "DELETE "+repos+"/team$app?force=true", nil, 403, "4039002")
	w.refused("manager", "DELETE "+repos+"/team$app?force=perhaps", nil, 400, "4001025")
	w.refused("manager", "DELETE "+repos+"/team$app?force=false", nil, 406, "4060012")
	w.want("manager", "DELETE "+repos+"/team$app?force=true", nil, 204, ``)
	w.refused("manager", "GET "+repos+"/team$app", nil, 404, "4040010")
}

func TestRepositoryAndTagQuotas(t *testing.T) {
	w := open(t, options{registry: registry.Options{ReposPerOwner: 1, TagsPerRepo: 1}})
	w.want("writer", "POST "+repos, `{"repository":"app","is_public":false}`, 201, `{}`)
	w.refused("writer", "POST "+repos, `{"repository":"app2","is_public":false}`, 400, "4000098")
	w.push("acme/app", "layer", "v1")
	w.refused("writer", "POST "+repos+"/app/tags", `{"source_tag":"v1","destination_tag":"v2"}`, 400, "4000099")
}

// items decodes the names of a list, and checks that every total is right.
func (w *world) items(as, query string, total int) []string {
	w.t.Helper()
	rec := w.send(as, "GET /v2/manage/repos"+query, nil)
	var list []struct {
		Namespace, Name string
		TotalRange      int `json:"total_range"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &list); err != nil || rec.Code != 200 {
		w.t.Errorf("%s: %d %s", query, rec.Code, rec.Body)
	}
	names := []string{}
	for _, r := range list {
		names = append(names, r.Namespace+"/"+r.Name)
		if r.TotalRange != total {
			w.t.Errorf("%s: total_range is %d, want %d", query, r.TotalRange, total)
		}
	}
	return names
}

func TestListRepositories(t *testing.T) {
	w := open(t, options{})
	w.want("admin", "GET /v2/manage/repos", nil, 200, `[]`)
	w.want("admin", "POST /v2/manage/namespaces", `{"namespace":"acme-two"}`, 201, `{}`)
	w.push("acme/app", "layer", "v1", "latest")
	w.push("acme-two/app/web", "layer", "v1")
	w.want("writer", "POST "+repos, `{"repository":"base","is_public":true,"category":"linux"}`, 201, `{}`)

	w.want("reader", "GET /v2/manage/repos?limit=10&offset=0&namespace=acme&order_column=name&order_type=asc", nil, 200, `[
		{"name":"app","category":"other","description":"","size":7,"is_public":false,"num_images":2,"num_download":0,"created_at":"*","updated_at":"*",
			"logo":"","url":"","path":"registry.example:5000/acme/app","internal_path":"registry.example:5000/acme/app","domain_name":"admin",
			"namespace":"acme","tags":["latest","v1"],"status":false,"total_range":2},
		{"name":"base","category":"linux","description":"","size":0,"is_public":true,"effective_public":true,"num_images":0,"num_download":0,"created_at":"*","updated_at":"*",
			"logo":"","url":"","path":"registry.example:5000/acme/base","internal_path":"registry.example:5000/acme/base","domain_name":"admin",
			"namespace":"acme","tags":[],"status":false,"total_range":2}]`)

	for query, want := range map[string]string{
		"":                                            "acme/base acme-two/app/web acme/app",
		"?namespace=acme":                             "acme/base acme/app",
		"?namespace=acm":                              "",
		"?filter=namespace%3A%3Aacm":                  "acme/base acme-two/app/web acme/app",
		"?filter=namespace::acme":                     "acme/base acme/app",
		"?filter=namespace::two%7Cname::p":            "acme-two/app/web",
		"?name=app":                                   "acme-two/app/web acme/app",
		"?filter=name::app|limit::1|offset::1":        "acme/app",
		"?name=app&limit=1":                           "acme-two/app/web acme/app", // alone without effect
		"?name=app&offset=1":                          "acme-two/app/web acme/app",
		"?category=linux":                             "acme/base",
		"?is_public=true":                             "acme/base",
		"?is_public=false&center=self":                "acme-two/app/web acme/app",
		"?filter=&name=base":                          "acme/base",
		"?name=base&filter=name::app":                 "acme-two/app/web acme/app",
		"?order_column=tag_count&order_type=desc":     "acme/app acme-two/app/web acme/base",
		"?order_column=namespace&order_type=asc":      "acme/app acme/base acme-two/app/web",
		"?order_column=updated_time&order_type=asc":   "acme/app acme-two/app/web acme/base",
		"?order_column=is_public&order_type=desc":     "acme/base acme-two/app/web acme/app",
		"?filter=order_column::name|order_type::desc": "acme/base acme-two/app/web acme/app",
		"?order_column=domain_name&order_type=asc":    "acme/app acme-two/app/web acme/base",
		"?order_column=name":                          "acme/base acme-two/app/web acme/app",
		"?filter=unknown::x":                          "acme/base acme-two/app/web acme/app",
		"?limit=5000&offset=0":                        "acme/base acme-two/app/web acme/app",
		"?limit=10&offset=3":                          "",
		"?namespace=none":                             "",
		"?name=" + strings.Repeat("x", 300):           "",
	} {
		total := len(strings.Fields(want))
		if strings.Contains(query, "limit::1") {
			total = 2
		}
		if got := strings.Join(w.items("admin", query, total), " "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if got := page(w.send("admin", "GET /v2/manage/repos?limit=2&offset=1", nil)); got != "1-2/3" {
		t.Errorf("Content-Range is %q", got)
	}
	if got := page(w.send("admin", "GET /v2/manage/repos?limit=2", nil)); got != "" {
		t.Errorf("without a page Content-Range is %q", got)
	}
	for query, code := range map[string]string{
		"?limit=0&offset=0": "4001025", "?limit=x&offset=0": "4001025", "?limit=10&offset=-1": "4001025", "?limit=99999999999&offset=0": "4001025",
		"?order_column=digest&order_type=asc": "4001025", "?order_column=tag&order_type=asc": "4001025", "?order_column=name&order_type=up": "4001025",
		"?is_public=yes": "4001025", "?filter=namespace": "4001035", "?filter=%3A%3Ax": "4001035",
	} {
		w.refused("admin", "GET /v2/manage/repos"+query, nil, 400, code)
	}

	// A right on a single repository shows just that.
	w.must(w.reg.GrantRepo(t.Context(), w.users["admin"], "acme/base", "nobody", iam.Read))
	if got := w.items("nobody", "", 1); len(got) != 1 || got[0] != "acme/base" {
		t.Errorf("nobody sees %v", got)
	}
	if got := w.items("stranger", "", 0); len(got) != 0 {
		t.Errorf("a stranger sees %v", got)
	}
	if got := w.items("stranger", "?namespace=acme", 0); len(got) != 0 {
		t.Errorf("a stranger sees %v", got)
	}
}

func TestListRepositoriesV3(t *testing.T) {
	w := open(t, options{})
	w.want("admin", "GET /v3/manage/repos", nil, 200, `{"repos":[]}`)
	for i := range 5 {
		w.want("writer", "POST "+repos, fmt.Sprintf(`{"repository":"r%d","is_public":%t}`, i, i > 2), 201, `{}`)
	}
	got, marker := []string{}, ""
	for pages := 0; ; pages++ {
		var out struct {
			Repos      []struct{ Name string }
			NextMarker json.Number
		}
		rec := w.send("reader", "GET /v3/manage/repos?limit=2&namespace=acme"+marker, nil)
		w.must(json.Unmarshal(rec.Body.Bytes(), &out))
		for _, r := range out.Repos {
			got = append(got, r.Name)
		}
		if out.NextMarker == "" {
			break
		}
		marker = "&marker=" + string(out.NextMarker)
	}
	if s := strings.Join(got, " "); s != "r4 r3 r2 r1 r0" {
		t.Errorf("the pages hold %s", s)
	}
	w.want("reader", "GET /v3/manage/repos?name=r1", nil, 200, `{"repos":[{"id":"*","name":"r1","category":"other","description":"","size":0,"num_images":0,
		"num_download":0,"is_public":false,"created_at":"*","updated_at":"*","domain_name":"admin","namespace_name":"acme","status":false}]}`)
	w.want("reader", "GET /v3/manage/repos?is_public=true&name=4&category=other", nil, 200, `{"repos":["*"]}`)
	w.refused("reader", "GET /v3/manage/repos?limit=0", nil, 400, "4001025")
	w.refused("reader", "GET /v3/manage/repos?marker=x", nil, 400, "4001025")
}

func TestListOrganizations(t *testing.T) {
	w := open(t, options{})
	w.want("admin", "POST /v2/manage/namespaces", `{"namespace":"beta"}`, 201, `{}`)
	w.push("beta/app", "layer", "v1")
	w.push("beta/other", "layer", "v1")
	w.must(w.reg.GrantRepo(t.Context(), w.users["admin"], "beta/app", "reader", iam.Read))
	const all = "/v2/manage/namespaces"
	row := func(name string, auth, repos, users int) string {
		return fmt.Sprintf(`{"id":"*","name":"%s","creator_name":"admin","auth":%d,"repo_count":%d,"access_user_count":%d,"description":"","is_public":false}`, name, auth, repos, users)
	}
	w.want("admin", "GET "+all, nil, 200, `{"namespaces":[`+row("acme", 7, 0, 4)+`,`+row("beta", 7, 2, 1)+`]}`)
	w.want("reader", "GET "+all, nil, 200, `{"namespaces":[`+row("acme", 1, 0, 4)+`]}`)
	w.want("reader", "GET "+all+"?filter=mode::visible", nil, 200, `{"namespaces":[`+row("acme", 1, 0, 4)+`,`+row("beta", 0, 1, 0)+`]}`)
	w.want("reader", "GET "+all+"?filter=mode%3A%3Avisible%7Cnamespace%3A%3Abeta", nil, 200, `{"namespaces":[`+row("beta", 0, 1, 0)+`]}`)
	w.want("admin", "GET "+all+"?namespace=beta", nil, 200, `{"namespaces":[`+row("beta", 7, 2, 1)+`]}`)
	w.want("admin", "GET "+all+"?namespace=bet", nil, 200, `{"namespaces":[]}`)
	w.want("nobody", "GET "+all, nil, 200, `{"namespaces":[]}`)
	w.want("stranger", "GET "+all+"?filter=mode::visible", nil, 200, `{"namespaces":[]}`)
	w.refused("admin", "GET "+all+"?filter=visible", nil, 400, "4001035")
}
