package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"

	"berth.dev/berth/internal/fault"
)

// Digest names content by its hash: "sha256:" and 64, or "sha512:" and 128
// lower-case hexadecimal digits (image-spec, Digests).
type Digest string

// Algorithm returns the part before the colon.
func (d Digest) Algorithm() Algorithm {
	a, _, _ := strings.Cut(string(d), ":")
	return Algorithm(a)
}

// Hex returns the part behind the colon.
func (d Digest) Hex() string {
	_, h, _ := strings.Cut(string(d), ":")
	return h
}

// ParseDigest checks a digest. Errors: DigestInvalid, with a sentence of its
// own for a digest of an algorithm that Berth does not compute.
func ParseDigest(s string) (Digest, error) {
	name, encoded, ok := strings.Cut(s, ":")
	if !ok || !isAlgorithm(name) || !isEncoded(encoded) {
		return "", fault.New(fault.DigestInvalid, "The digest %s is malformed: it is an algorithm, a colon, and the hash in hexadecimal.", quote(s))
	}
	a, err := ParseAlgorithm(name)
	if err != nil {
		return "", err
	}
	if len(encoded) != a.hexLen() || !isHex(encoded) {
		return "", fault.New(fault.DigestInvalid, "The digest %s is malformed: behind %s: stand %d lower-case hexadecimal digits.", quote(s), a, a.hexLen())
	}
	return Digest(s), nil
}

// Algorithm is a hash algorithm that digests may use. The zero value stands
// for SHA256, the default of the distribution-spec.
type Algorithm string

// The algorithms that the image-spec registers and Berth computes.
const (
	SHA256 Algorithm = "sha256"
	SHA512 Algorithm = "sha512"
)

// ParseAlgorithm checks the name of an algorithm, as in the parameter
// digest-algorithm of a started upload. Errors: DigestInvalid.
func ParseAlgorithm(s string) (Algorithm, error) {
	switch a := Algorithm(s); a {
	case SHA256, SHA512:
		return a, nil
	}
	return "", fault.New(fault.DigestInvalid, "The digest algorithm %s is not supported; use sha256 or sha512.", quote(s))
}

// New returns a hash in its starting state. It implements
// encoding.BinaryMarshaler and encoding.BinaryUnmarshaler.
func (a Algorithm) New() hash.Hash {
	if a == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

// FromBytes returns the digest of b.
func (a Algorithm) FromBytes(b []byte) Digest {
	if a == SHA512 {
		sum := sha512.Sum512(b)
		return a.FromSum(sum[:])
	}
	sum := sha256.Sum256(b)
	return a.FromSum(sum[:])
}

// FromSum returns the digest of the content whose hash by a is sum.
func (a Algorithm) FromSum(sum []byte) Digest {
	if a == "" {
		a = SHA256
	}
	text := make([]byte, 0, len(a)+1+2*len(sum))
	text = append(text, a...)
	text = append(text, ':')
	return Digest(hex.AppendEncode(text, sum))
}

// hexLen is the length of a hash in hexadecimal digits.
func (a Algorithm) hexLen() int {
	if a == SHA512 {
		return 2 * sha512.Size
	}
	return 2 * sha256.Size
}

// isAlgorithm follows the grammar of the image-spec:
// components of [a-z0-9]+ parted by one of + . _ -
func isAlgorithm(s string) bool {
	run := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isLetter(c) || isDigit(c):
			run = true
		case run && (c == '+' || c == '.' || c == '_' || c == '-'):
			run = false
		default:
			return false
		}
	}
	return run
}

// isEncoded follows the grammar of the image-spec: [a-zA-Z0-9=_-]+
func isEncoded(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !isLetter(c|0x20) && !isDigit(c) && c != '=' && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}

func isHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
