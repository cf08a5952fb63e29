package registry_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/registry"
)

// Of many who make the same tag and would not replace it, one makes it.
func TestRetagAtOnce(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	const callers, rounds = 8, 20
	for n := range callers {
		w.push(app, fmt.Sprintf("from%d", n), w.image(app, fmt.Sprint(n), 10))
	}
	for round := range rounds {
		var made atomic.Int64
		var wg sync.WaitGroup
		for n := range callers {
			wg.Go(func() {
				err := w.Retag(w.ctx, w.admin, app, fmt.Sprintf("from%d", n), fmt.Sprintf("to%d", round), false)
				switch {
				case err == nil:
					made.Add(1)
				case !fault.Is(err, fault.Exists):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 {
			t.Fatalf("%d callers made the tag", made.Load())
		}
	}
	w.fsck()
}

// A tag that moves while its manifest is deleted does not keep others at it.
func TestATagMovesWhileItsManifestIsDeleted(t *testing.T) {
	t.Parallel()
	once := func(o *db.Options) { o.Twice = false } // the second run would see the move
	w := build(t, registry.Options{}, func(d blob.Driver) blob.Driver { return d }, once)
	other := w.push(app, "other", w.image(app, "other", 10))
	body := w.image(app, "tagged", 10)
	for n := range 6 {
		var tags []string
		for i := range registry.MaxTagsPerPush {
			tags = append(tags, fmt.Sprintf("t%d-%d", n, i))
		}
		_, err := w.PutManifest(w.ctx, w.admin, app, tagRef(tags[0]), tags, imageType, body)
		w.must(err)
	}
	moving := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) {
			n, err := tx.Exec(`UPDATE tag SET manifest = (SELECT id FROM manifest WHERE digest = $1) WHERE name = 't0-5'`, string(other))
			close(moving)
			time.Sleep(200 * time.Millisecond)
			return n, err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-moving
	w.must(w.DeleteManifest(w.ctx, w.admin, app, digestOf(body)))
	wg.Wait()
	w.fsck()
}
