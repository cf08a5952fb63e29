package kube

import (
	"fmt"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
)

// takeover is the time after which a node works on what another one had begun
// when it died: the end of a claim, and some seconds for a busy machine.
const takeover = 35 * time.Second

// One of two nodes is killed in the middle of a rollout, and the other goes on
// with it; the same the other way round, before the change. Each push changes
// the workload once and has one result.
func TestNodeDies(t *testing.T) {
	t.Parallel()
	w := open(t, berthtest.Options{Postgres: true})
	one := w.berth
	t.Cleanup(func() { w.berth = one }) // whose storage is looked at in the end
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
	// Who comes now has not begun it.
	two := berthtest.Start(t, berthtest.Options{Beside: one, Settings: []string{"--outbound-allow", "127.0.0.0/8"}})
	w.must(one.Kill())
	died := time.Now()
	w.berth = two
	w.logIn()
	w.kubelet.Pause(false)
	w.result(w.ended("web", 1), "success", "v2", v2, "2 of 2")
	if after := time.Since(died); after > takeover {
		t.Errorf("the other node took over after %s", after)
	}
	if now := x.number("metadata", "generation"); now != generation+1 {
		t.Errorf("the workload was changed %d times", now-generation)
	}

	gate.Close()
	v3 := w.push("app", "v3")
	w.must(one.Run())
	w.must(two.Kill())
	gate.Open(t)
	w.berth = one
	w.logIn()
	w.result(w.ended("web", 2), "success", "v3", v3, "2 of 2")

	// Both are there, and die in turn right behind the push.
	w.must(two.Run())
	for i, node := range []*berthtest.Server{one, two, one} {
		w.berth = map[bool]*berthtest.Server{true: two, false: one}[node == one]
		tag := fmt.Sprintf("v%d", 4+i)
		digest := w.push("app", tag)
		time.Sleep(time.Second + time.Duration(i)*100*time.Millisecond) // when the change is due
		w.must(node.Kill())
		w.result(w.ended("web", 3+i), "success", tag, digest, "2 of 2")
		w.must(node.Run())
	}
	if now := x.number("metadata", "generation"); now != generation+5 {
		t.Errorf("the workload was changed %d times by five pushes", now-generation)
	}
	if h := w.history("web"); len(h) != 5 {
		t.Errorf("five pushes have %d results", len(h))
	}
}
