package swrapi_test

import (
	"strings"
	"testing"

	"berth.dev/berth/internal/db"
)

const app = "/v2/manage/namespaces/acme/repos/app"

// triggerBody is the body of the API reference with members put in the place
// of others, `"name":value` each; a value that is empty leaves the member out.
func triggerBody(change ...string) string {
	members := []string{`"action":"update"`, `"app_type":"deployments"`, `"application":"adsfa"`, `"cluster_id":"5b28c12f-dc10-11e9-97b3-0255ac1001b5"`,
		`"cluster_name":"test"`, `"cluster_ns":"default"`, `"condition":".*"`, `"container":""`, `"enable":"true"`, `"name":"test"`,
		`"trigger_mode":"cce"`, `"trigger_type":"all"`}
	for _, c := range change {
		name, value, _ := strings.Cut(c, ":")
		for i, m := range members {
			if strings.HasPrefix(m, name+":") {
				members[i] = c
				if value == "" {
					members = append(members[:i], members[i+1:]...)
				}
				break
			}
		}
	}
	return `{` + strings.Join(members, ",") + `}`
}

func TestTriggers(t *testing.T) {
	w := open(t, options{})
	w.push("acme/app", "layer", "v1")
	const all = app + "/triggers"
	w.refused("writer", "POST "+all, triggerBody(), 400, "4000014") // the cluster is not registered
	w.refused("writer", "POST "+all, triggerBody(`"trigger_mode":"cci"`), 400, "4000014")
	w.cluster("5b28c12f-dc10-11e9-97b3-0255ac1001b5", "test", true)
	w.refused("writer", "POST "+all, triggerBody(`"cluster_name":"other"`), 400, "4000014")
	w.want("reader", "GET "+all, nil, 200, `[]`)
	w.want("writer", "POST "+all, triggerBody(), 201, `{}`)
	shown := func(name, enable, history string) string {
		return `{"action":"update","app_type":"deployments","application":"adsfa","cluster_id":"5b28c12f-dc10-11e9-97b3-0255ac1001b5","cluster_name":"test",
			"cluster_ns":"default","condition":".*","container":"","created_at":"*","creator_name":"writer","enable":"` + enable + `","name":"` + name + `",
			"trigger_history":` + history + `,"trigger_mode":"cce","trigger_type":"all"}`
	}
	w.want("reader", "GET "+all, nil, 200, `[`+shown("test", "true", "null")+`]`)
	rec := w.want("reader", "GET "+all+"/test", nil, 200, shown("test", "true", "[]"))
	stamps(t, rec.Body.String(), 1)
	w.refused("writer", "POST "+all, triggerBody(), 400, "4000014")
	w.want("writer", "PATCH "+all+"/test", `{"enable":"false"}`, 201, `{}`)
	w.want("reader", "GET "+all+"/test", nil, 200, shown("test", "false", "[]"))

	_, err := db.Update(t.Context(), w.db, func(tx *db.Tx) (int64, error) {
		return tx.Exec(`INSERT INTO trigger_history (repository, rule, tag, digest, result, detail, created)
			SELECT repository, id, 'v1', 'sha256:x', 'failed', 'there is no such workload', 1623295484784402 FROM repo_trigger`)
	})
	w.must(err)
	w.want("reader", "GET "+all+"/test", nil, 200, shown("test", "false", `[{"action":"update","app_type":"deployments","application":"adsfa",
		"cluster_id":"5b28c12f-dc10-11e9-97b3-0255ac1001b5","cluster_name":"test","cluster_ns":"default","condition":".*","container":"",
		"created_at":"2021-06-10T03:24:44.784402Z","creator_name":"writer","detail":"there is no such workload","result":"failed","tag":"v1",
		"digest":"sha256:x","attempts":0,"duration_ms":0}]`))

	// What clients leave out, and members that only answers have.
	w.want("writer", "POST "+all, triggerBody(`"name":"cci.1"`, `"trigger_mode":"cci"`), 201, `{}`)
	w.want("writer", "GET "+all+"/cci.1", nil, 200, `{"action":"update","app_type":"deployments","application":"adsfa","cluster_id":"","cluster_name":"",
		"cluster_ns":"default","condition":".*","container":"","created_at":"*","creator_name":"writer","enable":"true","name":"cci.1",
		"trigger_history":[],"trigger_mode":"cci","trigger_type":"all"}`)
	echo := strings.Replace(triggerBody(`"name":"few"`, `"container":`, `"cluster_id":`, `"trigger_mode":`, `"condition":"v1;v2"`, `"trigger_type":"tag"`),
		`{`, `{"created_at":"2020","trigger_history":null,"other":1,`, 1)
	w.want("writer", "POST "+all, echo, 201, `{}`)
	w.want("writer", "GET "+all+"/few", nil, 200, `{"action":"update","app_type":"deployments","application":"adsfa","cluster_id":"","cluster_name":"test",
		"cluster_ns":"default","condition":"v1;v2","container":"","created_at":"*","creator_name":"writer","enable":"true","name":"few",
		"trigger_history":[],"trigger_mode":"cce","trigger_type":"tag"}`)

	w.want("writer", "DELETE "+all+"/test", nil, 204, ``)
	for _, request := range []string{"GET ", "DELETE "} {
		w.refused("writer", request+all+"/test", nil, 404, "4040113")
		w.refused("writer", request+all+"/%00", nil, 404, "4040113")
	}
	w.refused("writer", "PATCH "+all+"/test", `{"enable":"false"}`, 404, "4040113")
	w.refused("writer", "PUT "+all+"/test", nil, 405, "4031033")
}

