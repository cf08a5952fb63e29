package blob_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// TestUploadsAgainstAModel runs random uploads with everything that may happen
// to them, and compares what Append says is in place with what was sent.
func TestUploadsAgainstAModel(t *testing.T) {
	b := newBench(t, blob.Options{Buffers: 6})
	sizes := rapid.OneOf(
		rapid.IntRange(0, 3*blob.InlineMax),
		rapid.IntRange(blob.InlineMax-2, blob.InlineMax+2),
		rapid.IntRange(0, 3*blob.BufferSize),
	)
	rapid.Check(t, func(t *rapid.T) {
		b.SetCheckpointEvery(rapid.SampledFrom([]int{100_000, blob.BufferSize, blob.CheckpointEvery}).Draw(t, "every"))
		u := blob.Upload{Algorithm: rapid.SampledFrom([]oci.Algorithm{oci.SHA256, oci.SHA512}).Draw(t, "algorithm")}
		row := u        // what a restart of the process would find
		var sent []byte // what u says is in place
		save := func(u blob.Upload) error { row = u; return nil }
		var key string // the last one reserved
		begin := func() (string, error) { key = blob.NewKey(); return key, nil }
		for i := range rapid.IntRange(1, 6).Draw(t, "requests") {
			p := random(i, sizes.Draw(t, "size"))
			came := p
			var src io.Reader = bytes.NewReader(p)
			b.d.append, b.d.after = nil, nil
			what := rapid.SampledFrom([]string{"whole", "whole", "cut", "full", "late", "crash"}).Draw(t, "what")
			switch what {
			case "cut":
				came = p[:rapid.IntRange(0, len(p)).Draw(t, "cut")]
				src = io.MultiReader(bytes.NewReader(came), iotest.ErrReader(io.ErrUnexpectedEOF))
			case "full":
				room := rapid.IntRange(0, len(p)).Draw(t, "room")
				b.d.append = func(r io.Reader) io.Reader {
					return io.MultiReader(io.LimitReader(r, int64(room)), iotest.ErrReader(fault.New(fault.Full, "full")))
				}
			case "late":
				b.d.after = func() error { return fault.New(fault.Full, "full") }
			}
			before := u
			var err error
			u, err = b.Append(b.ctx, u, src, -1, begin, save)
			if (what == "whole" || what == "crash") && err != nil || what == "cut" && err == nil {
				t.Fatalf("%s: %v", what, err)
			}
			if what == "crash" {
				// The answer was never given: the row is as the last save left it.
				u = row
				if u.Key != key && key != "" { // no row came to name it: it is collected
					if err := b.Delete(b.ctx, key); err != nil {
						t.Fatal(err)
					}
				}
				if u, err = b.Resume(b.ctx, u); err != nil {
					t.Fatalf("resume: %v", err)
				}
			}
			// In place is what was, and a prefix of what came; all of it if
			// nothing but the client failed.
			sent = append(sent[:before.Size:before.Size], came...)
			if u.Size > int64(len(sent)) || u.Size < before.Size {
				t.Fatalf("%s: %d bytes in place, %d were before and %d came", what, u.Size, before.Size, len(came))
			}
			if kept := u.Size == int64(len(sent)); !kept && (what == "whole" || what == "cut" && len(sent) != blob.InlineMax+1) {
				t.Fatalf("%s: %d bytes in place of %d", what, u.Size, len(sent))
			}
			sent = sent[:u.Size]
			row = u
			if err := b.agrees(u, sent); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		b.d.append, b.d.after = nil, nil
		u, err := b.Finish(b.ctx, u, oci.SHA256.FromBytes(sent))
		if err != nil {
			t.Fatal(err)
		}
		if u.Key == "" && len(sent) > blob.InlineMax || u.Key != "" && len(b.bytes(u)) != len(sent) {
			t.Fatalf("finished as %+v", u)
		}
		if u.Key != "" {
			if err := b.Delete(b.ctx, u.Key); err != nil {
				t.Fatal(err)
			}
		}
	})
	b.wantStored(0)
}

// agrees compares the bytes of an unfinished upload, which may have more behind
// them that nobody acknowledged.
func (b *bench) agrees(u blob.Upload, sent []byte) error {
	got := u.Inline
	if len(u.Driver) > 0 {
		got = b.bytes(u)
	}
	if int64(len(got)) < u.Size || !bytes.Equal(got[:u.Size], sent) {
		return fmt.Errorf("%d bytes are not the %d sent", len(got), len(sent))
	}
	return nil
}
