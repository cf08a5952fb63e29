package registry_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// tags returns what every tag of a repository points to.
func (w *world) tags(name oci.Name) map[string]oci.Digest {
	w.t.Helper()
	l, err := w.ListTags(w.ctx, w.admin, name, registry.TagQuery{})
	w.must(err)
	m := map[string]oci.Digest{}
	for t, err := range l.Items {
		w.must(err)
		m[t.Name] = t.Digest
	}
	return m
}

func (w *world) wantTags(name oci.Name, want map[string]oci.Digest) {
	w.t.Helper()
	if got := w.tags(name); !maps.Equal(got, want) {
		w.t.Fatalf("the tags are %v, want %v", got, want)
	}
}

// deleted returns the deleted tags of app as "tag digest", the latest first.
func (w *world) deleted() []string {
	w.t.Helper()
	list, _, err := w.DeletedTags(w.ctx, w.admin, app, registry.DeletedQuery{}, 1000)
	w.must(err)
	out := []string{}
	for _, d := range list {
		out = append(out, d.Tag+" "+string(d.Digest))
	}
	return out
}

func (w *world) wantDeleted(want ...string) {
	w.t.Helper()
	if got := w.deleted(); !slices.Equal(got, want) {
		w.t.Fatalf("the deleted tags are %v, want %v", got, want)
	}
}

// wantAudit counts what was done of a kind.
func (w *world) wantAudit(action string, want int64) {
	w.t.Helper()
	n, err := db.One[int64](w.ctx, w.db, `SELECT count(*) FROM audit WHERE action = $1 AND outcome = 'ok'`, action)
	w.must(err)
	if n != want {
		w.t.Fatalf("the audit has %d rows of %s, want %d", n, action, want)
	}
}

// moment returns a time that is between what was done and what will be.
func moment() time.Time {
	time.Sleep(2 * time.Millisecond)
	defer time.Sleep(2 * time.Millisecond)
	return time.Now()
}

var inTime = registry.Options{Grace: time.Microsecond, Undelete: time.Hour}

