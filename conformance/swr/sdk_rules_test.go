package swr

import (
	"fmt"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/swr/v2/model"
)

func TestSDKTriggers(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		ok(f, c.CreateNamespace, `{"body":{"namespace":"`+f.org+`"}}`, 201, `{}`)
		f.push("app", "v1")
		repo := func(more string) string { return `{"namespace":"` + f.org + `","repository":"app"` + more + `}` }
		one := fields{"action": "update", "app_type": "deployments", "application": "my-app", "cluster_id": "9b2f6d1e", "cluster_name": "my-cluster",
			"cluster_ns": "default", "condition": ".*", "container": "container-1", "enable": "true", "name": "trigger-1", "trigger_mode": "cce", "trigger_type": "all"}
		create := func(changes ...any) string {
			body := fields{}
			for k, v := range one {
				body[k] = v
			}
			for i := 0; i < len(changes); i += 2 {
				if body[changes[i].(string)] = changes[i+1]; changes[i+1] == nil {
					delete(body, changes[i].(string))
				}
			}
			return repo(`,"body":` + object(body))
		}
		shown := func(enable, history string) string {
			return `{"action":"update","app_type":"deployments","application":"my-app","cluster_id":"9b2f6d1e","cluster_name":"my-cluster","cluster_ns":"default",
				"condition":".*","container":"container-1","created_at":"<time>","creator_name":"admin","enable":"` + enable + `","name":"trigger-1",
				"trigger_history":` + history + `,"trigger_mode":"cce","trigger_type":"all"}`
		}
		at := func(name string) string { return repo(`,"trigger":"` + name + `"`) }

		ok(f, c.ListTriggersDetails, repo(``), 200, `{"body":[]}`)
		ok(f, c.CreateTrigger, create(), 201, `{}`)
		refused(f, c.CreateTrigger, create(), 400, "4000014") // the name is taken
		ok(f, c.ListTriggersDetails, repo(``), 200, `{"body":[`+shown("true", "null")+`]}`)
		ok(f, c.ShowTrigger, at("trigger-1"), 200, shown("true", "[]"))
		ok(f, c.UpdateTrigger, repo(`,"trigger":"trigger-1","body":{"enable":"false"}`), 201, `{}`)
		ok(f, c.ShowTrigger, at("trigger-1"), 200, shown("false", "[]"))
		refused(f, c.UpdateTrigger, repo(`,"trigger":"trigger-1","body":{"enable":"perhaps"}`), 400, "4000014")
		refused(f, c.ShowTrigger, at("none"), 404, "4040113")
		refused(f, c.UpdateTrigger, repo(`,"trigger":"none","body":{"enable":"false"}`), 404, "4040113")
		refused(f, c.DeleteTrigger, at("none"), 404, "4040113")

		ok(f, c.CreateTrigger, create("name", "trigger-2", "trigger_type", "tag", "condition", "v1;v2", "app_type", "statefulsets", "trigger_mode", nil, "container", nil, "cluster_id", nil), 201, `{}`)
		ok(f, c.ShowTrigger, at("trigger-2"), 200, `{"action":"update","app_type":"statefulsets","application":"my-app","cluster_id":"","cluster_name":"my-cluster","cluster_ns":"default",
			"condition":"v1;v2","container":"","created_at":"<time>","creator_name":"admin","enable":"true","name":"trigger-2","trigger_history":[],"trigger_mode":"cce","trigger_type":"tag"}`)
		ok(f, c.CreateTrigger, create("name", "trigger-3", "trigger_type", "regular", "condition", "^v[0-9]+$"), 201, `{}`)
		refused(f, c.CreateTrigger, create("name", "x", "trigger_type", "regular", "condition", "("), 400, "4000014")
		refused(f, c.CreateTrigger, create("name", "x", "condition", "v.*"), 400, "4000014") // all means .*
		refused(f, c.CreateTrigger, create("name", "x", "action", "delete"), 400, "4000014")
		refused(f, c.CreateTrigger, create("name", "x", "app_type", "jobs"), 400, "4000014")
		refused(f, c.CreateTrigger, create("name", "x", "trigger_type", "some"), 400, "4000014")
		refused(f, c.CreateTrigger, create("name", "x", "cluster_id", nil, "cluster_name", nil), 400, "4001014")

		ok(f, c.DeleteTrigger, at("trigger-1"), 204, `{}`)
		refused(f, c.DeleteTrigger, at("trigger-1"), 404, "4040113")
		refused(f, f.sdk(f.partner).ListTriggersDetails, repo(``), 403, "4039001")
		reader := f.user("reader")
		f.Grant(f.T, f.org, reader.UserName, "read")
		ok(f, f.sdk(reader).ListTriggersDetails, repo(``), 200, `{"body":"<any>"}`)
		refused(f, f.sdk(reader).CreateTrigger, create("name", "x"), 403, "4039002")
	})
}

