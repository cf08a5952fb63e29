package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// bench is a Store on a directory, and what its tests need to watch it.
type bench struct {
	*blob.Store
	t   *testing.T
	ctx context.Context
	dir string
	d   *faulty
}

// faulty is the real driver, failing where a test says so.
type faulty struct {
	blob.Driver
	begin  func() error
	append func(io.Reader) io.Reader // what the driver gets to read
	after  func() error              // behind an Append that went well
	commit func() error
	calls  atomic.Int64
}

func (f *faulty) Begin(ctx context.Context, key string) (blob.State, error) {
	f.calls.Add(1)
	if f.begin != nil {
		if err := f.begin(); err != nil {
			return nil, err
		}
	}
	return f.Driver.Begin(ctx, key)
}

func (f *faulty) Append(ctx context.Context, key string, s blob.State, r io.Reader) (blob.State, []blob.Part, error) {
	f.calls.Add(1)
	if f.append != nil {
		r = f.append(r)
	}
	st, parts, err := f.Driver.Append(ctx, key, s, r)
	if err == nil && f.after != nil {
		err = f.after()
	}
	return st, parts, err
}

func (f *faulty) Commit(ctx context.Context, key string, s blob.State, parts []blob.Part) error {
	f.calls.Add(1)
	if f.commit != nil {
		if err := f.commit(); err != nil {
			return err
		}
	}
	return f.Driver.Commit(ctx, key, s, parts)
}

func newBench(t *testing.T, o blob.Options) *bench {
	t.Helper()
	b := &bench{t: t, ctx: t.Context(), dir: t.TempDir()}
	b.restart(o)
	t.Cleanup(func() {
		if n := b.BuffersInUse(); n != 0 {
			t.Errorf("%d buffers were not given back", n)
		}
	})
	return b
}

// restart is another start of the process on the same directory.
func (b *bench) restart(o blob.Options) {
	b.t.Helper()
	d, err := fsblob.Open(b.dir, fsblob.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { d.Close() })
	b.d = &faulty{Driver: d}
	b.Store = blob.New(b.d, o)
}

// put appends p and fails the test on any error.
func (b *bench) put(u blob.Upload, p []byte) blob.Upload {
	b.t.Helper()
	u, err := b.Append(b.ctx, u, bytes.NewReader(p), int64(len(p)), fresh, nop)
	if err != nil {
		b.t.Fatalf("append: %v", err)
	}
	return u
}

// finish finishes u as p, and reads it back.
func (b *bench) finish(u blob.Upload, p []byte) blob.Upload {
	b.t.Helper()
	u, err := b.Finish(b.ctx, u, oci.SHA256.FromBytes(p))
	if err != nil {
		b.t.Fatalf("finish: %v", err)
	}
	if u.Size != int64(len(p)) {
		b.t.Fatalf("size %d, want %d", u.Size, len(p))
	}
	if got := b.bytes(u); !bytes.Equal(got, p) {
		b.t.Fatalf("%d bytes are stored that are not the %d sent", len(got), len(p))
	}
	return u
}

