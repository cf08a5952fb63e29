package registry_test

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

func TestDeletedImagesGiveTheirSpaceBack(t *testing.T) {
	t.Parallel()
	w := open(t, atOnce)
	shared := bytesOf("shared", 64<<10)
	w.pushBlob("acme/other", shared)
	keep := w.image("acme/other", "keep", 30<<10)
	w.push("acme/other", "v", keep)
	body := w.image(app, "gone", 50<<10, 100, 70<<10)
	d := w.push(app, "v", body)
	w.must(w.DeleteManifest(w.ctx, w.admin, app, d))
	_, err := w.Manifest(w.ctx, w.admin, app, digestRef(d), false)
	w.want(err, fault.ManifestUnknown)
	_, err = w.Manifest(w.ctx, w.admin, app, tagRef("v"), false)
	w.want(err, fault.ManifestUnknown)
	w.collect()
	if s := w.fsck(); s.Blobs != 2 || s.Keys != 1 { // the config and the layer of keep
		t.Fatalf("left: %+v", s)
	}
	if _, err := w.Manifest(w.ctx, w.admin, "acme/other", tagRef("v"), false); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNeededStays(t *testing.T) {
	t.Parallel()
	w := open(t, atOnce)
	amd, arm := w.image(app, "amd", 40<<10), w.image(app, "arm", 50<<10)
	for _, m := range [][]byte{amd, arm} {
		_, err := w.PutManifest(w.ctx, w.admin, app, digestRef(digestOf(m)), nil, imageType, m)
		w.must(err)
	}
	index := w.json(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []desc{
		{imageType, digestOf(amd), len(amd)}, {imageType, digestOf(arm), len(arm)}}})
	r, err := w.PutManifest(w.ctx, w.admin, app, tagRef("multi"), nil, indexType, index)
	w.must(err)
	w.push(app, "amd", amd)
	w.must(w.DeleteTag(w.ctx, w.admin, app, "amd"))
	w.collect()
	if _, err := w.Manifest(w.ctx, w.admin, app, digestRef(digestOf(amd)), false); err != nil {
		t.Fatal(err) // the index needs it
	}
	if s := w.fsck(); s.Keys != 2 {
		t.Fatalf("%+v", s)
	}
	w.must(w.DeleteManifest(w.ctx, w.admin, app, r.Digest))
	w.collect()
	if s := w.fsck(); s.Keys != 0 || s.Manifests != 0 || s.Blobs != 0 {
		t.Fatalf("an index that is gone keeps %+v", s)
	}
}

func TestOverwrittenTagLetsItsManifestGo(t *testing.T) {
	t.Parallel()
	w := open(t, atOnce)
	old := w.push(app, "v", w.image(app, "old", 40<<10))
	w.push(app, "v", w.image(app, "new", 40<<10))
	w.collect()
	_, err := w.Manifest(w.ctx, w.admin, app, digestRef(old), false)
	w.want(err, fault.ManifestUnknown)
	if s := w.fsck(); s.Keys != 1 || s.Manifests != 1 {
		t.Fatalf("%+v", s)
	}
}

func TestKeepUntagged(t *testing.T) {
	t.Parallel()
	o := atOnce
	o.KeepUntagged = true
	w := open(t, o)
	old := w.push(app, "v", w.image(app, "old", 40<<10))
	next := w.push(app, "v", w.image(app, "new", 40<<10))
	w.must(w.DeleteTag(w.ctx, w.admin, app, "v"))
	w.collect()
	for _, d := range []oci.Digest{old, next} {
		_, err := w.Manifest(w.ctx, w.admin, app, digestRef(d), false)
		w.must(err)
		w.must(w.DeleteManifest(w.ctx, w.admin, app, d))
	}
	w.collect()
	if s := w.fsck(); s.Keys != 0 {
		t.Fatalf("%+v", s)
	}
}

