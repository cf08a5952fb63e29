package swrapi_test

import (
	"net/http"
	"strings"
	"testing"

	"berth.dev/berth/internal/registry"
)

func TestOrganizations(t *testing.T) {
	w := open(t, options{})
	const all, acme = "/v2/manage/namespaces", "/v2/manage/namespaces/acme"

	w.want("admin", "POST "+all, `{"namespace":"group"}`, 201, `{}`)
	w.refused("admin", "POST "+all, `{"namespace":"group"}`, 409, "4090060")
	w.refused("stranger", "POST "+all, `{"namespace":"group"}`, 409, "4090060") // of anybody
	w.refused("admin", "POST "+all, `{"namespace":"Group"}`, 400, "4001028")
	w.refused("admin", "POST "+all, `{"namespace":"library"}`, 400, "4001028")
	w.refused("admin", "POST "+all, `{"namespace":"a..b"}`, 400, "4001028")
	w.refused("admin", "POST "+all, `{"namespace":""}`, 400, "4001028")
	w.refused("admin", "POST "+all, `{}`, 400, "4001014")
	w.refused("admin", "POST "+all, `{"namespace":7}`, 400, "4001018")
	w.refused("admin", "POST "+all, `[]`, 400, "4001018")
	w.refused("admin", "POST "+all, `{"namespace":"x"`, 400, "4001018")
	w.refused("admin", "POST "+all, nil, 400, "4001018")
	w.refused("admin", "POST "+all, `{"namespace":"x"} {}`, 400, "4001018")
	w.refused("admin", "POST "+all, `{"namespace":"`+strings.Repeat("x", 1<<20)+`"}`, 413, "4131001")
	w.refused("nobody", "POST "+all, `{"namespace":"mine"}`, 403, "4039002")

	w.want("admin", "GET "+acme, nil, 200, `{"id":"*","name":"acme","creator_name":"admin","auth":7,"description":"","is_public":false}`)
	w.want("reader", "GET "+acme, nil, 200, `{"id":"*","name":"acme","creator_name":"admin","auth":1,"description":"","is_public":false}`)
	w.want("writer", "GET "+acme, nil, 200, `{"id":"*","name":"acme","creator_name":"admin","auth":3,"description":"","is_public":false}`)
	w.refused("nobody", "GET "+acme, nil, 403, "4039002")
	w.refused("stranger", "GET "+acme, nil, 403, "4039001")
	w.refused("admin", "GET "+acme+"2", nil, 404, "4040058")
	w.refused("stranger", "GET "+acme+"2", nil, 404, "4040058")
	w.refused("admin", "GET "+all+"/Acme", nil, 400, "4001028")

	// A chart group has the name, and is no organization: lists have none, and it is neither shown nor changed as one.
	if rec := w.send("admin", "POST /v2/manage/chart-groups", `{"name":"charted"}`); rec.Code != 201 {
		t.Fatal(rec.Body)
	}
	w.want("admin", "GET "+all+"?namespace=charted", nil, 200, `{"namespaces":[]}`)
	w.refused("admin", "POST "+all, `{"namespace":"charted"}`, 409, "4090060")
	w.refused("admin", "GET "+all+"/charted", nil, 404, "4040058")
	w.refused("nobody", "GET "+all+"/charted", nil, 403, "4039002")
	w.refused("admin", "PATCH "+all+"/charted", `{"description":"x"}`, 404, "4040058")
	w.refused("admin", "DELETE "+all+"/charted", nil, 404, "4040058")

	w.refused("", "GET "+acme, nil, 401, "SVCSTG.S2I.4019000")
	w.token["forged"] = w.token["admin"][:20] + "x" + w.token["admin"][21:]
	w.refused("forged", "GET "+acme, nil, 401, "4010000")
	w.refused("admin", "PUT "+acme, nil, 405, "4031033")
	w.refused("admin", "GET "+acme+"/", nil, 404, "4040083")

	w.refused("writer", "DELETE "+acme, nil, 403, "4039002")
	w.push("acme/app", "layer", "v1")
	w.refused("manager", "DELETE "+acme, nil, 406, "4060053")
	w.want("admin", "DELETE "+all+"/group", nil, 204, ``)
	w.refused("admin", "DELETE "+all+"/group", nil, 404, "4040058")
}

