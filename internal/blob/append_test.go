package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

func never(blob.Upload) error { return errors.New("must not be called") }

func noKey() (string, error) { return "", errors.New("must not be called") }

func TestSmallUploadsTouchNoStorage(t *testing.T) {
	b := newBench(t, blob.Options{Buffers: 1})
	for _, n := range []int{0, 1, 1000, blob.InlineMax} {
		p := random(n, n)
		for _, announced := range []int64{-1, int64(n)} {
			u, err := b.Append(b.ctx, blob.Upload{}, bytes.NewReader(p), announced, noKey, never)
			if err != nil || u.Key != "" || !bytes.Equal(u.Inline, p) {
				t.Fatalf("%d bytes: key %q, %d inline, %v", n, u.Key, len(u.Inline), err)
			}
			b.finish(u, p)
			if _, err := b.Finish(b.ctx, u, oci.SHA512.FromBytes(p)); err != nil {
				t.Errorf("sha512: %v", err)
			}
			_, err = b.Finish(b.ctx, u, oci.SHA256.FromBytes([]byte("other")))
			wantFault(t, err, fault.DigestInvalid)
			if err := b.Abort(b.ctx, u); err != nil {
				t.Error(err)
			}
		}
	}
	if n := b.d.calls.Load(); n != 0 {
		t.Errorf("the driver was called %d times", n)
	}
}

// TestBeginComesWithTheFirstByteTooMany watches the callback at every size
// around the limit, in one body and in two.
func TestBeginComesWithTheFirstByteTooMany(t *testing.T) {
	b := newBench(t, blob.Options{})
	for _, first := range []int{0, 1, blob.InlineMax} {
		for _, n := range []int{blob.InlineMax + 1, blob.InlineMax + 2, blob.BufferSize, blob.BufferSize + 1} {
			p := random(n, n)
			u := b.put(blob.Upload{}, p[:first])
			before := b.d.calls.Load()
			var named []string
			u, err := b.Append(b.ctx, u, bytes.NewReader(p[first:]), int64(n-first), func() (string, error) {
				if calls := b.d.calls.Load(); calls != before {
					t.Errorf("the driver was called %d times before there was a key", calls-before)
				}
				named = append(named, blob.NewKey())
				return named[0], nil
			}, never)
			if err != nil || len(named) != 1 || named[0] != u.Key {
				t.Fatalf("begin gave %q, the upload has %q, %v", named, u.Key, err)
			}
			if u.Inline != nil || len(u.Driver) == 0 {
				t.Errorf("the upload is %+v", u)
			}
			b.finish(u, p)
		}
	}
}

func TestManyAppends(t *testing.T) {
	b := newBench(t, blob.Options{})
	var u blob.Upload
	var all []byte
	for i, n := range []int{10, 0, 5000, 20_000, 1, 3 << 20, 0, 6<<20 + 1, 700} {
		p := random(i, n)
		u = b.put(u, p)
		all = append(all, p...)
		if u.Size != int64(len(all)) {
			t.Fatalf("size %d, want %d", u.Size, len(all))
		}
	}
	u = b.finish(u, all)
	b.finish(u, all) // asked again after a lost answer
	b.wantStored(1)
}

func TestWhenBeginFails(t *testing.T) {
	b := newBench(t, blob.Options{})
	p := random(1, 50_000)
	u := b.put(blob.Upload{}, p[:1000])
	lost := errors.New("no key was reserved")
	u2, err := b.Append(b.ctx, u, bytes.NewReader(p[1000:]), -1, func() (string, error) { return "", lost }, never)
	if !errors.Is(err, lost) || u2.Key != "" || !bytes.Equal(u2.Inline, p[:1000]) {
		t.Fatalf("%+v, %v", u2, err)
	}
	b.wantStored(0)

	// There is a key, but storage refuses: the upload stays where it was, and
	// can go on from the row.
	b.d.begin = func() error { return fault.New(fault.Full, "full") }
	row, err := b.Append(b.ctx, u2, bytes.NewReader(p[1000:]), -1, fresh, never)
	wantFault(t, err, fault.Full)
	if row.Key == "" || row.Size != 1000 || !bytes.Equal(row.Inline, p[:1000]) {
		t.Errorf("%+v", row)
	}
	b.d.begin = nil
	b.finish(row, p[:1000])
	b.finish(b.put(row, p[1000:]), p)
	resumed, err := b.Resume(b.ctx, row)
	if err != nil || resumed.Key != "" {
		t.Errorf("resumed: %+v, %v", resumed, err)
	}
	b.finish(resumed, p[:1000])
}

// TestACrashBehindBegin leaves a row that names a key, and an empty file.
func TestACrashBehindBegin(t *testing.T) {
	b := newBench(t, blob.Options{})
	p := random(2, 50_000)
	row := b.put(blob.Upload{}, p[:1000])
	row.Key = blob.NewKey()
	if _, err := b.d.Begin(b.ctx, row.Key); err != nil {
		t.Fatal(err)
	}
	b.restart(blob.Options{})
	u, err := b.Resume(b.ctx, row)
	if err != nil {
		t.Fatal(err)
	}
	b.finish(b.put(u, p[1000:]), p)
	b.wantStored(1)
}

