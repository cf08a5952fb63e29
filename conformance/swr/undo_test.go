package swr

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Tags come back: one after it was deleted, one to an earlier image, and all
// of a repository to what they were.
func TestUndo(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withKey(f.admin)
		c.organization()
		first := f.push("app", "v1", 100)
		before := time.Now().UTC()
		second := f.push("app", "v1", 200)
		f.push("app", "new", 300)
		at := c.at("/repos/app")

		var list struct {
			Deleted []struct {
				Tag, Digest string
			} `json:"deleted_tags"`
		}
		_, body := c.do("GET", at+"/deleted-tags", "", true, 200)
		if err := json.Unmarshal(body, &list); err != nil || len(list.Deleted) != 1 || list.Deleted[0].Tag != "v1" || list.Deleted[0].Digest != string(first.Digest) {
			f.Errorf("%v: %s", err, body)
		}
		for history, events := range map[string]int{at + "/tags/v1/history": 2, at + "/history": 3} {
			_, body := c.do("GET", history, "", true, 200)
			var h struct {
				Events []struct{ Tag, Digest string }
			}
			if err := json.Unmarshal(body, &h); err != nil || len(h.Events) != events {
				f.Errorf("%s: %v: %s", history, err, body)
			}
		}

		digest := func(tag string) string {
			_, body := c.do("GET", at+"/tags/"+tag, "", true, 200)
			var shown struct{ Digest string }
			if err := json.Unmarshal(body, &shown); err != nil {
				f.Fatalf("%v: %s", err, body)
			}
			return shown.Digest
		}
		c.do("DELETE", at+"/tags/v1", "", false, 204)
		c.do("POST", at+"/tags/v1/restore", "", true, 200)
		if got := digest("v1"); got != string(second.Digest) {
			f.Errorf("restored to %s, want %s", got, second.Digest)
		}
		c.do("POST", at+"/tags/v1/rollback", fmt.Sprintf(`{"digest":"%s"}`, first.Digest), true, 200)
		if got := digest("v1"); got != string(first.Digest) {
			f.Errorf("rolled back to %s, want %s", got, first.Digest)
		}
		c.do("POST", at+"/tags/v1/rollback", `{"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}`, false, 404)
		all := fmt.Sprintf(`{"time":"%s"}`, before.Format(time.RFC3339Nano))
		c.do("POST", at+"/rollback", all, true, 200)
		if got := digest("v1"); got != string(first.Digest) {
			f.Errorf("rolled back to %s, want %s", got, first.Digest)
		}
		c.gone(at + "/tags/new")
	})
}

// What the account has chosen is shown, and stays as it is where nothing is
// changed.
func TestSettings(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withKey(f.admin)
		c.want("/v2/manage/settings", `{"undelete_seconds":604800,"undelete_default":true,"retention_guard":false}`)
		c.do("PATCH", "/v2/manage/settings", `{"undelete_seconds":null,"retention_guard":false}`, true, 200, 201)
		c.do("PATCH", "/v2/manage/settings", `{"undelete_seconds":-1}`, false, 400)
	})
}

// A job that cannot be done yet is seen with its reason, tried at once, and
// cancelled.
func TestJobs(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withKey(f.admin)
		c.organization()
		f.push("app", "v1", 100)
		at := c.at("/repos/app/triggers")
		c.do("POST", at, `{"name":"t","action":"update","app_type":"deployments","application":"web","cluster_name":"my-cluster","cluster_ns":"`+f.org+`","condition":".*","trigger_type":"all","enable":"true"}`, true, 201)
		c.do("POST", at+"/t/run", `{"tag":"v1"}`, true, 200, 201, 202)

		type item struct {
			ID          int64
			Kind, About string
			State       string
			Error       string `json:"last_error"`
		}
		find := func() (found []item) {
			_, body := c.do("GET", "/v2/manage/jobs?kind=trigger", "", true, 200)
			var list struct{ Jobs []item }
			if err := json.Unmarshal(body, &list); err != nil {
				f.Fatalf("%v: %s", err, body)
			}
			for _, j := range list.Jobs {
				if j.About != "" && strings.Contains(j.About, f.org) {
					found = append(found, j)
				}
			}
			return found
		}
		var job item
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if found := find(); len(found) == 1 && found[0].Error != "" {
				job = found[0]
				break
			}
			if time.Now().After(end) {
				f.Fatalf("the job does not show why it failed: %+v", find())
			}
		}
		one := fmt.Sprint("/v2/manage/jobs/", job.ID)
		c.do("POST", one+"/retry", "", true, 200)
		c.do("DELETE", one, "", false, 204)
		c.do("DELETE", one, "", false, 404)
		if found := find(); len(found) != 0 {
			f.Errorf("after it was cancelled: %+v", found)
		}
		c.do("GET", "/v2/manage/jobs?state=lost", "", false, 400)
	})
}
