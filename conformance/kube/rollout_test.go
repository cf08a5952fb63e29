package kube

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

// A push changes the containers that use the repository and no others, and the
// history tells how the rollout ended; a tag that is pushed again with another
// image rolls out as well.
func TestRollout(t *testing.T) {
	t.Parallel()
	for _, database := range []string{"sqlite", "postgres"} {
		t.Run(database, func(t *testing.T) {
			w := open(t, berthtest.Options{Postgres: database == "postgres"})
			w.push("app", "v1")
			w.register(w.account(w.ns))
			for _, kind := range []string{"deployments", "statefulsets"} {
				x := w.workload(kind, kind, w.image("app", "v1"))
				x.trigger("trigger_mode", map[string]string{"deployments": "cce", "statefulsets": "cci"}[kind])
			}
			others := "busybox:1 " + w.image("app", "TAG") + " " + sidecar
			v2 := w.push("app", "v2")
			again := ""
			for _, kind := range []string{"deployments", "statefulsets"} {
				x := workload{w, kind, kind}
				e := w.ended(kind, 1)
				w.result(e, "success", "v2", v2, "2 of 2 replicas")
				if e.Duration <= 0 || e.Attempts != 1 || !strings.Contains(e.Detail, w.image("app", "v2")) {
					t.Errorf("%+v", e)
				}
				if got, want := x.images(), strings.Replace(others, "TAG", "v2", 1); got != want {
					t.Errorf("%s has %s, want %s", kind, got, want)
				}
			}
			generation := workload{w, "deployments", "deployments"}.number("metadata", "generation")
			again = w.push("app", "v2")
			for _, kind := range []string{"deployments", "statefulsets"} {
				w.result(w.ended(kind, 2), "success", "v2", again, "2 of 2 replicas")
			}
			if now := (workload{w, "deployments", "deployments"}).number("metadata", "generation"); now != generation+1 {
				t.Errorf("the generation went from %d to %d with a tag that was pushed again", generation, now)
			}
			// By hand, of an older tag, and of one that is there already.
			w.want(202, "POST", triggers+"/deployments/run", object{"tag": "v1"})
			if e := w.ended("deployments", 3); e.Result != "success" || e.Tag != "v1" {
				t.Errorf("%+v", e)
			}
			w.want(202, "POST", triggers+"/deployments/run", object{"tag": "v1"})
			if e := w.ended("deployments", 4); e.Result != "success" {
				t.Errorf("%+v", e)
			}
			if now := (workload{w, "deployments", "deployments"}).number("metadata", "generation"); now != generation+2 {
				t.Errorf("the generation is %d, want %d: what is there was changed again", now, generation+2)
			}
			if got, answer := w.call("POST", triggers+"/deployments/run", object{"tag": "none"}); got != 404 {
				t.Errorf("a tag that is not there: %d %s", got, answer)
			}
		})
	}
}

// Conditions choose tags; a named container is changed alone; a digest is
// pinned where that is asked for; a switched off trigger does nothing.
func TestConditions(t *testing.T) {
	t.Parallel()
	w := open(t, berthtest.Options{})
	w.push("app", "v1")
	w.register(w.account(w.ns))
	some := w.workload("deployments", "some", w.image("app", "v1"))
	some.trigger("trigger_type", "tag", "condition", "v2;v3")
	regular := w.workload("deployments", "regular", w.image("app", "v1"))
	regular.trigger("trigger_type", "regular", "condition", "-rc", "container", "app")
	off := w.workload("deployments", "off", w.image("app", "v1"))
	off.trigger("enable", "false")
	pinned := w.workload("deployments", "pinned", w.image("app", "v1"))
	w.want(201, "POST", triggers, object{"action": "update", "app_type": "deployments", "application": "pinned", "cluster_name": "production", "cluster_ns": w.ns,
		"condition": "v3", "enable": "true", "name": "pinned", "trigger_type": "tag", "pin_digest": true})
	w.push("app", "v2-rc1")
	w.ended("regular", 1)
	v3 := w.push("app", "v3")
	w.ended("some", 1)
	w.ended("pinned", 1)
	for x, want := range map[workload]string{some: w.image("app", "v3"), regular: w.image("app", "v2-rc1"), off: w.image("app", "v1"), pinned: w.image("app", "v3") + "@" + v3} {
		if got := strings.Fields(x.images())[1]; got != want {
			t.Errorf("%s has %s, want %s", x.name, got, want)
		}
	}
	for name, n := range map[string]int{"some": 1, "regular": 1, "off": 0, "pinned": 1} {
		if h := w.history(name); len(h) != n {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

// Where the operator has said how the registry is called, an image of the same
// path elsewhere is another image.
func TestHost(t *testing.T) {
	t.Parallel()
	const host = "registry.example:5000"
	w := open(t, berthtest.Options{Settings: []string{"--external-url", "http://" + host}})
	l := w.berth.Admin()
	push := func(tag string) {
		t.Helper()
		dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, w.berth.Host)
		}
		c, err := wire.New("http://"+host, &http.Client{Transport: &http.Transport{DialContext: dial}}, wire.Basic, l.User, l.Password)
		w.must(err)
		w.must(c.Push(t.Context(), org+"/app", tag, images.New(t.Name()+tag).Image(1, 100)))
	}
	push("v1")
	w.register(w.account(w.ns))
	x := w.workload("deployments", "web", host+"/"+org+"/app:v1", func(spec object) {
		spec["template"].(object)["spec"].(object)["containers"].([]any)[1].(object)["image"] = "elsewhere.example/" + org + "/app:v1"
	})
	x.trigger()
	push("v2")
	if e := w.ended("web", 1); e.Result != "success" {
		t.Errorf("%+v", e)
	}
	if got, want := x.images(), "busybox:1 "+host+"/"+org+"/app:v2 elsewhere.example/"+org+"/app:v1"; got != want {
		t.Errorf("images %s, want %s", got, want)
	}
}
