package mirror_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/mirror"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// A push after the rule is copied, byte for byte; one before it is not.
func TestAutomatic(t *testing.T) {
	from, to, _ := pair(t, mirror.Options{})
	from.tag(app, "before", "one")
	from.run()
	from.rule(registry.Sync{Auto: true})
	d := from.tag(app, "v1", "two")
	until(t, "the push arrives", func() bool { return to.digest(app, "v1") == d })
	j := from.over()
	if j.Status != registry.SyncDone || j.Digest != string(d) || j.OperatorName != "admin" || j.Detail != "" {
		t.Errorf("%+v", j)
	}
	if to.digest(app, "before") != "" {
		t.Error("what was there before the rule was copied")
	}
	must(t, from.DeleteSync(t.Context(), from.admin, app, north))
	from.tag(app, "v2", "three")
	from.over()
	if to.digest(app, "v2") != "" {
		t.Error("a push after the end of the rule was copied")
	}
}

// With backfill what is there already is copied, too.
func TestBackfill(t *testing.T) {
	from, to, _ := pair(t, mirror.Options{})
	for i := range 30 {
		from.tag(app, fmt.Sprint("v", i), fmt.Sprint("seed", i))
	}
	from.run()
	from.rule(registry.Sync{Auto: true, Backfill: true})
	for i := range 30 {
		tag := fmt.Sprint("v", i)
		until(t, tag+" arrives", func() bool { return to.digest(app, tag) == from.digest(app, tag) })
	}
	from.over()
}

// A different image over there stays, unless override is set; the same one is
// found to be there.
func TestOverride(t *testing.T) {
	from, to, w := pair(t, mirror.Options{})
	from.run()
	d, other := from.tag(app, "v1", "one"), to.tag(app, "v1", "two")
	j := from.now("v1", false)
	if j.Status != registry.SyncExisted || !strings.HasPrefix(j.Detail, "skipped: differs") || j.Digest != string(other) || to.digest(app, "v1") != other {
		t.Errorf("%+v", j)
	}
	j = from.now("v1", true)
	if j.Status != registry.SyncDone || to.digest(app, "v1") != d {
		t.Errorf("%+v", j)
	}
	w.reset()
	j = from.now("v1", true)
	if j.Status != registry.SyncExisted || j.Detail != "" || j.Digest != string(d) {
		t.Errorf("%+v", j)
	}
	if n := w.seen("POST uploads") + w.seen("PUT uploads") + w.seen("PUT manifests"); n != 0 {
		t.Errorf("%d requests sent something that was there: %v", n, w.requests)
	}
}

// Blobs that the other side has are not sent, and those that a sibling over
// there has are mounted.
func TestBlobsAreSentOnce(t *testing.T) {
	from, to, w := pair(t, mirror.Options{})
	from.run()
	body := from.image(app, "one", 300_000)
	from.push(app, "v1", imageType, body)
	from.now("v1", false)
	w.reset()
	config := from.blob(app, []byte(`{"another":"config"}`))
	second := encoded(map[string]any{"schemaVersion": 2, "mediaType": imageType, "config": desc{"application/vnd.oci.image.config.v1+json", config, 20, nil},
		"layers": []desc{{"application/vnd.oci.image.layer.v1.tar", digestOf(bytesOf("one-0", 300_000)), 300_000, nil}}})
	from.push(app, "v2", imageType, second)
	from.now("v2", false)
	if n := w.bytes.Load(); n > 2000 || to.digest(app, "v2") != digestOf(second) {
		t.Errorf("%d bytes were sent for a config and a manifest", n)
	}
	w.reset()
	const other = oci.Name("acme/other")
	from.image(other, "one", 300_000)
	from.push(other, "v1", imageType, body)
	_, err := from.SyncNow(t.Context(), from.admin, other, []string{"v1"}, north, false)
	must(t, err)
	from.over()
	if n := w.bytes.Load(); n > 2000 || to.digest(other, "v1") != digestOf(body) {
		t.Errorf("%d bytes were sent for what a sibling has", n)
	}
}

// What is known of the other side may be wrong: it collected a blob.
func TestKnowledgeEnds(t *testing.T) {
	from, to, _ := pair(t, mirror.Options{})
	from.run()
	from.push(app, "v1", imageType, from.image(app, "one", 3000))
	from.now("v1", false)
	must(t, to.DeleteTag(t.Context(), to.admin, app, "v1"))
	must(t, to.DeleteManifest(t.Context(), to.admin, app, from.digest(app, "v1")))
	for _, d := range []oci.Digest{digestOf(bytesOf("one-0", 3000)), digestOf(bytesOf(`{"seed":"one"}`, 100))} {
		must(t, to.DeleteBlob(t.Context(), to.admin, app, d))
	}
	j := from.now("v1", false)
	if j.Status != registry.SyncDone || to.digest(app, "v1") != from.digest(app, "v1") {
		t.Errorf("%+v", j)
	}
}

