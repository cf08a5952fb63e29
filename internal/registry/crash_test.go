package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"testing"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/registry"
)

var errStopped = errors.New("stopped here")

// stopping lets a number of calls through and fails all that follow, before or
// after they did their work.
type stopping struct {
	blob.Driver
	mu    sync.Mutex
	left  int
	after bool
}

func (s *stopping) step(work func() error) error {
	s.mu.Lock()
	s.left--
	left := s.left
	s.mu.Unlock()
	if left < 0 {
		if left == -1 && s.after {
			if err := work(); err != nil {
				return err
			}
		}
		return errStopped
	}
	return work()
}

func (s *stopping) Begin(ctx context.Context, key string) (st blob.State, err error) {
	err = s.step(func() error { st, err = s.Driver.Begin(ctx, key); return err })
	return st, err
}

func (s *stopping) Append(ctx context.Context, key string, st blob.State, r io.Reader) (out blob.State, parts []blob.Part, err error) {
	err = s.step(func() error { out, parts, err = s.Driver.Append(ctx, key, st, r); return err })
	return out, parts, err
}

func (s *stopping) Commit(ctx context.Context, key string, st blob.State, parts []blob.Part) error {
	return s.step(func() error { return s.Driver.Commit(ctx, key, st, parts) })
}

func (s *stopping) Delete(ctx context.Context, key string) error {
	return s.step(func() error { return s.Driver.Delete(ctx, key) })
}

func (s *stopping) List(ctx context.Context, after string) iter.Seq2[blob.Info, error] {
	return s.Driver.List(ctx, after)
}

// The process stops at every step of storage in turn. After each stop what is
// stored holds together, and the same work done again succeeds.
func TestStopAtEveryStep(t *testing.T) {
	t.Parallel()
	work := func(w *world) error {
		content := bytesOf("crash", 3<<20)
		id, err := w.StartUpload(w.ctx, w.admin, app, "")
		w.must(err)
		u, err := w.AppendUpload(w.ctx, w.admin, app, id, -1, -1, bytes.NewReader(content[:1<<20]))
		if err != nil {
			return err
		}
		if _, err := w.FinishUpload(w.ctx, w.admin, app, id, u.Size, -1, bytes.NewReader(content[u.Size:]), digestOf(content)); err != nil {
			return err
		}
		second := bytesOf("second", 20<<10)
		if _, err := w.PutBlob(w.ctx, w.admin, app, -1, bytes.NewReader(second), digestOf(second)); err != nil {
			return err
		}
		if err := w.DeleteBlob(w.ctx, w.admin, app, digestOf(second)); err != nil {
			return err
		}
		return w.Collect(w.ctx)
	}
	for _, after := range []bool{false, true} {
		done := false
		for n := 0; !done; n++ {
			if n > 40 {
				t.Fatal("the work never comes to its end")
			}
			s := &stopping{left: n, after: after}
			w := openWith(t, registry.Options{Undelete: 1}, func(d blob.Driver) blob.Driver { s.Driver = d; return s })
			done = work(w) == nil
			w.fsck()
			// Another start of the process, on the same rows and the same directory.
			driver, err := fsblob.Open(w.dir, fsblob.Options{})
			w.must(err)
			w.Registry = registry.New(w.db, w.iam, blob.New(driver, blob.Options{}), atOnce)
			if err := work(w); err != nil {
				t.Fatalf("stopped at step %d (after: %v), the retry fails: %v", n, after, err)
			}
		}
	}
}

// An upload that another start of the process continues is hashed anew; what
// a power cut took is noticed.
func TestResumeAfterRestart(t *testing.T) {
	t.Parallel()
	w := open(t, atOnce)
	content := bytesOf("restart", 2<<20)
	id, err := w.StartUpload(w.ctx, w.admin, app, "")
	w.must(err)
	_, err = w.AppendUpload(w.ctx, w.admin, app, id, -1, -1, bytes.NewReader(content[:1<<20]))
	w.must(err)
	driver, err := fsblob.Open(w.dir, fsblob.Options{})
	w.must(err)
	w.Registry = registry.New(w.db, w.iam, blob.New(driver, blob.Options{}), atOnce)
	u, err := w.UploadStatus(w.ctx, w.admin, app, id)
	w.must(err)
	if u.Size != 1<<20 {
		t.Fatalf("%d bytes", u.Size)
	}
	_, err = w.FinishUpload(w.ctx, w.admin, app, id, u.Size, -1, bytes.NewReader(content[u.Size:]), digestOf(content))
	w.must(err)
}
