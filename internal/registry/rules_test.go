package registry_test

import (
	"reflect"
	"strings"
	"sync"
	"testing"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/retention"
)

var keep5 = retention.Policy{Rules: []retention.Rule{{Template: retention.ByNumber, N: 5, Except: []retention.Selector{}}}}

var north = registry.SyncTarget{Region: "north-1", Organization: "acme"}

// regions registers some that nobody connects to.
func (w *world) regions(names ...string) {
	w.t.Helper()
	for _, name := range names {
		address := "https://" + name + ".example.com"
		w.must(w.AddRegion(w.ctx, iam.Operator(), name, registry.RegionPatch{URL: &address}))
	}
}

func TestRetentions(t *testing.T) {
	w := open(t, registry.Options{Retention: retention.Limits{Num: 10}})
	const app oci.Name = "acme/app"
	w.push(app, "v1", w.image(app, "a"))
	if list, err := w.Retentions(w.ctx, w.admin, app); err != nil || list == nil || len(list) != 0 {
		t.Fatalf("%v, %v", list, err)
	}
	id, err := w.CreateRetention(w.ctx, w.admin, app, keep5)
	w.must(err)
	_, err = w.CreateRetention(w.ctx, w.admin, app, keep5)
	w.want(err, fault.Exists)
	policy := retention.Policy{Rules: []retention.Rule{
		{Template: retention.ByAge, N: 30, Except: []retention.Selector{{Kind: retention.Label, Pattern: "v5"}, {Kind: retention.Regexp, Pattern: `^a<b>&\d$`}}},
		{Template: retention.ByNumber, N: 10, Except: []retention.Selector{}},
	}}
	w.must(w.UpdateRetention(w.ctx, w.admin, app, id, policy))
	got, err := w.Retention(w.ctx, w.admin, app, id)
	if err != nil || !reflect.DeepEqual(got.Policy, policy) || got.ID != id || got.CreatorName != "admin" {
		t.Fatalf("%+v, %v", got, err)
	}
	policy.Rules[1].N = 11
	w.want(w.UpdateRetention(w.ctx, w.admin, app, id, policy), fault.Invalid)
	w.want(w.UpdateRetention(w.ctx, w.admin, app, id+1, keep5), fault.RuleUnknown)
	_, err = w.Retention(w.ctx, w.admin, app, id+1)
	w.want(err, fault.RuleUnknown)

	other := w.repo("acme/other")
	w.want(w.DeleteRetention(w.ctx, w.admin, other, id), fault.RuleUnknown)
	w.must(w.DeleteRetention(w.ctx, w.admin, app, id))
	w.want(w.DeleteRetention(w.ctx, w.admin, app, id), fault.RuleUnknown)
	again, err := w.CreateRetention(w.ctx, w.admin, app, keep5)
	if err != nil || again == id {
		t.Fatalf("%d has been used before: %v", again, err)
	}
}

