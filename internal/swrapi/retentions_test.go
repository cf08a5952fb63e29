package swrapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/retention"
)

// retain makes a policy and returns its id.
func (w *world) retain(path, policy string) string {
	w.t.Helper()
	rec := w.want("manager", "POST "+path+"/retentions", policy, 201, `{"id":"*"}`)
	return idIn(w.t, rec.Body.String())
}

func TestRetentions(t *testing.T) {
	w := open(t, options{})
	w.push("acme/app", "layer", "v1")
	const all = app + "/retentions"
	const rules = `[{"template":"date_rule","params":{"days":"30"},"tag_selectors":[{"kind":"label","pattern":"v5"},
		{"kind":"label","pattern":"1.0.1"},{"kind":"regexp","pattern":"^123$"}]}]`
	w.want("reader", "GET "+all, nil, 200, `[]`)
	id := w.retain(app, `{"algorithm":"or","rules":`+rules+`}`)
	shown := `{"algorithm":"or","id":` + id + `,"rules":` + rules + `,"scope":""}`
	w.want("reader", "GET "+all, nil, 200, `[`+shown+`]`)
	w.want("reader", "GET "+all+"/"+id, nil, 200, shown)
	w.refused("manager", "POST "+all, `{"algorithm":"or","rules":`+rules+`}`, 400, "4000014")

	// Several rules in one policy, numbers for text, nothing for no selectors.
	w.want("manager", "PATCH "+all+"/"+id, `{"algorithm":"or","id":"x","scope":7,"rules":[{"template":"tag_rule","params":{"num":5,"days":"0"},"tag_selectors":[]},
		{"template":"date_rule","params":{"days":365}},{"template":"tag_rule","params":{"num":"1000"},"tag_selectors":null}]}`, 201, `{}`)
	w.want("reader", "GET "+all+"/"+id, nil, 200, `{"algorithm":"or","id":`+id+`,"rules":[{"template":"tag_rule","params":{"num":"5"},"tag_selectors":[]},
		{"template":"date_rule","params":{"days":"365"},"tag_selectors":[]},{"template":"tag_rule","params":{"num":"1000"},"tag_selectors":[]}],"scope":""}`)

	for _, unknown := range []string{"/4711", "/x", "/99999999999999999999", "/-1"} {
		w.refused("reader", "GET "+all+unknown, nil, 404, "4040113")
		w.refused("manager", "PATCH "+all+unknown, `{"algorithm":"or","rules":`+rules+`}`, 404, "4040113")
		w.refused("manager", "DELETE "+all+unknown, nil, 404, "4040113")
	}
	w.want("manager", "DELETE "+all+"/"+id, nil, 200, `{}`)
	w.refused("manager", "DELETE "+all+"/"+id, nil, 404, "4040113")
	w.want("reader", "GET "+all, nil, 200, `[]`)
}