// Description and visibility are extra members, which clients of the cloud
// service do not send.
func TestOrganizationVisibility(t *testing.T) {
	w := open(t, options{})
	const all, acme, open = "/v2/manage/namespaces", "/v2/manage/namespaces/acme", "/v2/manage/namespaces/open"
	w.want("admin", "POST "+all, `{"namespace":"open","description":"for all","is_public":true}`, 201, `{}`)
	w.want("admin", "GET "+open, nil, 200, `{"id":"*","name":"open","creator_name":"admin","auth":7,"description":"for all","is_public":true}`)
	w.refused("admin", "POST "+all, `{"namespace":"x","is_public":"yes"}`, 400, "4001009")
	w.refused("admin", "POST "+all, `{"namespace":"x","description":"`+strings.Repeat("x", 256)+`"}`, 413, "4131012")

	w.push("acme/app", "layer", "v1")
	w.want("manager", "PATCH "+acme, `{"is_public":true}`, 200, `{"id":"*","name":"acme","creator_name":"admin","auth":7,"description":"","is_public":true,"public_repo_count":0}`)
	if rec := w.send("manager", "GET "+acme+"/repos/app", nil); !strings.Contains(rec.Body.String(), `"is_public":false,"effective_public":true`) {
		t.Errorf("the repository of a public organization: %s", rec.Body)
	}
	w.want("manager", "PATCH "+acme, `{"description":"ours"}`, 200, `{"id":"*","name":"acme","creator_name":"admin","auth":7,"description":"ours","is_public":true,"public_repo_count":0}`)
	w.want("stranger", "GET /v2/manage/repos", nil, 200, `[]`) // lists are of the own account
	w.refused("stranger", "GET "+acme, nil, 403, "4039001")
	w.want("manager", "PATCH "+acme, `{"is_public":false}`, 200, `{"id":"*","name":"acme","creator_name":"admin","auth":7,"description":"ours","is_public":false,"public_repo_count":0}`)
	w.refused("manager", "PATCH "+acme, `{}`, 400, "4001014")
	w.refused("manager", "PATCH "+acme, `{"is_public":1}`, 400, "4001009")
	w.refused("writer", "PATCH "+acme, `{"is_public":true}`, 403, "4039002")
}

// The quota is of the account.
func TestOrganizationQuota(t *testing.T) {
	w := open(t, options{registry: registry.Options{OrgsPerOwner: 2}})
	w.want("admin", "POST /v2/manage/namespaces", `{"namespace":"second"}`, 201, `{}`)
	w.refused("admin", "POST /v2/manage/namespaces", `{"namespace":"third"}`, 400, "4000097")
	w.want("stranger", "POST /v2/manage/namespaces", `{"namespace":"third"}`, 201, `{}`)
}

func TestOrganizationGrants(t *testing.T) {
	w := open(t, options{})
	const access = "/v2/manage/namespaces/acme/access"
	id := func(name string) string { return w.users[name].User }
	grant := func(name, auth string) string {
		return `{"user_id":"` + id(name) + `","user_name":"` + name + `","auth":` + auth + `}`
	}

	w.want("manager", "POST "+access, `[`+grant("nobody", "1")+`]`, 201, `{}`)
	w.refused("manager", "POST "+access, `[`+grant("nobody", "3")+`]`, 409, "4090076")
	w.refused("manager", "POST "+access, `[`+grant("nobody", "2")+`]`, 400, "4001065")
	w.refused("manager", "POST "+access, `[`+grant("stranger", "1")+`]`, 400, "4001067")
	w.refused("manager", "POST "+access, `[{"user_id":"`+id("nobody")+`","user_name":"other","auth":1}]`, 400, "4001067")
	w.refused("manager", "POST "+access, `[{"user_id":"`+id("nobody")+`"}]`, 400, "4001014")
	w.refused("manager", "POST "+access, `[]`, 400, "4001014")
	w.refused("manager", "POST "+access, `{}`, 400, "4001018")
	w.refused("writer", "POST "+access, `nonsense`, 403, "4039002") // the right comes before the body
	w.refused("stranger", "POST "+access, `nonsense`, 403, "4039001")
	w.refused("manager", "POST /v2/manage/namespaces/none/access", `nonsense`, 404, "4040058")

	w.want("reader", "GET "+access, nil, 200, `{"id":"*","name":"acme","creator_name":"admin",
		"self_auth":{"user_id":"`+id("reader")+`","user_name":"reader","auth":1},"others_auths":"*"}`)
	w.want("manager", "PATCH "+access, `[`+grant("nobody", "7")+`]`, 201, `{}`)
	w.want("nobody", "GET /v2/manage/namespaces/acme", nil, 200, `{"id":"*","name":"acme","creator_name":"admin","auth":7,"description":"","is_public":false}`)

	// All or nothing.
	w.want("manager", "DELETE "+access, `["`+id("nobody")+`","`+id("stranger")+`","no such id"]`, 204, ``)
	w.refused("manager", "PATCH "+access, `[`+grant("reader", "3")+`,`+grant("nobody", "3")+`]`, 404, "4040078")
	w.want("reader", "GET /v2/manage/namespaces/acme", nil, 200, `{"id":"*","name":"acme","creator_name":"admin","auth":1,"description":"","is_public":false}`)
	w.refused("nobody", "GET "+access, nil, 403, "4039002")
}

