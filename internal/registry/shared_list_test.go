package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// shared lists names of shared repositories in the order of the list, those
// with a valid share marked by +.
func (w *world) shared(who iam.Caller, f registry.SharedFilter, o registry.Order) string {
	w.t.Helper()
	l, err := w.Shared(w.ctx, who, f, o, registry.Window{Limit: 1000})
	w.must(err)
	if int(l.Total) != len(l.Items) {
		w.t.Errorf("%+v: %d items and a total of %d", f, len(l.Items), l.Total)
	}
	return marked(l.Items)
}

func marked(items []registry.SharedRepo) string {
	var names []string
	for _, s := range items {
		name := string(s.Name)
		if s.Valid {
			name += "+"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestSharedLists(t *testing.T) {
	w := open(t, registry.Options{})
	partner, guest := w.account("partner")
	_, other := w.account("other")
	_, err := w.CreateOrg(w.ctx, w.admin, "acme2")
	w.must(err)
	for _, name := range []oci.Name{"acme/app", "acme/team/lib", "acme2/app", "acme/own"} {
		w.push(name, "v2", w.image(name, string(name), 10))
		w.push(name, "v1", w.image(name, string(name), 10))
		time.Sleep(2 * time.Millisecond)
	}
	w.push("acme/app", "v3", w.image("acme/app", "more", 50))
	for _, name := range []oci.Name{"acme/app", "acme/team/lib", "acme2/app"} {
		w.share(name, "partner", "forever")
	}
	_, err = w.CreateShare(w.ctx, w.admin, "acme/app", registry.TargetOrgPath, "root", "2099-12-31", "")
	w.must(err)
	w.place(partner.ID, "", "root/dev") // two rules for one repository

	theirs, ours := registry.SharedFilter{Theirs: true}, registry.SharedFilter{}
	byName := registry.Order{By: registry.SortName}
	with := func(f registry.SharedFilter, set func(*registry.SharedFilter)) registry.SharedFilter {
		set(&f)
		return f
	}
	yes, no := true, false
	for _, tt := range []struct {
		about string
		who   iam.Caller
		f     registry.SharedFilter
		o     registry.Order
		want  string
	}{
		{"the newest first", guest, theirs, registry.Order{}, "acme2/app+ acme/team/lib+ acme/app+"},
		{"by update", guest, theirs, registry.Order{By: registry.SortUpdated}, "acme/app+ acme/team/lib+ acme2/app+"},
		{"by name", guest, theirs, byName, "acme/app+ acme2/app+ acme/team/lib+"},
		{"by name, down", guest, theirs, registry.Order{By: registry.SortName, Descending: true}, "acme/team/lib+ acme2/app+ acme/app+"},
		{"by tags, down", guest, theirs, registry.Order{By: registry.SortTags, Descending: true}, "acme/app+ acme2/app+ acme/team/lib+"},
		{"by organization", guest, theirs, registry.Order{By: registry.SortOrg}, "acme/app+ acme/team/lib+ acme2/app+"},
		{"by owner", guest, theirs, registry.Order{By: registry.SortAccount}, "acme/app+ acme/team/lib+ acme2/app+"},
		{"by visibility", guest, theirs, registry.Order{By: registry.SortPublic}, "acme/app+ acme/team/lib+ acme2/app+"},
		{"of an organization", guest, with(theirs, func(f *registry.SharedFilter) { f.Org = "acme" }), byName, "acme/app+ acme/team/lib+"},
		{"of none", guest, with(theirs, func(f *registry.SharedFilter) { f.Org = "acm" }), byName, ""},
		{"of a part, which is a name", guest, with(theirs, func(f *registry.SharedFilter) { f.Org, f.OrgPart = "acme", true }), byName, "acme/app+ acme/team/lib+"},
		{"of a part", guest, with(theirs, func(f *registry.SharedFilter) { f.Org, f.OrgPart = "cme", true }), byName, "acme/app+ acme2/app+ acme/team/lib+"},
		{"of a part of a name", guest, with(theirs, func(f *registry.SharedFilter) { f.Name = "am/l" }), byName, "acme/team/lib+"},
		{"names are no patterns", guest, with(theirs, func(f *registry.SharedFilter) { f.Name = "%" }), byName, ""},
		{"names heed case", guest, with(theirs, func(f *registry.SharedFilter) { f.Name = "APP" }), byName, ""},
		{"names are text", guest, with(theirs, func(f *registry.SharedFilter) { f.Name = "a\x00" }), byName, ""},
		{"of a category", guest, with(theirs, func(f *registry.SharedFilter) { f.Category = "linux" }), byName, ""},
		{"of an owner", guest, with(theirs, func(f *registry.SharedFilter) { f.Owner = "admin" }), byName, "acme/app+ acme2/app+ acme/team/lib+"},
		{"of another owner", guest, with(theirs, func(f *registry.SharedFilter) { f.Owner = "other" }), byName, ""},
		{"valid", guest, with(theirs, func(f *registry.SharedFilter) { f.Valid = &yes }), byName, "acme/app+ acme2/app+ acme/team/lib+"},
		{"not valid", guest, with(theirs, func(f *registry.SharedFilter) { f.Valid = &no }), byName, ""},
		{"ours, as a guest", guest, ours, byName, ""},
		{"ours", w.admin, ours, registry.Order{}, "acme2/app acme/team/lib acme/app"},
		{"ours, by name", w.admin, ours, byName, "acme/app acme2/app acme/team/lib"},
		{"ours, of an owner", w.admin, with(ours, func(f *registry.SharedFilter) { f.Owner = "admin" }), byName, "acme/app acme2/app acme/team/lib"},
		{"ours, of another owner", w.admin, with(ours, func(f *registry.SharedFilter) { f.Owner = "partner" }), byName, ""},
		{"ours, valid", w.admin, with(ours, func(f *registry.SharedFilter) { f.Valid = &yes }), byName, ""},
		{"ours, not valid", w.admin, with(ours, func(f *registry.SharedFilter) { f.Valid = &no }), byName, "acme/app acme2/app acme/team/lib"},
		{"ours, without rights", w.nobody, ours, byName, ""},
		{"theirs, of the owner", w.admin, theirs, byName, ""},
		{"theirs, of a third account", other, theirs, byName, ""},
	} {
		if got := w.shared(tt.who, tt.f, tt.o); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.about, got, tt.want)
		}
	}
	w.must(w.GrantOrg(w.ctx, w.admin, "acme2", "nobody", iam.Read))
	w.must(w.GrantRepo(w.ctx, w.admin, "acme/app", "nobody", iam.Read))
	if got := w.shared(w.nobody, ours, byName); got != "acme/app acme2/app" {
		t.Errorf("by grants: %s", got)
	}

	l, err := w.Shared(w.ctx, guest, theirs, byName, registry.Window{Limit: 1})
	w.must(err)
	app := l.Items[0]
	if l.Total != 3 || app.AccountName != "admin" || app.Tags != 3 || !slices.Equal(app.TagNames, []string{"v1", "v2", "v3"}) || app.Size != 100+10+100+50 {
		t.Errorf("%d: %+v", l.Total, app)
	}
	if l, err = w.Shared(w.ctx, guest, theirs, byName, registry.Window{Limit: 2, Offset: 2}); err != nil || marked(l.Items) != "acme/team/lib+" || l.Total != 3 {
		t.Errorf("the last page: %+v, %v", l, err)
	}
	if l, err = w.Shared(w.ctx, guest, theirs, byName, registry.Window{Limit: 2, Offset: 7}); err != nil || l.Items == nil || len(l.Items) != 0 || l.Total != 3 {
		t.Errorf("behind the end: %+v, %v", l, err)
	}

	// What is over stays in the list, and nothing of what came since is shown.
	ended := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	w.change(w.admin.Account, `UPDATE share SET expires = $1 WHERE account = 'partner'`, ended.UnixMicro())
	if got := w.shared(guest, theirs, byName); got != "acme/app+ acme2/app acme/team/lib" { // the path's rule holds
		t.Errorf("when rules are over: %s", got)
	}
	if got := w.shared(guest, with(theirs, func(f *registry.SharedFilter) { f.Valid = &no }), byName); got != "acme2/app acme/team/lib" {
		t.Errorf("those that are over: %s", got)
	}
	l, err = w.Shared(w.ctx, guest, with(theirs, func(f *registry.SharedFilter) { f.Org = "acme2" }), byName, registry.Window{Limit: 10})
	w.must(err)
	if s := l.Items[0]; s.Tags != 0 || s.Size != 0 || len(s.TagNames) != 0 || s.Description != "" || s.Pulls != 0 || !s.Updated.Equal(ended) {
		t.Errorf("what is over shows %+v", s)
	}
	public := true
	w.must(w.UpdateRepo(w.ctx, w.admin, "acme/app", registry.RepoPatch{Public: &public}))
	if got := w.shared(w.admin, ours, byName); got != "acme/app acme2/app acme/team/lib" {
		t.Errorf("a public repository keeps its rules: %s", got)
	}
}

func TestSharedBelow(t *testing.T) {
	w := open(t, registry.Options{})
	partner, guest := w.account("partner")
	w.place(partner.ID, "o-1", "a/b/c")
	rules := []struct {
		kind registry.TargetKind
		name string
	}{{registry.TargetAccount, "partner"}, {registry.TargetOrgID, "o-1"}, {registry.TargetOrgPath, "a/b"}, {registry.TargetOrgPath, "a"}, {registry.TargetOrgID, "o-2"}}
	var want []string
	for i := range 40 {
		name := oci.Name(fmt.Sprintf("acme/r%02d", i))
		_, err := w.CreateRepo(w.ctx, w.admin, name, registry.RepoSpec{})
		w.must(err)
		mine := false
		for j, rule := range rules {
			if i%5 == j || i%7 == j {
				_, err := w.CreateShare(w.ctx, w.admin, name, rule.kind, rule.name, "forever", "")
				w.must(err)
				mine = mine || j < 4
			}
		}
		if mine {
			want = append(want, string(name)+"+")
		}
	}
	slices.Reverse(want)
	walk := func(who iam.Caller, f registry.SharedFilter, n int) string {
		t.Helper()
		var got []string
		for before, pages := int64(0), 0; ; pages++ {
			l, err := w.SharedBelow(w.ctx, who, f, before, n)
			w.must(err)
			if len(l.Items) > n || pages > 50 {
				t.Fatalf("a page of %d, after %d pages", len(l.Items), pages)
			}
			if s := marked(l.Items); s != "" {
				got = append(got, s)
			}
			if before = l.Next; before == 0 {
				return strings.Join(got, " ")
			}
		}
	}
	for _, n := range []int{1, 3, 7, 100} {
		if got := walk(guest, registry.SharedFilter{Theirs: true}, n); got != strings.Join(want, " ") {
			t.Errorf("by %d: %s", n, got)
		}
		if got := walk(guest, registry.SharedFilter{Theirs: true, Name: "r3"}, n); got != strings.Join(slices.DeleteFunc(slices.Clone(want), func(s string) bool {
			return !strings.Contains(s, "r3")
		}), " ") {
			t.Errorf("by %d, of a name: %s", n, got)
		}
		if got := walk(w.admin, registry.SharedFilter{}, n); strings.Count(got, "acme/") != 40 || strings.Contains(got, "+") {
			t.Errorf("ours by %d: %s", n, got)
		}
	}
}

// Nothing that is not shared is looked at: the plans of the lists use indexes.
func TestSharedListsUseIndexes(t *testing.T) {
	w := open(t, registry.Options{})
	if w.db.Engine() != db.SQLite {
		t.Skip("plans are read on SQLite")
	}
	for query, index := range map[string]string{
		`SELECT r.id FROM repository r WHERE r.account = 'x' AND r.shares > 0 ORDER BY r.updated DESC, r.id DESC LIMIT 10`:     "repository_shared ",
		`SELECT r.id FROM repository r WHERE r.account = 'x' AND r.shares > 0 AND r.id < 9 ORDER BY r.id DESC LIMIT 10`:        "repository_shared_id ",
		`SELECT s.repository FROM share s WHERE s.target = 'x' AND s.repository < 9 ORDER BY s.repository DESC LIMIT 10`:       "share_target ",
		`SELECT coalesce(max(expires), 0) FROM share WHERE repository = 1 AND target IN ('a', 'b')`:                            "(repository=? AND target=?)",
		`SELECT s.repository, max(s.expires) AS until FROM share s WHERE s.target IN ('a', 'b') GROUP BY s.repository LIMIT 1`: "share_target ",
	} {
		type step struct {
			ID, Parent, NotUsed int64
			Detail              string
		}
		plan, err := db.All[step](w.ctx, w.db, `EXPLAIN QUERY PLAN `+query)
		w.must(err)
		if text := fmt.Sprint(plan); !strings.Contains(text, index) || strings.Contains(text, "SCAN") || strings.Contains(query, "ORDER BY") && strings.Contains(text, "TEMP B-TREE") {
			t.Errorf("%s: %s", query, text)
		}
	}
}

// A repository that was deleted and is not collected yet has a path without
// its name: a filter by organization must not trip over it.
func TestSharedListsBesideTheDeleted(t *testing.T) {
	w := open(t, registry.Options{})
	_, guest := w.account("partner")
	for _, name := range []oci.Name{"acme/a-name-longer-than-a-path", "acme/app"} {
		w.push(name, "v1", w.image(name, string(name), 10))
	}
	w.share("acme/app", "partner", "forever")
	w.must(w.DeleteTag(w.ctx, w.admin, "acme/a-name-longer-than-a-path", "v1"))
	w.must(w.DeleteRepo(w.ctx, w.admin, "acme/a-name-longer-than-a-path"))
	for _, theirs := range []bool{true, false} {
		who := w.admin
		if theirs {
			who = guest
		}
		for _, f := range []registry.SharedFilter{{Org: "acme"}, {Org: "cm", OrgPart: true}} {
			f.Theirs = theirs
			if got := strings.TrimSuffix(w.shared(who, f, registry.Order{By: registry.SortOrg}), "+"); got != "acme/app" {
				t.Errorf("%+v: %s", f, got)
			}
			l, err := w.SharedBelow(w.ctx, who, f, 0, 10)
			w.must(err)
			if got := strings.TrimSuffix(marked(l.Items), "+"); got != "acme/app" {
				t.Errorf("%+v by marker: %s", f, got)
			}
		}
	}
}