func TestRestoreTag(t *testing.T) {
	t.Parallel()
	w := open(t, inTime)
	restore := func(tag string, d oci.Digest, override bool) (registry.TagMove, error) {
		return w.RestoreTag(w.ctx, w.admin, app, tag, d, override)
	}
	one, two, three := w.push(app, "v", w.image(app, "one", 10)), w.push(app, "v", w.image(app, "two", 20)), w.push(app, "v", w.image(app, "three", 30))
	w.wantDeleted("v "+string(two), "v "+string(one))
	w.must(w.DeleteTag(w.ctx, w.admin, app, "v"))
	w.wantDeleted("v "+string(three), "v "+string(two), "v "+string(one))
	list, next, err := w.DeletedTags(w.ctx, w.admin, app, registry.DeletedQuery{}, 1)
	w.must(err)
	d := list[0]
	if left := d.Until.Sub(d.Deleted); d.Cause != "delete" || d.Actor != "admin/admin" || d.Now != "" || left != time.Hour || next == "" {
		t.Fatalf("%+v, next %q", d, next)
	}
	list, _, err = w.DeletedTags(w.ctx, w.admin, app, registry.DeletedQuery{After: next}, 1)
	w.must(err)
	if len(list) != 1 || list[0].Digest != two || list[0].Cause != "push" {
		t.Fatalf("the next page is %+v", list)
	}
	_, _, err = w.DeletedTags(w.ctx, w.admin, app, registry.DeletedQuery{After: "1/2"}, 1)
	w.want(err, fault.PageInvalid)

	_, err = w.RestoreTag(w.ctx, w.nobody, app, "v", "", false)
	w.want(err, fault.Denied)
	_, err = restore("none", "", false)
	w.want(err, fault.TagUnknown)
	_, err = restore("v", digestOf([]byte("never")), true)
	w.want(err, fault.TagUnknown)
	move, err := restore("v", "", false)
	w.must(err)
	if move != (registry.TagMove{Tag: "v", Digest: three}) {
		t.Fatalf("%+v", move)
	}
	w.wantTags(app, map[string]oci.Digest{"v": three})
	w.wantDeleted("v "+string(two), "v "+string(one))
	_, err = restore("v", one, false)
	w.want(err, fault.Exists)
	_, err = restore("v", three, false) // it is that
	w.must(err)
	move, err = restore("v", one, true)
	w.must(err)
	if move != (registry.TagMove{Tag: "v", Digest: one, Previous: three}) {
		t.Fatalf("%+v", move)
	}
	w.wantDeleted("v "+string(three), "v "+string(two))
	list, _, err = w.DeletedTags(w.ctx, w.admin, app, registry.DeletedQuery{Contains: "V"}, 10)
	w.must(err)
	if len(list) != 2 || list[0].Now != one || list[0].Cause != "restore" {
		t.Fatalf("%+v", list)
	}
	list, _, err = w.DeletedTags(w.ctx, w.admin, app, registry.DeletedQuery{Contains: "_"}, 10)
	w.must(err)
	if len(list) != 0 {
		t.Fatalf("a name with _: %+v", list)
	}
	w.wantAudit("swr:repo:restoreRepoTag", 2)
	w.push(app, "v", w.image(app, "two", 20)) // pushed again it is not lost any more
	w.wantDeleted("v "+string(one), "v "+string(three))

	h, err := w.History(w.ctx, w.admin, app, "v", 0, 2)
	w.must(err)
	all, err := w.History(w.ctx, w.admin, app, "", h.Items[1].ID, 100)
	w.must(err)
	var causes []string
	for _, e := range append(h.Items, all.Items...) {
		causes = append(causes, e.Cause)
		if !e.There {
			t.Errorf("%+v: its image can not be had", e)
		}
	}
	if got := strings.Join(causes, " "); got != "push restore restore delete push push push" {
		t.Fatal(got)
	}
}

// An index comes back with its children, with the subject that it names, and
// with blobs that were deleted by themselves.
func TestRestoreBringsEverythingBack(t *testing.T) {
	t.Parallel()
	w := open(t, inTime)
	subject := w.push(app, "subject", w.image(app, "subject", 10))
	child := w.image(app, "child", 40<<10)
	_, err := w.PutManifest(w.ctx, w.admin, app, digestRef(digestOf(child)), nil, imageType, child)
	w.must(err)
	index := w.json(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []desc{{imageType, digestOf(child), len(child)}},
		"subject": desc{imageType, subject, 1}})
	r, err := w.PutManifest(w.ctx, w.admin, app, tagRef("v"), []string{"w"}, indexType, index)
	w.must(err)
	size := w.fsck()
	for _, d := range []oci.Digest{r.Digest, digestOf(child), subject} {
		w.must(w.DeleteManifest(w.ctx, w.admin, app, d))
	}
	w.must(w.DeleteBlob(w.ctx, w.admin, app, digestOf(bytesOf("child-0", 40<<10))))
	w.collect()
	if list, _, err := w.DeletedTags(w.ctx, w.admin, app, registry.DeletedQuery{}, 10); err != nil || len(list) != 3 || list[0].Cause != "manifest_delete" {
		t.Fatalf("%+v %v", list, err)
	}
	_, err = w.RestoreTag(w.ctx, w.admin, app, "w", "", false)
	w.must(err)
	for _, d := range []oci.Digest{r.Digest, digestOf(child), subject} {
		_, err := w.Manifest(w.ctx, w.admin, app, digestRef(d), false)
		w.must(err)
	}
	_, err = w.StatBlob(w.ctx, w.admin, app, digestOf(bytesOf("child-0", 40<<10)))
	w.must(err)
	refs, err := w.Referrers(w.ctx, w.admin, app, subject, "", "", 10)
	w.must(err)
	if len(refs.Items) != 1 {
		t.Fatalf("%d referrers", len(refs.Items))
	}
	w.collect()
	w.wantTags(app, map[string]oci.Digest{"w": r.Digest})
	if s := w.fsck(); s.Manifests != size.Manifests || s.Blobs != size.Blobs {
		t.Fatalf("%+v, before %+v", s, size)
	}
}

