package registry_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// visible sets the visibility of an organization.
func (w *world) visible(org string, public bool) registry.EditedOrg {
	w.t.Helper()
	o, err := w.UpdateOrg(w.ctx, w.admin, org, registry.OrgPatch{Public: &public})
	w.must(err)
	if o.Public != public {
		w.t.Fatalf("%s is public: %t", org, o.Public)
	}
	return o
}

// Everyone pulls from a public organization, from the next request on and no
// longer than it is one; what was said of a single repository stays as it is.
func TestPublicOrganization(t *testing.T) {
	w := open(t, registry.Options{})
	w.push("acme/app", "v1", w.image("acme/app", "a", 10))
	_, err := w.iam.CreateAccount(w.ctx, iam.Operator(), "other")
	w.must(err)
	_, err = w.iam.CreateUser(w.ctx, iam.Operator(), "other", "eve", "eve's password", true)
	w.must(err)
	eve := w.login("other/eve", "eve's password")
	pulls := func(who iam.Caller, name oci.Name) error {
		_, err := w.Manifest(w.ctx, who, name, tagRef("v1"), false)
		return err
	}
	everyone := map[string]iam.Caller{"anonymous": {}, "a user without rights": w.nobody, "another account": eve}

	for range 2 { // caches are warm the second time
		for who, c := range everyone {
			if err := pulls(c, "acme/app"); !fault.Is(err, fault.Denied) && !fault.Is(err, fault.Unauthorized) {
				t.Fatalf("%s pulls from a private organization: %v", who, err)
			}
		}
		w.visible("acme", true)
		for who, c := range everyone {
			if err := pulls(c, "acme/app"); err != nil {
				t.Fatalf("%s does not pull from a public organization: %v", who, err)
			}
			if err := w.May(w.ctx, c, "acme/app", iam.Push); !fault.Is(err, fault.Denied) && !fault.Is(err, fault.Unauthorized) {
				t.Fatalf("%s pushes to it: %v", who, err)
			}
			if _, err := w.Repo(w.ctx, c, "acme/app"); err == nil {
				t.Fatalf("%s sees more than images", who)
			}
		}
		w.visible("acme", false)
	}

	show := func(name oci.Name) [2]bool {
		r, err := w.Repo(w.ctx, w.admin, name)
		w.must(err)
		return [2]bool{r.Public, r.Open}
	}
	w.visible("acme", true)
	w.push("acme/new", "v1", w.image("acme/new", "b", 10))
	_, err = w.CreateRepo(w.ctx, w.admin, "acme/said", registry.RepoSpec{})
	w.must(err)
	for name, want := range map[oci.Name][2]bool{"acme/app": {false, true}, "acme/new": {true, true}, "acme/said": {false, true}} {
		if got := show(name); got != want {
			t.Errorf("%s is public by itself and in effect: %v, want %v", name, got, want)
		}
	}
	if o := w.visible("acme", false); o.PublicRepos != 1 {
		t.Errorf("%d repositories are public by themselves, want 1", o.PublicRepos)
	}
	for name, want := range map[oci.Name][2]bool{"acme/app": {}, "acme/new": {true, true}, "acme/said": {}} {
		if got := show(name); got != want {
			t.Errorf("%s is public by itself and in effect: %v, want %v", name, got, want)
		}
	}
	w.must(pulls(iam.Caller{}, "acme/new"))
}

func TestEditOrganization(t *testing.T) {
	w := open(t, registry.Options{})
	long, text, yes := strings.Repeat("ä", 256), strings.Repeat("ä", 255), true
	for _, bad := range []struct {
		who  iam.Caller
		name string
		p    registry.OrgPatch
		want fault.Code
	}{
		{w.admin, "acme", registry.OrgPatch{Description: &long}, fault.TooLong},
		{w.admin, "none", registry.OrgPatch{Public: &yes}, fault.OrgUnknown},
		{w.nobody, "acme", registry.OrgPatch{Public: &yes}, fault.Denied},
		{iam.Caller{}, "acme", registry.OrgPatch{Public: &yes}, fault.Unauthorized},
	} {
		_, err := w.UpdateOrg(w.ctx, bad.who, bad.name, bad.p)
		w.want(err, bad.want)
	}
	nul := "a\x00b"
	_, err := w.UpdateOrg(w.ctx, w.admin, "acme", registry.OrgPatch{Description: &nul})
	w.want(err, fault.Invalid)
	_, err = w.AddOrg(w.ctx, w.admin, registry.OrgSpec{Name: "more", Description: long})
	w.want(err, fault.TooLong)
	o, err := w.AddOrg(w.ctx, w.admin, registry.OrgSpec{Name: "more", Description: text, Public: true})
	w.must(err)
	e, err := w.UpdateOrg(w.ctx, w.admin, "more", registry.OrgPatch{})
	w.must(err)
	if e.Org != o || !o.Public || o.Description != text {
		t.Errorf("%+v became %+v", o, e.Org)
	}
	_, err = w.CreateChartGroup(w.ctx, w.admin, registry.GroupSpec{Name: "charts-of-us"})
	w.must(err)
	_, err = w.UpdateOrg(w.ctx, w.admin, "charts-of-us", registry.OrgPatch{Public: &yes})
	w.want(err, fault.OrgUnknown)
}

