package registry_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// listed is a repository as the test knows it.
type listed struct {
	name     oci.Name
	category string
	public   bool
	tags     []string
	id       int64
	updated  int64
	seen     bool // by the user
}

// many fills the account with organizations and repositories, gives the user
// nobody a right on some, and another account some that nobody may see.
func many(w *world) []*listed {
	w.t.Helper()
	rnd := rand.New(rand.NewPCG(3, 3))
	orgs := []string{"acme", "acme-two", "umbrella", "zeta"}
	for _, o := range orgs[1:] {
		_, err := w.CreateOrg(w.ctx, w.admin, o)
		w.must(err)
	}
	w.must(w.GrantOrg(w.ctx, w.admin, "acme-two", "nobody", iam.Read))
	other, err := w.iam.CreateAccount(w.ctx, iam.Operator(), "other")
	w.must(err)
	_, err = w.CreateOrg(w.ctx, iam.Operator().In(other), "foreign-acme")
	w.must(err)
	_, err = w.CreateRepo(w.ctx, iam.Operator().In(other), "foreign-acme/app", registry.RepoSpec{Public: true})
	w.must(err)
	var all []*listed
	for range 40 {
		org := orgs[min(rnd.IntN(6), 3)]
		l := &listed{name: oci.Name(fmt.Sprintf("%s/%s%02d", org, []string{"app", "app/sub_", "base.x"}[rnd.IntN(3)], rnd.IntN(1000))),
			category: []string{"linux", "database", "other", "other", "other"}[rnd.IntN(5)], public: rnd.IntN(4) == 0}
		if slices.ContainsFunc(all, func(o *listed) bool { return o.name == l.name }) {
			continue
		}
		_, err := w.CreateRepo(w.ctx, w.admin, l.name, registry.RepoSpec{Category: l.category, Public: l.public})
		w.must(err)
		if org == "acme-two" {
			l.seen = true
		} else if rnd.IntN(5) == 0 {
			l.seen = true
			w.must(w.GrantRepo(w.ctx, w.admin, l.name, "nobody", iam.Read))
		}
		all = append(all, l)
	}
	body := w.image("acme/seed", "seed", 10)
	all = append(all, &listed{name: "acme/seed", category: "other"})
	for _, l := range all {
		for j := range rnd.IntN(4) {
			tag := fmt.Sprintf("v%d", j)
			w.image(l.name, "seed", 10)
			w.push(l.name, tag, body)
			l.tags = append(l.tags, tag)
		}
	}
	for _, l := range all {
		r, err := w.Repo(w.ctx, w.admin, l.name)
		w.must(err)
		l.id, l.updated = r.ID, r.Updated.UnixMicro()
	}
	return all
}

// expect is what a list should hold, found the long way.
func expect(all []*listed, user bool, f registry.RepoFilter, o registry.Order) []string {
	exact := slices.ContainsFunc(all, func(l *listed) bool { return l.name.Organization() == f.Org })
	var out []*listed
	for _, l := range all {
		org := l.name.Organization()
		switch {
		case user && !l.seen,
			f.Org != "" && (exact || !f.OrgPart) && org != f.Org,
			f.Org != "" && !strings.Contains(org, f.Org),
			!strings.Contains(l.name.Repository(), f.Name),
			f.Category != "" && f.Category != l.category,
			f.Public != nil && *f.Public != l.public:
			continue
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b *listed) int {
		n := 0
		switch o.By {
		case registry.SortName:
			n = cmp.Compare(a.name.Repository(), b.name.Repository())
		case registry.SortTags:
			n = cmp.Compare(len(a.tags), len(b.tags))
		case registry.SortOrg:
			n = cmp.Compare(a.name.Organization(), b.name.Organization())
		case registry.SortPublic:
			n = map[bool]int{true: 1}[a.public] - map[bool]int{true: 1}[b.public]
		default:
			n = cmp.Compare(a.updated, b.updated)
		}
		if n = cmp.Or(n, cmp.Compare(a.id, b.id)); o.Descending || o.By == registry.SortNewest {
			n = -n
		}
		return n
	})
	names := []string{}
	for _, l := range out {
		names = append(names, fmt.Sprint(l.name, l.tags))
	}
	return names
}

func names(items []registry.RepoItem) []string {
	out := []string{}
	for _, i := range items {
		out = append(out, fmt.Sprint(i.Name, i.TagNames))
	}
	return out
}