// What waits keeps the time that it was given; a longer window counts for it,
// a shorter one does not.
func TestWindowChanges(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{Grace: time.Microsecond, Undelete: 1500 * time.Millisecond})
	set := func(d time.Duration) {
		_, err := w.ChangeSettings(w.ctx, w.admin, registry.SettingsPatch{Undelete: &d})
		w.must(err)
	}
	raised := w.push(app, "raised", w.image(app, "raised", 40<<10))
	pinned := w.push(app, "pinned", w.image(app, "pinned", 50<<10))
	w.must(w.DeleteTag(w.ctx, w.admin, app, "raised"))
	w.must(w.DeleteManifest(w.ctx, w.admin, app, pinned))
	set(time.Hour)
	time.Sleep(1600 * time.Millisecond)
	w.collect()
	w.wantDeleted("pinned "+string(pinned), "raised "+string(raised))
	list, _, err := w.DeletedTags(w.ctx, w.admin, app, registry.DeletedQuery{}, 10)
	w.must(err)
	if left := list[0].Until.Sub(list[0].Deleted); left != time.Hour {
		t.Fatalf("it is promised for %s", left)
	}
	for _, tag := range []string{"raised", "pinned"} {
		_, err := w.RestoreTag(w.ctx, w.admin, app, tag, "", false)
		w.must(err)
	}
	// Promised for an hour, it stays for an hour.
	w.must(w.DeleteTag(w.ctx, w.admin, app, "raised"))
	w.must(w.DeleteManifest(w.ctx, w.admin, app, pinned))
	set(0)
	w.push(app, "lowered", w.image(app, "lowered", 60<<10))
	w.must(w.DeleteTag(w.ctx, w.admin, app, "lowered"))
	time.Sleep(5 * time.Millisecond)
	w.collect()
	w.wantDeleted("pinned "+string(pinned), "raised "+string(raised))
	if s := w.fsck(); s.Manifests != 1 || s.Keys != 2 { // that is live
		t.Fatalf("%+v", s)
	}
	_, err = w.RestoreTag(w.ctx, w.admin, app, "lowered", "", false)
	w.want(err, fault.TagUnknown)
}

// With images that stay, only the list of what can come back ends.
func TestDeletedTagsOfImagesThatStay(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{Grace: time.Microsecond, Undelete: 1500 * time.Millisecond, KeepUntagged: true})
	old := w.push(app, "v", w.image(app, "old", 10))
	now := w.push(app, "v", w.image(app, "now", 10))
	w.wantDeleted("v " + string(old))
	time.Sleep(1510 * time.Millisecond)
	w.wantDeleted()
	w.collect()
	_, err := w.RestoreTag(w.ctx, w.admin, app, "v", old, true)
	w.want(err, fault.TagUnknown)
	move, err := w.RollbackTag(w.ctx, w.admin, app, "v", registry.Moment{Digest: old})
	w.must(err)
	if move != (registry.TagMove{Tag: "v", Digest: old, Previous: now}) {
		t.Fatalf("%+v", move)
	}
	rows, err := db.One[int64](w.ctx, w.db, `SELECT count(*) FROM deleted_tag`)
	w.must(err)
	if rows != 1 {
		t.Fatalf("%d rows", rows)
	}
}

