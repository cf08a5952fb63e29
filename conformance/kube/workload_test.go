package kube

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// sidecar is the image of the container that no trigger should touch.
const sidecar = "registry.k8s.io/" + org + "/sidecar:v1"

// A workload is one that a test made.
type workload struct {
	w    *world
	kind string // deployments, statefulsets
	name string
}

func (x workload) path() string {
	return "/apis/apps/v1/namespaces/" + x.w.ns + "/" + x.kind + "/" + x.name
}

// workload makes one of two containers, app and sidecar, and waits until it runs.
func (w *world) workload(kind, name, image string, change ...func(spec object)) workload {
	w.Helper()
	x := workload{w, kind, name}
	labels := object{"app": name}
	spec := object{
		"replicas": 2, "selector": object{"matchLabels": labels},
		"template": object{"metadata": object{"labels": labels}, "spec": object{"containers": []any{
			object{"name": "app", "image": image}, object{"name": "sidecar", "image": sidecar},
		}, "initContainers": []any{object{"name": "prepare", "image": "busybox:1"}}}},
	}
	if kind == "statefulsets" {
		spec["serviceName"] = name
	} else {
		spec["progressDeadlineSeconds"] = 600
	}
	for _, c := range change {
		c(spec)
	}
	_, err := cluster.Create(w.Context(), "/apis/apps/v1/namespaces/"+w.ns+"/"+kind, object{"metadata": object{"name": name}, "spec": spec})
	w.must(err)
	w.until(name+" runs", func() bool { return x.number("status", "readyReplicas") == x.number("spec", "replicas") })
	return x
}

func (x workload) get() object {
	x.w.Helper()
	o, err := cluster.Get(x.w.Context(), x.path())
	x.w.must(err)
	return o
}

// number reads a member; 0 where it is not there.
func (x workload) number(path ...string) int64 {
	x.w.Helper()
	var v any = x.get()
	for _, p := range path {
		v = v.(object)[p]
	}
	n, _ := v.(float64)
	return int64(n)
}

// images are those of the template's containers, in their order.
func (x workload) images() string {
	x.w.Helper()
	spec := x.get()["spec"].(object)["template"].(object)["spec"].(object)
	var out []string
	for _, c := range append(append([]any{}, spec["initContainers"].([]any)...), spec["containers"].([]any)...) {
		out = append(out, c.(object)["image"].(string))
	}
	return strings.Join(out, " ")
}

// trigger makes one on the repository app.
func (x workload) trigger(change ...string) string {
	x.w.Helper()
	body := object{"action": "update", "app_type": x.kind, "application": x.name, "cluster_name": "production", "cluster_ns": x.w.ns, "condition": ".*",
		"enable": "true", "name": x.name, "trigger_type": "all"}
	for i := 0; i < len(change); i += 2 {
		body[change[i]] = change[i+1]
	}
	x.w.want(201, "POST", triggers, body)
	return body["name"].(string)
}

// triggers is where those of the repository app are.
const triggers = "/namespaces/" + org + "/repos/app/triggers"

// An entry is one of a trigger's history.
type entry struct {
	Tag, Digest, Result, Detail string
	Attempts                    int
	Duration                    int64 `json:"duration_ms"`
}

// history reads that of a trigger, the newest first.
func (w *world) history(trigger string) []entry {
	w.Helper()
	var t struct {
		History []entry `json:"trigger_history"`
	}
	w.must(json.Unmarshal([]byte(w.want(200, "GET", triggers+"/"+trigger, nil)), &t))
	return t.History
}

// ended waits until a trigger's history has n entries, and returns the newest.
func (w *world) ended(trigger string, n int) entry {
	w.Helper()
	w.until(fmt.Sprintf("%s has %d results", trigger, n), func() bool { return len(w.history(trigger)) >= n })
	h := w.history(trigger)
	if len(h) != n {
		w.Fatalf("%s has %d results, want %d: %+v", trigger, len(h), n, h)
	}
	return h[0]
}

// result checks an entry; detail is a part of its text.
func (w *world) result(e entry, result, tag, digest, detail string) {
	w.Helper()
	if e.Result != result || e.Tag != tag || e.Digest != digest || !strings.Contains(e.Detail, detail) {
		w.Errorf("%+v, want %s of %s %s with %q", e, result, tag, digest, detail)
	}
}

func decode64(w *world, s string) string {
	w.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	w.must(err)
	return string(b)
}
