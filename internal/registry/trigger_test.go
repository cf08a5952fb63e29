package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// trigger is one that makes sense.
func trigger(change func(*registry.Trigger)) registry.Trigger {
	t := registry.Trigger{Name: "roll-out", Enabled: true, Condition: registry.EveryTag, Pattern: ".*", Mode: registry.ByName,
		ClusterName: "test", Namespace: "default", Workload: registry.Deployments, Application: "web"}
	if change != nil {
		change(&t)
	}
	return t
}

func TestTriggerCheck(t *testing.T) {
	type tr = registry.Trigger
	for name, c := range map[string]struct {
		change func(*tr)
		code   fault.Code
		member string
	}{
		"plain":            {change: nil},
		"stateful set":     {change: func(x *tr) { x.Workload = registry.StatefulSets }},
		"container":        {change: func(x *tr) { x.Container = "main" }},
		"cluster by id":    {change: func(x *tr) { x.ClusterID, x.ClusterName = "5b28c12f-dc10-11e9-97b3-0255ac1001b5", "" }},
		"marked cluster":   {change: func(x *tr) { x.Mode, x.ClusterName = registry.Marked, "" }},
		"one tag":          {change: func(x *tr) { x.Condition, x.Pattern = registry.SomeTags, "v1" }},
		"some tags":        {change: func(x *tr) { x.Condition, x.Pattern = registry.SomeTags, "v1;latest;1.0" }},
		"expression":       {change: func(x *tr) { x.Condition, x.Pattern = registry.Matching, `^v\d+$` }},
		"longest name":     {change: func(x *tr) { x.Name = strings.Repeat("n", 64) }},
		"mixed name":       {change: func(x *tr) { x.Name = "A_b.c-9" }},
		"workload's dots":  {change: func(x *tr) { x.Application = "web.v2" }},
		"no name":          {func(x *tr) { x.Name = "" }, fault.Missing, "name"},
		"no workload":      {func(x *tr) { x.Workload = "" }, fault.Missing, "app_type"},
		"no application":   {func(x *tr) { x.Application = "" }, fault.Missing, "application"},
		"no namespace":     {func(x *tr) { x.Namespace = "" }, fault.Missing, "cluster_ns"},
		"no condition":     {func(x *tr) { x.Condition = "" }, fault.Missing, "trigger_type"},
		"no pattern":       {func(x *tr) { x.Pattern = "" }, fault.Missing, "condition"},
		"no cluster":       {func(x *tr) { x.ClusterName = "" }, fault.Missing, "cluster_id"},
		"long name":        {func(x *tr) { x.Name = strings.Repeat("n", 65) }, fault.Invalid, "name"},
		"slash in name":    {func(x *tr) { x.Name = "a/b" }, fault.Invalid, "name"},
		"dots for a name":  {func(x *tr) { x.Name = ".." }, fault.Invalid, "name"},
		"letters beyond":   {func(x *tr) { x.Name = "é" }, fault.Invalid, "name"},
		"NUL in name":      {func(x *tr) { x.Name = "a\x00b" }, fault.Invalid, "name"},
		"odd workload":     {func(x *tr) { x.Workload = "daemonsets" }, fault.Invalid, "app_type"},
		"odd application":  {func(x *tr) { x.Application = "Web" }, fault.Invalid, "application"},
		"ends in a dot":    {func(x *tr) { x.Application = "web." }, fault.Invalid, "application"},
		"long application": {func(x *tr) { x.Application = strings.Repeat("a", 254) }, fault.Invalid, "application"},
		"odd namespace":    {func(x *tr) { x.Namespace = "a.b" }, fault.Invalid, "cluster_ns"},
		"odd container":    {func(x *tr) { x.Container = "-a" }, fault.Invalid, "container"},
		"odd mode":         {func(x *tr) { x.Mode = "ccx" }, fault.Invalid, "trigger_mode"},
		"long cluster":     {func(x *tr) { x.ClusterName = strings.Repeat("a", 129) }, fault.Invalid, "cluster_name"},
		"lines in cluster": {func(x *tr) { x.ClusterID = "a\nb" }, fault.Invalid, "cluster_id"},
		"odd condition":    {func(x *tr) { x.Condition = "some" }, fault.Invalid, "trigger_type"},
		"all but not all":  {func(x *tr) { x.Pattern = "*" }, fault.Invalid, "condition"},
		"no tag":           {func(x *tr) { x.Condition, x.Pattern = registry.SomeTags, "v1;a b" }, fault.Invalid, "condition"},
		"an empty tag":     {func(x *tr) { x.Condition, x.Pattern = registry.SomeTags, "v1;" }, fault.Invalid, "condition"},
		"many tags":        {func(x *tr) { x.Condition, x.Pattern = registry.SomeTags, strings.Repeat("v1;", 2000)+"v1" }, fault.Invalid, "condition"},
		"no expression":    {func(x *tr) { x.Condition, x.Pattern = registry.Matching, "(" }, fault.Invalid, "condition"},
	} {
		err := trigger(c.change).Check()
		if fault.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
		if err != nil && !strings.Contains(err.Error(), c.member) {
			t.Errorf("%s: %v does not name %s", name, err, c.member)
		}
	}
}