func TestUndeleteWindowKeepsTheBytes(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{Grace: time.Microsecond, Undelete: time.Hour})
	body := w.image(app, "back", 40<<10)
	d := w.push(app, "v", body)
	w.must(w.DeleteManifest(w.ctx, w.admin, app, d))
	w.collect()
	_, err := w.Manifest(w.ctx, w.admin, app, digestRef(d), false)
	w.want(err, fault.ManifestUnknown)
	w.push(app, "v", body) // every blob is still there
	w.collect()
	if _, err := w.Manifest(w.ctx, w.admin, app, tagRef("v"), false); err != nil {
		t.Fatal(err)
	}
}

func TestUploadsThatNobodyFinishes(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{Grace: time.Microsecond, UploadLife: 2 * time.Second})
	id, err := w.StartUpload(w.ctx, w.admin, app, "")
	w.must(err)
	_, err = w.AppendUpload(w.ctx, w.admin, app, id, -1, -1, bytes.NewReader(bytesOf("left", 50<<10)))
	w.must(err)
	w.collect()
	if s := w.fsck(); s.Keys != 1 {
		t.Fatalf("an upload that goes on lost its bytes: %+v", s)
	}
	deadline := time.Now().Add(20 * time.Second)
	for w.fsck().Keys != 0 {
		if time.Now().After(deadline) {
			t.Fatal("an upload whose time is over keeps its bytes")
		}
		w.collect()
	}
	_, err = w.UploadStatus(w.ctx, w.admin, app, id)
	w.want(err, fault.UploadUnknown)
}

func TestDeletedRepositoryIsEmptied(t *testing.T) {
	t.Parallel()
	w := open(t, atOnce)
	w.push(app, "v", w.image(app, "repo", 40<<10, 50))
	w.want(w.DeleteRepo(w.ctx, w.admin, app), fault.NotEmpty)
	w.want(w.DeleteOrg(w.ctx, w.admin, "acme"), fault.NotEmpty)
	w.must(w.DeleteTag(w.ctx, w.admin, app, "v"))
	w.must(w.DeleteRepo(w.ctx, w.admin, app))
	_, err := w.Repo(w.ctx, w.admin, app)
	w.want(err, fault.RepoUnknown)
	w.push(app, "again", w.image(app, "other")) // the name is free at once
	w.collect()
	if s := w.fsck(); s.Keys != 0 || s.Repositories != 1 || s.Blobs != 1 {
		t.Fatalf("%+v", s)
	}
	for i := range 101 { // more than go in one step
		w.must(w.Retag(w.ctx, w.admin, app, "again", "again-"+strconv.Itoa(i), false))
	}
	w.want(w.DeleteRepoAndTags(w.ctx, iam.Caller{}, app), fault.Unauthorized)
	w.must(w.DeleteRepoAndTags(w.ctx, w.admin, app))
	w.want(w.DeleteRepoAndTags(w.ctx, w.admin, app), fault.RepoUnknown)
	w.must(w.DeleteOrg(w.ctx, w.admin, "acme"))
}

func TestDeleteBlob(t *testing.T) {
	t.Parallel()
	w := open(t, atOnce)
	loose := w.pushBlob(app, bytesOf("loose", 30<<10))
	body := w.image(app, "held", 20<<10)
	w.push(app, "v", body)
	w.want(w.DeleteBlob(w.ctx, w.admin, app, digestOf(bytesOf("held-0", 20<<10))), fault.InUse)
	w.must(w.DeleteBlob(w.ctx, w.admin, app, loose))
	w.want(w.DeleteBlob(w.ctx, w.admin, app, loose), fault.BlobUnknown)
	_, err := w.StatBlob(w.ctx, w.admin, app, loose)
	w.want(err, fault.BlobUnknown)
	w.pushBlob(app, bytesOf("loose", 30<<10)) // and it may come back
	_, err = w.StatBlob(w.ctx, w.admin, app, loose)
	w.must(err)
}

