package kube

import (
	"strings"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
)

// Of the pushes that a cluster missed the newest is delivered when it is back,
// once; until then the reason can be seen.
func TestAway(t *testing.T) {
	t.Parallel()
	w := open(t, berthtest.Options{})
	w.push("app", "v1")
	gate := cluster.Gate(t)
	login := w.account(w.ns)
	login["server"] = "https://" + gate.Addr
	w.register(login)
	x := w.workload("deployments", "web", w.image("app", "v1"))
	x.trigger()
	gate.Close()
	w.push("app", "v2")
	w.until("the reason is seen", func() bool {
		return strings.Contains(w.want(200, "GET", "/jobs", nil), "connection refused") && strings.Contains(w.want(200, "GET", "/clusters", nil), "connection refused")
	})
	w.push("app", "v3")
	v4 := w.push("app", "v4")
	if h := w.history("web"); len(h) != 0 {
		t.Errorf("there are results while the cluster is away: %+v", h)
	}
	gate.Open(t)
	e := w.ended("web", 1)
	w.result(e, "success", "v4", v4, "2 of 2")
	if strings.Contains(w.want(200, "GET", "/clusters", nil), "connection refused") {
		t.Error("the cluster is back, and still has an error")
	}
}

// A push during a rollout takes its place.
func TestSuperseded(t *testing.T) {
	t.Parallel()
	w := open(t, berthtest.Options{})
	w.push("app", "v1")
	w.register(w.account(w.ns))
	x := w.workload("deployments", "web", w.image("app", "v1"))
	x.trigger()
	w.kubelet.Pause(true)
	v2 := w.push("app", "v2")
	w.until("the rollout has begun", func() bool { return strings.Contains(x.images(), ":v2") })
	v3 := w.push("app", "v3")
	w.result(w.ended("web", 1), "failed", "v2", v2, "superseded by a newer push")
	w.until("the next has begun", func() bool { return strings.Contains(x.images(), ":v3") })
	w.kubelet.Pause(false)
	w.result(w.ended("web", 2), "success", "v3", v3, "2 of 2")
}

// A server that is killed in the middle of a rollout goes on with it after its
// start: the workload is changed once, and the history has one result. The same
// where it is killed before the change.
func TestKilled(t *testing.T) {
	t.Parallel()
	w := open(t, berthtest.Options{})
	w.push("app", "v1")
	gate := cluster.Gate(t)
	login := w.account(w.ns)
	login["server"] = "https://" + gate.Addr
	w.register(login)
	x := w.workload("deployments", "web", w.image("app", "v1"))
	x.trigger()
	generation := x.number("metadata", "generation")

	w.kubelet.Pause(true)
	v2 := w.push("app", "v2")
	w.until("the rollout has begun", func() bool { return x.number("metadata", "generation") > generation })
	for range 3 {
		w.must(w.berth.Kill())
		w.must(w.berth.Run())
		w.logIn()
		time.Sleep(300 * time.Millisecond)
	}
	w.kubelet.Pause(false)
	w.result(w.ended("web", 1), "success", "v2", v2, "2 of 2")
	if now := x.number("metadata", "generation"); now != generation+1 {
		t.Errorf("the workload was changed %d times", now-generation)
	}

	gate.Close()
	v3 := w.push("app", "v3")
	w.must(w.berth.Kill())
	gate.Open(t)
	w.must(w.berth.Run())
	w.logIn()
	w.result(w.ended("web", 2), "success", "v3", v3, "2 of 2")
	if now := x.number("metadata", "generation"); now != generation+2 {
		t.Errorf("the workload was changed %d times", now-generation)
	}
}
