package registry_test

import (
	"context"
	"slices"
	"testing"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// What a failing database did not take is counted later, with what came since.
func TestPullsWaitForTheDatabase(t *testing.T) {
	w := open(t, registry.Options{})
	const name = oci.Name("acme/app")
	body := w.image(name, "counted", 500)
	w.push(name, "v1", body)
	layer := w.pushBlob(name, []byte("sent in pieces"))
	pull := func() {
		t.Helper()
		_, err := w.Manifest(w.ctx, w.admin, name, oci.Reference{Tag: "v1"}, true)
		w.must(err)
		b, err := w.OpenBlob(w.ctx, w.admin, name, layer)
		w.must(err)
		b.Sent(14)
	}
	gone, cancel := context.WithCancel(w.ctx)
	cancel()
	counted := func() (pulls, sent, pulled int64) {
		return w.number(`SELECT pulls FROM repository WHERE path = $1`, string(name)),
			w.number(`SELECT CAST(coalesce(sum(downflow), 0) AS BIGINT) FROM usage WHERE day = 0`),
			w.number(`SELECT count(*) FROM tag WHERE pulled > 0`)
	}
	pull()
	for range 3 {
		if w.FlushPulls(gone) == nil {
			t.Fatal("the database did not fail")
		}
		pull()
	}
	if pulls, sent, pulled := counted(); pulls != 0 || sent != 0 || pulled != 0 {
		t.Fatalf("%d, %d, %d were written", pulls, sent, pulled)
	}
	for range 2 { // the second time there is nothing left
		w.must(w.FlushPulls(w.ctx))
		if pulls, sent, pulled := counted(); pulls != 4 || sent != 4*14 || pulled != 1 {
			t.Errorf("%d pulls, %d bytes, %d tags", pulls, sent, pulled)
		}
	}
}

func TestReposOfAnOrganization(t *testing.T) {
	w := open(t, registry.Options{})
	for _, name := range []oci.Name{"acme/a", "acme/b", "acme/b/c", "acme/d"} {
		w.repo(name)
	}
	_, err := w.CreateOrg(w.ctx, w.admin, "other")
	w.must(err)
	w.repo("other/a")
	names := func(who iam.Caller, org string, n int) (got []string) {
		t.Helper()
		for after, more := "", true; more; {
			p, err := w.Repos(w.ctx, who, org, after, n)
			w.must(err)
			for _, r := range p.Items {
				after = string(r.Name)[len(org)+1:]
				got = append(got, after)
			}
			more = p.More
		}
		return got
	}
	want := func(who iam.Caller, org string, want ...string) {
		t.Helper()
		for _, n := range []int{1, 2, 100} {
			if got := names(who, org, n); !slices.Equal(got, want) {
				t.Errorf("pages of %d of %s show %v, want %v", n, org, got, want)
			}
		}
	}
	refused := func(who iam.Caller, org string) {
		t.Helper()
		_, err := w.Repos(w.ctx, who, org, "", 10)
		w.want(err, fault.Denied)
	}
	want(w.admin, "acme", "a", "b", "b/c", "d")
	refused(w.nobody, "acme")
	w.must(w.GrantRepo(w.ctx, w.admin, "acme/b", "nobody", iam.Read))
	w.must(w.GrantRepo(w.ctx, w.admin, "acme/d", "nobody", iam.Manage))
	want(w.nobody, "acme", "b", "d")
	refused(w.nobody, "other")
	w.must(w.GrantOrg(w.ctx, w.admin, "acme", "nobody", iam.Read))
	want(w.nobody, "acme", "a", "b", "b/c", "d")
	_, stranger := w.account("elsewhere")
	refused(stranger, "acme")
	_, err = w.Repos(w.ctx, iam.Caller{}, "acme", "", 10)
	w.want(err, fault.Unauthorized)
	w.must(w.iam.SetUserEnabled(w.ctx, iam.Operator(), "", "nobody", false))
	_, err = w.Repos(w.ctx, w.nobody, "acme", "", 10)
	w.want(err, fault.Unauthorized)
}
