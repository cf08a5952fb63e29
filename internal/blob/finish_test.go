package blob_test

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

func TestAnotherDigestLeavesNothing(t *testing.T) {
	b := newBench(t, blob.Options{})
	for _, n := range []int{20_000, 3 << 20} {
		for _, a := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
			u := b.put(blob.Upload{}, random(1, n))
			_, err := b.Finish(b.ctx, u, a.FromBytes([]byte("other")))
			wantFault(t, err, fault.DigestInvalid)
			b.wantStored(0)
			_, err = b.Finish(b.ctx, u, oci.SHA256.FromBytes(random(1, n)))
			wantFault(t, err, fault.UploadUnknown)
		}
	}
}

func TestAlgorithms(t *testing.T) {
	b := newBench(t, blob.Options{})
	p := random(2, 5<<20+9)
	for _, hashed := range []oci.Algorithm{"", oci.SHA256, oci.SHA512} {
		for _, asked := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
			u := b.put(blob.Upload{Algorithm: hashed}, p[:2<<20])
			u = b.put(u, p[2<<20:])
			u, err := b.Finish(b.ctx, u, asked.FromBytes(p))
			if err != nil {
				t.Errorf("%s finished as %s: %v", hashed, asked, err)
			} else if !bytes.Equal(b.bytes(u), p) {
				t.Errorf("%s finished as %s: other bytes", hashed, asked)
			}
		}
	}
	if _, err := b.Append(b.ctx, blob.Upload{Algorithm: "md5"}, bytes.NewReader(p), -1, fresh, nop); err == nil {
		t.Error("hashed by md5")
	}
	for _, u := range []blob.Upload{b.put(blob.Upload{}, p[:10]), b.put(blob.Upload{}, p)} {
		if _, err := b.Finish(b.ctx, u, "md5:d41d8cd98f00b204e9800998ecf8427e"); err == nil {
			t.Error("finished as md5")
		}
	}
}

func TestAFailedCommit(t *testing.T) {
	b := newBench(t, blob.Options{})
	p := random(3, 1<<20)
	u := b.put(blob.Upload{}, p)
	b.d.commit = func() error { return fault.Wrap(fault.Unavailable, syscall.EIO, "storage fails") }
	_, err := b.Finish(b.ctx, u, oci.SHA256.FromBytes(p))
	wantFault(t, err, fault.Unavailable)
	for range 2 {
		if err := b.Abort(b.ctx, u); err != nil {
			t.Error(err)
		}
	}
	b.wantStored(0)
}

func TestFinishDropsWhatNobodyAcknowledged(t *testing.T) {
	b := newBench(t, blob.Options{})
	p := random(4, 2<<20)
	u := b.put(blob.Upload{}, p)
	b.put(u, random(5, 1<<20)) // the answer was lost, and the row not written
	b.finish(u, p)
}

func TestFinishOfBytesThatWereLost(t *testing.T) {
	b := newBench(t, blob.Options{})
	p := random(6, 2<<20)
	u := b.put(blob.Upload{}, p)
	if err := os.Truncate(filepath.Join(b.dir, u.Key), 1<<20); err != nil {
		t.Fatal(err)
	}
	_, err := b.Finish(b.ctx, u, oci.SHA256.FromBytes(p))
	wantFault(t, err, fault.UploadUnknown)
	_, err = b.Append(b.ctx, u, bytes.NewReader(p), -1, fresh, nop)
	wantFault(t, err, fault.UploadUnknown)
	if err := b.Delete(b.ctx, u.Key); err != nil {
		t.Fatal(err)
	}
	_, err = b.Append(b.ctx, u, bytes.NewReader(p), -1, fresh, nop)
	wantFault(t, err, fault.UploadUnknown)
}

