package swr

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// nowhere is an API server that is not there; conformance/kube has a real one.
const nowhere = "https://127.0.0.1:1"

// clusters are those that the triggers of other tests name.
func (w *world) clusters() error {
	for name, id := range map[string]string{"my-cluster": "9b2f6d1e", "cluster": "c1"} {
		if _, err := w.Command("a-token\n", "cluster", "add", name, "--id", id, "--server", nowhere, "--token-file", "-", "--force"); err != nil {
			return err
		}
	}
	return nil
}

// A cluster is registered, shown without its credentials, changed, checked and
// forgotten; triggers keep it from that.
func TestClusters(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withKey(f.admin)
		c.organization()
		c.push("app", "v1")
		const all = "/v2/manage/clusters"
		name := f.org
		c.do("POST", all, `{"name":"`+name+`","server":"`+nowhere+`","token":"a-secret"}`, false, 400)
		_, body := c.do("POST", all, `{"name":"`+name+`","server":"`+nowhere+`","token":"a-secret","namespaces":["shop"],"force":true}`, true, 201)
		var made struct{ ID, Error string }
		if err := json.Unmarshal(body, &made); err != nil || made.ID == "" || !strings.Contains(made.Error, "connection refused") {
			f.Fatalf("%v: %s", err, body)
		}
		c.do("POST", all, `{"name":"`+name+`","server":"`+nowhere+`","token":"a-secret","force":true}`, false, 409)
		one := all + "/" + made.ID
		for _, request := range []string{"GET " + all, "GET " + one, "POST " + one + "/check"} {
			method, path, _ := strings.Cut(request, " ")
			if _, body := c.do(method, path, "", true, 200); strings.Contains(string(body), "a-secret") || !strings.Contains(string(body), name) {
				f.Errorf("%s: %s", request, body)
			}
		}
		c.do("PATCH", one, `{"token":"another"}`, false, 400)
		c.do("PATCH", one, `{"token":"another","force":true}`, true, 201)
		c.do("PATCH", one, `{"server":"https://127.0.0.2:1","force":true}`, false, 400) // with the stored token
		_, body = c.do("GET", all+"/manifest?namespace=shop&namespace=blog", "", true, 200)
		var manifest struct{ Manifest string }
		if err := json.Unmarshal(body, &manifest); err != nil || strings.Count(manifest.Manifest, "kind: RoleBinding") != 2 {
			f.Errorf("%v: %s", err, body)
		}

		trigger := func(ns, name string) string {
			return fmt.Sprintf(`{"name":"t","action":"update","app_type":"deployments","application":"web","cluster_name":"%s","cluster_ns":"%s","condition":".*","trigger_type":"all","enable":"true"}`, name, ns)
		}
		at := c.at("/repos/app/triggers")
		c.do("POST", at, trigger("shop", "unknown"), false, 400)
		c.do("POST", at, trigger("elsewhere", name), false, 400)
		c.do("POST", at, trigger("shop", name), true, 201)
		c.do("POST", at+"/t/run", `{"tag":"v1"}`, true, 202)
		c.do("POST", at+"/t/run", `{"tag":"v2"}`, false, 404)
		c.do("DELETE", one, "", false, 409)
		c.do("DELETE", at+"/t", "", false, 204)
		c.do("DELETE", one, "", false, 204)
		c.do("GET", one, "", false, 404)
	})
}