func TestRetained(t *testing.T) {
	w := open(t, registry.Options{})
	app := w.repo("acme/app")
	for _, tag := range []string{"v1", "v2", "v3"} {
		w.must(w.LogRetained(app, registry.Retained{Policy: 7, Rule: keep5.Rules[0], Tag: tag, Digest: "sha256:x"}))
	}
	tags := func(offset, n int) string {
		t.Helper()
		list, total, err := w.Retained(w.ctx, w.admin, app, offset, n)
		w.must(err)
		if total != 3 || list == nil {
			t.Errorf("%d in all: %v", total, list)
		}
		var names []string
		for _, x := range list {
			if x.Policy != 7 || !reflect.DeepEqual(x.Rule, keep5.Rules[0]) || x.Time.IsZero() {
				t.Errorf("%+v", x)
			}
			names = append(names, x.Tag)
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct {
		offset, n int
		want      string
	}{{0, 10, "v3 v2 v1"}, {0, 2, "v3 v2"}, {2, 2, "v1"}, {3, 2, ""}, {-1, 1, "v3"}} {
		if got := tags(c.offset, c.n); got != c.want {
			t.Errorf("%d behind %d: %s, want %s", c.n, c.offset, got, c.want)
		}
	}
	w.must(w.KeepNewest("retention_log", "", app, 1))
	if list, total, err := w.Retained(w.ctx, w.admin, app, 0, 10); err != nil || total != 1 || list[0].Tag != "v3" {
		t.Errorf("%v, %d, %v", list, total, err)
	}
}

func TestSyncs(t *testing.T) {
	w := open(t, registry.Options{})
	w.regions("north-1", "south-1")
	app := w.repo("acme/app")
	if list, err := w.Syncs(w.ctx, w.admin, app); err != nil || list == nil || len(list) != 0 {
		t.Fatalf("%v, %v", list, err)
	}
	w.must(w.CreateSync(w.ctx, w.admin, app, registry.Sync{SyncTarget: north, Auto: true}))
	w.must(w.CreateSync(w.ctx, w.admin, app, registry.Sync{SyncTarget: registry.SyncTarget{Region: "south-1", Organization: "library"}, Override: true}))
	w.want(w.CreateSync(w.ctx, w.admin, app, registry.Sync{SyncTarget: north}), fault.Exists)
	for _, c := range []struct {
		region, organization string
		code                 fault.Code
	}{
		{"", "acme", fault.Missing}, {"north-1", "", fault.Missing}, {"west-1", "acme", fault.Invalid}, {"north-1", "Acme", fault.Invalid}, {"north-1", "a/b", fault.Invalid},
	} {
		w.want(w.CreateSync(w.ctx, w.admin, app, registry.Sync{SyncTarget: registry.SyncTarget{Region: c.region, Organization: c.organization}}), c.code)
	}
	list, err := w.Syncs(w.ctx, w.admin, app)
	if err != nil || len(list) != 2 || list[0].SyncTarget != north || !list[0].Auto || list[0].Override || list[1].Auto || !list[1].Override {
		t.Fatalf("%+v, %v", list, err)
	}
	w.must(w.DeleteSync(w.ctx, w.admin, app, north))
	w.want(w.DeleteSync(w.ctx, w.admin, app, north), fault.RuleUnknown)
	w.want(w.DeleteSync(w.ctx, w.admin, app, registry.SyncTarget{Region: "a\x00", Organization: strings.Repeat("x", 5000)}), fault.RuleUnknown)
}

func TestSyncNow(t *testing.T) {
	w := open(t, registry.Options{})
	w.regions("north-1", "south-1")
	const app oci.Name = "acme/app"
	m := w.image(app, "a")
	w.push(app, "v1", m)
	w.push(app, "v2", m)
	ids, err := w.SyncNow(w.ctx, w.admin, app, []string{"v1", "v2", "v1"}, north, true)
	if err != nil || len(ids) != 2 {
		t.Fatalf("%v, %v", ids, err)
	}
	again, err := w.SyncNow(w.ctx, w.admin, app, []string{"v2"}, north, true)
	if err != nil || len(again) != 1 || again[0] != ids[1] {
		t.Errorf("asked twice: %v, then %v, %v", ids, again, err)
	}
	_, err = w.SyncNow(w.ctx, w.admin, app, []string{"v2"}, north, false)
	w.must(err)
	for _, c := range []struct {
		tags []string
		code fault.Code
	}{
		{nil, fault.Missing}, {[]string{"v1", "v9"}, fault.TagUnknown}, {[]string{"a b"}, fault.TagInvalid}, {make([]string, registry.MaxTagsPerSync+1), fault.Invalid},
	} {
		_, err := w.SyncNow(w.ctx, w.admin, app, c.tags, north, false)
		w.want(err, c.code)
	}
	_, err = w.SyncNow(w.ctx, w.admin, app, []string{"v1"}, registry.SyncTarget{Region: "west-1", Organization: "acme"}, false)
	w.want(err, fault.Invalid)
	list, total, err := w.SyncJobs(w.ctx, w.admin, app, 0, 2)
	if err != nil || total != 3 || len(list) != 2 || list[0].Override || list[1].Tag != "v2" || list[1].Status != registry.SyncWaiting || list[1].OperatorName != "admin" || list[1].SyncTarget != north {
		t.Fatalf("%+v, %d, %v", list, total, err)
	}

	// Jobs that are over make room; those that are not are bounded.
	w.exec(`UPDATE sync_job SET status = 'success'`)
	w.must(w.KeepNewest("sync_job", " AND status NOT IN ('waiting', 'running')", app, 1))
	if n := w.number(`SELECT count(*) FROM sync_job`); n != 1 {
		t.Errorf("%d jobs are left", n)
	}
	w.exec(`INSERT INTO sync_job (repository, tag, region, organization, override, status, detail, operator, operator_name, created, updated)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
		SELECT (SELECT id FROM repository WHERE path = 'acme/app'), 'v1', 'south-1', 'acme', false, 'running', '', '', '', 1, 1 FROM n`)
	_, err = w.SyncNow(w.ctx, w.admin, app, []string{"v1"}, north, false)
	w.must(err)
	_, err = w.SyncNow(w.ctx, w.admin, app, []string{"v1"}, north, false)
	w.must(err) // waits already
	_, err = w.SyncNow(w.ctx, w.admin, app, []string{"v2"}, north, false)
	w.want(err, fault.TooMany)
}

// With a repository its rules go at once, and what came of them by and by; a
// new repository of the name has none of it.
func TestRulesGoWithTheirRepository(t *testing.T) {
	w := open(t, atOnce)
	w.regions("north-1")
	app := w.repo("acme/app")
	w.cluster("test", false)
	w.must(w.CreateTrigger(w.ctx, w.admin, app, trigger(nil)))
	w.must(w.CreateSync(w.ctx, w.admin, app, registry.Sync{SyncTarget: north}))
	_, err := w.CreateRetention(w.ctx, w.admin, app, keep5)
	w.must(err)
	const many = ` WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 700) SELECT (SELECT id FROM repository WHERE path = 'acme/app'), `
	w.exec(`INSERT INTO trigger_history (repository, rule, tag, digest, result, detail, created)` + many + `1, 'v1', '', 'success', '', 1 FROM n`)
	w.exec(`INSERT INTO retention_log (repository, policy, rule, tag, digest, created)` + many + `1, '{}', 'v1', '', 1 FROM n`)
	w.exec(`INSERT INTO sync_job (repository, tag, region, organization, override, status, detail, operator, operator_name, created, updated)` + many +
		`'v1', '', '', false, 'waiting', '', '', '', 1, 1 FROM n`)
	w.must(w.DeleteRepo(w.ctx, w.admin, app))
	for _, table := range []string{"repo_trigger", "repo_retention", "repo_sync"} {
		if n := w.number(`SELECT count(*) FROM ` + table); n != 0 {
			t.Errorf("%s has %d rows after the deletion", table, n)
		}
	}
	w.want(w.CreateTrigger(w.ctx, w.admin, app, trigger(nil)), fault.RepoUnknown)
	w.repo(app)
	if jobs, total, err := w.SyncJobs(w.ctx, w.admin, app, 0, 10); err != nil || total != 0 || len(jobs) != 0 {
		t.Errorf("the new repository has %d jobs: %v", total, err)
	}
	w.collect()
	w.collect()
	for _, table := range []string{"trigger_history", "retention_log", "sync_job"} {
		if n := w.number(`SELECT count(*) FROM ` + table); n != 0 {
			t.Errorf("%s has %d rows after the collection", table, n)
		}
	}
	if n := w.number(`SELECT count(*) FROM repository`); n != 1 {
		t.Errorf("%d repositories", n)
	}
}

// Each rule takes the right that docs/rights.md says: 3 for triggers, 7 for
// retention and synchronization, 1 to look.
func TestRightsOnRules(t *testing.T) {
	w := open(t, registry.Options{})
	w.regions("north-1", "south-1")
	w.cluster("test", false)
	const app oci.Name = "acme/app"
	w.push(app, "v1", w.image(app, "a"))
	users := map[iam.Right]iam.Caller{iam.None: w.nobody}
	for right, name := range map[iam.Right]string{iam.Read: "reader", iam.Edit: "editor", iam.Manage: "manager"} {
		_, err := w.iam.CreateUser(w.ctx, iam.Operator(), "admin", name, name+"-password", false)
		w.must(err)
		users[right] = w.login(name, name+"-password")
		w.must(w.GrantRepo(w.ctx, w.admin, app, name, right))
	}
	id := int64(0)
	for _, c := range []struct {
		name  string
		needs iam.Right
		do    func(iam.Caller) error
	}{
		{"create a trigger", iam.Edit, func(u iam.Caller) error {
			return w.CreateTrigger(w.ctx, u, app, trigger(func(x *registry.Trigger) { x.Name = "by-" + u.UserName + "0" }))
		}},
		{"list triggers", iam.Read, func(u iam.Caller) error { _, err := w.Triggers(w.ctx, u, app); return err }},
		{"show a trigger", iam.Read, func(u iam.Caller) error { _, _, err := w.Trigger(w.ctx, u, app, "by-editor0"); return err }},
		{"change a trigger", iam.Edit, func(u iam.Caller) error { return w.EnableTrigger(w.ctx, u, app, "by-editor0", false) }},
		{"delete a trigger", iam.Edit, func(u iam.Caller) error { return w.DeleteTrigger(w.ctx, u, app, "by-"+u.UserName+"0") }},
		{"create a retention", iam.Manage, func(u iam.Caller) error {
			made, err := w.CreateRetention(w.ctx, u, app, keep5)
			id = max(id, made)
			return err
		}},
		{"list retentions", iam.Read, func(u iam.Caller) error { _, err := w.Retentions(w.ctx, u, app); return err }},
		{"show a retention", iam.Read, func(u iam.Caller) error { _, err := w.Retention(w.ctx, u, app, id); return err }},
		{"change a retention", iam.Manage, func(u iam.Caller) error { return w.UpdateRetention(w.ctx, u, app, id, keep5) }},
		{"delete a retention", iam.Manage, func(u iam.Caller) error { return w.DeleteRetention(w.ctx, u, app, id) }},
		{"list what was retained", iam.Read, func(u iam.Caller) error { _, _, err := w.Retained(w.ctx, u, app, 0, 1); return err }},
		{"create a synchronization", iam.Manage, func(u iam.Caller) error { return w.CreateSync(w.ctx, u, app, registry.Sync{SyncTarget: north}) }},
		{"list synchronizations", iam.Read, func(u iam.Caller) error { _, err := w.Syncs(w.ctx, u, app); return err }},
		{"synchronize now", iam.Manage, func(u iam.Caller) error { _, err := w.SyncNow(w.ctx, u, app, []string{"v1"}, north, false); return err }},
		{"list jobs", iam.Read, func(u iam.Caller) error { _, _, err := w.SyncJobs(w.ctx, u, app, 0, 1); return err }},
		{"delete a synchronization", iam.Manage, func(u iam.Caller) error { return w.DeleteSync(w.ctx, u, app, north) }},
		{"list accessories", iam.Read, func(u iam.Caller) error { _, _, err := w.Accessories(w.ctx, u, app, tagRef("v1"), 0, 1); return err }},
		{"list references", iam.Read, func(u iam.Caller) error { _, err := w.References(w.ctx, u, app, tagRef("v1"), "", 1); return err }},
	} {
		for _, right := range []iam.Right{iam.None, iam.Read, iam.Edit, iam.Manage} {
			want := fault.Denied
			if right >= c.needs {
				want = ""
			}
			if err := c.do(users[right]); fault.CodeOf(err) != want {
				t.Errorf("%s with %s: %v, want %q", c.name, right, err, want)
			}
		}
		if err := c.do(iam.Caller{}); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%s by anybody: %v", c.name, err)
		}
	}
}

// Two who make the first policy at the same time: one does.
func TestOnePolicy(t *testing.T) {
	w := open(t, registry.Options{})
	app := w.repo("acme/app")
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { _, errs[i] = w.CreateRetention(w.ctx, w.admin, app, keep5) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if !fault.Is(err, fault.Exists) {
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("%d policies were made", made)
	}
}

// repo makes an empty repository.
func (w *world) repo(name oci.Name) oci.Name {
	w.t.Helper()
	_, err := w.CreateRepo(w.ctx, w.admin, name, registry.RepoSpec{})
	w.must(err)
	return name
}

// A rule that is made while its repository is being deleted is there and goes
// with it, or is refused; fsck finds the ones left behind.
func TestRulesAndDeletionTogether(t *testing.T) {
	w := open(t, registry.Options{})
	w.regions("north-1", "south-1")
	w.cluster("test", false)
	for range 10 {
		app := w.repo("acme/app")
		var wg sync.WaitGroup
		for _, do := range []func() error{
			func() error { return w.DeleteRepo(w.ctx, w.admin, app) },
			func() error { return w.CreateTrigger(w.ctx, w.admin, app, trigger(nil)) },
			func() error { _, err := w.CreateRetention(w.ctx, w.admin, app, keep5); return err },
			func() error { return w.CreateSync(w.ctx, w.admin, app, registry.Sync{SyncTarget: north}) },
		} {
			wg.Go(func() {
				if err := do(); err != nil && !fault.Is(err, fault.RepoUnknown) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := w.number(`SELECT (SELECT count(*) FROM repo_trigger) + (SELECT count(*) FROM repo_retention) + (SELECT count(*) FROM repo_sync)`); n != 0 {
			t.Fatalf("%d rules are left", n)
		}
	}
}