func TestSDKRetention(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		ok(f, c.CreateNamespace, `{"body":{"namespace":"`+f.org+`"}}`, 201, `{}`)
		f.push("app", "v1")
		repo := func(more string) string { return `{"namespace":"` + f.org + `","repository":"app"` + more + `}` }
		const days = `{"template":"date_rule","params":{"days":"30"},"tag_selectors":[{"kind":"label","pattern":"v5"},{"kind":"regexp","pattern":"^123$"}]}`
		const num = `{"template":"tag_rule","params":{"num":"10"},"tag_selectors":[]}`
		body := func(rules string) string { return repo(`,"body":{"algorithm":"or","rules":[` + rules + `]}`) }

		ok(f, c.ListRetentions, repo(``), 200, `{"body":[]}`)
		made := ok(f, c.CreateRetention, body(days), 201, `{"id":"<int>"}`)
		at := func(more string) string { return repo(fmt.Sprintf(`,"retention_id":%d%s`, *made.Id, more)) }
		shown := func(rules string) string {
			return fmt.Sprintf(`{"id":%d,"algorithm":"or","rules":[%s],"scope":""}`, *made.Id, rules)
		}
		refused(f, c.CreateRetention, body(num), 400, "4000014") // there is one
		ok(f, c.ListRetentions, repo(``), 200, `{"body":[`+shown(days)+`]}`)
		ok(f, c.ShowRetention, at(``), 200, shown(days))
		ok(f, c.UpdateRetention, at(`,"body":{"algorithm":"or","rules":[`+num+`]}`), 201, `{}`)
		ok(f, c.ShowRetention, at(``), 200, shown(num))
		ok(f, c.UpdateRetention, at(`,"body":{"algorithm":"or","rules":[`+num+`,`+days+`]}`), 201, `{}`)
		ok(f, c.UpdateRetention, at(`,"body":{"algorithm":"or","rules":[{"template":"tag_rule","params":{"num":7},"tag_selectors":[]}]}`), 201, `{}`)
		ok(f, c.ShowRetention, at(``), 200, shown(`{"template":"tag_rule","params":{"num":"7"},"tag_selectors":[]}`)) // a number comes back as text
		ok(f, c.ListRetentionHistories, repo(``), 200, `"<any>"`)
		ok(f, c.ListRetentionHistories, repo(`,"limit":"10","offset":"0"`), 200, `{"retention_log":[],"total":0,"Content-Range":"0-0/0"}`)
		ok(f, c.ListRetentionHistories, repo(`,"filter":"limit::10|offset::10"`), 200, `{"retention_log":[],"total":0,"Content-Range":"10-0/0"}`)

		for _, bad := range []string{
			`{"template":"date_rule","params":{"days":"0"},"tag_selectors":[]}`,
			`{"template":"date_rule","params":{"days":"366"},"tag_selectors":[]}`,
			`{"template":"tag_rule","params":{"num":"1001"},"tag_selectors":[]}`,
			`{"template":"size_rule","params":{"num":"1"},"tag_selectors":[]}`,
			`{"template":"tag_rule","params":{"num":"1"},"tag_selectors":[{"kind":"regexp","pattern":"("}]}`,
			`{"template":"tag_rule","params":{"num":"1"},"tag_selectors":[{"kind":"glob","pattern":"*"}]}`,
		} {
			refused(f, c.UpdateRetention, at(`,"body":{"algorithm":"or","rules":[`+bad+`]}`), 400, "4000014")
		}
		refused(f, c.UpdateRetention, at(`,"body":{"algorithm":"and","rules":[`+num+`]}`), 400, "4000014")
		refused(f, c.ShowRetention, repo(`,"retention_id":2147483647`), 404, "4040113")
		refused(f, c.DeleteRetention, repo(`,"retention_id":2147483647`), 404, "4040113")
		refused(f, f.sdk(f.partner).ShowRetention, at(``), 403, "4039001")
		editor := f.user("editor")
		f.Grant(f.T, f.org, editor.UserName, "edit")
		refused(f, f.sdk(editor).DeleteRetention, at(``), 403, "4039002")
		ok(f, f.sdk(editor).ShowRetention, at(``), 200, `"<any>"`)
		ok(f, c.DeleteRetention, at(``), 200, `{}`)
		refused(f, c.DeleteRetention, at(``), 404, "4040113")
		ok(f, c.ListRetentions, repo(``), 200, `{"body":[]}`)
	})
}