// An index travels with its images, with what names them as its subject, and
// with what is tagged by their digests; foreign layers stay where they are.
func TestGraph(t *testing.T) {
	from, to, _ := pair(t, mirror.Options{})
	from.run()
	var children []desc
	for _, arch := range []string{"amd64", "arm64"} {
		m := from.image(app, arch, 5000, 50)
		children = append(children, desc{imageType, from.push(app, "", imageType, m), len(m), nil})
	}
	foreign := encoded(map[string]any{"schemaVersion": 2, "mediaType": imageType, "config": desc{"application/vnd.oci.image.config.v1+json", from.blob(app, []byte("{}")), 2, nil},
		"layers": []desc{{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", digestOf([]byte("elsewhere")), 9, []string{"https://example.com/layer"}}}})
	children = append(children, desc{imageType, from.push(app, "", imageType, foreign), len(foreign), nil})
	index := encoded(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": children})
	d := from.push(app, "v1", indexType, index)
	attach := func(what string, subject desc) desc {
		m := encoded(map[string]any{"schemaVersion": 2, "mediaType": imageType, "artifactType": "application/x-" + what,
			"config": desc{"application/vnd.oci.empty.v1+json", from.blob(app, []byte("{}")), 2, nil}, "layers": []desc{{"text/plain", from.blob(app, []byte(what)), len(what), nil}}, "subject": subject})
		return desc{imageType, from.push(app, "", imageType, m), len(m), nil}
	}
	signature := attach("signature", desc{indexType, d, len(index), nil})
	attach("countersignature", signature)
	attach("sbom", children[0])
	old := from.tag(app, strings.Replace(string(d), ":", "-", 1)+".sig", "cosign")

	if j := from.now("v1", false); j.Status != registry.SyncDone {
		t.Fatalf("%+v", j)
	}
	got, err := to.Manifest(t.Context(), to.admin, app, oci.Reference{Tag: "v1"}, false)
	must(t, err)
	if !bytes.Equal(got.Body, index) || got.MediaType != indexType {
		t.Errorf("the index arrived as %s %s", got.MediaType, got.Body)
	}
	referrers := func(n *node, d oci.Digest) (list []string) {
		p, err := n.Referrers(t.Context(), n.admin, app, d, "", "", 100)
		must(t, err)
		for _, r := range p.Items {
			list = append(list, r.ArtifactType)
		}
		return list
	}
	for subject, want := range map[oci.Digest]string{d: "application/x-signature", signature.Digest: "application/x-countersignature", children[0].Digest: "application/x-sbom"} {
		if got := referrers(to, subject); !slices.Equal(got, []string{want}) {
			t.Errorf("attached to %s: %v, want %s", subject, got, want)
		}
	}
	if to.digest(app, strings.Replace(string(d), ":", "-", 1)+".sig") != old {
		t.Error("the tag of the signature is missing")
	}
	// What is attached later travels with a push by digest.
	from.rule(registry.Sync{Auto: true})
	attach("late", desc{indexType, d, len(index), nil})
	until(t, "the late one arrives", func() bool { return len(referrers(to, d)) == 2 })
	if j := from.over(); j.Tag != "v1" || j.Status != registry.SyncDone {
		t.Errorf("%+v", j)
	}
}

// A large blob goes on where the other side has it: what is sent in all is
// little more than the blob.
func TestLargeBlobResumes(t *testing.T) {
	const size, chunk = 6 << 20, 256 << 10
	from, to, w := pair(t, mirror.Options{Large: 1 << 20, Chunk: chunk})
	d := from.push(app, "v1", imageType, from.image(app, "large", size))
	_, err := from.SyncNow(t.Context(), from.admin, app, []string{"v1"}, north, false)
	must(t, err)
	for _, at := range []int64{2 << 20, 4 << 20} {
		stop := from.run()
		w.cutAfter.Store(at)
		until(t, "the wire is cut", func() bool { return w.cutAfter.Load() == 0 })
		w.away.Store(true)
		stop()
		w.away.Store(false)
	}
	from.run()
	if j := from.over(); j.Status != registry.SyncDone || to.digest(app, "v1") != d {
		t.Fatalf("%+v", j)
	}
	if n := w.bytes.Load(); n < size || n > size+3*chunk+100_000 {
		t.Errorf("%d bytes were sent for a blob of %d that was cut twice", n, size)
	}
	if n := w.seen("PATCH uploads"); n < size/chunk {
		t.Errorf("%d chunks", n)
	}
	b, err := to.OpenBlob(t.Context(), to.admin, app, digestOf(bytesOf("large-0", size)))
	must(t, err)
	r, err := b.Open(t.Context(), 0, -1)
	must(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	if must(t, err); !bytes.Equal(got, bytesOf("large-0", size)) {
		t.Error("the blob is another one")
	}
}

// A connection that breaks in the middle of a blob is made again at once.
func TestLargeBlobIsCut(t *testing.T) {
	const size = 4 << 20
	from, to, w := pair(t, mirror.Options{Large: 1 << 20, Chunk: 256 << 10, Pause: func(int) time.Duration { return time.Hour }})
	d := from.push(app, "v1", imageType, from.image(app, "large", size))
	_, err := from.SyncNow(t.Context(), from.admin, app, []string{"v1"}, north, false)
	must(t, err)
	w.cutAfter.Store(1 << 20)
	from.run()
	if j := from.over(); j.Status != registry.SyncDone || to.digest(app, "v1") != d {
		t.Fatalf("%+v", j)
	}
	if n := w.cutAfter.Load(); n != 0 {
		t.Error("the wire was not cut")
	}
}

// An upload that the other side forgot begins anew.
func TestForgottenUpload(t *testing.T) {
	from, to, _ := pair(t, mirror.Options{Large: 1 << 20, Chunk: 256 << 10})
	d := from.push(app, "v1", imageType, from.image(app, "large", 2<<20))
	must(t, from.KeepSyncUpload(t.Context(), iam.System("test"), registry.SyncUpload{Region: "north", Path: "acme/app",
		Digest: string(digestOf(bytesOf("large-0", 2<<20))), Location: regionURL(t, from) + "/v2/acme/app/blobs/uploads/gone", Received: 1 << 20}))
	from.run()
	if j := from.now("v1", false); j.Status != registry.SyncDone || to.digest(app, "v1") != d {
		t.Fatalf("%+v", j)
	}
}

func regionURL(t *testing.T, n *node) string {
	t.Helper()
	r, err := n.Region(t.Context(), iam.Operator(), "north")
	must(t, err)
	return r.URL
}

// A target that is away is caught up when it is back, with the newest alone.
func TestAwayAndBack(t *testing.T) {
	from, to, w := pair(t, mirror.Options{})
	from.run()
	from.rule(registry.Sync{Auto: true, Override: true})
	w.away.Store(true)
	from.tag(app, "v1", "one")
	until(t, "an attempt fails", func() bool { j := from.last(); return j.Status == registry.SyncWaiting && j.Detail != "" })
	d := from.tag(app, "v1", "two")
	time.Sleep(200 * time.Millisecond)
	w.away.Store(false)
	until(t, "the newest arrives", func() bool { return to.digest(app, "v1") == d })
	if j := from.over(); j.Status != registry.SyncDone {
		t.Errorf("%+v", j)
	}
}

// Where more wait than may, the rule is behind, and everything arrives all
// the same.
func TestBehind(t *testing.T) {
	from, to, _ := pair(t, mirror.Options{})
	from.rule(registry.Sync{Auto: true})
	from.full()
	d := from.tag(app, "late", "late")
	must(t, from.ExpandEvents(t.Context()))
	behind := func() bool {
		list, err := from.Syncs(t.Context(), from.admin, app)
		must(t, err)
		return list[0].Behind
	}
	if !behind() {
		t.Fatal("the rule is not behind")
	}
	from.empty()
	from.run()
	until(t, "the tag arrives", func() bool { return to.digest(app, "late") == d })
	until(t, "the rule is not behind any more", func() bool { return !behind() })
	from.over()
}

// What is wrong on the other side is told when a rule is made.
func TestChecks(t *testing.T) {
	from, to, w := pair(t, mirror.Options{})
	from.tag(app, "v1", "one")
	create := func(region, org string) error {
		return from.mirror.CreateSync(t.Context(), from.admin, app, registry.Sync{SyncTarget: registry.SyncTarget{Region: region, Organization: org}})
	}
	user, wrong, yes, nobody, insecure := "admin", "wrong", true, closed(t), true
	must(t, from.AddRegion(t.Context(), iam.Operator(), "wrong", registry.RegionPatch{URL: &w.URL, Username: &user, Password: &wrong, PlainHTTP: &insecure}))
	must(t, from.AddRegion(t.Context(), iam.Operator(), "closed", registry.RegionPatch{URL: &nobody, PlainHTTP: &insecure}))
	must(t, from.AddRegion(t.Context(), iam.Operator(), "sometimes", registry.RegionPatch{URL: &nobody, PlainHTTP: &insecure, Optional: &yes}))
	for _, c := range []struct{ region, org, says string }{
		{"north", "nosuch", "nosuch"}, {"wrong", "acme", "401"}, {"closed", "acme", "refused"}, {"elsewhere", "acme", "remoteRegionId"}, {"north", "A", "remoteNamespace"},
	} {
		err := create(c.region, c.org)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), password) {
			t.Errorf("%s/%s: %v, want something of %q", c.region, c.org, err, c.says)
		}
	}
	must(t, create("sometimes", "acme"))
	must(t, create("north", "acme"))
	if err := create("north", "acme"); !fault.Is(err, fault.Exists) {
		t.Errorf("the same again: %v", err)
	}
	if _, err := to.Repo(t.Context(), to.admin, app); !fault.Is(err, fault.RepoUnknown) {
		t.Errorf("the check left a repository: %v", err)
	}
	for name, ok := range map[string]bool{"north": true, "wrong": false, "closed": false} {
		if err := from.mirror.CheckRegion(t.Context(), iam.Operator(), name, ""); (err == nil) != ok {
			t.Errorf("check of %s: %v", name, err)
		}
	}
	if err := from.mirror.CheckRegion(t.Context(), iam.Caller{}, "north", ""); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("check by anybody: %v", err)
	}
}

// By hand, a wrong login is told at once; a rule goes on trying.
func TestWrongLogin(t *testing.T) {
	from, to, _ := pair(t, mirror.Options{})
	from.run()
	from.rule(registry.Sync{Auto: true})
	user, wrong, right := "admin", "not-the-password", password
	must(t, from.SetRegion(t.Context(), iam.Operator(), "north", registry.RegionPatch{Username: &user, Password: &wrong}))
	d := from.tag(app, "v1", "one")
	until(t, "an attempt fails", func() bool { return strings.Contains(from.last().Detail, "401") })
	if _, err := from.SyncNow(t.Context(), from.admin, app, []string{"v1"}, north, true); err != nil {
		t.Fatal(err)
	}
	until(t, "the one by hand has failed", func() bool { j := from.last(); return j.Override && j.Status == registry.SyncFailed })
	if j := from.last(); strings.Contains(j.Detail, wrong) {
		t.Errorf("%+v", j)
	}
	must(t, from.SetRegion(t.Context(), iam.Operator(), "north", registry.RegionPatch{Password: &right}))
	until(t, "the push arrives", func() bool { return to.digest(app, "v1") == d })
}

// Over TLS with authorities of its own, and not without them.
func TestPrivateAuthority(t *testing.T) {
	from, to := open(t, mirror.Options{}), open(t, mirror.Options{})
	w := serve(t, to.api, true)
	from.run()
	from.region(w.URL)
	d := from.tag(app, "v1", "one")
	if err := from.mirror.CreateSync(t.Context(), from.admin, app, registry.Sync{SyncTarget: north}); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "certificate") {
		t.Fatalf("without its authority: %v", err)
	}
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.Certificate().Raw}))
	must(t, from.SetRegion(t.Context(), iam.Operator(), "north", registry.RegionPatch{CA: &ca}))
	from.rule(registry.Sync{Auto: true})
	if j := from.now("v1", false); j.Status != registry.SyncDone || to.digest(app, "v1") != d {
		t.Fatalf("%+v", j)
	}
}

