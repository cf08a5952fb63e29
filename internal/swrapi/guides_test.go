package swrapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

func TestGuides(t *testing.T) {
	w := open(t, options{})
	const guides = "/v2/manage/guides/"
	w.push("acme/app", "layer", "v1")
	_, err := w.reg.CreateChartGroup(t.Context(), w.users["admin"], registry.GroupSpec{Name: "team"})
	w.must(err)
	has := func(as, path string, words ...string) string {
		t.Helper()
		rec := w.send(as, "GET "+guides+path, nil)
		var g struct {
			Steps []struct{ Client, Title, Text, Content string }
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &g); err != nil || rec.Code != http.StatusOK || len(g.Steps) < 2 {
			t.Fatalf("%s as %s: %d %s", path, as, rec.Code, rec.Body)
		}
		for _, word := range words {
			if !strings.Contains(rec.Body.String(), word) {
				t.Errorf("%s as %s lacks %s: %s", path, as, word, rec.Body)
			}
		}
		return rec.Body.String()
	}
	has("reader", "login", "docker login -u reader --password-stdin "+host)
	has("stranger", "login", "docker login -u other/stranger --password-stdin "+host)
	has("writer", "push?namespace=acme", "docker push "+host+"/acme/alpine:latest")
	has("reader", "push?namespace=acme", "You may not push to acme")
	has("writer", "pull?namespace=acme", "crictl pull --creds", "imagePullSecrets")
	if got := has("admin", "push?namespace=team", "helm push mychart-1.0.0.tgz oci://"+host+"/team", "http://"+host+"/chart/team", "helm cm-push"); strings.Contains(got, "docker") {
		t.Errorf("images in a guide to charts: %s", got)
	}
	w.refused("reader", "GET "+guides+"push", nil, 400, "4001014")
	w.refused("reader", "GET "+guides+"eat", nil, 404, "4040113")
	w.refused("reader", "GET "+guides+"login?lang=de", nil, 400, "4001025")
	w.refused("reader", "GET "+guides+"push?namespace=none", nil, 404, "4040058")
	w.refused("nobody", "GET "+guides+"pull?namespace=acme", nil, 403, "4039002")
	w.refused("stranger", "GET "+guides+"pull?namespace=acme", nil, 403, "4039001")
	w.must(w.reg.GrantRepo(t.Context(), w.users["admin"], "acme/app", "nobody", iam.Read))
	has("nobody", "pull?namespace=acme")
	w.want("admin", "PATCH /v2/manage/namespaces/acme", `{"is_public":true}`, 200, `"*"`)
	if got := has("stranger", "pull?namespace=acme", "Everyone pulls from acme"); strings.Contains(got, "BERTH_CREDENTIAL") {
		t.Errorf("a login where everyone pulls: %s", got)
	}

	for accept, want := range map[string]string{"": "en", "zh-CN,zh;q=0.9,en;q=0.5": "zh", "de, en;q=0.5, zh;q=0.4": "en", "zh;q=0": "en", "en;q=x, zh": "zh", strings.Repeat("de,", 20) + "zh": "en"} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://"+host+guides+"login", nil)
		r.Header.Set("X-Auth-Token", w.token["reader"])
		r.Header.Set("Accept-Language", accept)
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, r)
		if got := rec.Header().Get("Content-Language"); got != want || rec.Header().Get("Vary") != "Accept-Language" {
			t.Errorf("%q is answered in %q", accept, got)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "http://"+host+guides+"login", nil)
	r.Host = "x;reboot"
	r.Header.Set("X-Auth-Token", w.token["reader"])
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	if rec.Code != http.StatusBadRequest {
		t.Errorf("a host that a shell takes apart: %d %s", rec.Code, rec.Body)
	}
}