func TestHeadByAPusherHoldsTheBlob(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{Grace: 1500 * time.Millisecond})
	d := w.pushBlob(app, bytesOf("hold", 30<<10))
	end := time.Now().Add(4 * time.Second)
	for time.Now().Before(end) {
		if _, err := w.StatBlob(w.ctx, w.admin, app, d); err != nil {
			t.Fatalf("a blob that a pusher asks for again and again: %v", err)
		}
		w.must(w.Collect(w.ctx))
		time.Sleep(20 * time.Millisecond)
	}
	deadline := time.Now().Add(20 * time.Second)
	for w.fsck().Keys != 0 {
		if time.Now().After(deadline) {
			t.Fatal("a blob that nobody asks for stays")
		}
		w.must(w.Collect(w.ctx))
		time.Sleep(20 * time.Millisecond)
	}
}

// A blob whose last manifest has just gone is held as well for who asks for it
// and may push, whatever was known of it before.
func TestHeadHoldsWhatAManifestLeft(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{Grace: time.Hour, Undelete: time.Microsecond})
	head := func(layer oci.Digest) {
		_, err := w.StatBlob(w.ctx, w.admin, app, layer)
		w.must(err)
	}
	image := w.push(app, "v", w.image(app, "left", 40<<10))
	layer := digestOf(bytesOf("left-0", 40<<10))
	w.exec(`UPDATE review SET due = 0`)
	w.collect()
	if n := w.number(`SELECT count(*) FROM review`); n != 0 {
		t.Fatalf("%d notes of what is needed", n)
	}
	head(layer)
	head(layer)
	w.must(w.DeleteManifest(w.ctx, w.admin, app, image))
	w.collect()
	due := func() time.Duration {
		return time.Until(time.UnixMicro(w.number(`SELECT due FROM review WHERE kind = 'b' AND digest = $1`, string(layer))))
	}
	if left := due(); left > 10*time.Minute {
		t.Fatalf("it is reviewed in %s", left)
	}
	head(layer)
	if left := due(); left < 50*time.Minute {
		t.Errorf("it is reviewed in %s, and a push relies on it", left)
	}
}

// Run reclaims without being asked and stops with its context.
func TestRun(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{Grace: 2 * time.Second, Undelete: 50 * time.Millisecond, SweepEvery: time.Second})
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	d := w.push(app, "v", w.image(app, "run", 40<<10))
	_, err := w.Manifest(w.ctx, w.admin, app, tagRef("v"), true)
	w.must(err)
	w.must(w.DeleteManifest(w.ctx, w.admin, app, d))
	deadline := time.Now().Add(20 * time.Second)
	for w.fsck().Keys != 0 {
		if time.Now().After(deadline) {
			t.Fatal("the space did not come back")
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	w.must(<-done)
	r, err := w.Repo(w.ctx, w.admin, app)
	w.must(err)
	if r.Pulls != 1 {
		t.Fatalf("%d pulls", r.Pulls)
	}
}

// However often the collector is woken, it does what is due.
func TestCollectorThatIsAlwaysWoken(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{Grace: time.Microsecond, Undelete: 300 * time.Millisecond, SweepEvery: time.Minute})
	d := w.push(app, "v", w.image(app, "gone", 40<<10))
	w.must(w.DeleteManifest(w.ctx, w.admin, app, d))
	w.running()
	for end := time.Now().Add(patience); w.number(`SELECT count(*) FROM manifest`) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing was collected")
		}
		w.WakeCollector()
	}
}