// The report counts each tag once, and reconcile mends what it may.
func TestDifferences(t *testing.T) {
	from, to, _ := pair(t, mirror.Options{})
	from.run()
	for i := range 450 { // more than a step
		from.push(app, fmt.Sprintf("v%03d", i), imageType, []byte(sameImage(from)))
	}
	from.now("v000", false)
	from.now("v449", false)
	from.tag(app, "v100", "here")
	to.tag(app, "v100", "there")
	to.tag(app, "alone", "alone")
	from.rule(registry.Sync{})
	report := func(again bool) registry.SyncReport {
		t.Helper()
		var r registry.SyncReport
		until(t, "the comparison ends", func() bool {
			var err error
			r, err = from.Differences(t.Context(), from.admin, app, north, again, 0, 1000)
			must(t, err)
			again = false
			return r.State != "comparing"
		})
		return r
	}
	r := report(false)
	if r.State != "done" || r.Equal != 2 || r.Missing != 447 || r.Different != 1 || r.Extra != 1 || r.Listed != 449 || len(r.Entries) != 449 || r.Queued != 0 {
		t.Fatalf("%+v", r)
	}
	if n, err := db.One[int](t.Context(), from.db, `SELECT count(*) FROM sync_difference`); err != nil || n != 1 {
		t.Errorf("four steps left %d rows, %v", n, err)
	}
	kinds := map[string]string{}
	for _, d := range r.Entries {
		kinds[d.Tag] = d.Kind
	}
	if kinds["alone"] != registry.TagExtra || kinds["v100"] != registry.TagDifferent || kinds["v001"] != registry.TagMissing || kinds["v000"] != "" {
		t.Errorf("%v", kinds)
	}
	page, err := from.Differences(t.Context(), from.admin, app, north, false, 440, 5)
	if must(t, err); len(page.Entries) != 5 || page.Entries[0].Tag != r.Entries[440].Tag {
		t.Errorf("%+v", page.Entries)
	}
	must(t, from.Reconcile(t.Context(), from.admin, app, north))
	r = report(false)
	if r.State != "done" || r.Queued != 447 || !r.Reconcile {
		t.Fatalf("%+v", r)
	}
	until(t, "all arrives", func() bool { return to.digest(app, "v448") != "" && to.digest(app, "v001") != "" })
	from.over()
	must(t, from.Reconcile(t.Context(), from.admin, app, north))
	if r = report(false); r.Equal != 449 || r.Missing != 0 || r.Different != 1 || r.Extra != 1 || r.Queued != 0 {
		t.Errorf("%+v", r)
	}
}