func TestRollbackTag(t *testing.T) {
	t.Parallel()
	w := open(t, inTime)
	start := moment()
	one := w.push(app, "v", w.image(app, "one", 10))
	first := moment()
	two := w.push(app, "v", w.image(app, "two", 10))
	w.must(w.DeleteManifest(w.ctx, w.admin, app, one))
	w.push(app, "other", w.image(app, "three", 10))
	roll := func(to registry.Moment) (registry.TagMove, error) {
		return w.RollbackTag(w.ctx, w.admin, app, "v", to)
	}
	_, err := roll(registry.Moment{Time: start})
	w.want(err, fault.Invalid)
	_, err = roll(registry.Moment{Time: time.Now().Add(time.Hour)})
	w.want(err, fault.Invalid)
	_, err = roll(registry.Moment{Digest: digestOf(w.image(app, "three", 10))})
	w.want(err, fault.TagUnknown) // another tag's
	_, err = w.RollbackTag(w.ctx, w.admin, app, "other", registry.Moment{Time: first})
	w.want(err, fault.TagUnknown)
	_, err = w.RollbackTag(w.ctx, w.nobody, app, "v", registry.Moment{Time: first})
	w.want(err, fault.Denied)
	move, err := roll(registry.Moment{Time: first})
	w.must(err)
	if move != (registry.TagMove{Tag: "v", Digest: one, Previous: two}) {
		t.Fatalf("%+v", move)
	}
	_, err = roll(registry.Moment{Digest: two})
	w.must(err)
	w.wantAudit("swr:repo:rollbackRepoTag", 2)
	if w.tags(app)["v"] != two {
		t.Fatal("it is not what it was")
	}
}

func TestRollbackOfAnImageThatIsGone(t *testing.T) {
	t.Parallel()
	w := open(t, atOnce)
	one := w.push(app, "v1", w.image(app, "one", 10))
	keep := w.push(app, "v2", w.image(app, "keep", 10))
	first := moment()
	two := w.push(app, "v1", w.image(app, "two", 10))
	w.push(app, "v2", w.image(app, "two", 10))
	w.push(app, "keeps", w.image(app, "keep", 10))
	w.collect()
	_, err := w.RollbackTag(w.ctx, w.admin, app, "v1", registry.Moment{Digest: one})
	w.want(err, fault.ManifestUnknown)
	b := registry.Rollback{Time: first}
	_, err = w.RollbackRepo(w.ctx, w.admin, app, b)
	w.want(err, fault.ManifestUnknown)
	if !strings.Contains(err.Error(), "v1") || strings.Contains(err.Error(), "v2") {
		t.Fatal(err)
	}
	b.DryRun = true
	plan, err := w.RollbackRepo(w.ctx, w.admin, app, b)
	w.must(err)
	want := []registry.TagMove{{Tag: "keeps", Previous: keep}, {Tag: "v1", Digest: one, Previous: two, Missing: true}, {Tag: "v2", Digest: keep, Previous: two}}
	if !slices.Equal(plan, want) {
		t.Fatalf("the plan is %+v", plan)
	}
	w.wantTags(app, map[string]oci.Digest{"v1": two, "v2": two, "keeps": keep})
	b.DryRun, b.SkipMissing = false, true
	done, err := w.RollbackRepo(w.ctx, w.admin, app, b)
	w.must(err)
	if !slices.Equal(done, want) {
		t.Fatalf("it did %+v", done)
	}
	w.wantTags(app, map[string]oci.Digest{"v1": two, "v2": keep})
	h, err := w.History(w.ctx, w.admin, app, "v1", 0, 10)
	w.must(err)
	if h.Items[0].There != true || h.Items[1].There != false {
		t.Fatalf("%+v", h.Items)
	}
}

