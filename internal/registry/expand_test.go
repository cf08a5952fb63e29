package registry_test

import (
	"testing"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/retention"
)

// events counts what waits in the outbox.
func (w *world) events() int {
	w.t.Helper()
	n, err := db.One[int](w.ctx, w.db, `SELECT count(*) FROM event`)
	w.must(err)
	return n
}

// A push writes an event only where a rule waits for it, and the outbox is
// empty once it was looked at.
func TestEvents(t *testing.T) {
	w := open(t, registry.Options{})
	const name = oci.Name("acme/app")
	push := func(tag, seed string) {
		t.Helper()
		_, err := w.PutManifest(w.ctx, w.admin, name, oci.Reference{Tag: tag}, nil, imageType, w.image(name, seed, 100))
		w.must(err)
	}
	push("v1", "one")
	if n := w.events(); n != 0 {
		t.Fatalf("%d events, and nobody waits for any", n)
	}
	policy := retention.Policy{Rules: []retention.Rule{{Template: retention.ByNumber, N: 100}}}
	id, err := w.CreateRetention(w.ctx, w.admin, name, policy)
	w.must(err)
	push("v1", "one") // there already
	if n := w.events(); n != 0 {
		t.Fatalf("%d events of a push that changed nothing", n)
	}
	push("v2", "two")
	push("v1", "three")
	if n := w.events(); n != 2 {
		t.Fatalf("%d events of two pushes", n)
	}
	w.must(w.DeleteTag(w.ctx, w.admin, name, "v2")) // nobody waits for that
	w.must(w.Retag(w.ctx, w.admin, name, "v1", "v3", false))
	if n := w.events(); n != 3 {
		t.Fatalf("%d events of two pushes and a retag", n)
	}
	w.must(w.ExpandEvents(w.ctx))
	if n := w.events(); n != 0 {
		t.Fatalf("%d events are left", n)
	}
	w.must(w.DeleteRetention(w.ctx, w.admin, name, id))
	push("v4", "four")
	if n := w.events(); n != 0 {
		t.Fatalf("%d events after the rule is gone", n)
	}
}

// Who may see and change jobs are the administrators of their account.
func TestJobsAreForAdministrators(t *testing.T) {
	w := open(t, registry.Options{})
	for _, who := range []iam.Caller{w.nobody, {}} {
		if _, err := w.Jobs(w.ctx, who, "", "", 0, 10); err == nil {
			t.Errorf("%s lists jobs", who)
		}
		if err := w.RetryJob(w.ctx, who, 1); err == nil {
			t.Errorf("%s retries a job", who)
		}
		if err := w.CancelJob(w.ctx, who, 1); err == nil {
			t.Errorf("%s cancels a job", who)
		}
	}
}