// Every list is what is found by looking at everything.
func TestListRepos(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	all := many(w)
	yes, no := true, false
	for _, who := range []iam.Caller{w.admin, w.nobody} {
		user := who.User == w.nobody.User
		for _, org := range []string{"", "acme", "acm", "acme-two", "zeta", "nowhere", "foreign-acme", "e"} {
			for _, part := range []bool{false, true} {
				for _, name := range []string{"", "app", "sub_", "_", "7", "Ä"} {
					for _, category := range []string{"", "other", "database", "windows"} {
						for i, public := range []*bool{nil, &yes, &no} {
							f := registry.RepoFilter{Org: org, OrgPart: part, Name: name, Category: category, Public: public}
							o := registry.Order{By: registry.Column((len(org) + len(name) + len(category) + i) % 6), Descending: (i+len(name))%2 == 0}
							want := expect(all, user, f, o)
							got, err := w.ListRepos(w.ctx, who, f, o, registry.Window{Limit: 7, Offset: 2})
							w.must(err)
							window := want[min(2, len(want)):min(9, len(want))]
							if diff := gocmp.Diff(window, names(got.Items)); diff != "" || got.Total != int64(len(want)) {
								t.Fatalf("%s lists %+v by %+v: %d in all, want %d\n%s", who, f, o, got.Total, len(want), diff)
							}
							if o.By == registry.SortNewest {
								below(w, who, f, want)
							}
						}
					}
				}
			}
		}
	}
}

// below pages through the same list by marker.
func below(w *world, who iam.Caller, f registry.RepoFilter, want []string) {
	w.t.Helper()
	got := []string{}
	last := int64(0)
	for {
		p, err := w.ListReposBelow(w.ctx, who, f, last, 5)
		w.must(err)
		for _, i := range p.Items {
			if last != 0 && i.ID >= last {
				w.t.Fatalf("%+v: the id %d follows %d", f, i.ID, last)
			}
			last = i.ID
		}
		got = append(got, names(p.Items)...)
		if !p.More {
			break
		}
	}
	slices.Sort(got)
	if diff := gocmp.Diff(slices.Sorted(slices.Values(want)), got, cmpopts.EquateEmpty()); diff != "" {
		w.t.Fatalf("%s pages through %+v:\n%s", who, f, diff)
	}
}

// A page takes the same statements whatever its size.
func TestListsTakeFewStatements(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	many(w)
	for _, who := range []iam.Caller{w.admin, w.nobody} {
		for _, f := range []registry.RepoFilter{{}, {Org: "acme-two"}, {Name: "app"}, {Category: "other"}} {
			took := []int64{}
			for _, limit := range []int{1, 5, 30} {
				_, err := w.ListRepos(w.ctx, who, f, registry.Order{}, registry.Window{Limit: limit})
				w.must(err) // and what is remembered is in memory
				least := int64(1 << 62)
				for range 5 { // what runs in the background can only add to it
					before := w.db.Stats().Statements
					_, err = w.ListRepos(w.ctx, who, f, registry.Order{}, registry.Window{Limit: limit})
					w.must(err)
					least = min(least, w.db.Stats().Statements-before)
				}
				took = append(took, least)
			}
			if took[0] != took[1] || took[1] != took[2] || took[0] > 6 {
				t.Errorf("%s, %+v: pages of 1, 5 and 30 take %v statements", who, f, took)
			}
		}
	}
}

func TestListOrgs(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	many(w)
	w.must(w.GrantRepo(w.ctx, w.admin, "acme/seed", "nobody", iam.Edit))
	type org struct {
		Name  string
		Right iam.Right
		Users int64
	}
	list := func(who iam.Caller, f registry.OrgFilter) []org {
		p, err := w.ListOrgs(w.ctx, who, f, "", 100)
		w.must(err)
		out := []org{}
		for _, o := range p.Items {
			repos, err := w.ListRepos(w.ctx, who, registry.RepoFilter{Org: o.Name}, registry.Order{}, registry.Window{Limit: 1})
			w.must(err)
			if repos.Total != o.Repos {
				t.Errorf("%s: %s has %d repositories, %d are listed", who, o.Name, o.Repos, repos.Total)
			}
			out = append(out, org{o.Name, o.Right, o.Users})
		}
		return out
	}
	for _, c := range []struct {
		who  iam.Caller
		f    registry.OrgFilter
		want []org
	}{
		{w.admin, registry.OrgFilter{}, []org{{"acme", 7, 1}, {"acme-two", 7, 2}, {"umbrella", 7, 1}, {"zeta", 7, 1}}},
		{w.admin, registry.OrgFilter{Name: "acme"}, []org{{"acme", 7, 1}}},
		{w.admin, registry.OrgFilter{Name: "foreign-acme"}, []org{}},
		{w.nobody, registry.OrgFilter{}, []org{{"acme-two", 1, 2}}},
		{w.nobody, registry.OrgFilter{Name: "acme", Visible: true}, []org{{"acme", 0, 0}}},
		{w.nobody, registry.OrgFilter{Name: "acme"}, []org{}},
	} {
		if diff := gocmp.Diff(c.want, list(c.who, c.f)); diff != "" {
			t.Errorf("%s, %+v:\n%s", c.who, c.f, diff)
		}
	}
	if got := list(w.nobody, registry.OrgFilter{Visible: true}); len(got) < 2 {
		t.Errorf("visible are %v", got)
	}
}