// What can not be reviewed is put off, and holds up nothing else.
func TestAReviewThatFails(t *testing.T) {
	t.Parallel()
	w := open(t, atOnce)
	stuck, loose := w.push(app, "stuck", w.image(app, "stuck", 10)), w.push(app, "loose", w.image(app, "loose", 10))
	w.exec(`CREATE TABLE holds (manifest BIGINT NOT NULL REFERENCES manifest(id))`)
	w.exec(`INSERT INTO holds SELECT id FROM manifest WHERE digest = $1`, string(stuck))
	w.must(w.DeleteManifest(w.ctx, w.admin, app, stuck))
	w.must(w.DeleteManifest(w.ctx, w.admin, app, loose))
	begun := time.Now()
	w.collect()
	if n := w.number(`SELECT count(*) FROM manifest`); n != 1 {
		t.Fatalf("%d manifests are left", n)
	}
	if n := w.CollectorStats().Failures; n != 1 {
		t.Errorf("%d failures", n)
	}
	due := time.UnixMicro(w.number(`SELECT due FROM review WHERE digest = $1`, string(stuck)))
	if after := due.Sub(begun); after < 9*time.Minute || after > 11*time.Minute {
		t.Errorf("it is tried again after %s", after)
	}
	w.exec(`DELETE FROM holds`)
	w.exec(`UPDATE review SET due = 0`)
	w.collect()
	if s := w.fsck(); s.Manifests != 0 || s.Blobs != 0 || w.number(`SELECT count(*) FROM manifest`) != 0 {
		t.Errorf("%+v", s)
	}
}

// A signature is reviewed on one node while its subject goes on another: it is
// not forgotten.
func TestReferrerBesideItsSubject(t *testing.T) {
	t.Parallel()
	w := build(t, atOnce, func(d blob.Driver) blob.Driver { return d }, func(o *db.Options) { o.Twice = false })
	if w.db.Exact() {
		t.Skip("there is one node")
	}
	subject := w.push(app, "v", w.image(app, "subject", 10))
	config := []byte("{}")
	signature := w.json(map[string]any{"schemaVersion": 2, "mediaType": imageType, "subject": desc{imageType, subject, 1},
		"config": desc{"application/vnd.example.signature", w.pushBlob(app, config), len(config)}, "layers": []desc{}})
	w.push(app, "signature", signature)
	w.must(w.DeleteTag(w.ctx, w.admin, app, "v"))
	w.must(w.DeleteTag(w.ctx, w.admin, app, "signature"))
	w.exec(`UPDATE review SET due = due + 3600000000 WHERE digest <> $1`, string(digestOf(signature))) // the other node's
	going := make(chan struct{})
	var other sync.WaitGroup
	other.Go(func() {
		_, err := db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) {
			id, err := db.One[int64](tx.Context(), tx, `SELECT id FROM manifest WHERE digest = $1 FOR UPDATE`, string(subject))
			if err != nil {
				return 0, err
			}
			close(going) // the note of the signature was there
			time.Sleep(300 * time.Millisecond)
			return tx.Exec(`DELETE FROM manifest WHERE id = $1`, id)
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-going
	w.collect()
	other.Wait()
	w.collect()
	if n := w.number(`SELECT count(*) FROM manifest`); n != 0 {
		t.Errorf("%d manifests are left", n)
	}
}

// Pulls are written down while the collector is at work, however long it takes.
func TestPullsBesideCollection(t *testing.T) {
	t.Parallel()
	let := make(chan struct{})
	w := openWith(t, registry.Options{Grace: time.Hour, Undelete: time.Microsecond, SweepEvery: 10 * time.Millisecond}, func(d blob.Driver) blob.Driver { return &slowDelete{d, let} })
	gone := w.push(app, "gone", w.image(app, "gone", 40<<10))
	w.must(w.DeleteManifest(w.ctx, w.admin, app, gone))
	w.push(app, "v", w.image(app, "keep", 100))
	w.exec(`UPDATE review SET due = 0`)
	w.running()
	defer close(let)
	for end := time.Now().Add(patience); w.number(`SELECT count(*) FROM garbage WHERE due = 0`) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the collector deletes nothing")
		}
		w.exec(`UPDATE review SET due = 0`)
	}
	_, err := w.Manifest(w.ctx, w.admin, app, tagRef("v"), true)
	w.must(err)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		r, err := w.Repo(w.ctx, w.admin, app)
		w.must(err)
		if r.Pulls == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the pull is not written down while a key is being deleted")
		}
	}
}

