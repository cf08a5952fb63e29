package iam

import (
	"crypto/sha256"
	"crypto/subtle"
	"hash/crc32"
	"strings"
)

// An access credential is one word: a prefix by which it is recognised, the id
// by which it is found, what nobody can guess, and a checksum of both, so that
// whoever looks for leaked secrets knows one without asking.
//
//	berth_ + 12 (id) + 32 (secret) + 6 (CRC-32 in base 62) letters and digits
const (
	CredentialPrefix = "berth_"

	credentialIDSize     = 12
	credentialRandomSize = 32 // 190 bits
	credentialSumSize    = 6

	credentialSize = len(CredentialPrefix) + credentialIDSize + credentialRandomSize + credentialSumSize
)

// A credentialWord is a word that has the form of a credential, whether there
// is one or not.
type credentialWord struct{ id, word string }

func newCredentialWord() credentialWord {
	id := randomText(alphanumeric, credentialIDSize)
	body := id + randomText(alphanumeric, credentialRandomSize)
	return credentialWord{id, CredentialPrefix + body + checksum(body)}
}

// parseCredential reports whether s is meant to be a credential: a password
// that only begins like one is a password.
func parseCredential(s string) (credentialWord, bool) {
	if len(s) != credentialSize || !strings.HasPrefix(s, CredentialPrefix) {
		return credentialWord{}, false
	}
	body, sum := s[len(CredentialPrefix):credentialSize-credentialSumSize], s[credentialSize-credentialSumSize:]
	for i := range len(body) {
		if !isAlphanumeric(body[i]) {
			return credentialWord{}, false
		}
	}
	return credentialWord{body[:credentialIDSize], s}, checksum(body) == sum
}

// IsCredential reports whether s has the form of an access credential.
func IsCredential(s string) bool {
	_, ok := parseCredential(s)
	return ok
}

// isCredentialID tells the id of a credential from the name of an access key,
// which is longer.
func isCredentialID(s string) bool {
	if len(s) != credentialIDSize {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) {
			return false
		}
	}
	return true
}

// base62 are the digits of the checksum.
const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// checksum is the CRC-32 (IEEE) of the text, in base 62 and six digits.
func checksum(text string) string {
	n := crc32.ChecksumIEEE([]byte(text))
	var out [credentialSumSize]byte
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = base62[n%62]
		n /= 62
	}
	return string(out[:])
}

// hash is what is kept. What nobody can guess needs no slow one.
func (c credentialWord) hash() []byte {
	sum := sha256.Sum256([]byte(c.word))
	return sum[:]
}

func (c credentialWord) matches(hash []byte) bool {
	return subtle.ConstantTimeCompare(c.hash(), hash) == 1
}