// A policy acts on what is there and on what is pushed, and the histories tell.
func TestSDKRetentionActs(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		ok(f, c.CreateNamespace, `{"body":{"namespace":"`+f.org+`"}}`, 201, `{}`)
		for _, tag := range []string{"release-1", "v1", "v2", "v3"} {
			f.push("app", tag)
		}
		repo := func(more string) string { return `{"namespace":"` + f.org + `","repository":"app"` + more + `}` }
		const rule = `{"template":"tag_rule","params":{"num":"2"},"tag_selectors":[{"kind":"regexp","pattern":"^release-"}]}`
		made := ok(f, c.CreateRetention, repo(`,"body":{"algorithm":"or","rules":[`+rule+`]}`), 201, `{"id":"<int>"}`)
		entry := func(tag string) string {
			return fmt.Sprintf(`{"created_at":"<time>","id":"<int>","namespace":%q,"repo":"app","retention_id":%d,"rule_type":%q,"tag":%q}`, f.org, *made.Id, rule, tag)
		}
		until := func(left int) {
			f.Helper()
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				list, err := c.ListRepositoryTags(filled[model.ListRepositoryTagsRequest](f, repo(``)))
				if err != nil {
					f.Fatal(err)
				}
				if len(*list.Body) == left {
					return
				}
				if time.Now().After(end) {
					f.Fatalf("%d tags are left, want %d", len(*list.Body), left)
				}
			}
		}
		until(3)
		ok(f, c.ListRetentionHistories, repo(``), 200, `{"retention_log":[`+entry("v1")+`],"total":1}`)
		f.push("app", "v4")
		until(3)
		f.push("app", "v5")
		until(3)
		history := func() int {
			r, err := c.ListRetentionHistories(filled[model.ListRetentionHistoriesRequest](f, repo(``)))
			if err != nil {
				f.Fatal(err)
			}
			return int(*r.Total)
		}
		for end := time.Now().Add(20 * time.Second); history() < 3 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		}
		ok(f, c.ListRetentionHistories, repo(`,"limit":"2","offset":"0"`), 200, `{"Content-Range":"0-2/3","retention_log":[`+entry("v3")+`,`+entry("v2")+`],"total":3}`)
	})
}

func TestSDKSynchronization(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		ok(f, c.CreateNamespace, `{"body":{"namespace":"`+f.org+`"}}`, 201, `{}`)
		f.push("team/app", "v1")
		repo := func(more string) string {
			return `{"namespace":"` + f.org + `","repository":"team$app"` + more + `}`
		}
		const target = `"remoteRegionId":"region-2","remoteNamespace":"there"`

		ok(f, c.ListSyncRegions, `{}`, 200, `{"body":[{"regionID":"region-2"}]}`)
		ok(f, c.ListImageAutoSyncReposDetails, repo(``), 200, `{"body":[]}`)
		ok(f, c.CreateImageSyncRepo, repo(`,"body":{`+target+`,"override":true}`), 200, `{}`)
		refused(f, c.CreateImageSyncRepo, repo(`,"body":{`+target+`}`), 409, "4090006")
		refused(f, c.CreateImageSyncRepo, repo(`,"body":{"remoteRegionId":"nowhere","remoteNamespace":"there"}`), 400, "4000014")
		ok(f, c.ListImageAutoSyncReposDetails, repo(``), 200, fmt.Sprintf(`{"body":[{"id":"<int>","createdAt":"<time>","updatedAt":"<time>","domainID":%q,
			"domainName":"admin","namespace":%q,"repoName":"team/app",%s,"override":true,"syncAuto":true}]}`, f.admin.Account, f.org, target))

		manual := func(tags, more string) string { return repo(`,"body":{"imageTag":` + tags + `,` + more + `}`) }
		ok(f, c.CreateManualImageSyncRepo, manual(`["v1"]`, target), 200, `{"body":"<any>"}`)
		refused(f, c.CreateManualImageSyncRepo, manual(`["none"]`, target), 404, "4040048")
		refused(f, c.CreateManualImageSyncRepo, manual(`["v1"]`, `"remoteRegionId":"nowhere","remoteNamespace":"there"`), 400, "4000014")
		ok(f, c.ShowSyncJob, repo(`,"filter":"limit::10|offset::0"`), 200, fmt.Sprintf(`{"Content-Range":"0-1/1","body":[{"id":"<int>","createdAt":"<time>","updatedAt":"<time>",
			"domainID":%q,"domainName":"admin","namespace":%q,"repoName":"team/app",%s,"override":false,"status":"<str>","tag":"v1","syncOperatorId":%q,"syncOperatorName":"admin"}]}`,
			f.admin.Account, f.org, target, f.admin.User))
		ok(f, c.ShowSyncJob, repo(`,"filter":"limit::10|offset::10"`), 200, `{"Content-Range":"10-0/1","body":[]}`)

		refused(f, f.sdk(f.partner).ListImageAutoSyncReposDetails, repo(``), 403, "4039001")
		ok(f, c.DeleteImageSyncRepo, repo(`,"body":{`+target+`}`), 200, `{}`)
		refused(f, c.DeleteImageSyncRepo, repo(`,"body":{`+target+`}`), 404, "4040113")
		ok(f, c.ListImageAutoSyncReposDetails, repo(``), 200, `{"body":[]}`)
	})
}
