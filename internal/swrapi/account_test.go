package swrapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/swrapi"
)

// project returns the id of the one project of a user's account.
func (w *world) project(as string) string {
	w.t.Helper()
	list, err := w.iam.Projects(w.t.Context(), w.users[as], "")
	w.must(err)
	return list[0].ID
}

func TestLogin(t *testing.T) {
	w := open(t, options{api: swrapi.Options{LoginLife: time.Hour}})
	w.push("acme/app", "layer", "v1")
	for _, path := range []string{"/v2/manage/utils/secret", "/v2/manage/utils/secret?projectname=region-1", "/v2/manage/utils/authorizationtoken"} {
		before := time.Now()
		rec := w.send("reader", "POST "+path, nil)
		if rec.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
		}
		command := regexp.MustCompile(`^docker login -u (\S+)\s+-p (\S+)\s+(\S+)$`).FindStringSubmatch(rec.Header().Get("X-Swr-Dockerlogin"))
		if command == nil || command[3] != host || !regexp.MustCompile(`^region-1@\w+$`).MatchString(command[1]) || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(command[2]) {
			t.Fatalf("%s: the command is %q", path, rec.Header().Get("X-Swr-Dockerlogin"))
		}
		auth := base64.StdEncoding.EncodeToString([]byte(command[1] + ":" + command[2]))
		if d := differ(`{"auths":{"`+host+`":{"auth":"`+auth+`"}}}`, rec.Body.String()); d != "" {
			t.Errorf("%s: %s", path, d)
		}
		end, err := time.Parse("2006-01-02T15:04:05Z", rec.Header().Get("X-Swr-Expireat"))
		if left := end.Sub(before); err != nil || left < 59*time.Minute || left > 61*time.Minute {
			t.Errorf("%s: it ends at %q", path, rec.Header().Get("X-Swr-Expireat"))
		}
		if got := w.pull(command[1], command[2], "GET /v2/acme/app/manifests/v1"); got != 200 {
			t.Errorf("%s: pulling with it: %d", path, got)
		}
		w.later.Store(int64(time.Hour + time.Second))
		if got := w.pull(command[1], command[2], "GET /v2/acme/app/manifests/v1"); got != 401 {
			t.Errorf("%s: pulling with it after its end: %d", path, got)
		}
		w.later.Store(0)
	}
	w.refused("reader", "POST /v2/manage/utils/secret?projectname=unknown", nil, 400, "4000014")
	w.refused("", "POST /v2/manage/utils/secret", nil, 401, "SVCSTG.S2I.4019000")
	w.refused("reader", "GET /v2/manage/utils/secret", nil, 405, "4031033")
}

func TestFeatureGates(t *testing.T) {
	w := open(t, options{})
	gates := func(project string) string { return "GET /v2/manage/projects/" + project + "/feature-gates" }
	w.want("nobody", gates(w.project("admin")), nil, 200, `{"enable_experience":false,"enable_hss_service":false,"enable_image_scan":false,"enable_sm3":false,
		"enable_image_sync":false,"enable_cci_service":false,"enable_image_label":false,"enable_pipeline":false,"enable_authorization_token":true,
		"enable_resource":false,"enable_list_v3":true,"enable_image_quota":true}`)
	for _, marked := range []bool{false, true} {
		w.cluster(fmt.Sprint("c-", marked), fmt.Sprint("cluster-", marked), marked)
		rec := w.send("nobody", gates(w.project("admin")), nil)
		if want := fmt.Sprintf(`"enable_cci_service":%t`, marked); !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s, want %s", rec.Body, want)
		}
	}
	// That a project exists is nobody else's business.
	for _, project := range []string{w.project("stranger"), "unknown", "%00", "region-1"} {
		w.refused("nobody", gates(project), nil, 403, "4039001")
	}
}

func TestAgency(t *testing.T) {
	w := open(t, options{})
	const path = "/v2/manage/agency"
	is := func(as, is string) {
		t.Helper()
		w.want(as, "GET "+path, nil, 200, `{"domain_id":"`+w.users[as].Account+`","is_agency":`+is+`}`)
	}
	is("nobody", "false")
	w.refused("manager", "POST "+path, nil, 403, "4039002")
	w.want("admin", "POST "+path, nil, 204, ``)
	w.refused("admin", "POST "+path, nil, 409, "4090006")
	is("nobody", "true")
	is("stranger", "false")
	w.want("stranger", "POST "+path, nil, 204, ``)
	is("stranger", "true")
}

// pull sends a request of the distribution API with a password, "" for none,
// and returns the status.
func (w *world) pull(user, password, request string) int {
	w.t.Helper()
	return w.image(request, nil, func(r *http.Request) {
		if user != "" {
			r.SetBasicAuth(user, password)
		}
	}).Code
}

// registryToken fetches a token for the distribution API.
func (w *world) registryToken(user, password, scope string) string {
	w.t.Helper()
	rec := w.image("GET /auth/token?scope="+scope, nil, func(r *http.Request) { r.SetBasicAuth(user, password) })
	var out struct{ Token string }
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != 200 {
		w.t.Fatalf("no token: %d %s", rec.Code, rec.Body)
	}
	return out.Token
}

// guest makes a user of the account other who is no administrator.
func (w *world) guest() {
	w.t.Helper()
	_, err := w.iam.CreateUser(w.t.Context(), iam.Operator(), "other", "guest", "guest-password", false)
	w.must(err)
}

// What a client sent is not sent back at length, nor into the log.
func TestLongValuesAreNotRepeated(t *testing.T) {
	w := open(t, options{})
	w.push("acme/app", "layer", "v1")
	long := strings.Repeat("1", 100_000)
	for _, body := range []string{`[{"user_id":"` + long + `","auth":1}]`, `[{"user_id":"` + long + `","auth":2}]`, `[{"user_id":"x","auth":` + long + `}]`} {
		for _, path := range []string{"/v2/manage/namespaces/acme/access", "/v2/manage/namespaces/acme/repos/app/access"} {
			if rec := w.send("admin", "POST "+path, body); rec.Code != 400 || rec.Body.Len() > 1000 {
				t.Errorf("%s: %d with %d bytes", path, rec.Code, rec.Body.Len())
			}
		}
	}
}
