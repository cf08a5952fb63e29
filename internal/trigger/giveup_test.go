package trigger_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/kube"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/trigger"
)

const app oci.Name = "acme/app"

// pushed makes a repository with the tag v1.
func (w *world) pushed(name oci.Name) {
	w.t.Helper()
	_, err := w.reg.CreateOrg(w.ctx, w.admin, name.Organization())
	w.must(err)
	config := []byte("{}")
	d := oci.SHA256.FromBytes(config)
	_, err = w.reg.PutBlob(w.ctx, w.admin, name, 2, strings.NewReader("{}"), d)
	w.must(err)
	const image = "application/vnd.oci.image.manifest.v1+json"
	_, err = w.reg.PutManifest(w.ctx, w.admin, name, oci.Reference{Tag: "v1"}, nil, image,
		[]byte(`{"schemaVersion":2,"mediaType":"`+image+`","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"`+string(d)+`","size":2},"layers":[]}`))
	w.must(err)
}

// run does jobs of these kinds until the test ends.
func (w *world) run(kinds []job.Kind) {
	w.queue.Register(kinds...)
	ctx, stop := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.queue.Run(ctx) }()
	w.t.Cleanup(func() { stop(); w.must(<-ended) })
}

// results waits until the trigger t has n results.
func (w *world) results(n int) []registry.TriggerResult {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, list, err := w.reg.Trigger(w.ctx, w.admin, app, "t")
		w.must(err)
		if len(list) == n {
			return list
		}
		if time.Now().After(end) {
			w.t.Fatalf("%d results, want %d: %+v", len(list), n, list)
		}
	}
}

// What was tried for long enough is given up, and says so once; whoever retries
// it gets another result beside that one.
func TestGivenUp(t *testing.T) {
	w := open(t)
	_, err := w.Register(w.ctx, w.admin, trigger.NewCluster{Name: "away", Force: true, Login: trigger.Login{Access: kube.Access{Server: "https://127.0.0.1:1", Token: "t"}}})
	w.must(err)
	w.pushed(app)
	w.must(w.reg.CreateTrigger(w.ctx, w.admin, app, registry.Trigger{Name: "t", Enabled: true, Condition: registry.EveryTag, Pattern: ".*", Mode: registry.ByName,
		ClusterName: "away", Namespace: "shop", Workload: registry.Deployments, Application: "web"}))
	w.must(w.reg.RunTrigger(w.ctx, w.admin, app, "t", "v1"))

	kinds := w.Kinds()
	for i := range kinds {
		kinds[i].Attempts, kinds[i].Pause = 2, func(int) time.Duration { return time.Millisecond }
	}
	w.run(kinds)
	first := w.results(1)[0]
	if first.Result != "failed" || first.Attempts != 2 || !strings.Contains(first.Detail, "given up after 2 attempts") || !strings.Contains(first.Detail, "connection refused") {
		t.Errorf("%+v", first)
	}
	c, err := w.Clusters(w.ctx, w.admin)
	if err != nil || !strings.Contains(c[0].Error, "connection refused") {
		t.Errorf("%+v, %v", c, err)
	}
	p, err := w.reg.Jobs(w.ctx, w.admin, registry.TriggerKind, job.Dead, 0, 10)
	w.must(err)
	if len(p.Items) != 1 {
		t.Fatalf("%d dead jobs", len(p.Items))
	}
	w.must(w.reg.RetryJob(w.ctx, w.admin, p.Items[0].ID))
	if list := w.results(2); list[0].Result != "failed" || list[1].Detail != first.Detail {
		t.Errorf("%+v", list)
	}
	w.must(w.DeleteCluster(w.ctx, w.admin, c[0].ID, true))
	if p, err = w.reg.Jobs(w.ctx, iam.Operator(), registry.TriggerKind, job.Dead, 0, 10); err != nil || len(p.Items) != 1 {
		t.Fatalf("%d dead jobs, %v", len(p.Items), err)
	}
	w.must(w.reg.RetryJob(w.ctx, w.admin, p.Items[0].ID))
	if list := w.results(3); !strings.Contains(list[0].Detail, "The cluster of the trigger is gone.") {
		t.Errorf("%+v", list[0])
	}
	if n, err := db.One[int](w.ctx, w.db, `SELECT count(*) FROM job`); err != nil || n != 0 {
		t.Errorf("%d jobs are left, %v", n, err)
	}
}

// A namespace that is taken from a cluster is taken from the triggers that were
// made before.
func TestNamespaceTakenBack(t *testing.T) {
	w, s := open(t), newServer(t)
	c, err := w.Register(w.ctx, w.admin, trigger.NewCluster{Name: "production", Login: s.login(), Namespaces: []string{"shop", "blog"}})
	w.must(err)
	w.pushed(app)
	w.must(w.reg.CreateTrigger(w.ctx, w.admin, app, registry.Trigger{Name: "t", Enabled: true, Condition: registry.EveryTag, Pattern: ".*", Mode: registry.ByName,
		ClusterName: "production", Namespace: "shop", Workload: registry.Deployments, Application: "web"}))
	w.must(w.UpdateCluster(w.ctx, w.admin, c.ID, trigger.ClusterPatch{Namespaces: &[]string{"blog"}}))
	w.must(w.reg.RunTrigger(w.ctx, w.admin, app, "t", "v1"))
	w.run(w.Kinds())
	if r := w.results(1)[0]; r.Result != "failed" || !strings.Contains(r.Detail, "namespace shop any more") {
		t.Errorf("%+v", r)
	}
}
