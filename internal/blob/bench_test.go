package blob_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/oci"
)

const benchSize = 256 << 20

// pattern is an endless source without cost, limited by the benchmarks.
type pattern struct {
	block []byte
	off   int
}

func (p *pattern) Read(b []byte) (int, error) {
	n := copy(b, p.block[p.off:])
	p.off = (p.off + n) % len(p.block)
	return n, nil
}

func newPattern() *pattern {
	p := &pattern{block: make([]byte, 1<<20)}
	for i := range p.block {
		p.block[i] = byte(i * 7)
	}
	return p
}

func memory(testing.TB) io.Reader { return io.LimitReader(newPattern(), benchSize) }

// loopback sends the same bytes through a TCP connection.
func loopback(t testing.TB) io.Reader {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return
		}
		defer c.Close()
		block := newPattern().block
		for range benchSize / len(block) {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func benchDigest() oci.Digest {
	h := sha256.New()
	io.Copy(h, memory(nil))
	return oci.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// BenchmarkUpload compares an upload of 256 MiB, verified and durable, with the
// plainest program that receives, hashes, writes and syncs.
func BenchmarkUpload(b *testing.B) {
	for name, source := range map[string]func(testing.TB) io.Reader{"memory": memory, "loopback": loopback} {
		b.Run("plain/"+name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "plain")
			buf := make([]byte, 1<<20)
			b.SetBytes(benchSize)
			for b.Loop() {
				f, err := os.Create(path)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(f, sha256.New())}, struct{ io.Reader }{source(b)}, buf); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				f.Close()
				os.Remove(path)
			}
		})
		b.Run("store/"+name, func(b *testing.B) {
			d, err := fsblob.Open(b.TempDir(), fsblob.Options{})
			if err != nil {
				b.Fatal(err)
			}
			s, want, ctx := blob.New(d, blob.Options{}), benchDigest(), context.Background()
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				u, err := s.Append(ctx, blob.Upload{Algorithm: oci.SHA256}, source(b), benchSize, fresh, nop)
				if err != nil {
					b.Fatal(err)
				}
				if u, err = s.Finish(ctx, u, want); err != nil {
					b.Fatal(err)
				}
				if err := s.Delete(ctx, u.Key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func nop(blob.Upload) error { return nil }

// fresh is a key that no row names, since these tests have none.
func fresh() (string, error) { return blob.NewKey(), nil }

// BenchmarkLayers uploads blobs of one MiB from several goroutines at once.
func BenchmarkLayers(b *testing.B) {
	d, err := fsblob.Open(b.TempDir(), fsblob.Options{})
	if err != nil {
		b.Fatal(err)
	}
	const size = 1 << 20
	s, ctx := blob.New(d, blob.Options{}), context.Background()
	block := newPattern().block
	want := oci.SHA256.FromBytes(block)
	b.SetBytes(size)
	b.ReportAllocs()
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			u, err := s.Append(ctx, blob.Upload{Algorithm: oci.SHA256}, io.LimitReader(&pattern{block: block}, size), size, fresh, nop)
			if err == nil {
				u, err = s.Finish(ctx, u, want)
			}
			if err == nil {
				err = s.Delete(ctx, u.Key)
			}
			if err != nil {
				b.Error(err)
			}
		}
	})
}
