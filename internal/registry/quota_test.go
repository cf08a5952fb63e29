package registry_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

// wantQuota expects an error that says which quota is reached.
func (w *world) wantQuota(err error, detail string) {
	w.t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != fault.Quota || f.Detail != detail {
		w.t.Fatalf("got error %v, want the quota %q", err, detail)
	}
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{OrgsPerOwner: 2, ReposPerOwner: 2, TagsPerRepo: 2})
	_, err := w.CreateOrg(w.ctx, w.admin, "umbrella")
	w.must(err)
	_, err = w.CreateOrg(w.ctx, w.admin, "zeta")
	w.wantQuota(err, "namespace")
	account, err := iam.FindAccount(w.ctx, w.db, "admin")
	w.must(err)
	// Whoever runs the registry is not bound.
	_, err = w.CreateOrg(w.ctx, iam.Operator().In(account), "zeta")
	w.must(err)
	w.must(w.DeleteOrg(w.ctx, w.admin, "zeta"))
	w.must(w.DeleteOrg(w.ctx, w.admin, "umbrella"))
	_, err = w.CreateOrg(w.ctx, w.admin, "umbrella")
	w.must(err)

	body := w.image(app, "one", 10)
	for _, tag := range []string{"v1", "v2", "v1"} {
		w.push(app, tag, body)
	}
	_, err = w.PutManifest(w.ctx, w.admin, app, tagRef("v3"), nil, imageType, body)
	w.wantQuota(err, "tag")
	w.must(w.DeleteTag(w.ctx, w.admin, app, "v2"))
	w.push(app, "v3", body)

	w.pushBlob("acme/two", []byte("x"))
	_, err = w.PutBlob(w.ctx, w.admin, "acme/three", 0, nil, digestOf(nil))
	w.wantQuota(err, "repo")
	_, err = w.CreateRepo(w.ctx, w.admin, "acme/three", registry.RepoSpec{})
	w.wantQuota(err, "repo")
	w.must(w.DeleteRepo(w.ctx, w.admin, "acme/two"))
	_, err = w.CreateRepo(w.ctx, w.admin, "acme/three", registry.RepoSpec{})
	w.must(err)

	got, err := w.Quotas(w.ctx, w.nobody)
	w.must(err)
	if got[0] != (registry.Quota{Key: "namespace", Limit: 2, Used: 2}) || got[1] != (registry.Quota{Key: "repo", Limit: 2, Used: 2}) {
		t.Errorf("the quotas are %+v", got)
	}
}

// What there was at the end of a day is what there is less what came since.
func TestDailyReports(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	d := &damage{world: w}
	w.push(app, "v1", w.image(app, "one", 900)) // 1000 bytes
	d.sql(`UPDATE usage SET day = day - 2 WHERE day > 0`)
	w.push(app, "v2", w.image(app, "two", 100)) // 200
	b, err := w.OpenBlob(w.ctx, w.admin, app, w.pushBlob(app, []byte("x")))
	w.must(err)
	b.Sent(7)
	ended, end := context.WithCancel(w.ctx)
	end()
	w.must(w.Run(ended)) // writes what was counted
	d.sql(`UPDATE usage SET day = day - 1 WHERE day > 0 AND day > (SELECT max(day) FROM usage) - 1`)
	w.must(w.DeleteTag(w.ctx, w.admin, app, "v1"))
	values := func(what registry.Report) (out []int64) {
		days, err := w.Daily(w.ctx, w.nobody, what, 5)
		w.must(err)
		for i, v := range days {
			out = append(out, v.Value)
			if h, m, s := v.Day.Clock(); h+m+s != 0 || i > 0 && v.Day.Sub(days[i-1].Day).Hours() != 24 {
				t.Errorf("the days are %v", days)
			}
		}
		return out
	}
	for what, want := range map[registry.Report][5]int64{
		registry.StoreReport:    {0, 0, 1000, 1200, 200},
		registry.DownflowReport: {0, 0, 0, 7, 0},
	} {
		if got := values(what); [5]int64(got) != want {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	d.sql(`UPDATE usage SET day = day - 500 WHERE day > 0 AND day < (SELECT max(day) FROM usage)`)
	w.must(w.Collect(w.ctx))
	if got := values(registry.StoreReport); got[4] != 200 {
		t.Errorf("after old days were forgotten the store is %v", got)
	}
	o, err := w.Overview(w.ctx, w.admin)
	w.must(err)
	if o != (registry.Overview{Orgs: 1, Repos: 1, Images: 1, Stored: 200, Downflow: 7}) {
		t.Errorf("the overview is %+v", o)
	}
}

// What leaves in an archive is sent as much as what a pull gets.
func TestDownflowOfArchives(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	w.push(app, "v1", w.image(app, "one", 900)) // 1000 bytes of blobs
	s, err := w.SaveImage(w.ctx, w.admin, app, []string{"v1"}, "", "registry")
	w.must(err)
	stop := w.running()
	w.must(s.Send(w.ctx, io.Discard, 0, s.Size, func() {}))
	stop() // writes the counts
	o, err := w.Overview(w.ctx, w.admin)
	w.must(err)
	if o.Downflow != 1000 {
		t.Errorf("%d bytes are counted", o.Downflow)
	}
}
