package oci

import (
	"strings"

	"berth.dev/berth/internal/fault"
)

// Bounds of names, in bytes.
const (
	MaxOrganization = 64
	MaxRepository   = 128
)

// Name is the full name of a repository, "organization/repository". The part
// behind the organization may itself contain slashes.
type Name string

// Organization returns the part before the first slash.
func (n Name) Organization() string {
	org, _, _ := strings.Cut(string(n), "/")
	return org
}

// Repository returns the part behind the first slash.
func (n Name) Repository() string {
	_, repo, _ := strings.Cut(string(n), "/")
	return repo
}

// ParseName checks a whole repository name: an organization, a slash, and the
// repository in it. The grammar is narrower than that of the
// distribution-spec, Pulling manifests, but a name of one part is in that and
// is never there: docker gives a push up for it at once, where it would repeat
// one that is told its name is invalid for a minute and more.
//
// Errors: NameInvalid; RepoUnknown for one part; Reserved for an organization
// kept for the system.
func ParseName(s string) (Name, error) {
	org, repo, ok := strings.Cut(s, "/")
	if !ok {
		code := fault.NameInvalid
		if isName(s, false) {
			code = fault.RepoUnknown
		}
		return "", fault.New(code, "The name %s has one part; a repository is named organization/repository.", quote(s))
	}
	if _, err := ParseOrganization(org); err != nil {
		return "", err
	}
	if _, err := ParseRepository(repo); err != nil {
		return "", err
	}
	return Name(s), nil
}

// ParseOrganization checks the name of an organization: 1 to 64 bytes,
// `^[a-z]([a-z0-9]|(\.|-|_|__)[a-z0-9])*$`.
//
// Errors: NameInvalid; Reserved for a name kept for the system.
func ParseOrganization(s string) (string, error) {
	if len(s) > MaxOrganization || !isName(s, false) || !isLetter(s[0]) {
		return "", fault.New(fault.NameInvalid, "The organization name %s is invalid: it has 1 to %d lower-case letters and digits, "+
			"starts with a letter, and may be parted by single dots, hyphens, or one or two underscores.", quote(s), MaxOrganization)
	}
	// Addresses of other surfaces start with these where that of a
	// repository has its organization, or clients take them for another.
	switch s {
	case "manage", "library", "api", "charts":
		return "", fault.New(fault.Reserved, "The name %s is reserved: choose another.", s)
	}
	return s, nil
}

// ParseRepository checks the name of a repository within its organization: 1
// to 128 bytes, `^[a-z0-9]+((\.|/|_|__|-)[a-z0-9]+)*$`. Errors: NameInvalid.
func ParseRepository(s string) (string, error) {
	if len(s) > MaxRepository || !isName(s, true) {
		return "", fault.New(fault.NameInvalid, "The repository name %s is invalid: it has 1 to %d lower-case letters and digits, "+
			"which may be parted by single slashes, dots, hyphens, or one or two underscores.", quote(s), MaxRepository)
	}
	return s, nil
}

// isName reports whether s is made of runs of lower-case letters and digits,
// each parted from the next by exactly one separator.
func isName(s string, slashes bool) bool {
	run := false // the byte before belongs to a run
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isLetter(c) || isDigit(c):
			run = true
			continue
		case !run:
			return false
		case c == '_':
			if i+1 < len(s) && s[i+1] == '_' {
				i++
			}
		case c == '.' || c == '-' || c == '/' && slashes:
		default:
			return false
		}
		run = false
	}
	return run
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
