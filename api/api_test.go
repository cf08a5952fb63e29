// Package api_test checks the description of the API against the code that
// serves it.
package api_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/api"
	"berth.dev/berth/internal/chartapi"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iamapi"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/swrapi"
)

type document struct {
	Paths map[string]map[string]any `json:"paths"`
}

// operations calls fn for each operation of the description.
func operations(d document, fn func(path, method string, op map[string]any)) {
	for path, item := range d.Paths {
		for method, op := range item {
			if method != "parameters" {
				fn(path, strings.ToUpper(method), op.(map[string]any))
			}
		}
	}
}

func read(t *testing.T) (d document, tree map[string]any) {
	t.Helper()
	f, err := api.Document()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(f.Body, &tree); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(f.Body, &d); err != nil {
		t.Fatal(err)
	}
	return d, tree
}

var samples = strings.NewReplacer(
	"{name}", "group/app",
	"{digest}", "sha256:"+strings.Repeat("0", 64),
	"{reference}", "latest",
	"{id}", "opaque",
	"{namespace}", "group",
	"{repository}", "busybox",
	"{tag}", "latest",
)

// Each kind of request that the distribution API has is described, and nothing
// is described that it has not.
func TestDistributionIsDescribed(t *testing.T) {
	d, _ := read(t)
	described := map[oci.Kind]string{}
	operations(d, func(path, method string, op map[string]any) {
		if !slices.Contains(op["tags"].([]any), any("distribution")) {
			return
		}
		q, err := oci.ParseRequest(method, samples.Replace(path))
		if err != nil {
			t.Errorf("%s %s is described and no request: %v", method, path, err)
			return
		}
		if other := described[q.Kind]; other != "" {
			t.Errorf("%s %s and %s are both %s", method, path, other, q.Kind)
		}
		described[q.Kind] = method + " " + path
	})
	for k := oci.Ping; k.String() != "unknown"; k++ {
		if described[k] == "" {
			t.Errorf("%s is not described", k)
		}
	}
}

// The routes of the management API and their descriptions are the same, name
// by name.
func TestManagementIsDescribed(t *testing.T) {
	d, _ := read(t)
	served := map[string]string{} // method and path -> name
	for _, r := range swrapi.Routes() {
		served[r.Method+" "+strings.ReplaceAll(r.Pattern, "...}", "}")] = r.Name
	}
	compare(t, d, served, "/v2/manage/", "/v3/manage/")
}

// The same for IAM. Where one route has several addresses or methods, each has
// a description of its own, whose name says so behind a low line.
func TestIdentityIsDescribed(t *testing.T) {
	d, _ := read(t)
	served := map[string]string{}
	for _, r := range iamapi.Routes() {
		served[r.Method+" "+r.Pattern] = r.Name
	}
	for path := range d.Paths {
		if strings.HasPrefix(path, "/v3/manage/") {
			delete(d.Paths, path)
		}
	}
	compare(t, d, served, "/v3", "/v3.0")
}

// The same for chart repositories.
func TestChartRepositoriesAreDescribed(t *testing.T) {
	d, _ := read(t)
	served := map[string]string{}
	for _, r := range chartapi.Routes() {
		served[r.Method+" "+r.Pattern] = r.Name
	}
	compare(t, d, served, "/chart/")
}

// compare holds the descriptions of all that is below the prefixes against
// what is served there.
func compare(t *testing.T, d document, served map[string]string, prefixes ...string) {
	t.Helper()
	described := map[string]bool{}
	operations(d, func(path, method string, op map[string]any) {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(path, p) }) {
			return
		}
		key, id := method+" "+path, op["operationId"].(string)
		described[key] = true
		switch name, ok := served[key]; {
		case !ok:
			t.Errorf("%s (%s) is described and not served", key, id)
		case name != id && !strings.HasPrefix(id, name+"_"):
			t.Errorf("%s is described as %s and served as %s", key, id, name)
		}
	})
	for key, name := range served {
		if !described[key] {
			t.Errorf("%s (%s) is served and not described", key, name)
		}
	}
}

// What is described beside the distribution API must not be part of it.
func TestOthersAreOutside(t *testing.T) {
	d, _ := read(t)
	operations(d, func(path, method string, op map[string]any) {
		if slices.Contains(op["tags"].([]any), any("distribution")) {
			return
		}
		if q, err := oci.ParseRequest(method, samples.Replace(path)); !fault.Is(err, fault.RepoUnknown) {
			t.Errorf("%s %s is also a request of kind %s: %v", method, path, q.Kind, err)
		}
	})
}

func TestDescriptionIsWhole(t *testing.T) {
	d, tree := read(t)
	ids := map[string]bool{}
	operations(d, func(path, method string, op map[string]any) {
		id, _ := op["operationId"].(string)
		if id == "" || ids[id] {
			t.Errorf("%s %s: the operationId %q is empty or there twice", method, path, id)
		}
		ids[id] = true
		if op["summary"] == nil || op["responses"] == nil {
			t.Errorf("%s %s lacks a summary or responses", method, path)
		}
		for _, name := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
			if !slices.Contains(parameters(tree, d.Paths[path]["parameters"]), name[1]) {
				t.Errorf("%s does not say what %s is", path, name[0])
			}
		}
	})
	references(tree, func(ref string) {
		if resolve(tree, ref) == nil {
			t.Errorf("%s points nowhere", ref)
		}
	})
}

// parameters returns the names of the parameters in a list.
func parameters(tree map[string]any, list any) (names []string) {
	items, _ := list.([]any)
	for _, item := range items {
		p := item.(map[string]any)
		if ref, ok := p["$ref"].(string); ok {
			p, _ = resolve(tree, ref).(map[string]any)
		}
		name, _ := p["name"].(string)
		names = append(names, name)
	}
	return names
}

// references calls fn for each $ref below v.
func references(v any, fn func(ref string)) {
	switch v := v.(type) {
	case map[string]any:
		for key, below := range v {
			if ref, ok := below.(string); ok && key == "$ref" {
				fn(ref)
			}
			references(below, fn)
		}
	case []any:
		for _, below := range v {
			references(below, fn)
		}
	}
}

func resolve(tree map[string]any, ref string) any {
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil
	}
	var at any = tree
	for part := range strings.SplitSeq(path, "/") {
		m, _ := at.(map[string]any)
		at = m[part]
	}
	return at
}
