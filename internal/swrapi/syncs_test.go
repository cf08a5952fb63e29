package swrapi_test

import (
	"encoding/json"
	"regexp"
	"testing"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

// regions registers some that nobody connects to.
func (w *world) regions(names ...string) {
	w.t.Helper()
	for _, name := range names {
		address, optional := "https://"+name+".example.com", true
		w.must(w.reg.AddRegion(w.t.Context(), iam.Operator(), name, registry.RegionPatch{URL: &address, Optional: &optional}))
	}
}

// stamps checks that a body has n times in the form that clients read.
func stamps(t *testing.T, body string, n int) {
	t.Helper()
	if got := len(regexp.MustCompile(`"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"`).FindAllString(body, -1)); got != n {
		t.Errorf("%d times, want %d: %s", got, n, body)
	}
}

func TestSyncs(t *testing.T) {
	w := open(t, options{})
	w.regions("north-1", "south-1")
	w.push("acme/app", "layer", "v1", "v2")
	const repo, images, jobs = app + "/sync_repo", app + "/sync_images", app + "/sync_job"
	account := w.users["admin"].Account
	w.want("reader", "GET "+repo, nil, 200, `[]`)
	w.want("manager", "POST "+repo, `{"remoteRegionId":"north-1","remoteNamespace":"acme"}`, 200, `{}`)
	w.want("manager", "POST "+repo, `{"remoteRegionId":"south-1","remoteNamespace":"acme","syncAuto":false,"override":true}`, 200, `{}`)
	w.refused("manager", "POST "+repo, `{"remoteRegionId":"north-1","remoteNamespace":"acme","override":true}`, 409, "4090006")
	entry := func(region, override, auto string) string {
		return `{"id":"*","createdAt":"*","updatedAt":"*","domainID":"` + account + `","domainName":"admin","namespace":"acme","repoName":"app",
			"remoteRegionId":"` + region + `","remoteNamespace":"acme","override":` + override + `,"syncAuto":` + auto + `}`
	}
	rec := w.want("reader", "GET "+repo, nil, 200, `[`+entry("north-1", "false", "true")+`,`+entry("south-1", "true", "false")+`]`)
	stamps(t, rec.Body.String(), 4)
	for body, code := range map[string]string{
		`{"remoteNamespace":"acme"}`: "4001014", `{"remoteRegionId":"north-1"}`: "4001014", `{}`: "4001014",
		`{"remoteRegionId":"west-1","remoteNamespace":"acme"}`: "4000014", `{"remoteRegionId":"north-1","remoteNamespace":"A"}`: "4000014",
		`{"remoteRegionId":"north-1","remoteNamespace":"acme","override":"true"}`: "4001018", ``: "4001018",
	} {
		w.refused("manager", "POST "+repo, body, 400, code)
	}

	w.want("reader", "GET "+jobs+"?filter=limit::10|offset::0", nil, 200, `[]`)
	rec = w.want("manager", "POST "+images, `{"imageTag":["v1","v2"],"remoteRegionId":"north-1","remoteNamespace":"acme"}`, 200, `["*","*"]`)
	var ids []string
	w.must(json.Unmarshal(rec.Body.Bytes(), &ids))
	job := func(tag, override string) string {
		return `{"id":"*","createdAt":"*","updatedAt":"*","domainID":"` + account + `","domainName":"admin","namespace":"acme","repoName":"app",
			"remoteRegionId":"north-1","remoteNamespace":"acme","override":` + override + `,"status":"waiting","tag":"` + tag + `","detail":"",
			"syncOperatorId":"` + w.users["manager"].User + `","syncOperatorName":"manager"}`
	}
	rec = w.want("reader", "GET "+jobs+"?filter=limit::10|offset::0", nil, 200, `[`+job("v2", "false")+`,`+job("v1", "false")+`]`)
	if page(rec) != "0-2/2" {
		t.Errorf("Content-Range %q", page(rec))
	}
	stamps(t, rec.Body.String(), 4)
	rec = w.want("reader", "GET "+jobs+"?filter=limit::10|offset::10", nil, 200, `[]`)
	if page(rec) != "10-0/2" {
		t.Errorf("Content-Range %q", page(rec))
	}
	if got := page(w.want("reader", "GET "+jobs, nil, 200, `["*","*"]`)); got != "" {
		t.Errorf("Content-Range %q without a page", got)
	}
	for body, want := range map[string]struct {
		status int
		code   string
	}{
		`{"imageTag":["v1","v3"],"remoteRegionId":"north-1","remoteNamespace":"acme"}`: {404, "4040048"},
		`{"imageTag":["a b"],"remoteRegionId":"north-1","remoteNamespace":"acme"}`:     {400, "4000014"},
		`{"imageTag":[],"remoteRegionId":"north-1","remoteNamespace":"acme"}`:          {400, "4001014"},
		`{"remoteRegionId":"north-1","remoteNamespace":"acme"}`:                        {400, "4001014"},
		`{"imageTag":["v1"],"remoteRegionId":"west-1","remoteNamespace":"acme"}`:       {400, "4000014"},
		`{"imageTag":"v1","remoteRegionId":"north-1","remoteNamespace":"acme"}`:        {400, "4001018"},
	} {
		w.refused("manager", "POST "+images, body, want.status, want.code)
	}

	w.want("manager", "DELETE "+repo, `{"remoteRegionId":"north-1","remoteNamespace":"acme"}`, 200, `{}`)
	w.refused("manager", "DELETE "+repo, `{"remoteRegionId":"north-1","remoteNamespace":"acme"}`, 404, "4040113")
	w.refused("manager", "DELETE "+repo, `{"remoteRegionId":"\u0000","remoteNamespace":"acme"}`, 404, "4040113")
	w.refused("manager", "DELETE "+repo, `{"remoteRegionId":"south-1"}`, 400, "4001014")
	w.refused("manager", "DELETE "+repo, nil, 400, "4001018")
	w.want("reader", "GET "+repo, nil, 200, `[`+entry("south-1", "true", "false")+`]`)
}

// Without regions nothing can be synchronized.
func TestNoRegions(t *testing.T) {
	w := open(t, options{})
	w.push("acme/app", "layer", "v1")
	w.refused("manager", "POST "+app+"/sync_repo", `{"remoteRegionId":"north-1","remoteNamespace":"acme"}`, 400, "4000014")
	w.refused("manager", "POST "+app+"/sync_images", `{"imageTag":["v1"],"remoteRegionId":"north-1","remoteNamespace":"acme"}`, 400, "4000014")
}

// Regions are registered by those who run the installation; passwords are
// never shown.
func TestRegions(t *testing.T) {
	w := open(t, options{})
	for _, request := range []string{"POST /v2/manage/regions", "GET /v2/manage/regions/north-1", "PATCH /v2/manage/regions/north-1", "DELETE /v2/manage/regions/north-1", "POST /v2/manage/regions/north-1/check"} {
		w.refused("manager", request, `nonsense`, 403, "4039002")
		w.refused("", request, `nonsense`, 401, "SVCSTG.S2I.4019000")
	}
	w.want("nobody", "GET /v2/manage/regions", nil, 200, `[]`)
	w.regions("north-1", "south-1")
	w.want("nobody", "GET /v2/manage/regions", nil, 200, `[{"regionID":"north-1"},{"regionID":"south-1"}]`)
	w.want("stranger", "GET /v2/manage/regions", nil, 200, `[{"regionID":"north-1"},{"regionID":"south-1"}]`)
	w.refused("", "GET /v2/manage/regions", nil, 401, "SVCSTG.S2I.4019000")
}

// The report of a rule is begun by the first look at it.
func TestDifferences(t *testing.T) {
	w := open(t, options{})
	w.regions("north-1")
	w.push("acme/app", "layer", "v1")
	const where = app + "/sync_repo/differences?remoteRegionId=north-1&remoteNamespace=acme"
	body := `{"remoteRegionId":"north-1","remoteNamespace":"acme"}`
	w.refused("reader", "GET "+where, nil, 404, "4040113")
	w.refused("reader", "GET "+app+"/sync_repo/differences", nil, 400, "4001014")
	w.refused("manager", "POST "+app+"/sync_repo/reconcile", body, 404, "4040113")
	w.want("manager", "POST "+app+"/sync_repo", body, 200, `{}`)
	report := func(reconcile string) string {
		return `{"state":"comparing","detail":"","reconcile":` + reconcile + `,"equal":0,"missing":0,"different":0,"extra":0,"queued":0,"differences":[],"createdAt":"*","updatedAt":"*"}`
	}
	rec := w.want("reader", "GET "+where, nil, 200, report("false"))
	if page(rec) != "0-0/0" {
		t.Errorf("Content-Range %q", page(rec))
	}
	w.refused("reader", "GET "+where+"&refresh=maybe", nil, 400, "4000014")
	w.refused("reader", "POST "+app+"/sync_repo/reconcile", body, 403, "4039002")
	w.want("manager", "POST "+app+"/sync_repo/reconcile", body, 200, `{}`)
	w.want("reader", "GET "+where+"&refresh=true", nil, 200, report("true"))
}