func TestRollbackRepo(t *testing.T) {
	t.Parallel()
	w := open(t, inTime)
	before := time.Now()
	one, two := w.image(app, "one", 10), w.image(app, "two", 10)
	w.push(app, "v1", one)
	w.push(app, "v2", one)
	w.push(app, "dev", one)
	was := w.tags(app)
	at := moment()
	w.push(app, "v1", two)
	w.push(app, "v3", two)
	w.push(app, "dev", two)
	w.must(w.DeleteTag(w.ctx, w.admin, app, "v2"))
	is := w.tags(app)
	_, err := w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: before})
	w.want(err, fault.Invalid)
	_, err = w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: at, Pattern: "("})
	w.want(err, fault.Invalid)
	_, err = w.RollbackRepo(w.ctx, w.nobody, app, registry.Rollback{Time: at, DryRun: true})
	w.want(err, fault.Denied)
	plan, err := w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: at, Pattern: "^v", DryRun: true})
	w.must(err)
	if len(plan) != 3 {
		t.Fatalf("%+v", plan)
	}
	w.wantTags(app, is)
	_, err = w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: at, Pattern: "^v"})
	w.must(err)
	w.wantTags(app, map[string]oci.Digest{"v1": was["v1"], "v2": was["v2"], "dev": is["dev"]})
	rolled := moment()
	_, err = w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: at})
	w.must(err)
	w.wantTags(app, was)
	_, err = w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: rolled}) // and a rollback is undone by one
	w.must(err)
	w.wantTags(app, map[string]oci.Digest{"v1": was["v1"], "v2": was["v2"], "dev": is["dev"]})

	var many []string
	for i := range registry.MaxRollback + 1 {
		many = append(many, fmt.Sprintf("n%d", i))
	}
	for chunk := range slices.Chunk(many, registry.MaxTagsPerPush) {
		_, err := w.PutManifest(w.ctx, w.admin, app, tagRef(chunk[0]), chunk, imageType, one)
		w.must(err)
	}
	_, err = w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: rolled})
	w.want(err, fault.Invalid)
	_, err = w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: rolled, Pattern: "^n.*[1-9]$"})
	w.must(err)
	w.wantAudit("swr:repo:rollbackRepo", 4)
}

// What was deleted comes back in one transaction, which has a bound.
func TestTooMuchComesBack(t *testing.T) {
	t.Parallel()
	w := open(t, inTime)
	config := []byte("{}")
	w.pushBlob(app, config)
	var children []desc
	for i := range 510 {
		body := w.json(map[string]any{"schemaVersion": 2, "mediaType": imageType, "layers": []desc{}, "annotations": map[string]string{"n": fmt.Sprint(i)},
			"config": desc{"application/vnd.oci.image.config.v1+json", digestOf(config), len(config)}})
		_, err := w.PutManifest(w.ctx, w.admin, app, digestRef(digestOf(body)), nil, imageType, body)
		w.must(err)
		children = append(children, desc{imageType, digestOf(body), len(body)})
	}
	for tag, of := range map[string][]desc{"all": children, "a": children[:170], "b": children[170:340], "c": children[340:]} {
		_, err := w.PutManifest(w.ctx, w.admin, app, tagRef(tag), nil, indexType, w.json(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": of}))
		w.must(err)
	}
	was := w.tags(app)
	at := moment()
	for _, d := range was {
		w.must(w.DeleteManifest(w.ctx, w.admin, app, d))
	}
	w.exec(`UPDATE manifest SET deleted = $1`, time.Now().UnixMicro())
	_, err := w.RestoreTag(w.ctx, w.admin, app, "all", "", false)
	w.want(err, fault.TooLarge)
	_, err = w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: at, Pattern: "^.$"})
	w.want(err, fault.Invalid)
	if !strings.Contains(err.Error(), "narrow the pattern") {
		t.Error(err)
	}
	w.wantTags(app, map[string]oci.Digest{})
	for _, tag := range []string{"a", "b", "c"} {
		_, err = w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: at, Pattern: "^" + tag + "$"})
		w.must(err)
	}
	_, err = w.RestoreTag(w.ctx, w.admin, app, "all", "", false) // its children are there
	w.must(err)
	w.wantTags(app, was)
}

