package iam

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// A fingerprint stands for a user part and a password without revealing them.
type fingerprint [sha256.Size]byte

// fingerprints makes HMACs under a key that lives as long as the process.
type fingerprints struct{ pool sync.Pool }

type marker struct {
	mac hash.Hash
	in  []byte
	out []byte
}

func newFingerprints() *fingerprints {
	key := randomBytes(sha256.Size)
	return &fingerprints{pool: sync.Pool{New: func() any {
		return &marker{mac: hmac.New(sha256.New, key), in: make([]byte, 0, 8+maxUserPart+MaxPassword)}
	}}}
}

func (f *fingerprints) of(user, password string) (mark fingerprint) {
	p := f.pool.Get().(*marker)
	defer f.pool.Put(p)
	p.in = binary.BigEndian.AppendUint64(p.in[:0], uint64(len(user)))
	p.in = append(append(p.in, user...), password...)
	p.mac.Reset()
	p.mac.Write(p.in)
	p.out = p.mac.Sum(p.out[:0])
	clear(p.in)
	copy(mark[:], p.out)
	return mark
}