func TestResume(t *testing.T) {
	b := newBench(t, blob.Options{})
	p := random(7, 3<<20)
	for _, c := range []struct {
		name   string
		damage func(path string, u *blob.Upload) error
		want   fault.Code
	}{
		{"AllIsThere", func(string, *blob.Upload) error { return nil }, ""},
		{"MoreThanAcknowledged", func(path string, _ *blob.Upload) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Write(random(8, 12_345))
			return err
		}, ""},
		{"AStateNobodyCanRead", func(_ string, u *blob.Upload) error { u.Hash = []byte("go 1.99"); return nil }, ""},
		{"NoState", func(_ string, u *blob.Upload) error { u.Hash = nil; return nil }, ""},
		{"Truncated", func(path string, _ *blob.Upload) error { return os.Truncate(path, 3<<20-1) }, fault.UploadUnknown},
		{"Empty", func(path string, _ *blob.Upload) error { return os.Truncate(path, 0) }, fault.UploadUnknown},
		{"Gone", func(path string, _ *blob.Upload) error { return os.Remove(path) }, fault.UploadUnknown},
		{"Zeros", func(path string, _ *blob.Upload) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt(make([]byte, 4096), 2<<20)
			return err
		}, fault.UploadUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := b.put(blob.Upload{}, p)
			if err := c.damage(filepath.Join(b.dir, u.Key), &u); err != nil {
				t.Fatal(err)
			}
			b.restart(blob.Options{})
			u, err := b.Resume(b.ctx, u)
			if fault.CodeOf(err) != c.want {
				t.Fatalf("resume: %v, want %q", err, c.want)
			}
			if err == nil {
				more := random(9, 1<<20)
				b.finish(b.put(u, more), append(p[:len(p):len(p)], more...))
			}
		})
	}
}

// TestAStateOfAnotherVersion is read again without anyone asking for Resume.
func TestAStateOfAnotherVersion(t *testing.T) {
	b := newBench(t, blob.Options{})
	p := random(10, 3<<20)
	u := b.put(blob.Upload{}, p[:1<<20])
	u.Hash = []byte("sha\x99")
	u = b.put(u, p[1<<20:])
	u.Hash = []byte("sha\x99")
	b.finish(u, p)
}

func TestCheckpoints(t *testing.T) {
	b := newBench(t, blob.Options{})
	const every = 1<<20 + 1<<19
	b.SetCheckpointEvery(every)
	p := random(11, 10<<20)
	var rows []blob.Upload
	checkpoint := func(u blob.Upload) error {
		if u.Size%every != 0 || len(rows) > 0 && u.Size <= rows[len(rows)-1].Size {
			t.Errorf("a checkpoint at %d", u.Size)
		}
		// What it speaks of is in the file already, all of it.
		got := make([]byte, u.Size)
		f, err := os.Open(filepath.Join(b.dir, u.Key))
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := io.ReadFull(f, got); err != nil || !bytes.Equal(got, p[:u.Size]) {
			t.Errorf("the file does not hold the %d bytes of the checkpoint: %v", u.Size, err)
		}
		h := sha256.New()
		if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(u.Hash); err != nil {
			return err
		}
		if want := sha256.Sum256(got); !bytes.Equal(h.Sum(nil), want[:]) {
			t.Errorf("the hash state is not that of the first %d bytes", u.Size)
		}
		rows = append(rows, u)
		return nil
	}
	u, err := b.Append(b.ctx, blob.Upload{}, bytes.NewReader(p), int64(len(p)), fresh, checkpoint)
	if err != nil || u.Size != int64(len(p)) {
		t.Fatalf("%d bytes in place, %v", u.Size, err)
	}
	if len(rows) == 0 {
		t.Fatal("no checkpoint")
	}
	// From each of them another start of the process can go on.
	for i := len(rows) - 1; i >= 0; i-- {
		b.restart(blob.Options{})
		u, err := b.Resume(b.ctx, rows[i])
		if err != nil {
			t.Fatal(err)
		}
		b.finish(b.put(u, p[u.Size:]), p)
	}
}

func TestACheckpointThatFails(t *testing.T) {
	b := newBench(t, blob.Options{})
	b.SetCheckpointEvery(1 << 20)
	p := random(12, 32<<20)
	taken := errors.New("another request took over")
	n := 0
	u, err := b.Append(b.ctx, blob.Upload{}, bytes.NewReader(p), -1, fresh, func(blob.Upload) error { n++; return taken })
	if !errors.Is(err, taken) || n != 1 {
		t.Errorf("%d checkpoints, %v", n, err)
	}
	if u.Size >= int64(len(p)) || u.Size == 0 {
		t.Errorf("%d bytes in place", u.Size)
	}
	b.finish(b.put(u, p[u.Size:]), p)
}

// TestTheRealCheckpoint runs past the distance that production uses.
func TestTheRealCheckpoint(t *testing.T) {
	b := newBench(t, blob.Options{})
	var rows []blob.Upload
	n := blob.CheckpointEvery + 9<<20
	u, err := b.Append(b.ctx, blob.Upload{}, io.LimitReader(newPattern(), int64(n)), int64(n), fresh, func(u blob.Upload) error {
		rows = append(rows, u)
		return nil
	})
	if err != nil || u.Size != int64(n) || len(rows) != 1 || rows[0].Size != blob.CheckpointEvery {
		t.Fatalf("%d bytes, %d checkpoints, %v", u.Size, len(rows), err)
	}
}
