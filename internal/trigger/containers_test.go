package trigger

import (
	"encoding/json"
	"strings"
	"testing"

	"berth.dev/berth/internal/kube"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

func made(repo oci.Name, host string, rule registry.Trigger) *delivery {
	return &delivery{t: &Triggers{o: Options{Host: host}}, repo: repo, rule: rule, ref: kube.Ref{Kind: "deployments", Namespace: "shop", Name: "web"},
		what: registry.TriggerJob{Tag: "v2", Digest: "sha256:" + strings.Repeat("a", 64)}}
}

// Only images of the repository are changed, each on the host that it had.
func TestContainers(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("a", 64)
	for _, c := range []struct {
		host, named, image string
		pin                bool
		want               string // empty: it is not changed
	}{
		{"", "", "r.example/acme/app", false, "r.example/acme/app:v2"},
		{"", "", "r.example/acme/app:v1", false, "r.example/acme/app:v2"},
		{"", "", "r.example:5000/acme/app:v1", false, "r.example:5000/acme/app:v2"},
		{"", "", "r.example:5000/acme/app:v1@sha256:0", false, "r.example:5000/acme/app:v2"},
		{"", "", "r.example/acme/app@sha256:0", true, "r.example/acme/app:v2" + digest},
		{"", "", "localhost/acme/app:v1", false, "localhost/acme/app:v2"},
		{"", "", "acme/app:v1", false, ""}, // of Docker Hub
		{"", "", "app:v1", false, ""},
		{"", "", "r.example/acme/app2:v1", false, ""},
		{"", "", "r.example/acme/app/more:v1", false, ""},
		{"", "", "r.example/x/acme/app:v1", false, ""},
		{"r.example", "", "r.example/acme/app:v1", false, "r.example/acme/app:v2"},
		{"r.example", "", "R.example:443/acme/app:v1", false, "R.example:443/acme/app:v2"},
		{"r.example", "", "r.example:5000/acme/app:v1", false, ""},
		{"r.example", "", "other.example/acme/app:v1", false, ""},
		{"r.example", "main", "mirror.example/acme/app:v1", false, "mirror.example/acme/app:v2"},
		{"r.example", "main", "r.example/acme/other:v1", false, ""},
	} {
		d := made("acme/app", c.host, registry.Trigger{Container: c.named, Pin: c.pin})
		w := &kube.Workload{}
		w.Spec.Template.Spec.Containers = []kube.Container{{Name: "side", Image: "r.example/acme/side:v1"}, {Name: "main", Image: c.image}}
		uses, problem := d.containers(w)
		switch {
		case c.want == "" && (problem == "" || len(uses) > 0):
			t.Errorf("%+v is changed: %+v", c, uses)
		case c.want != "" && (problem != "" || len(uses) != 1 || uses[0].name != "main" || uses[0].image != c.want):
			t.Errorf("%+v: %+v, %s", c, uses, problem)
		}
	}
	d := made("acme/app", "", registry.Trigger{Container: "none"})
	if _, problem := d.containers(&kube.Workload{}); !strings.Contains(problem, "has no container none") {
		t.Errorf("%q", problem)
	}
}

// A patch names what it changes and nothing else, and holds for the version
// that was read.
func TestPatch(t *testing.T) {
	d := made("acme/app", "", registry.Trigger{})
	w := workload(t, `{"metadata":{"resourceVersion":"7"},"spec":{"template":{"spec":{"initContainers":[{"name":"i","image":"r.example/acme/app:v1"}],
		"containers":[{"name":"c","image":"r.example/acme/app:v1"},{"name":"s","image":"busybox"}]}}}}`)
	uses, _ := d.containers(w)
	got, err := json.Marshal(d.patch(w, uses))
	want := `{"metadata":{"resourceVersion":"7"},"spec":{"template":{"metadata":{"annotations":{"berth.dev/digest-acme.app":"v2@` + d.what.Digest + `"}},` +
		`"spec":{"containers":[{"image":"r.example/acme/app:v2","name":"c"}],"initContainers":[{"image":"r.example/acme/app:v2","name":"i"}]}}}}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\n%s", err, got, want)
	}
	if d.there(w, uses) {
		t.Error("it is there before it was changed")
	}
}

// Every repository has an annotation of its own that Kubernetes takes.
func TestAnnotation(t *testing.T) {
	seen := map[string]oci.Name{}
	for _, repo := range []oci.Name{"a/b", "a/b/c", "a/b.c", "acme/a_b", "acme/a-b", oci.Name("acme/" + strings.Repeat("x", 100)), oci.Name("acme/" + strings.Repeat("x", 101)), "acme/" + oci.Name(strings.Repeat("x/", 40)+"y")} {
		name := made(repo, "", registry.Trigger{}).annotation()
		short := strings.TrimPrefix(name, "berth.dev/")
		if len(short) > 63 || strings.Trim(short, "._-") != short || strings.ContainsAny(short, "/") {
			t.Errorf("%s: %s", repo, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%s and %s have the annotation %s", repo, other, name)
		}
		seen[name] = repo
	}
}
