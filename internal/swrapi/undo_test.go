package swrapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestUndo(t *testing.T) {
	w := open(t, options{})
	const app = repos + "/app"
	one := w.push("acme/app", "one", "v1")
	time.Sleep(2 * time.Millisecond)
	at := time.Now().UTC().Format(time.RFC3339Nano)
	time.Sleep(2 * time.Millisecond)
	two := w.push("acme/app", "two", "v1", "v2")
	w.want("manager", "DELETE "+tags+"/v2", nil, 204, ``)

	lost := func(tag, digest, who, cause, current string) string {
		return fmt.Sprintf(`{"tag":%q,"digest":%q,"deleted_at":"*","deleted_by":%q,"cause":%q,"restorable_until":"*","current_digest":%q}`, tag, digest, who, cause, current)
	}
	v2, v1 := lost("v2", string(two), "admin/manager", "delete", ""), lost("v1", string(one), "admin/admin", "push", string(two))
	w.want("reader", "GET "+app+"/deleted-tags", nil, 200, `{"deleted_tags":[`+v2+`,`+v1+`],"has_more":false,"next_marker":""}`)
	w.want("reader", "GET "+app+"/deleted-tags?tag=V1", nil, 200, `{"deleted_tags":[`+v1+`],"has_more":false,"next_marker":""}`)
	var page struct {
		More bool   `json:"has_more"`
		Next string `json:"next_marker"`
	}
	w.must(json.Unmarshal(w.send("reader", "GET "+app+"/deleted-tags?limit=1", nil).Body.Bytes(), &page))
	if !page.More {
		t.Fatal("there is no second page")
	}
	w.want("reader", "GET "+app+"/deleted-tags?limit=1&marker="+page.Next, nil, 200, `{"deleted_tags":[`+v1+`],"has_more":false,"next_marker":""}`)
	w.refused("reader", "GET "+app+"/deleted-tags?marker=x", nil, 400, "4001025")
	w.refused("nobody", "GET "+app+"/deleted-tags", nil, 403, "4039002")

	event := func(tag, digest, previous, who, cause string) string {
		return fmt.Sprintf(`{"id":"*","tag":%q,"digest":%q,"previous_digest":%q,"actor":%q,"cause":%q,"time":"*","restorable":true,"detail":null}`, tag, digest, previous, who, cause)
	}
	gone := event("v2", "", string(two), "admin/manager", "delete")
	w.want("reader", "GET "+tags+"/v2/history", nil, 200, `{"events":[`+gone+`,`+event("v2", string(two), "", "admin/admin", "push")+`],"has_more":false,"next_marker":""}`)
	w.want("reader", "GET "+app+"/history?limit=1", nil, 200, `{"events":[`+gone+`],"has_more":true,"next_marker":"*"}`)
	w.want("reader", "GET "+tags+"/never/history", nil, 200, `{"events":[],"has_more":false,"next_marker":""}`)
	w.refused("reader", "GET "+app+"/history?marker=-1", nil, 400, "4001025")

	move := func(tag, digest, previous string) string {
		return fmt.Sprintf(`{"tag":%q,"digest":%q,"previous_digest":%q,"missing":false}`, tag, digest, previous)
	}
	w.refused("reader", "POST "+tags+"/v2/restore", nil, 403, "4039002")
	w.refused("writer", "POST "+tags+"/none/restore", nil, 404, "4040048")
	w.refused("writer", "POST "+tags+"/v2/restore", `{"digest":"x"}`, 400, "4000014")
	w.want("writer", "POST "+tags+"/v2/restore", nil, 200, move("v2", string(two), ""))
	w.refused("writer", "POST "+tags+"/v1/restore", `{}`, 409, "4090006")
	w.want("writer", "POST "+tags+"/v1/restore", `{"digest":"`+string(one)+`","override":true}`, 200, move("v1", string(one), string(two)))

	w.want("writer", "POST "+tags+"/v1/rollback", `{"digest":"`+string(two)+`"}`, 200, move("v1", string(two), string(one)))
	w.want("writer", "POST "+tags+"/v1/rollback", `{"time":"`+at+`"}`, 200, move("v1", string(one), string(two)))
	w.refused("writer", "POST "+tags+"/v2/rollback", `{"time":"`+at+`"}`, 404, "4040048")
	w.refused("writer", "POST "+tags+"/v1/rollback", `{}`, 400, "4001014")
	for _, bad := range []string{`{"time":"yesterday"}`, `{"digest":""}`, `{"digest":"` + string(one) + `","time":"` + at + `"}`, `{"time":"2999-01-01T00:00:00Z"}`, `{"time":"1999-01-01T00:00:00Z"}`} {
		w.refused("writer", "POST "+tags+"/v1/rollback", bad, 400, "4000014")
	}

	w.refused("writer", "POST "+app+"/rollback", `{"time":"`+at+`"}`, 403, "4039002")
	plan := `"tags":[` + move("v2", "", string(two)) + `]}`
	w.want("manager", "POST "+app+"/rollback", `{"time":"`+at+`","dry_run":true}`, 200, `{"dry_run":true,`+plan)
	w.want("manager", "POST "+app+"/rollback", `{"time":"`+at+`","pattern":"^v1$"}`, 200, `{"dry_run":false,"tags":[]}`)
	w.want("manager", "POST "+app+"/rollback", `{"time":"`+at+`","pattern":"^v"}`, 200, `{"dry_run":false,`+plan)
	w.refused("reader", "GET "+tags+"/v2", nil, 404, "4040048")
	w.refused("manager", "POST "+app+"/rollback", `{}`, 400, "4001014")
	rec := w.send("manager", "POST "+app+"/rollback", `{"time":"`+at+`","pattern":"("}`)
	if rec.Code != 400 || !strings.Contains(rec.Body.String(), "pattern is a regular expression") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
