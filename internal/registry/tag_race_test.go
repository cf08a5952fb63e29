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
	"berth.dev/berth/internal/oci"
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

// Of two who change tags of one image at once neither waits for the other with
// something in hand that the other needs.
func TestTagsOfOneImageChangeAtOnce(t *testing.T) {
	t.Parallel()
	const move = `UPDATE tag SET manifest = (SELECT id FROM manifest WHERE digest = $1) WHERE name = `
	for _, c := range []struct {
		name, first, then string // what the one does
		do                func(w *world, image oci.Digest, at time.Time) error
	}{
		{"a note is for all of them", move + `'b'`, `INSERT INTO review (repository, digest, kind, created, due)
			SELECT repository, digest, 'm', 0, 0 FROM manifest WHERE digest <> $1 ON CONFLICT (repository, digest, kind) DO NOTHING`,
			func(w *world, _ oci.Digest, at time.Time) error {
				_, err := w.RollbackRepo(w.ctx, w.admin, app, registry.Rollback{Time: at})
				return err
			}},
		{"tags have an order", move + `'a'`, move + `'b'`,
			func(w *world, image oci.Digest, _ time.Time) error {
				return w.DeleteManifest(w.ctx, w.admin, app, image)
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := build(t, inTime, func(d blob.Driver) blob.Driver { return d }, func(o *db.Options) { o.Twice = false })
			if w.db.Exact() {
				t.Skip("there is one writer")
			}
			other := w.push(app, "other", w.image(app, "other", 10))
			at := moment()
			image := w.image(app, "image", 10)
			for _, tag := range []string{"b", "a"} { // those that have no order are taken so
				w.push(app, tag, image)
			}
			before := w.db.Stats().Retries
			begun := make(chan struct{})
			begin := sync.OnceFunc(func() { close(begun) })
			var wg sync.WaitGroup
			wg.Go(func() {
				_, err := db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) {
					if _, err := tx.Exec(c.first, string(other)); err != nil {
						return 0, err
					}
					begin()
					time.Sleep(300 * time.Millisecond) // the other waits
					return tx.Exec(c.then, string(other))
				})
				if err != nil {
					t.Error(err)
				}
			})
			<-begun
			w.must(c.do(w, digestOf(image), at))
			wg.Wait()
			if n := w.db.Stats().Retries - before; n != 0 {
				t.Errorf("%d transactions were begun again", n)
			}
		})
	}
}