func (b *bench) bytes(u blob.Upload) []byte {
	b.t.Helper()
	if u.Key == "" {
		return u.Inline
	}
	r, err := b.Open(b.ctx, u.Key, 0, -1)
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Close()
	p, err := io.ReadAll(r)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// stored returns the sizes of all files in the directory.
func (b *bench) stored() []int64 {
	b.t.Helper()
	var sizes []int64
	err := filepath.WalkDir(b.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		fi, err := e.Info()
		sizes = append(sizes, fi.Size())
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return sizes
}

func (b *bench) wantStored(n int) {
	b.t.Helper()
	if got := b.stored(); len(got) != n {
		b.t.Errorf("files of %d bytes are stored, want %d files", got, n)
	}
}

func wantFault(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("error %v, want %s", err, code)
	}
}

// random returns n random bytes that depend on seed.
func random(seed, n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(p)
	return p
}

func TestNewKey(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{2}/[0-9a-f]{32}$`)
	seen, shards := map[string]bool{}, map[string]bool{}
	for range 4096 {
		k := blob.NewKey()
		if !form.MatchString(k) || seen[k] {
			t.Fatalf("key %q", k)
		}
		seen[k], shards[k[:2]] = true, true
	}
	if len(shards) < 250 {
		t.Errorf("4096 keys use %d shards of 256", len(shards))
	}
}

func TestReads(t *testing.T) {
	b := newBench(t, blob.Options{})
	p := random(1, 100_000)
	u := b.finish(b.put(blob.Upload{}, p), p)

	r, err := b.Open(b.ctx, u.Key, 5000, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, ok := r.(*os.File); !ok {
		t.Errorf("a %T: sendfile needs an *os.File", r)
	}
	if got, err := io.ReadAll(io.LimitReader(r, 10)); err != nil || !bytes.Equal(got, p[5000:5010]) {
		t.Errorf("read %x, %v", got, err)
	}
	for _, c := range [][2]int64{{-1, -1}, {0, -2}} {
		if _, err := b.Open(b.ctx, u.Key, c[0], c[1]); err == nil {
			t.Errorf("opened the range %v", c)
		}
	}
	if info, err := b.Stat(b.ctx, u.Key); err != nil || info.Size != u.Size {
		t.Errorf("stat: %+v, %v", info, err)
	}
	for _, a := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		if d, n, err := b.Sum(b.ctx, u.Key, a); err != nil || d != a.FromBytes(p) || n != u.Size {
			t.Errorf("sum: %s, %d, %v", d, n, err)
		}
	}
	n := 0
	for info, err := range b.List(b.ctx, "") {
		if n++; err != nil || info.Key != u.Key {
			t.Errorf("listed %+v, %v", info, err)
		}
	}
	if n != 1 {
		t.Errorf("listed %d", n)
	}
	for range 2 {
		if err := b.Delete(b.ctx, u.Key); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := b.Sum(b.ctx, u.Key, oci.SHA256); !errors.Is(err, blob.ErrAbsent) {
		t.Errorf("sum of what is not there: %v", err)
	}
	b.wantStored(0)
}

func TestReserve(t *testing.T) {
	const total = 1000 << 20
	var free int64
	var broken error
	b := newBench(t, blob.Options{
		Space:   func(context.Context) (int64, int64, error) { return free, total, broken },
		Reserve: blob.Reserve{Bytes: 10 << 20, Percent: 2},
	})
	for _, c := range []struct {
		free int64
		want fault.Code
	}{{total, ""}, {20 << 20, ""}, {20<<20 - 1, fault.Full}, {0, fault.Full}} {
		if free = c.free; fault.CodeOf(b.Free(b.ctx)) != c.want {
			t.Errorf("%d bytes free: %v, want %q", free, b.Free(b.ctx), c.want)
		}
	}
	// A body that says how long it is is refused before it is received.
	free = 21 << 20
	_, err := b.Append(b.ctx, blob.Upload{}, bytes.NewReader(make([]byte, 2<<20)), 2<<20, fresh, nop)
	wantFault(t, err, fault.Full)
	b.wantStored(0)
	u := b.put(blob.Upload{}, make([]byte, 1<<20))
	free = 0
	u2, err := b.Append(b.ctx, u, bytes.NewReader(make([]byte, 1000)), 1000, fresh, nop)
	wantFault(t, err, fault.Full)
	if u2.Size != u.Size {
		t.Errorf("size %d after a refusal", u2.Size)
	}
	b.finish(b.put(u, nil), make([]byte, 1<<20)) // to end it needs no space

	broken = errors.New("statfs")
	wantFault(t, b.Free(b.ctx), fault.Unavailable)
	if err := blob.New(b.d, blob.Options{}).Free(b.ctx); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}