func TestBadRetentions(t *testing.T) {
	w := open(t, options{registry: registry.Options{Retention: retention.Limits{Days: 30, Num: 20}}})
	w.push("acme/app", "layer", "v1")
	w.push("acme/other", "layer", "v1")
	const other = "/v2/manage/namespaces/acme/repos/other"
	rule := func(template, params, selectors string) string {
		return `{"algorithm":"or","rules":[{"template":"` + template + `","params":` + params + `,"tag_selectors":[` + selectors + `]}]}`
	}
	id := w.retain(other, rule("tag_rule", `{"num":"20"}`, ""))
	selector := func(s string) string { return rule("tag_rule", `{"num":"5"}`, s) }
	for _, c := range []struct{ body, code, member string }{
		{`{"rules":[]}`, "4001014", "algorithm"},
		{`{"algorithm":"and","rules":[]}`, "4000014", "algorithm"},
		{`{"algorithm":"or"}`, "4001014", "rules"},
		{`{"algorithm":"or","rules":[]}`, "4001014", "rules"},
		{`{"algorithm":"or","rules":[{}]}`, "4001014", "template"},
		{`{"algorithm":"or","rules":{}}`, "4001018", "rules"},
		{rule("size_rule", `{"num":"5"}`, ""), "4000014", "template"},
		{rule("date_rule", `{"num":"5"}`, ""), "4001014", "params.days"},
		{rule("date_rule", `{"days":""}`, ""), "4001014", "params.days"},
		{rule("date_rule", `null`, ""), "4001014", "params.days"},
		{rule("date_rule", `[]`, ""), "4001018", "params"},
		{rule("date_rule", `{"days":"0"}`, ""), "4000014", "params.days"},
		{rule("date_rule", `{"days":31}`, ""), "4000014", "from 1 to 30"},
		{rule("date_rule", `{"days":"99999999999999999999"}`, ""), "4000014", "from 1 to 30"},
		{rule("date_rule", `{"days":-1}`, ""), "4000014", "params.days"},
		{rule("date_rule", `{"days":3e1}`, ""), "4000014", "params.days"},
		{rule("date_rule", `{"days":30.0}`, ""), "4000014", "params.days"},
		{rule("date_rule", `{"days":" 3"}`, ""), "4000014", "params.days"},
		{rule("date_rule", `{"days":true}`, ""), "4000014", "params.days"},
		{rule("tag_rule", `{"num":"21"}`, ""), "4000014", "from 1 to 20"},
		{rule("tag_rule", `{"num":"five"}`, ""), "4000014", "params.num"},
		{selector(`{"kind":"label","pattern":""}`), "4000014", "tag_selectors[0].pattern"},
		{selector(`{"kind":"regexp"}`), "4000014", "tag_selectors[0].pattern"},
		{selector(`{"kind":"label","pattern":"v1"},{"kind":"glob","pattern":"v*"}`), "4000014", "tag_selectors[1].kind"},
		{selector(`{"kind":"regexp","pattern":"("}`), "4000014", "tag_selectors[0].pattern"},
		{selector(`{"kind":"regexp","pattern":5}`), "4001018", "pattern"},
		{`not json`, "4001018", ""},
	} {
		for _, request := range []string{"POST " + app + "/retentions", "PATCH " + other + "/retentions/" + id} {
			w.refused("manager", request, c.body, 400, c.code)
			if text := w.send("manager", request, c.body).Body.String(); !strings.Contains(text, c.member) {
				t.Errorf("%s of %s: %s does not name %s", request, c.body, text, c.member)
			}
		}
	}
	w.want("reader", "GET "+app+"/retentions", nil, 200, `[]`)
}

func TestRetentionHistories(t *testing.T) {
	w := open(t, options{})
	w.push("acme/team/app", "layer", "v1")
	const histories = "/v2/manage/namespaces/acme/repos/team$app/retentions/histories"
	w.want("reader", "GET "+histories, nil, 200, `{"retention_log":[],"total":0}`)
	for i := range 120 {
		_, err := db.Update(t.Context(), w.db, func(tx *db.Tx) (int64, error) {
			return tx.Exec(`INSERT INTO retention_log (repository, policy, rule, tag, digest, created)
				SELECT id, 91, '{"template":"tag_rule","n":7,"except":[{"kind":"regexp","pattern":"^<a>&"}]}', $1, 'sha256:x', 1587110469658309 FROM repository`, fmt.Sprint("v", i))
		})
		w.must(err)
	}
	entry := func(tag string) string {
		return `{"created_at":"2020-04-17T08:01:09.658309Z","id":"*","namespace":"acme","repo":"team/app","retention_id":91,
			"rule_type":"{\"template\":\"tag_rule\",\"params\":{\"num\":\"7\"},\"tag_selectors\":[{\"kind\":\"regexp\",\"pattern\":\"^<a>&\"}]}","tag":"` + tag + `"}`
	}
	two := `{"retention_log":[` + entry("v119") + `,` + entry("v118") + `],"total":120}`
	for request, want := range map[string]string{"?limit=2&offset=0": "0-2/120", "?filter=limit::2|offset::0": "0-2/120", "?filter=limit%3A%3A2%7Coffset%3A%3A0&limit=7&offset=9": "0-2/120"} {
		if got := page(w.want("reader", "GET "+histories+request, nil, 200, two)); got != want {
			t.Errorf("%s: Content-Range %q, want %q", request, got, want)
		}
	}
	if got := page(w.want("reader", "GET "+histories+"?limit=10&offset=120", nil, 200, `{"retention_log":[],"total":120}`)); got != "120-0/120" {
		t.Errorf("behind the end: Content-Range %q", got)
	}
	rec := w.send("reader", "GET "+histories+"?limit=2", nil) // alone it has no effect
	var all struct {
		Log []struct{ ID int32 } `json:"retention_log"`
	}
	w.must(json.Unmarshal(rec.Body.Bytes(), &all))
	if len(all.Log) != 100 || page(rec) != "" {
		t.Errorf("%d entries without a page, Content-Range %q", len(all.Log), page(rec))
	}
	w.refused("reader", "GET "+histories+"?limit=0&offset=0", nil, 400, "4001025")
	w.refused("reader", "GET "+histories+"?limit=x&offset=0", nil, 400, "4001025")
	w.refused("reader", "GET "+histories+"?filter=limit", nil, 400, "4001035")
}

