package swr

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// packed is a chart as `helm package` makes it.
func packed(t testing.TB, name, version string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range [][2]string{
		{"/Chart.yaml", "apiVersion: v2\nname: " + name + "\nversion: " + version + "\nappVersion: \"7\"\nicon: https://example.com/i.svg\ndeprecated: true\n" +
			"kubeVersion: \">=1.25\"\ndependencies:\n- name: redis\n  version: 20.x\n  repository: https://charts.example.com\n"},
		{"/README.md", "# Read me"},
		{"/values.yaml", "replicas: 1\n"},
		{"/values.schema.json", "{}"},
	} {
		err := w.WriteHeader(&tar.Header{Name: name + f[0], Mode: 0o644, Size: int64(len(f[1]))})
		if err == nil {
			_, err = w.Write([]byte(f[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// uploadChart sends a chart by password, as helm's plugin does.
func (f *fixture) uploadChart(group string, chart []byte, status int) {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), "POST", f.URL()+"/chart/api/"+group+"/charts", bytes.NewReader(chart))
	if err != nil {
		f.Fatal(err)
	}
	r.SetBasicAuth(f.Admin().User, f.Admin().Password)
	resp, err := f.client().Do(r)
	if err != nil {
		f.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != status {
		f.Fatalf("upload: %d, want %d", resp.StatusCode, status)
	}
}

// Chart groups from their creation to their end, with the rights of users and
// all that is shown of a chart.
func TestChartGroups(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withKey(f.admin)
		const groups = "/v2/manage/chart-groups"
		group := f.org
		at := groups + "/" + group
		c.do("POST", groups, object(map[string]any{"name": group, "description": "text"}), true, 201)
		c.do("POST", groups, object(map[string]any{"name": group}), false, 409)
		c.do("POST", namespaces, object(map[string]any{"namespace": group}), false, 409)
		c.do("POST", groups, `{"name":"A"}`, false, 400)
		c.do("POST", groups, object(map[string]any{"name": group + "x", "description": strings.Repeat("x", 256)}), false, 413)
		c.do("POST", groups, `{}`, false, 400)
		if _, body := c.do("GET", groups, "", true, 200); !bytes.Contains(body, []byte(`"name":"`+group+`"`)) {
			f.Errorf("the groups: %s", body)
		}
		if _, body := c.do("GET", namespaces, "", true, 200); bytes.Contains(body, []byte(`"name":"`+group+`"`)) {
			f.Errorf("the organizations: %s", body)
		}

		reader := f.user("reader")
		as := f.withKey(reader)
		as.do("GET", at, "", false, 403)
		grant := func(right int) string {
			return object([]any{map[string]any{"user_id": reader.User, "user_name": reader.UserName, "auth": right}})
		}
		c.do("POST", at+"/access", grant(1), true, 201)
		c.do("POST", at+"/access", grant(1), false, 409)
		if _, body := c.do("GET", at+"/access", "", true, 200); !bytes.Contains(body, []byte(reader.UserName)) {
			f.Errorf("the rights: %s", body)
		}
		as.do("GET", at, "", true, 200)
		as.do("PATCH", at, `{"is_public":true}`, false, 403)
		c.do("PATCH", at+"/access", grant(7), true, 201)
		as.do("PATCH", at, `{"is_public":true,"description":"changed"}`, true, 200)
		c.do("DELETE", at+"/access", object([]string{reader.User}), false, 204)
		as.do("PATCH", at, `{"is_public":false}`, false, 403)
		c.do("PATCH", at, `{}`, false, 400)

		for _, version := range []string{"1.0.0", "1.1.0", "2.0.0-rc.1"} {
			f.uploadChart(group, packed(t, "web", version), 201)
		}
		f.uploadChart(group, packed(t, "web", "1.0.0"), 409)
		var list struct {
			Charts []struct {
				Name, Latest string
				Versions     int `json:"version_count"`
			}
			Total int
		}
		c.read(at+"/charts", &list)
		if list.Total != 1 || list.Charts[0].Latest != "1.1.0" || list.Charts[0].Versions != 3 {
			f.Errorf("the charts: %+v", list)
		}
		c.do("GET", at+"/charts/web", "", true, 200)
		c.do("GET", at+"/charts/none", "", false, 404)
		var v struct {
			Readme, Values string
			Schema         string `json:"values_schema"`
			KubeVersion    string `json:"kube_version"`
			Deprecated     bool
			Metadata       struct{ Dependencies []struct{ Name string } }
		}
		c.read(at+"/charts/web/versions/1.0.0", &v)
		if v.Readme != "# Read me" || v.Values != "replicas: 1\n" || v.Schema != "{}" || v.KubeVersion != ">=1.25" || !v.Deprecated || v.Metadata.Dependencies[0].Name != "redis" {
			f.Errorf("the version: %+v", v)
		}
		c.do("GET", at+"/charts/web/versions/9.9.9", "", false, 404)
		c.do("DELETE", at+"/charts/web/versions/1.0.0", "", false, 204)
		c.do("DELETE", at+"/charts/web/versions/1.0.0", "", false, 404)

		c.do("GET", at+"/mirror", "", false, 404)
		c.do("PUT", at+"/mirror", `{}`, false, 400)
		c.do("PUT", at+"/mirror", `{"url":"http://169.254.169.254/x"}`, false, 400)
		c.do("PUT", at+"/mirror", object(map[string]any{"url": f.URL() + "/chart/none", "charts": []string{"web"}, "versions": ">=1", "every_hours": 24}), true, 200)
		c.do("GET", at+"/mirror", "", true, 200)
		c.do("POST", at+"/mirror/run", "", true, 200)
		c.do("DELETE", at+"/mirror", "", false, 204)
		c.do("POST", at+"/mirror/run", "", false, 404)

		c.do("DELETE", at, "", false, 406)
		f.withKey(f.partner).do("DELETE", at+"?force=true", "", false, 403)
		_, body := c.do("DELETE", at+"?force=true", "", true, 200)
		var gone struct {
			Charts []string
			Count  int `json:"chart_count"`
		}
		if err := json.Unmarshal(body, &gone); err != nil || gone.Count != 1 || gone.Charts[0] != "web" {
			f.Errorf("what went: %v %s", err, body)
		}
		c.do("GET", at, "", false, 404)
	})
}