func TestTheBodyIsHeldToItsLength(t *testing.T) {
	b := newBench(t, blob.Options{})
	for _, n := range []int{100, blob.InlineMax, blob.InlineMax + 1, 100_000, 5<<20 + 3} {
		for _, diff := range []int{-1, +1, +100_000} {
			t.Run(fmt.Sprint(n, diff), func(t *testing.T) {
				p := random(n, n+max(diff, 0))
				u, err := b.Append(b.ctx, blob.Upload{}, bytes.NewReader(p[:n+diff]), int64(n), fresh, nop)
				wantFault(t, err, fault.SizeInvalid)
				// What is in place is a prefix, and the upload can go on.
				if u.Size > int64(n) {
					t.Errorf("%d bytes in place of %d announced", u.Size, n)
				}
				b.finish(b.put(u, p[u.Size:n]), p[:n])
			})
		}
	}
}

func TestBodiesThatBreak(t *testing.T) {
	b := newBench(t, blob.Options{})
	broken := errors.New("connection reset")
	for _, c := range []struct {
		name string
		tail io.Reader
		want fault.Code
		is   error
	}{
		{"reset", iotest.ErrReader(broken), fault.SizeInvalid, broken},
		{"cut", iotest.ErrReader(io.ErrUnexpectedEOF), fault.SizeInvalid, io.ErrUnexpectedEOF},
		{"slow", iotest.ErrReader(os.ErrDeadlineExceeded), fault.Timeout, os.ErrDeadlineExceeded},
		{"fault", iotest.ErrReader(fault.New(fault.TooLarge, "over the limit")), fault.TooLarge, nil},
		{"silent", silent{}, fault.SizeInvalid, io.ErrNoProgress},
	} {
		for _, n := range []int{0, 1000, 30_000, 1 << 20, 6<<20 + 5} {
			t.Run(fmt.Sprint(c.name, n), func(t *testing.T) {
				p := random(n, n+10_000)
				u, err := b.Append(b.ctx, blob.Upload{}, io.MultiReader(bytes.NewReader(p[:n]), c.tail), -1, fresh, nop)
				wantFault(t, err, c.want)
				if c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("%v hides %v", err, c.is)
				}
				if u.Size != int64(n) {
					t.Errorf("%d bytes in place of %d that came", u.Size, n)
				}
				b.finish(b.put(u, p[n:]), p)
			})
		}
	}
}

// silent delivers neither bytes nor an end.
type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestTheRequestEnds(t *testing.T) {
	b := newBench(t, blob.Options{})
	p := random(3, 4<<20)
	why := errors.New("another request took over")
	ctx, cancel := context.WithCancelCause(b.ctx)
	src := io.MultiReader(bytes.NewReader(p[:3<<20]), readFunc(func([]byte) (int, error) {
		cancel(why)
		return 0, errors.New("read on a closed body")
	}))
	u, err := b.Append(ctx, blob.Upload{}, src, -1, fresh, nop)
	wantFault(t, err, fault.Unavailable)
	if !errors.Is(err, why) || u.Size != 3<<20 {
		t.Errorf("%d bytes in place, %v", u.Size, err)
	}
	u2, err := b.Append(ctx, u, bytes.NewReader(p[3<<20:]), -1, fresh, nop)
	if !errors.Is(err, why) || u2.Size != u.Size {
		t.Errorf("%d bytes in place, %v", u2.Size, err)
	}
	b.finish(b.put(u2, p[3<<20:]), p)
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestABodyThatPanics: whoever recovers goes on with a Store that has lost
// neither buffers nor goroutines.
func TestABodyThatPanics(t *testing.T) {
	b := newBench(t, blob.Options{Buffers: 2})
	for range 5 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			src := io.MultiReader(bytes.NewReader(random(1, 2<<20)), readFunc(func([]byte) (int, error) { panic("abort") }))
			_, _ = b.Append(b.ctx, blob.Upload{}, src, -1, fresh, nop)
		}()
	}
	p := random(2, 3<<20)
	b.finish(b.put(blob.Upload{}, p), p)
}

// TestTheDriverFails breaks storage in the middle: what was acknowledged before
// stays, and the upload goes on from there.
func TestTheDriverFails(t *testing.T) {
	for name, breaks := range map[string]func(*faulty){
		"writing": func(f *faulty) {
			f.append = func(r io.Reader) io.Reader {
				return io.MultiReader(io.LimitReader(r, 1<<20+5), iotest.ErrReader(fault.New(fault.Full, "full")))
			}
		},
		"behind": func(f *faulty) { f.after = func() error { return fault.New(fault.Full, "full") } },
		"atOnce": func(f *faulty) {
			f.append = func(io.Reader) io.Reader { return iotest.ErrReader(fault.New(fault.Full, "full")) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, blob.Options{})
			p := random(4, 20<<20)
			u := b.put(blob.Upload{}, p[:2<<20])
			breaks(b.d)
			u2, err := b.Append(b.ctx, u, bytes.NewReader(p[2<<20:]), -1, fresh, nop)
			wantFault(t, err, fault.Full)
			if u2.Size != u.Size {
				t.Errorf("%d bytes in place, %d were before", u2.Size, u.Size)
			}
			first, err := b.Append(b.ctx, blob.Upload{Inline: p[:100], Size: 100}, bytes.NewReader(p), -1, fresh, nop)
			wantFault(t, err, fault.Full)
			if first.Size != 100 || !bytes.Equal(first.Inline, p[:100]) {
				t.Errorf("an upload that had 100 bytes is now %+v", first)
			}
			b.d.append, b.d.after = nil, nil
			b.finish(b.put(u2, p[2<<20:]), p)
			b.finish(b.put(first, p[100:]), p)
			b.wantStored(2)
		})
	}
}

