package registry_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/registry"
)

// past does not fit a row.
const past = blob.InlineMax + 1000

// reserved counts the keys that are garbage, due or not.
func (w *world) reserved() int64 {
	w.t.Helper()
	n, err := db.One[int64](w.ctx, w.db, `SELECT count(*) FROM garbage`)
	w.must(err)
	return n
}

// stored counts the files in storage.
func (w *world) stored() (n int) {
	w.t.Helper()
	w.must(filepath.WalkDir(w.dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	}))
	return n
}

// One commit reserves keys for many uploads; each then costs one.
func TestALargeBlobCostsOneCommit(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	w.pushBlob(app, bytesOf("first", past))
	free := w.reserved()
	if free == 0 {
		t.Fatal("no key is reserved")
	}
	before := w.db.Stats().Commits
	w.pushBlob(app, bytesOf("second", past))
	if n := w.db.Stats().Commits - before; n != 1 {
		t.Errorf("%d commits", n)
	}
	if n := w.reserved(); n != free-1 {
		t.Errorf("%d keys are reserved, %d were before", n, free)
	}
	// More uploads than one reservation has keys for.
	for i := range free + 1 {
		w.pushBlob(app, bytesOf(string(rune('a'+i)), past))
	}
	if w.stored() != int(free)+3 {
		t.Errorf("%d files", w.stored())
	}
}

// What was reserved and not used goes when it is due.
func TestReservedKeysAreCollected(t *testing.T) {
	t.Parallel()
	const life = 500 * time.Millisecond
	w := open(t, registry.Options{UploadLife: life})
	w.pushBlob(app, bytesOf("kept", past))
	time.Sleep(2*life + 10*time.Millisecond)
	w.collect()
	if n := w.reserved(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
	if w.stored() != 1 {
		t.Errorf("%d files", w.stored())
	}
	w.pushBlob(app, bytesOf("later", past)) // under a key of a new reservation
}

// slow calls f before it ends.
type slow struct {
	io.Reader
	f func()
}

func (s *slow) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && s.f != nil {
		s.f()
		s.f = nil
	}
	return n, err
}

// An upload that outlives the reservation of its key fails, and what it stored
// is collected: a key that may be deleted is never a blob's.
func TestAnUploadThatTakesTooLong(t *testing.T) {
	t.Parallel()
	const life = 500 * time.Millisecond
	w := open(t, registry.Options{UploadLife: life})
	content := bytesOf("slow", past)
	for _, wait := range []time.Duration{3 * life / 2, 2*life + 10*time.Millisecond} {
		_, err := w.PutBlob(w.ctx, w.admin, app, -1, &slow{bytes.NewReader(content), func() {
			time.Sleep(wait)
			w.collect()
		}}, digestOf(content))
		w.want(err, fault.UploadUnknown)
	}
	_, err := w.StatBlob(w.ctx, w.admin, app, digestOf(content))
	w.want(err, fault.RepoUnknown)
	time.Sleep(2 * life)
	w.collect()
	if n, files := w.reserved(), w.stored(); n != 0 || files != 0 {
		t.Errorf("%d keys and %d files are left", n, files)
	}
	w.pushBlob(app, content)
}

// An upload that may not be left unfinished leaves no bytes.
func TestTooManyUploadsLeaveNoBytes(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{OpenUploads: 1})
	begin := func() string {
		id, err := w.StartUpload(w.ctx, w.admin, app, "")
		w.must(err)
		return id
	}
	first, second := begin(), begin()
	_, err := w.AppendUpload(w.ctx, w.admin, app, first, -1, -1, &slow{bytes.NewReader(bytesOf("first", past)), func() {
		_, err := w.AppendUpload(w.ctx, w.admin, app, second, -1, -1, bytes.NewReader(bytesOf("second", past)))
		w.must(err)
	}})
	w.want(err, fault.TooMany)
	if w.stored() != 1 {
		t.Errorf("%d files", w.stored())
	}
	_, err = w.AppendUpload(w.ctx, w.admin, app, begin(), -1, -1, bytes.NewReader(bytesOf("third", past)))
	w.want(err, fault.TooMany)
	if w.stored() != 1 {
		t.Errorf("%d files", w.stored())
	}
	w.pushBlob(app, bytesOf("whole", past)) // in one request it is not left behind
}

// lingering is a driver that is about to delete until it may.
type lingering struct {
	blob.Driver
	once       sync.Once
	begun, may chan struct{}
}

func (d *lingering) Delete(ctx context.Context, key string) error {
	d.once.Do(func() { close(d.begun) })
	<-d.may
	return d.Driver.Delete(ctx, key)
}

// A collector whose clock is fast leaves alone what others may still adopt.
func TestReservedKeysAndAFastClock(t *testing.T) {
	t.Parallel()
	const life = time.Hour
	d := &lingering{begun: make(chan struct{}), may: make(chan struct{})}
	w := build(t, registry.Options{UploadLife: life}, func(inner blob.Driver) blob.Driver { d.Driver = inner; return d },
		func(o *db.Options) { o.Now = func() time.Time { return time.Now().Add(-3 * life) } })
	content := bytesOf("kept", past)
	collected := make(chan error, 1)
	_, err := w.PutBlob(w.ctx, w.admin, app, -1, &slow{bytes.NewReader(content), func() {
		go func() { collected <- w.Collect(w.ctx) }()
		select {
		case <-d.begun:
		case err := <-collected:
			collected <- err
		}
	}}, digestOf(content))
	w.must(err)
	close(d.may)
	w.must(<-collected)
	w.fsck()
}