// slowDelete is a storage that deletes nothing before it is let.
type slowDelete struct {
	blob.Driver
	let chan struct{}
}

func (s *slowDelete) Delete(ctx context.Context, key string) error {
	select {
	case <-s.let:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return s.Driver.Delete(ctx, key)
}

// A layer that clients fetch elsewhere need not be in the repository; one that
// is stays as long as its manifest.
func TestForeignLayers(t *testing.T) {
	t.Parallel()
	w := open(t, atOnce)
	config := []byte("{}")
	here, elsewhere := bytesOf("here", 40<<10), bytesOf("elsewhere", 10)
	const foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	body := w.json(map[string]any{"schemaVersion": 2, "mediaType": imageType,
		"config": desc{"application/vnd.oci.image.config.v1+json", w.pushBlob(app, config), len(config)},
		"layers": []desc{{foreign, w.pushBlob(app, here), len(here)}, {foreign, digestOf(elsewhere), len(elsewhere)}}})
	w.push(app, "v", body)
	w.collect()
	_, err := w.StatBlob(w.ctx, w.admin, app, digestOf(here))
	w.must(err)
	w.must(w.DeleteManifest(w.ctx, w.admin, app, digestOf(body)))
	w.collect()
	if s := w.fsck(); s.Keys != 0 {
		t.Fatalf("%+v", s)
	}
}

// What is pushed again by its digest stays, though a review from before is due.
func TestPushedAgainByDigest(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{Grace: time.Microsecond, Undelete: 2 * time.Second})
	body := w.image(app, "again", 40<<10)
	d := w.push(app, "v", body)
	again := func() {
		_, err := w.PutManifest(w.ctx, w.admin, app, digestRef(d), nil, imageType, body)
		w.must(err)
	}
	w.must(w.DeleteManifest(w.ctx, w.admin, app, d))
	again()
	w.push(app, "w", body)
	w.push(app, "w", w.image(app, "next"))
	again()
	time.Sleep(2500 * time.Millisecond) // the undelete window of both
	w.collect()
	_, err := w.Manifest(w.ctx, w.admin, app, digestRef(d), false)
	w.must(err)
	if s := w.fsck(); s.Keys != 1 {
		t.Fatalf("%+v", s)
	}
}

// A foreign layer that comes after its manifest is kept once the manifest is
// pushed again.
func TestForeignLayerComesLater(t *testing.T) {
	t.Parallel()
	w := open(t, atOnce)
	config, layer := []byte("{}"), bytesOf("late", 40<<10)
	body := w.json(map[string]any{"schemaVersion": 2, "mediaType": imageType,
		"config": desc{"application/vnd.oci.image.config.v1+json", w.pushBlob(app, config), len(config)},
		"layers": []desc{{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", digestOf(layer), len(layer)}}})
	w.push(app, "v", body)
	w.pushBlob(app, layer)
	w.push(app, "v", body)
	w.collect()
	_, err := w.StatBlob(w.ctx, w.admin, app, digestOf(layer))
	w.must(err)
}

// A manifest that names more than one transaction takes apart goes in steps.
func TestLargeManifestGoesInSteps(t *testing.T) {
	t.Parallel()
	w := open(t, atOnce)
	config := []byte("{}")
	layers := []desc{}
	for i := range 1200 {
		layer := []byte(strconv.Itoa(i))
		layers = append(layers, desc{"application/vnd.oci.image.layer.v1.tar", w.pushBlob(app, layer), len(layer)})
	}
	body := w.json(map[string]any{"schemaVersion": 2, "mediaType": imageType,
		"config": desc{"application/vnd.oci.image.config.v1+json", w.pushBlob(app, config), len(config)}, "layers": layers})
	d := w.push(app, "v", body)
	w.must(w.DeleteManifest(w.ctx, w.admin, app, d))
	w.collect()
	if s := w.fsck(); s.Blobs != 0 || s.Manifests != 0 {
		t.Fatalf("%+v", s)
	}
}