// Whatever is accepted is bounded text without anything that breaks a line, an
// address or a database.
func FuzzTriggerCheck(f *testing.F) {
	f.Add("test", "all", ".*", "cce", "id", "name", "default", "deployments", "web", "")
	f.Add("a.b", "tag", "v1;v2", "cci", "", "", "default", "statefulsets", "web.v2", "main")
	f.Add("a", "regular", "^v", "cce", "", "x", "n", "deployments", "w", "c")
	f.Fuzz(func(t *testing.T, name, condition, pattern, mode, id, cluster, namespace, workload, application, container string) {
		x := registry.Trigger{Name: name, Condition: registry.Condition(condition), Pattern: pattern, Mode: registry.ClusterMode(mode), ClusterID: id,
			ClusterName: cluster, Namespace: namespace, Workload: registry.Workload(workload), Application: application, Container: container}
		if err := x.Check(); err != nil {
			if c := fault.CodeOf(err); c != fault.Invalid && c != fault.Missing {
				t.Fatal(err)
			}
			return
		}
		for _, s := range []string{name, condition, pattern, mode, id, cluster, namespace, workload, application, container} {
			if len(s) > 4096 || strings.ContainsAny(s, "\x00\r\n\x7f") || strings.ToValidUTF8(s, "") != s {
				t.Fatalf("accepted: %q", s)
			}
		}
		if name == "" || strings.ContainsAny(name, "/%?# ") || name == "." || name == ".." {
			t.Fatalf("accepted as a name: %q", name)
		}
	})
}

func TestTriggers(t *testing.T) {
	w := open(t, registry.Options{})
	const app oci.Name = "acme/app"
	_, err := w.CreateRepo(w.ctx, w.admin, app, registry.RepoSpec{})
	w.must(err)
	w.want(w.CreateTrigger(w.ctx, w.admin, app, trigger(nil)), fault.Invalid) // the cluster is not registered
	w.cluster("test", false)
	if list, err := w.Triggers(w.ctx, w.admin, app); err != nil || list == nil || len(list) != 0 {
		t.Fatalf("%v, %v", list, err)
	}
	w.must(w.CreateTrigger(w.ctx, w.admin, app, trigger(func(x *registry.Trigger) { x.Mode = "" })))
	marked := trigger(func(x *registry.Trigger) { x.Name, x.Mode, x.Enabled = "first", registry.Marked, false })
	w.want(w.CreateTrigger(w.ctx, w.admin, app, marked), fault.Invalid) // none is marked
	w.cluster("marked", true)
	w.must(w.CreateTrigger(w.ctx, w.admin, app, marked))
	w.want(w.CreateTrigger(w.ctx, w.admin, app, trigger(nil)), fault.Exists)
	list, err := w.Triggers(w.ctx, w.admin, app)
	w.must(err)
	if len(list) != 2 || list[0].Name != "roll-out" || list[0].Mode != registry.ByName || list[0].CreatorName != "admin" || list[0].Created.IsZero() ||
		list[1].Name != "first" || list[1].ClusterName != "" || list[1].Enabled {
		t.Fatalf("%+v", list)
	}
	w.must(w.EnableTrigger(w.ctx, w.admin, app, "first", true))
	w.want(w.EnableTrigger(w.ctx, w.admin, app, "other", true), fault.RuleUnknown)
	w.want(w.EnableTrigger(w.ctx, w.admin, app, "a\x00", true), fault.RuleUnknown)
	got, results, err := w.Trigger(w.ctx, w.admin, app, "first")
	if err != nil || !got.Enabled || results == nil || len(results) != 0 {
		t.Fatalf("%+v, %v, %v", got, results, err)
	}
	_, _, err = w.Trigger(w.ctx, w.admin, app, "other")
	w.want(err, fault.RuleUnknown)

	w.exec(`INSERT INTO trigger_history (repository, rule, tag, digest, result, detail, created)
		SELECT repository, id, 'v1', 'sha256:x', 'failed', 'no such workload', 1 FROM repo_trigger`)
	if _, results, err = w.Trigger(w.ctx, w.admin, app, "first"); err != nil || len(results) != 1 || results[0].Detail != "no such workload" {
		t.Fatalf("%+v, %v", results, err)
	}
	w.must(w.DeleteTrigger(w.ctx, w.admin, app, "first"))
	w.want(w.DeleteTrigger(w.ctx, w.admin, app, "first"), fault.RuleUnknown)
	if n := w.number(`SELECT count(*) FROM trigger_history`); n != 1 {
		t.Errorf("%d results are left", n)
	}

	for i := range registry.MaxTriggers - 1 {
		w.must(w.CreateTrigger(w.ctx, w.admin, app, trigger(func(x *registry.Trigger) { x.Name = fmt.Sprint("t", i) })))
	}
	w.want(w.CreateTrigger(w.ctx, w.admin, app, trigger(func(x *registry.Trigger) { x.Name = "more" })), fault.Invalid)
}

// cluster registers one, as the package trigger does, with nothing behind it.
func (w *world) cluster(name string, marked bool) {
	w.t.Helper()
	w.exec(`INSERT INTO cluster (account, id, name, server, credentials, namespaces, marked, version, error, checked, creator, creator_name, created, updated)
		VALUES ($1, $2, $3, 'https://kubernetes.example', $4, '', $5, '', '', 0, '', '', 0, 0)`, w.admin.Account, "id-of-"+name, name, []byte{}, marked)
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	_, err := db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) { return tx.Exec(sql, args...) })
	w.must(err)
}

func (w *world) number(sql string, args ...any) int64 {
	w.t.Helper()
	n, err := db.One[int64](w.ctx, w.db, sql, args...)
	w.must(err)
	return n
}
