package fsblob

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/blobtest"
	"berth.dev/berth/internal/fault"
)

func openDriver(t *testing.T, dir string) *Driver {
	t.Helper()
	d, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestDriver(t *testing.T) {
	root := t.TempDir()
	blobtest.Run(t, func(t *testing.T) blob.Driver {
		dir := filepath.Join(root, t.Name())
		t.Cleanup(func() { empty(t, dir) })
		return openDriver(t, dir)
	})
}

// empty fails if dir holds any file at all.
func empty(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			t.Errorf("left behind: %s", p)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOpenMakesShards(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "blobs")
	for range 2 {
		d := openDriver(t, dir)
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 256 || entries[0].Name() != "00" || entries[255].Name() != "ff" {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		if d.Syncs() != 2 {
			t.Errorf("%d syncs, want one of the directory and one of its parent", d.Syncs())
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Options{}); err == nil {
		t.Error("opened a file")
	}
}

func TestSyncsPerBlob(t *testing.T) {
	d, ctx := openDriver(t, t.TempDir()), t.Context()
	start := d.Syncs()
	key := blob.NewKey()
	st, err := d.Begin(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if st, _, err = d.Append(ctx, key, st, bytes.NewReader(make([]byte, 10<<20))); err != nil {
			t.Fatal(err)
		}
	}
	if n := d.Syncs() - start; n != 0 {
		t.Errorf("%d syncs before Commit", n)
	}
	if err := d.Commit(ctx, key, st, nil); err != nil {
		t.Fatal(err)
	}
	if n := d.Syncs() - start; n != 2 {
		t.Errorf("%d syncs, want one of the file and one of its shard", n)
	}
}

func TestMalformedKeys(t *testing.T) {
	dir := t.TempDir()
	d, ctx := openDriver(t, filepath.Join(dir, "blobs")), t.Context()
	outside := filepath.Join(dir, "outside")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := blob.NewKey()
	for _, key := range []string{
		"", "/", "..", "../outside", "ab/../../outside", "/etc/passwd", good[1:], good + "0", strings.ToUpper("ab") + good[2:],
		good[:2] + "\\" + good[3:], good[:34] + "g", good[:34] + "\x00", "ab/" + strings.Repeat("../", 10) + "/x",
	} {
		_, err := d.Begin(ctx, key)
		errs := []error{err, d.Abort(ctx, key, nil), d.Delete(ctx, key), d.Commit(ctx, key, encode(0), nil)}
		_, _, err = d.Append(ctx, key, encode(0), bytes.NewReader(nil))
		errs = append(errs, err)
		_, err = d.Open(ctx, key, 0, -1)
		errs = append(errs, err)
		if info, err := d.Stat(ctx, key); err == nil {
			t.Errorf("%q: %+v", key, info)
		}
		for i, err := range errs {
			if err == nil || errors.Is(err, blob.ErrAbsent) {
				t.Errorf("%q, call %d: %v", key, i, err)
			}
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

// What is not ours is shown and never touched.
func TestForeignFilesAreListed(t *testing.T) {
	dir := t.TempDir()
	d, ctx := openDriver(t, dir), t.Context()
	want := []string{"ab-x", "ab/.nfs0001", "ab/" + strings.Repeat("g", 32), "ab/sub-x", "ab/sub/deep/file", "stray"}
	for _, name := range append([]string{"lost+found/#12"}, want...) {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("foreign"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range len(want) + 1 {
		after := ""
		if i > 0 {
			after = want[i-1]
		}
		var got []string
		for info, err := range d.List(ctx, after) {
			if err != nil || info.Size != 7 || info.Modified.IsZero() {
				t.Errorf("%+v, %v", info, err)
			}
			got = append(got, info.Key)
		}
		if !slices.Equal(got, want[i:]) {
			t.Errorf("behind %q: %q, want %q", after, got, want[i:])
		}
	}
	for _, name := range want {
		if err := d.Delete(ctx, name); err == nil {
			t.Errorf("%s: deleted", name)
		}
		if info, err := d.Stat(ctx, name); err != nil || info.Key != name {
			t.Errorf("%+v, %v", info, err)
		}
	}
	for _, name := range []string{".", "ab", "ab/sub"} {
		if info, err := d.Stat(ctx, name); err == nil {
			t.Errorf("the directory %s: %+v", name, info)
		}
	}
}

func TestOpenIsAFileInPlace(t *testing.T) {
	d, ctx := openDriver(t, t.TempDir()), t.Context()
	key := blob.NewKey()
	st, err := d.Begin(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Append(ctx, key, st, strings.NewReader("0123456789")); err != nil {
		t.Fatal(err)
	}
	for off, n := range map[int64]int64{0: -1, 4: 3, 10: -1} {
		r, err := d.Open(ctx, key, off, n)
		if err != nil {
			t.Fatal(err)
		}
		f, ok := r.(*os.File)
		if !ok {
			t.Fatalf("a %T: sendfile needs an *os.File", r)
		}
		if at, err := f.Seek(0, io.SeekCurrent); at != off || err != nil {
			t.Errorf("stands at %d, want %d (%v)", at, off, err)
		}
		f.Close()
	}
}

func TestAFailedSyncIsFinal(t *testing.T) {
	for name, fails := range map[string]func(*os.File) bool{
		"file":  func(f *os.File) bool { return len(filepath.Base(f.Name())) > 2 },
		"shard": func(f *os.File) bool { return len(filepath.Base(f.Name())) == 2 },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d, ctx := openDriver(t, dir), t.Context()
			key := blob.NewKey()
			st, err := d.Begin(ctx, key)
			if err != nil {
				t.Fatal(err)
			}
			if st, _, err = d.Append(ctx, key, st, strings.NewReader("bytes")); err != nil {
				t.Fatal(err)
			}
			d.fsync = func(f *os.File) error {
				if fails(f) {
					return &os.PathError{Op: "sync", Path: f.Name(), Err: syscall.EIO}
				}
				return nil
			}
			if err := d.Commit(ctx, key, st, nil); !fault.Is(err, fault.Unavailable) || !errors.Is(err, syscall.EIO) {
				t.Errorf("commit: %v", err)
			}
			d.fsync = (*os.File).Sync
			if err := d.Commit(ctx, key, st, nil); err == nil {
				t.Error("the second try was told that all is well")
			}
			empty(t, dir)
		})
	}
}
