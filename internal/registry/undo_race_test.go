package registry_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// A restore meets the collector that removes the same image: either it comes
// first and everything stays, or it is told that the image is gone.
func TestRestoreBesideTheCollector(t *testing.T) {
	t.Parallel()
	const window = 30 * time.Millisecond
	w := open(t, registry.Options{Grace: time.Microsecond, Undelete: window})
	var restored, gone int
	for n := range 40 {
		name := oci.Name(fmt.Sprintf("acme/r%d", n))
		child := w.image(name, fmt.Sprint("child", n), 20<<10)
		_, err := w.PutManifest(w.ctx, w.admin, name, digestRef(digestOf(child)), nil, imageType, child)
		w.must(err)
		index := w.json(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []desc{{imageType, digestOf(child), len(child)}}})
		r, err := w.PutManifest(w.ctx, w.admin, name, tagRef("v"), nil, indexType, index)
		w.must(err)
		w.must(w.DeleteManifest(w.ctx, w.admin, name, digestOf(child)))
		w.must(w.DeleteManifest(w.ctx, w.admin, name, r.Digest))
		end := time.Now().Add(window)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				time.Sleep(time.Until(end.Add(-time.Millisecond)))
				for time.Now().Before(end.Add(5 * time.Millisecond)) {
					if err := w.Collect(w.ctx); err != nil && !fault.Is(err, fault.Unavailable) {
						t.Error(err)
					}
				}
			})
		}
		time.Sleep(time.Until(end.Add(time.Duration(n%8-5) * time.Millisecond / 2)))
		_, err = w.RollbackTag(w.ctx, w.admin, name, "v", registry.Moment{Digest: r.Digest})
		wg.Wait()
		switch {
		case err == nil:
			restored++
			for _, d := range []oci.Digest{r.Digest, digestOf(child)} {
				_, err := w.Manifest(w.ctx, w.admin, name, digestRef(d), false)
				w.must(err)
			}
		case fault.Is(err, fault.ManifestUnknown):
			gone++
		case !fault.Is(err, fault.Unavailable):
			t.Fatal(err)
		}
	}
	t.Logf("%d came back, %d were gone", restored, gone)
	w.collect()
	w.fsck()
}

// Restores, rollbacks, pushes and deletes of the same tags at once: each is
// whole, and what is listed as deleted is.
func TestUndoAtOnce(t *testing.T) {
	t.Parallel()
	w := open(t, inTime)
	const workers, rounds = 6, 15
	var images [][]byte
	for i := range 3 {
		images = append(images, w.image(app, fmt.Sprint("at once", i), 20<<10))
		w.push(app, "v", images[i])
	}
	at := moment()
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			for i := range rounds {
				body := images[(n+i)%len(images)]
				var err error
				switch (n + i) % 6 {
				case 0:
					_, err = w.RestoreTag(w.ctx, w.admin, app, "v", "", true)
				case 1:
					_, err = w.PutManifest(w.ctx, w.admin, app, tagRef("v"), []string{"w"}, imageType, body)
				case 2:
					err = w.DeleteManifest(w.ctx, w.admin, app, digestOf(body))
				case 3:
					_, err = w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: at})
				case 4:
					err = w.DeleteTag(w.ctx, w.admin, app, "v")
				case 5:
					_, err = w.RestoreTag(w.ctx, w.admin, app, "v", digestOf(body), false)
				}
				if err != nil && !fault.Is(err, fault.TagUnknown) && !fault.Is(err, fault.ManifestUnknown) && !fault.Is(err, fault.Exists) && !fault.Is(err, fault.Unavailable) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	w.collect()
}

// Of many who restore a tag without override while it is pushed nobody moves
// what another made.
func TestRestoreAndPushOfOneTag(t *testing.T) {
	t.Parallel()
	w := open(t, inTime)
	old, now := w.image(app, "old", 10), w.image(app, "now", 10)
	for round := range 15 {
		tag := fmt.Sprintf("v%d", round)
		w.push(app, tag, old)
		w.must(w.DeleteTag(w.ctx, w.admin, app, tag))
		var wg sync.WaitGroup
		wg.Go(func() { w.push(app, tag, now) })
		for range 3 {
			wg.Go(func() {
				if _, err := w.RestoreTag(w.ctx, w.admin, app, tag, digestOf(old), false); err != nil && !fault.Is(err, fault.Exists) && !fault.Is(err, fault.TagUnknown) && !fault.Is(err, fault.Unavailable) {
					t.Error(err) // unknown: between a restore and the push it had lost nothing
				}
			})
		}
		wg.Wait()
		if got := w.tags(app)[tag]; got != digestOf(now) {
			t.Fatalf("a restore without override moved the tag that was pushed to %s", got)
		}
	}
}