func sameImage(n *node) string { return string(n.image(app, "same", 100)) }

// A comparison without the other side fails and says why.
func TestDifferencesOfNobody(t *testing.T) {
	from := open(t, mirror.Options{})
	from.run()
	from.region(closed(t), func(p *registry.RegionPatch) { yes := true; p.Optional = &yes })
	from.tag(app, "v1", "one")
	from.rule(registry.Sync{})
	var r registry.SyncReport
	until(t, "it fails", func() bool {
		var err error
		r, err = from.Differences(t.Context(), from.admin, app, north, false, 0, 10)
		must(t, err)
		return r.State == "failed"
	})
	if !strings.Contains(r.Detail, "refused") {
		t.Errorf("%+v", r)
	}
}

// What was cancelled, or belongs to a rule that is gone, is not copied.
func TestCancelled(t *testing.T) {
	from, to, _ := pair(t, mirror.Options{})
	from.rule(registry.Sync{Auto: true})
	from.tag(app, "v1", "one")
	from.tag(app, "v2", "two")
	must(t, from.ExpandEvents(t.Context()))
	must(t, from.DeleteSync(t.Context(), from.admin, app, north))
	_, err := from.SyncNow(t.Context(), from.admin, app, []string{"v2"}, north, true)
	must(t, err)
	p, err := from.Jobs(t.Context(), from.admin, registry.SyncKind, job.Waiting, 0, 10)
	must(t, err)
	must(t, from.CancelJob(t.Context(), from.admin, p.Items[0].ID))
	if j := from.last(); j.Status != registry.SyncCancelled {
		t.Errorf("%+v", j)
	}
	from.run()
	from.over()
	jobs, _, err := from.SyncJobs(context.Background(), from.admin, app, 0, 10)
	must(t, err)
	for _, j := range jobs {
		if j.Status != registry.SyncCancelled {
			t.Errorf("%+v", j)
		}
	}
	if len(jobs) != 3 || to.digest(app, "v1") != "" || to.digest(app, "v2") != "" {
		t.Errorf("%d jobs; copied all the same", len(jobs))
	}
}

// A tag that is gone when its turn comes is nobody's failure.
func TestTagGoes(t *testing.T) {
	from, _, _ := pair(t, mirror.Options{})
	from.tag(app, "v1", "one")
	_, err := from.SyncNow(t.Context(), from.admin, app, []string{"v1"}, north, false)
	must(t, err)
	must(t, from.DeleteTag(t.Context(), from.admin, app, "v1"))
	from.run()
	if j := from.over(); j.Status != registry.SyncCancelled {
		t.Errorf("%+v", j)
	}
}