// What a policy would do, how it acts, and what waits to be confirmed.
func TestSimulateRetention(t *testing.T) {
	w := open(t, options{})
	for _, tag := range []string{"v1", "v2", "release-1", "v3"} {
		w.push("acme/app", "layer", tag)
	}
	const at = app + "/retentions"
	const rules = `[{"template":"tag_rule","params":{"num":"1"},"tag_selectors":[{"kind":"regexp","pattern":"^release-"}]}]`
	one := func(tag, action, rank, exception string) string {
		return `{"tag":"` + tag + `","digest":"*","action":"` + action + `","rule":0,"template":"tag_rule","rank":` + rank + `,"last_push":"*","age_seconds":"*",
			"exception":` + exception + `,"siblings":"*","siblings_total":3}`
	}
	said := func(id string) string {
		return `{"retention_id":` + id + `,"rules":` + rules + `,"at":"*","total":4,"delete":2,"keep":2,"freed_after_undelete":{"manifests":0,"blobs":0,"bytes":0,"complete":true},"tags":[` +
			one("v3", "keep", "1", "null") + `,` + one("release-1", "keep", "null", `{"kind":"regexp","pattern":"^release-","saves":true}`) + `,` +
			one("v2", "delete", "2", "null") + `,` + one("v1", "delete", "3", "null") + `]}`
	}
	w.want("manager", "POST "+at+"/simulate", `{"algorithm":"or","rules":`+rules+`}`, 200, said("null"))
	for _, none := range []any{nil, `{}`, `{"retention_id":4711}`, `{"retention_id":0}`} {
		w.refused("manager", "POST "+at+"/simulate", none, 404, "4040113")
	}
	id := w.retain(app, `{"algorithm":"or","rules":`+rules+`}`)
	for _, stored := range []any{nil, `{}`, `{"retention_id":` + id + `}`} {
		w.want("manager", "POST "+at+"/simulate", stored, 200, said(id))
	}
	for body, code := range map[string]string{
		`{"algorithm":"or","rules":[]}`:                             "4001014",
		`{"algorithm":"or"}`:                                        "4001014",
		`{"rules":` + rules + `}`:                                   "4001014",
		`{"algorithm":"or","rules":` + rules + `,"retention_id":1}`: "4000014",
		`{"retention_id":"x"}`:                                      "4001018",
		`[]`:                                                        "4001018",
	} {
		w.refused("manager", "POST "+at+"/simulate", body, 400, code)
	}
	w.refused("reader", "POST "+at+"/simulate", `{}`, 403, "4039002")

	w.want("reader", "GET "+at+"/"+id+"/status", nil, 200, `{"retention_id":`+id+`,"state":"queued","last_run":null,"last_full_run":null,"last_delete":null,
		"last_deleted":0,"deleted_total":0,"last_error":"","next_run":"*"}`)
	w.refused("reader", "GET "+at+"/4711/status", nil, 404, "4040113")
	w.want("manager", "POST "+at+"/"+id+"/confirm", nil, 200, `{}`) // it does not wait
	w.refused("manager", "POST "+at+"/4711/confirm", nil, 404, "4040113")

	_, err := db.Update(t.Context(), w.db, func(tx *db.Tx) (int64, error) {
		return tx.Exec(`UPDATE repo_retention SET state = 'waiting', would_delete = 3, would_see = 4`)
	})
	w.must(err)
	w.want("reader", "GET "+at+"/"+id, nil, 200, `{"algorithm":"or","id":`+id+`,"rules":`+rules+`,"scope":"","state":"waiting_confirmation","would_delete":3,"would_see":4}`)
	w.want("reader", "GET "+at+"/"+id+"/status", nil, 200, `{"retention_id":`+id+`,"state":"waiting_confirmation","last_run":null,"last_full_run":null,"last_delete":null,
		"last_deleted":0,"deleted_total":0,"last_error":"","next_run":null,"would_delete":3,"would_see":4}`)
	w.want("manager", "POST "+at+"/"+id+"/confirm", nil, 200, `{}`)
	w.want("reader", "GET "+at+"/"+id, nil, 200, `{"algorithm":"or","id":`+id+`,"rules":`+rules+`,"scope":""}`)
}
