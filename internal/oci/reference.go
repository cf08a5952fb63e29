package oci

import (
	"strings"

	"berth.dev/berth/internal/fault"
)

// MaxTag is the length of the longest tag, in bytes.
const MaxTag = 128

// Reference points at a manifest of a repository. Exactly one member is set.
type Reference struct {
	Tag    string
	Digest Digest
}

// String returns the tag or the digest.
func (r Reference) String() string {
	if r.Digest != "" {
		return string(r.Digest)
	}
	return r.Tag
}

// ParseReference checks the last part of a manifest's path. What contains a
// colon is a digest, since no tag does. Errors: DigestInvalid, TagInvalid.
func ParseReference(s string) (Reference, error) {
	if strings.IndexByte(s, ':') >= 0 {
		d, err := ParseDigest(s)
		return Reference{Digest: d}, err
	}
	t, err := ParseTag(s)
	return Reference{Tag: t}, err
}

// ParseTag checks a tag, `^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`.
// Errors: TagInvalid.
func ParseTag(s string) (string, error) {
	if !isTag(s) {
		return "", fault.New(fault.TagInvalid, "The tag %s is invalid: it has 1 to %d letters, digits, underscores, dots and hyphens, "+
			"and starts with neither dot nor hyphen.", quote(s), MaxTag)
	}
	return s, nil
}

func isTag(s string) bool {
	if s == "" || len(s) > MaxTag || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !isLetter(c|0x20) && !isDigit(c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}