func TestQuotaHoldsForWhatComesBack(t *testing.T) {
	t.Parallel()
	o := inTime
	o.TagsPerRepo = 1
	w := open(t, o)
	w.push(app, "v", w.image(app, "one", 10))
	at := moment()
	w.must(w.DeleteTag(w.ctx, w.admin, app, "v"))
	two := w.push(app, "w", w.image(app, "two", 10))
	_, err := w.RestoreTag(w.ctx, w.admin, app, "v", "", false)
	w.wantQuota(err, "tag")
	_, err = w.RollbackTag(w.ctx, w.admin, app, "v", registry.Moment{Time: at})
	w.wantQuota(err, "tag")
	w.wantTags(app, map[string]oci.Digest{"w": two})
	_, err = w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: at}) // one goes, one comes
	w.must(err)
}

// What is left of a deleted repository goes, its history too.
func TestHistoryGoesWithTheRepository(t *testing.T) {
	t.Parallel()
	w := open(t, inTime)
	w.push(app, "v", w.image(app, "one", 10))
	w.push(app, "v", w.image(app, "two", 10))
	w.must(w.DeleteTag(w.ctx, w.admin, app, "v"))
	w.must(w.DeleteRepo(w.ctx, w.admin, app))
	w.collect()
	for _, table := range []string{"tag_event", "deleted_tag", "manifest", "review"} {
		n, err := db.One[int64](w.ctx, w.db, `SELECT count(*) FROM `+table)
		w.must(err)
		if n != 0 && table != "review" {
			t.Errorf("%d rows in %s", n, table)
		}
	}
}

// Whatever was done, a rollback makes the tags what they were.
func TestRollbackProperty(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := open(t, inTime)
			rnd := rand.New(rand.NewPCG(seed, 9))
			var images [][]byte
			for i := range 5 {
				images = append(images, w.image(app, fmt.Sprint("image", i), 10))
			}
			type state struct {
				at   time.Time
				tags map[string]oci.Digest
			}
			var past []state
			model := map[string]oci.Digest{}
			tag := func() string { return fmt.Sprintf("t%d", rnd.IntN(6)) }
			w.push(app, "t0", images[0])
			model["t0"] = digestOf(images[0])
			for range 60 {
				past = append(past, state{moment(), maps.Clone(model)})
				body, name := images[rnd.IntN(len(images))], tag()
				switch rnd.IntN(8) {
				case 0, 1, 2:
					model[name] = w.push(app, name, body)
				case 3:
					if err := w.DeleteTag(w.ctx, w.admin, app, name); !fault.Is(err, fault.TagUnknown) {
						w.must(err)
					}
					delete(model, name)
				case 4:
					if err := w.DeleteManifest(w.ctx, w.admin, app, digestOf(body)); !fault.Is(err, fault.ManifestUnknown) {
						w.must(err)
					}
					maps.DeleteFunc(model, func(_ string, d oci.Digest) bool { return d == digestOf(body) })
				case 5:
					move, err := w.RestoreTag(w.ctx, w.admin, app, name, "", true)
					if !fault.Is(err, fault.TagUnknown) {
						w.must(err)
						model[name] = move.Digest
					}
				case 6:
					to := past[rnd.IntN(len(past))]
					move, err := w.RollbackTag(w.ctx, w.admin, app, name, registry.Moment{Time: to.at})
					if want := to.tags[name]; want == "" {
						w.want(err, fault.TagUnknown)
					} else if w.must(err); move.Digest != want {
						t.Fatalf("%s is %s, want %s", name, move.Digest, want)
					} else {
						model[name] = want
					}
				default:
					to := past[rnd.IntN(len(past))]
					_, err := w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: to.at})
					w.must(err)
					model = maps.Clone(to.tags)
				}
				w.wantTags(app, model)
				for _, d := range w.deleted() {
					if name, digest, _ := strings.Cut(d, " "); string(model[name]) == digest {
						t.Fatalf("%s is there and in the list of what was deleted", d)
					}
				}
			}
		})
	}
}