// Others are listed in the order in which they were granted, without the
// caller: clients keep a list and compare it.
func TestGrantsKeepTheirOrder(t *testing.T) {
	w := open(t, options{})
	w.push("acme/app", "layer", "v1")
	for _, access := range []string{"/v2/manage/namespaces/acme/access", "/v2/manage/namespaces/acme/repos/app/access"} {
		ids := []string{w.users["writer"].User, w.users["nobody"].User, w.users["reader"].User}
		w.send("admin", "DELETE "+access, append(ids, w.users["manager"].User))
		var body []map[string]any
		for _, id := range ids {
			body = append(body, map[string]any{"user_id": id, "auth": 1})
		}
		w.want("admin", "POST "+access, body, 201, `{}`)
		rec := w.send("admin", "GET "+access, nil)
		got := rec.Body.String()
		at := -1
		for _, id := range ids {
			i := strings.Index(got, id)
			if i <= at {
				t.Errorf("%s: the order is lost: %s", access, got)
			}
			at = i
		}
		if strings.Count(got, w.users["admin"].User) != 1 {
			t.Errorf("%s: others contain the caller: %s", access, got)
		}
	}
}

func TestRepositoryGrants(t *testing.T) {
	w := open(t, options{})
	w.push("acme/team/app", "layer", "v1")
	const access = "/v2/manage/namespaces/acme/repos/team$app/access"
	grant := func(name, auth string) string {
		return `[{"user_id":"` + w.users[name].User + `","user_name":"` + name + `","auth":` + auth + `}]`
	}
	w.want("writer", "POST "+access, grant("nobody", "7"), 201, `{}`)
	w.refused("writer", "POST "+access, grant("nobody", "7"), 409, "4090089")
	w.refused("writer", "POST "+access, grant("writer", "7"), 403, "4039002")
	w.refused("writer", "POST "+access, grant("reader", "9"), 400, "4001066")
	w.refused("reader", "POST "+access, grant("reader", "1"), 403, "4039002")
	w.want("nobody", "GET "+access, nil, 200, `{"id":"*","name":"team/app",
		"self_auth":{"user_id":"`+w.users["nobody"].User+`","user_name":"nobody","auth":7},"others_auths":[]}`)
	w.want("reader", "GET "+access, nil, 200, `{"id":"*","name":"team/app",
		"self_auth":{"user_id":"`+w.users["reader"].User+`","user_name":"reader","auth":1},
		"others_auths":[{"user_id":"`+w.users["nobody"].User+`","user_name":"nobody","auth":7}]}`)
	w.want("nobody", "POST "+access, grant("reader", "3"), 201, `{}`)
	w.want("nobody", "PATCH "+access, grant("reader", "1"), 201, `{}`)
	w.refused("nobody", "PATCH "+access, grant("writer", "1"), 404, "4040091")
	w.want("writer", "DELETE "+access, `["`+w.users["nobody"].User+`"]`, 204, ``)
	w.refused("nobody", "GET "+access, nil, 403, "4039002")
	w.refused("admin", "GET /v2/manage/namespaces/acme/repos/none/access", nil, 404, "4040010")
	w.refused("nobody", "GET /v2/manage/namespaces/acme/repos/none/access", nil, 403, "4039002")
	w.refused("admin", "GET /v2/manage/namespaces/acme/repos/no--ne/access", nil, 400, "4001029")
	if rec := w.send("stranger", "GET "+access, nil); rec.Code != http.StatusForbidden {
		t.Errorf("a stranger gets %d", rec.Code)
	}
}