// The catalog has what public organizations hold, in order and page by page.
func TestCatalogOfPublicOrganizations(t *testing.T) {
	w := open(t, registry.Options{OrgsPerOwner: 100})
	var want []string
	for i := range 40 {
		// Names whose order changes with the slash behind them.
		org := fmt.Sprintf("o%02d", i/3) + []string{"", "-x", ".y"}[i%3]
		public := i%4 != 0
		_, err := w.AddOrg(w.ctx, w.admin, registry.OrgSpec{Name: org, Public: public})
		w.must(err)
		for j := range i % 6 {
			name := fmt.Sprintf("%s/r%d", org, j)
			_, err := w.CreateRepo(w.ctx, w.admin, oci.Name(name), registry.RepoSpec{Public: j == 3})
			w.must(err)
			if public || j == 3 {
				want = append(want, name)
			}
		}
	}
	slices.Sort(want)
	for _, who := range []iam.Caller{{}, w.nobody} {
		for _, n := range []int{1, 2, 7, 1000} {
			var got []string
			for after := ""; ; {
				p, err := w.Catalog(w.ctx, who, after, n)
				w.must(err)
				got = append(got, p.Items...)
				if !p.More {
					break
				}
				after = got[len(got)-1]
			}
			if !slices.Equal(got, want) {
				t.Fatalf("pages of %d: %q\nwant %q", n, got, want)
			}
		}
	}
	if p, err := w.Catalog(w.ctx, iam.Caller{}, "o07-x/r1", 3); err != nil || !slices.Equal(p.Items, []string{"o07-x/r2", "o07-x/r3", "o07.y/r0"}) && len(p.Items) != 3 {
		t.Errorf("behind a name: %v %v", p.Items, err)
	}
}

// Another node of the same database keeps people out within two seconds.
func TestPrivateOnAnotherNode(t *testing.T) {
	w := open(t, registry.Options{})
	if w.db.Exact() {
		t.Skip("SQLite has one process")
	}
	d := dbtest.OpenURL(t, w.url)
	there, err := iam.New(w.ctx, d, iam.Options{Master: bytes.Repeat([]byte{7}, 32), Argon: iam.Argon{Memory: 64, Passes: 1}})
	w.must(err)
	t.Cleanup(func() { w.must(there.Close()) })
	other := registry.New(d, there, blob.New(w.driver(), blob.Options{}), registry.Options{})
	w.push("acme/app", "v1", w.image("acme/app", "a", 10))
	pulls := func() bool {
		_, err := other.Manifest(w.ctx, iam.Caller{}, "acme/app", tagRef("v1"), false)
		return err == nil
	}
	for _, public := range []bool{true, false, true, false} {
		w.visible("acme", public)
		for begun := time.Now(); pulls() != public; time.Sleep(10 * time.Millisecond) {
			if time.Since(begun) > 2*time.Second {
				t.Fatalf("two seconds after the organization became public=%t the other node has not heard of it", public)
			}
		}
	}
}

// A credential that is limited to some names finds those in the catalog.
func TestCatalogOfLimitedCredential(t *testing.T) {
	w := open(t, registry.Options{OrgsPerOwner: 10})
	for _, name := range []oci.Name{"acme/app", "acme/lib", "acme-two/app", "other/a", "other/b", "other/c"} {
		if org := name.Organization(); org != "acme" {
			_, err := w.CreateOrg(w.ctx, w.admin, org)
			if err != nil && !fault.Is(err, fault.Exists) {
				t.Fatal(err)
			}
		}
		_, err := w.CreateRepo(w.ctx, w.admin, name, registry.RepoSpec{})
		w.must(err)
	}
	for _, tt := range []struct{ in, want string }{
		{"", "acme-two/app acme/app acme/lib other/a other/b other/c"}, {"acme", "acme/app acme/lib"}, {"acme/lib other", "acme/lib other/a other/b other/c"},
		{"acme/none none other/b other/c", "other/b other/c"},
	} {
		c, err := w.iam.AddCredential(w.ctx, w.admin, iam.UserRef{ID: w.admin.User}, iam.NewCredential{Limits: iam.Limits{In: strings.Fields(tt.in)}})
		w.must(err)
		who := w.login("any", c.Secret)
		for _, n := range []int{1, 2, 100} {
			var got []string
			for after := ""; ; after = got[len(got)-1] {
				p, err := w.Catalog(w.ctx, who, after, n)
				w.must(err)
				if got = append(got, p.Items...); !p.More {
					break
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%q in pages of %d: %q, want %s", tt.in, n, got, tt.want)
			}
		}
		// A list is one of the account, or of an organization; of which it finds all or none.
		for _, org := range []string{"", "acme", "acme-two", "other", "acm", "none"} {
			l, err := w.ListRepos(w.ctx, who, registry.RepoFilter{Org: org, OrgPart: true}, registry.Order{By: registry.SortName}, registry.Window{Limit: 10})
			may := tt.in == "" || slices.Contains(strings.Fields(tt.in), org) && org != "none"
			if (err == nil) != may {
				t.Errorf("%q lists repositories of %q: %v", tt.in, org, err)
			}
			for _, i := range l.Items {
				if tt.in != "" && i.Name.Organization() != org {
					t.Errorf("%q lists %s under %q", tt.in, i.Name, org)
				}
			}
			if org == "acme" && may && len(l.Items) != 2 {
				t.Errorf("%q lists %d repositories", tt.in, len(l.Items))
			}
		}
	}
}
