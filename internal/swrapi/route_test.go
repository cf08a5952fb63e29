package swrapi

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"berth.dev/berth/internal/fault"
)

// sample has the patterns that overlap.
func sample() *API {
	a := &API{}
	for _, rt := range []route{
		{method: "GET", pattern: "/v2/manage/namespaces/{namespace}", name: "org"},
		{method: "DELETE", pattern: "/v2/manage/namespaces/{namespace}", name: "deleteOrg"},
		{method: "GET", pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/tags/{tag}", name: "tag"},
		{method: "GET", pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/retentions/histories", name: "histories"},
		{method: "PATCH", pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/retentions/{retention_id}", name: "retention"},
		{method: "GET", pattern: "/v2/manage/namespaces/{namespace}/repos/{repository...}/{tag}/accessories", name: "accessories"},
	} {
		a.routes = append(a.routes, served{&rt, nil, split(rt.pattern)})
	}
	return a
}

func TestMatch(t *testing.T) {
	const ns = "/v2/manage/namespaces/acme"
	tests := []struct {
		method, path, name string
		values             map[string]string
	}{
		{"GET", ns, "org", map[string]string{"namespace": "acme"}},
		{"DELETE", ns, "deleteOrg", map[string]string{"namespace": "acme"}},
		{"GET", ns + "/repos/app/tags/v1", "tag", map[string]string{"namespace": "acme", "repository": "app", "tag": "v1"}},
		{"GET", ns + "/repos/team$app/tags/v1", "tag", map[string]string{"namespace": "acme", "repository": "team/app", "tag": "v1"}},
		{"GET", ns + "/repos/team%24app/tags/v1", "tag", map[string]string{"namespace": "acme", "repository": "team/app", "tag": "v1"}},
		{"GET", ns + "/repos/team%2Fapp/tags/v1", "tag", map[string]string{"namespace": "acme", "repository": "team/app", "tag": "v1"}},
		{"GET", ns + "/repos/app/tags/accessories", "tag", map[string]string{"namespace": "acme", "repository": "app", "tag": "accessories"}},
		{"GET", ns + "/repos/app/retentions/histories", "histories", map[string]string{"namespace": "acme", "repository": "app"}},
		{"PATCH", ns + "/repos/app/retentions/7", "retention", map[string]string{"namespace": "acme", "repository": "app", "retention_id": "7"}},
		{"GET", ns + "/repos/app/v1/accessories", "accessories", map[string]string{"namespace": "acme", "repository": "app", "tag": "v1"}},
		{"GET", ns + "/repos/a/b/c/v1/accessories", "accessories", map[string]string{"namespace": "acme", "repository": "a/b/c", "tag": "v1"}},
	}
	for _, tt := range tests {
		m, err := sample().match(tt.method, tt.path)
		if err != nil {
			t.Errorf("%s %s: %v", tt.method, tt.path, err)
		} else if m.name != tt.name || !maps.Equal(m.values, tt.values) {
			t.Errorf("%s %s is %s %v", tt.method, tt.path, m.name, m.values)
		}
	}
}

func TestMatchRefuses(t *testing.T) {
	for _, path := range []string{"/v2/manage", "/v2/manage/namespaces", "/v2/manage/namespaces/", "/v2/manage/namespaces/acme/", "/v2/manage//namespaces/acme",
		"/v2/manage/namespaces/acme/repos//tags/v1", "/v2/manage/namespaces/acme/repos/app/tags", "/v2/manage/namespaces/%zz", "/"} {
		var we *wireError
		if _, err := sample().match("GET", path); !errors.As(err, &we) || we.code != unknownURL {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err := sample().match("PUT", "/v2/manage/namespaces/acme")
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != fault.Unsupported || f.Detail != "GET, DELETE" {
		t.Errorf("%v", err)
	}
}

func TestEveryOperationIsOne(t *testing.T) {
	seen := map[string]bool{}
	for _, rt := range Routes() {
		for _, key := range []string{rt.Name, rt.Method + " " + rt.Pattern} {
			if seen[key] {
				t.Errorf("%s is there twice", key)
			}
			seen[key] = true
		}
	}
	for _, group := range routes() {
		for _, rt := range group {
			if rt.handle == nil || rt.name == "" {
				t.Errorf("%s %s is not complete", rt.method, rt.pattern)
			}
			if slices.Contains(split(rt.pattern), "{namespace}") && rt.do == "" {
				t.Errorf("%s asks for no right", rt.name)
			}
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("GET", "/v2/manage/namespaces/acme/repos/team$app/v1/accessories")
	f.Add("PUT", "/v2/manage/namespaces/%zz")
	a := sample()
	f.Fuzz(func(t *testing.T, method, path string) {
		m, err := a.match(method, path)
		if err == nil && m.route == nil {
			t.Errorf("%s %s matches nothing", method, path)
		}
	})
}
