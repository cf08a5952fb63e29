package iam

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"berth.dev/berth/internal/fault"
)

// macSize bytes of the HMAC are enough that nobody guesses one, and keep
// signed values short.
const macSize = 16

// maxSigned bounds what Verify looks at.
const maxSigned = 4096

// Sign makes a token that carries the payload readably and that Verify accepts
// for the same purpose until the signing key is gone. It is URL-safe:
// base64url(kid, payload, HMAC).
func (a *Authority) Sign(purpose string, payload []byte) string {
	k := a.ring.Load().current(a.now(), a.settle)
	out := make([]byte, 0, kidSize+len(payload)+sha256.Size)
	out = append(out, k.raw[:]...)
	out = append(out, payload...)
	out = k.sum(out, purpose, payload)[:kidSize+len(payload)+macSize]
	return base64.RawURLEncoding.EncodeToString(out)
}

// Verify returns the payload of a token that Sign made for this purpose, and
// fault.Invalid for anything else.
func (a *Authority) Verify(purpose, token string) ([]byte, error) {
	bad := fault.New(fault.Invalid, "This value was not made by this registry, or it is too old.")
	// One payload has one spelling: strict, and without the line breaks that
	// the decoder passes over.
	if len(token) > maxSigned || strings.ContainsAny(token, "\r\n") {
		return nil, bad
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < kidSize+macSize {
		return nil, bad
	}
	payload, mac := raw[kidSize:len(raw)-macSize], raw[len(raw)-macSize:]
	keys := a.ring.Load().keys
	for i := range keys {
		k := &keys[i]
		if k.raw == [kidSize]byte(raw) && hmac.Equal(k.sum(nil, purpose, payload)[:macSize], mac) {
			return payload, nil
		}
	}
	return nil, bad
}

// sum appends the whole HMAC over purpose and payload.
func (k *signingKey) sum(out []byte, purpose string, payload []byte) []byte {
	h := hmac.New(sha256.New, k.mac)
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(purpose)))
	h.Write(n[:])
	h.Write([]byte(purpose))
	h.Write(payload)
	return h.Sum(out)
}
