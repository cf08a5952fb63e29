package registry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// triggerJobs are the jobs of triggers, "name tag" by name.
func (w *world) triggerJobs() map[string]registry.TriggerJob {
	w.t.Helper()
	p, err := w.Jobs(w.ctx, w.admin, registry.TriggerKind, job.Waiting, 0, 100)
	w.must(err)
	out := map[string]registry.TriggerJob{}
	for _, j := range p.Items {
		var t registry.TriggerJob
		w.must(j.Decode(&t))
		_, name, _ := strings.Cut(j.About, "trigger ")
		out[name] = t
	}
	return out
}

// A push becomes a job of each trigger that waits for its tag; of two pushes
// the newest is left.
func TestTriggersWaitForTags(t *testing.T) {
	w := open(t, registry.Options{})
	w.cluster("test", false)
	const app oci.Name = "acme/app"
	w.push(app, "v1", w.image(app, "first"))
	for name, c := range map[string]struct {
		condition registry.Condition
		pattern   string
	}{"all": {registry.EveryTag, ".*"}, "some": {registry.SomeTags, "v2;v3"}, "part": {registry.Matching, "2"}, "whole": {registry.Matching, "^2$"}, "off": {registry.EveryTag, ".*"}} {
		w.must(w.CreateTrigger(w.ctx, w.admin, app, trigger(func(x *registry.Trigger) {
			x.Name, x.Condition, x.Pattern, x.Enabled = name, c.condition, c.pattern, name != "off"
		})))
	}
	want := func(tags map[string]string) {
		t.Helper()
		w.must(w.ExpandEvents(w.ctx))
		got := map[string]string{}
		for name, j := range w.triggerJobs() {
			got[name] = j.Tag
		}
		if fmt.Sprint(got) != fmt.Sprint(tags) {
			t.Errorf("jobs %v, want %v", got, tags)
		}
	}
	d := w.push(app, "v2", w.image(app, "second"))
	want(map[string]string{"all": "v2", "some": "v2", "part": "v2"})
	if j := w.triggerJobs()["all"]; j.Digest != string(d) || j.Actor != w.admin.String() || j.Delivery == "" || j.Asked {
		t.Errorf("%+v", j)
	}
	w.push(app, "v3", w.image(app, "third"))
	want(map[string]string{"all": "v3", "some": "v3", "part": "v2"})
	w.must(w.RunTrigger(w.ctx, w.admin, app, "off", "v1"))
	want(map[string]string{"all": "v3", "some": "v3", "part": "v2", "off": "v1"})
	if j := w.triggerJobs()["off"]; !j.Asked {
		t.Errorf("%+v", j)
	}
	w.want(w.RunTrigger(w.ctx, w.admin, app, "off", "v9"), fault.TagUnknown)
	w.want(w.RunTrigger(w.ctx, w.admin, app, "none", "v1"), fault.RuleUnknown)
	w.want(w.RunTrigger(w.ctx, w.nobody, app, "off", "v1"), fault.Denied)
	// Of pushes that are looked at together only the newest for a trigger counts.
	w.push(app, "v2", w.image(app, "fourth"))
	fifth := w.push(app, "v2", w.image(app, "fifth"))
	w.push(app, "v4", w.image(app, "sixth"))
	want(map[string]string{"all": "v4", "some": "v2", "part": "v2", "off": "v1"})
	if j := w.triggerJobs()["some"]; j.Digest != string(fifth) {
		t.Errorf("%+v", j)
	}
	w.must(w.DeleteTrigger(w.ctx, w.admin, app, "some"))
	want(map[string]string{"all": "v4", "part": "v2", "off": "v1"})
}

// A result is written once for each delivery, and the newest hundred stay.
func TestTriggerResults(t *testing.T) {
	w := open(t, registry.Options{})
	w.cluster("test", false)
	const app oci.Name = "acme/app"
	w.push(app, "v1", w.image(app, "first"))
	w.must(w.CreateTrigger(w.ctx, w.admin, app, trigger(nil)))
	list, err := w.Triggers(w.ctx, w.admin, app)
	w.must(err)
	got, name, account, err := w.TriggerByID(w.ctx, iam.System("trigger"), list[0].ID)
	if err != nil || got.Name != "roll-out" || name != app || account != w.admin.Account {
		t.Fatalf("%+v, %s, %s, %v", got, name, account, err)
	}
	if _, _, _, err := w.TriggerByID(w.ctx, w.nobody, list[0].ID); fault.CodeOf(err) != fault.Denied {
		t.Errorf("nobody reads a trigger: %v", err)
	}
	finish := func(delivery string, ok bool, id int64) {
		t.Helper()
		_, err := db.Update(w.ctx, w.db, func(tx *db.Tx) (struct{}, error) {
			return struct{}{}, w.FinishTrigger(tx, registry.TriggerOutcome{Job: registry.TriggerJob{Trigger: id, Delivery: delivery, Tag: "v1", Digest: "sha256:x"},
				OK: ok, Detail: "detail of " + delivery, Attempts: 2, Duration: 1500 * time.Millisecond})
		})
		w.must(err)
	}
	w.exec(`UPDATE repository SET watched = $1`, int64(event.Trigger)) // as a webhook would
	finish("1", false, list[0].ID)
	finish("1", true, list[0].ID)
	finish("1", true, list[0].ID+100) // a trigger that is gone
	_, results, err := w.Trigger(w.ctx, w.admin, app, "roll-out")
	w.must(err)
	if len(results) != 1 || results[0].Result != "failed" || results[0].Attempts != 2 || results[0].Duration != 1500*time.Millisecond || results[0].Detail != "detail of 1" {
		t.Fatalf("%+v", results)
	}
	if detail, err := db.One[string](w.ctx, w.db, `SELECT detail FROM event WHERE kind = 'trigger'`); err != nil || !strings.Contains(detail, `"result":"failed"`) || !strings.Contains(detail, `"duration_ms":1500`) {
		t.Errorf("the event says %s, %v", detail, err)
	}
	w.exec(`UPDATE repository SET watched = 0`)
	w.exec(`DELETE FROM event`)
	for i := range 110 {
		finish(fmt.Sprint("more", i), true, list[0].ID)
	}
	if _, results, err = w.Trigger(w.ctx, w.admin, app, "roll-out"); err != nil || len(results) != 100 || results[0].Detail != "detail of more109" || results[0].Result != "success" {
		t.Errorf("%d results, %v", len(results), err)
	}
	if n := w.number(`SELECT count(*) FROM trigger_history`); n != 100 {
		t.Errorf("%d rows are kept", n)
	}
}
