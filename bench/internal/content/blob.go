// Package content makes up blobs and images: incompressible, distinct, and so cheap
// to make that the load generator takes little of the machine it shares with a server.
package content

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"sync"
)

const (
	block = 1 << 20
	stamp = 16 // bytes at the start of each block that make it distinct
)

// noise is one block of fixed random bytes that all blobs share.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, block)
	r := rand.NewChaCha8([32]byte{1, 2, 3})
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b
})

// Blob is a body of Size bytes: blocks of noise, each stamped with the seed and its
// offset. Blobs of different seeds differ in every block.
type Blob struct {
	Digest string
	Size   int64
	seed   uint64
}

// NewBlob computes the digest, which is all the work there is. size is at least 16.
func NewBlob(id string, size int64) Blob {
	b := Blob{Size: max(size, stamp), seed: seed(id)}
	h := sha256.New()
	s := b.Stream()
	for p := s.Next(); p != nil; p = s.Next() {
		for _, q := range p {
			h.Write(q)
		}
	}
	b.Digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return b
}

// Bytes is the whole blob in memory.
func (b Blob) Bytes() []byte {
	out := make([]byte, 0, b.Size)
	s := b.Stream()
	for p := s.Next(); p != nil; p = s.Next() {
		for _, q := range p {
			out = append(out, q...)
		}
	}
	return out
}

// Stream yields the blob from the start.
func (b Blob) Stream() *Stream { return b.Part(0, b.Size) }

// Part yields [from,to); from is a multiple of 1 MiB.
func (b Blob) Part(from, to int64) *Stream {
	return &Stream{seed: b.seed, size: to - from, off: from, end: to}
}

// Stream is a position in a blob; it implements raw.Blocks.
type Stream struct {
	seed           uint64
	size, off, end int64
	stamp          [stamp]byte
}

// Size is the length of what the stream yields in all.
func (s *Stream) Size() int64 { return s.size }

// Next yields the next block, nil at the end.
func (s *Stream) Next() net.Buffers {
	if s.off >= s.end {
		return nil
	}
	binary.LittleEndian.PutUint64(s.stamp[:], s.seed)
	binary.LittleEndian.PutUint64(s.stamp[8:], uint64(s.off))
	n := min(s.end-s.off, block)
	s.off += n
	if n <= stamp {
		return net.Buffers{s.stamp[:n]}
	}
	return net.Buffers{s.stamp[:], noise()[stamp:n]}
}

func seed(id string) uint64 {
	h := sha256.Sum256([]byte(id))
	return binary.LittleEndian.Uint64(h[:])
}

// Digest is the sha256 digest of b.
func Digest(b []byte) string {
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}
