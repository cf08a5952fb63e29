package fsblob

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/internal/blob"
)

// descriptors counts the open files under dir.
func descriptors(t *testing.T, dir string) int {
	t.Helper()
	const fds = "/proc/self/fd"
	entries, err := os.ReadDir(fds)
	if err != nil {
		t.Skipf("open files cannot be counted here: %v", err)
	}
	n := 0
	for _, e := range entries {
		if p, err := os.Readlink(filepath.Join(fds, e.Name())); err == nil && strings.HasPrefix(p, dir) {
			n++
		}
	}
	return n
}

func TestOpenFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(dir, Options{Idle: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ctx := t.Context()
	states := map[string]blob.State{}
	for range 64 {
		key := blob.NewKey()
		if states[key], err = d.Begin(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		for key, st := range states {
			if states[key], _, err = d.Append(ctx, key, st, strings.NewReader(fmt.Sprint(i, key))); err != nil {
				t.Fatal(err)
			}
		}
		if n := descriptors(t, dir); n != 8 {
			t.Errorf("%d files open, want 8", n)
		}
	}
	i := 0
	for key, st := range states {
		switch i++; i % 3 {
		case 0:
			err = d.Commit(ctx, key, st, nil)
		case 1:
			err = d.Abort(ctx, key, st)
		case 2:
			err = d.Delete(ctx, key)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if n := descriptors(t, dir); n != 0 {
		t.Errorf("%d files open after the last upload", n)
	}
}

// TestADeletedFileIsNotKept has the collector delete a key in the middle of an
// Append: the space must not stay taken by a descriptor that nobody needs.
func TestADeletedFileIsNotKept(t *testing.T) {
	dir := t.TempDir()
	d, ctx := openDriver(t, dir), t.Context()
	key := blob.NewKey()
	st, err := d.Begin(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Append(ctx, key, st, deleting{t, d, key, strings.NewReader("bytes")}); err != nil {
		t.Fatal(err)
	}
	if n := descriptors(t, dir); n != 0 {
		t.Errorf("%d files open", n)
	}
}

type deleting struct {
	t   *testing.T
	d   *Driver
	key string
	r   *strings.Reader
}

func (r deleting) Read(p []byte) (int, error) {
	if err := r.d.Delete(r.t.Context(), r.key); err != nil {
		r.t.Error(err)
	}
	return r.r.Read(p)
}

func TestUploadsOutliveClose(t *testing.T) {
	dir := t.TempDir()
	d, ctx := openDriver(t, dir), t.Context()
	key := blob.NewKey()
	st, err := d.Begin(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if st, _, err = d.Append(ctx, key, st, strings.NewReader("bytes")); err != nil {
		t.Fatal(err)
	}
	if n := descriptors(t, dir); n != 0 {
		t.Errorf("%d files open after Close", n)
	}
	if err := openDriver(t, dir).Commit(ctx, key, st, nil); err != nil {
		t.Fatal(err)
	}
}
