package swrapi_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// ruleRequests is one request of each operation on rules, with the right that
// it takes, in an order in which all succeed.
var ruleRequests = []struct {
	needs         iam.Right
	request, body string
	status        int
}{
	{iam.Edit, "POST " + app + "/triggers", triggerBody(), 201},
	{iam.Read, "GET " + app + "/triggers", "", 200},
	{iam.Read, "GET " + app + "/triggers/test", "", 200},
	{iam.Edit, "PATCH " + app + "/triggers/test", `{"enable":"false"}`, 201},
	{iam.Edit, "DELETE " + app + "/triggers/test", "", 204},
	{iam.Manage, "POST " + app + "/retentions", `{"algorithm":"or","rules":[{"template":"tag_rule","params":{"num":"5"},"tag_selectors":[]}]}`, 201},
	{iam.Read, "GET " + app + "/retentions", "", 200},
	{iam.Read, "GET " + app + "/retentions/ID", "", 200},
	{iam.Read, "GET " + app + "/retentions/histories", "", 200},
	{iam.Manage, "PATCH " + app + "/retentions/ID", `{"algorithm":"or","rules":[{"template":"tag_rule","params":{"num":"6"},"tag_selectors":[]}]}`, 201},
	{iam.Manage, "DELETE " + app + "/retentions/ID", "", 200},
	{iam.Manage, "POST " + app + "/sync_repo", `{"remoteRegionId":"north-1","remoteNamespace":"acme"}`, 200},
	{iam.Read, "GET " + app + "/sync_repo", "", 200},
	{iam.Manage, "POST " + app + "/sync_images", `{"imageTag":["v1"],"remoteRegionId":"north-1","remoteNamespace":"acme"}`, 200},
	{iam.Read, "GET " + app + "/sync_job?filter=limit::10|offset::0", "", 200},
	{iam.Read, "GET " + app + "/sync_repo/differences?remoteRegionId=north-1&remoteNamespace=acme", "", 200},
	{iam.Manage, "POST " + app + "/sync_repo/reconcile", `{"remoteRegionId":"north-1","remoteNamespace":"acme"}`, 200},
	{iam.Manage, "DELETE " + app + "/sync_repo", `{"remoteRegionId":"north-1","remoteNamespace":"acme"}`, 200},
	{iam.Read, "GET " + app + "/v1/accessories", "", 200},
	{iam.Read, "GET " + app + "/v1/references", "", 200},
}

// Who may not is told so before the body is looked at, and before it is told
// whether the rule exists.
func TestRightsOnRules(t *testing.T) {
	w := open(t, options{})
	w.regions("north-1")
	w.push("acme/app", "layer", "v1")
	w.cluster("5b28c12f-dc10-11e9-97b3-0255ac1001b5", "test", false)
	id := "4711"
	rights := map[string]iam.Right{"nobody": iam.None, "reader": iam.Read, "writer": iam.Edit}
	for _, c := range ruleRequests {
		request := withID(c.request, id)
		for user, right := range rights {
			if right < c.needs {
				w.refused(user, request, `nonsense`, 403, "4039002")
			}
		}
		w.refused("stranger", request, `nonsense`, 403, "4039001")
		w.refused("", request, `nonsense`, 401, "SVCSTG.S2I.4019000")
		user := map[iam.Right]string{iam.Read: "reader", iam.Edit: "writer", iam.Manage: "manager"}[c.needs]
		rec := w.send(user, request, c.body)
		if rec.Code != c.status {
			t.Errorf("%s as %s: %d, want %d: %s", request, user, rec.Code, c.status, rec.Body)
		}
		if c.request == "POST "+app+"/retentions" {
			id = idIn(t, rec.Body.String())
		}
	}
}

// The rules of a repository go with it, and nobody is told of rules where
// there is no repository.
func TestRulesOfNoRepository(t *testing.T) {
	w := open(t, options{})
	w.regions("north-1")
	w.push("acme/app", "layer", "v1")
	w.cluster("5b28c12f-dc10-11e9-97b3-0255ac1001b5", "test", false)
	var id string
	for _, c := range ruleRequests {
		if c.request[:4] == "POST" {
			rec := w.send("manager", c.request, c.body)
			if c.request == "POST "+app+"/retentions" {
				id = idIn(t, rec.Body.String())
			}
		}
	}
	w.must(w.reg.DeleteTag(t.Context(), w.users["admin"], "acme/app", "v1"))
	w.must(w.reg.DeleteRepo(t.Context(), w.users["admin"], "acme/app"))
	for _, c := range ruleRequests {
		w.refused("manager", withID(c.request, id), `nonsense`, 404, "4040010")
		w.refused("nobody", withID(c.request, id), `nonsense`, 403, "4039002")
	}
	_, err := w.reg.CreateRepo(t.Context(), w.users["admin"], oci.Name("acme/app"), registry.RepoSpec{})
	w.must(err)
	for _, list := range []string{"/triggers", "/retentions", "/sync_repo", "/sync_job"} {
		w.want("reader", "GET "+app+list, nil, 200, `[]`)
	}
	w.want("reader", "GET "+app+"/retentions/histories", nil, 200, `{"retention_log":[],"total":0}`)
	w.refused("reader", "GET "+app+"/retentions/"+id, nil, 404, "4040113")
	w.refused("reader", "GET "+app+"/triggers/test", nil, 404, "4040113")
}

func withID(request, id string) string { return strings.Replace(request, "/ID", "/"+id, 1) }

// idIn reads the id of an answer.
func idIn(t *testing.T, body string) string {
	t.Helper()
	var out struct{ ID int32 }
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return strconv.Itoa(int(out.ID))
}