func TestBadTriggers(t *testing.T) {
	w := open(t, options{})
	w.cluster("5b28c12f-dc10-11e9-97b3-0255ac1001b5", "test", false)
	w.push("acme/app", "layer", "v1")
	const all = app + "/triggers"
	for member, code := range map[string]string{
		`"action":`: "4001014", `"app_type":`: "4001014", `"application":`: "4001014", `"cluster_ns":`: "4001014", `"condition":`: "4001014",
		`"enable":`: "4001014", `"name":`: "4001014", `"trigger_type":`: "4001014", `"name":""`: "4001014", `"name":null`: "4001014",
		`"action":"delete"`: "4000014", `"app_type":"daemonsets"`: "4000014", `"application":"A"`: "4000014", `"cluster_ns":"a/b"`: "4000014",
		`"condition":"*"`: "4000014", `"container":"A"`: "4000014", `"enable":"yes"`: "4000014", `"name":"a/b"`: "4000014", `"name":"\u0000"`: "4000014",
		`"trigger_mode":"k8s"`: "4000014", `"trigger_type":"some"`: "4000014",
		`"enable":true`: "4001018", `"name":5`: "4001018", `"condition":[".*"]`: "4001018",
	} {
		w.refused("writer", "POST "+all, triggerBody(member), 400, code)
	}
	w.refused("writer", "POST "+all, triggerBody(`"cluster_id":`, `"cluster_name":`), 400, "4001014")
	w.refused("writer", "POST "+all, triggerBody(`"trigger_type":"tag"`), 400, "4000014")
	w.refused("writer", "POST "+all, triggerBody(`"trigger_type":"regular"`, `"condition":"("`), 400, "4000014")
	w.refused("writer", "POST "+all, nil, 400, "4001018")
	w.refused("writer", "POST "+all, `[]`, 400, "4001018")
	w.want("writer", "POST "+all, triggerBody(), 201, `{}`)
	w.refused("writer", "PATCH "+all+"/test", `{}`, 400, "4001014")
	w.refused("writer", "PATCH "+all+"/test", `{"enable":false}`, 400, "4001018")
	w.refused("writer", "PATCH "+all+"/test", `{"enable":"0"}`, 400, "4000014")
	w.want("writer", "GET "+all+"/test", nil, 200, `{"action":"update","app_type":"deployments","application":"adsfa","cluster_id":"*","cluster_name":"test",
		"cluster_ns":"default","condition":".*","container":"","created_at":"*","creator_name":"writer","enable":"true","name":"test",
		"trigger_history":[],"trigger_mode":"cce","trigger_type":"all"}`)
}