// TestADriverThatIsWrong: the Store takes no nonsense from a driver.
func TestADriverThatIsWrong(t *testing.T) {
	b := newBench(t, blob.Options{})
	p := random(5, 3<<20)
	b.d.append = func(r io.Reader) io.Reader { return io.LimitReader(r, 1000) }
	u, err := b.Append(b.ctx, blob.Upload{}, bytes.NewReader(p), -1, fresh, nop)
	if err == nil || u.Size != 0 {
		t.Errorf("a driver that stops reading: %d bytes in place, %v", u.Size, err)
	}
	s := blob.New(wrongState{b.d, nil}, blob.Options{})
	if _, err := s.Append(b.ctx, blob.Upload{}, bytes.NewReader(p), -1, fresh, nop); err == nil {
		t.Error("took an empty state")
	}
	s = blob.New(wrongState{b.d, make([]byte, blob.MaxState+1)}, blob.Options{})
	if _, err := s.Append(b.ctx, blob.Upload{}, bytes.NewReader(p), -1, fresh, nop); err == nil {
		t.Error("took a state too large for its row")
	}
}

type wrongState struct {
	blob.Driver
	s blob.State
}

func (w wrongState) Begin(context.Context, string) (blob.State, error) { return w.s, nil }

// TestPartsAreKept uses a driver that numbers its parts.
func TestPartsAreKept(t *testing.T) {
	b := newBench(t, blob.Options{})
	d := &parted{Driver: b.d}
	s := blob.New(d, blob.Options{})
	s.SetCheckpointEvery(1 << 20)
	p := random(6, 3<<20+10)
	u := blob.Upload{}
	var err error
	for _, half := range [][]byte{p[:2<<20], p[2<<20:]} {
		if u, err = s.Append(b.ctx, u, bytes.NewReader(half), -1, fresh, nop); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Finish(b.ctx, u, oci.SHA256.FromBytes(p)); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, part := range d.committed {
		fmt.Fprintf(&got, "%d:%s ", part.Number, part.ETag)
	}
	if got.String() != "1:e1 2:e2 3:e3 4:e4 " {
		t.Errorf("committed the parts %s", &got)
	}
}

type parted struct {
	blob.Driver
	n         int
	committed []blob.Part
}

func (d *parted) Append(ctx context.Context, key string, s blob.State, r io.Reader) (blob.State, []blob.Part, error) {
	d.n++
	st, _, err := d.Driver.Append(ctx, key, s, r)
	return st, []blob.Part{{Number: d.n, ETag: fmt.Sprint("e", d.n)}}, err
}

func (d *parted) Commit(ctx context.Context, key string, s blob.State, parts []blob.Part) error {
	d.committed = parts
	return d.Driver.Commit(ctx, key, s, parts)
}

func TestUploadsShareFewBuffers(t *testing.T) {
	b := newBench(t, blob.Options{Buffers: 2})
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			p := random(w, 3<<20+w)
			u, err := b.Append(b.ctx, blob.Upload{}, bytes.NewReader(p), -1, fresh, nop)
			if err == nil {
				_, err = b.Finish(b.ctx, u, oci.SHA256.FromBytes(p))
			}
			if err != nil {
				t.Error(err)
			}
			if n := b.BuffersInUse(); n > 2 {
				t.Errorf("%d buffers in use", n)
			}
		})
	}
	wg.Wait()
	b.wantStored(16)
}

// TestWaitingForABufferEnds has one upload hold the only buffer while its
// client is silent.
func TestWaitingForABufferEnds(t *testing.T) {
	b := newBench(t, blob.Options{Buffers: 1})
	r, w := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := b.Append(b.ctx, blob.Upload{}, r, -1, fresh, nop)
		done <- err
	}()
	if _, err := w.Write(make([]byte, blob.InlineMax+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); err != nil { // received, so the buffer is taken
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	u, err := b.Append(ctx, blob.Upload{}, bytes.NewReader(make([]byte, 100_000)), -1, func() (string, error) {
		cancel()
		return fresh()
	}, nop)
	wantFault(t, err, fault.Unavailable)
	if !errors.Is(err, context.Canceled) || u.Size != 0 {
		t.Errorf("%+v, %v", u, err)
	}
	w.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	b.finish(u, nil)
}
