package iam

import (
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"berth.dev/berth/internal/fault"
)

// The bounds of what people type.
const (
	maxName        = 64   // bytes of an account, user or project name
	MinPassword    = 8    // bytes
	MaxPassword    = 1024 // bytes
	maxDescription = 255  // bytes
)

const nameRule = "1 to 64 letters, digits, dots, underscores and hyphens, with a letter or digit first"

// isName reports whether s can name an account, a user or a project:
// [A-Za-z0-9][A-Za-z0-9._-]*, 1 to 64 bytes. The signs that logins, tokens and
// histories put between names (/ @ : and blanks) are never in one. Ids are of
// this form, too: what is not is refused before it comes near SQL, where some
// text is none.
func isName(s string) bool {
	if s == "" || len(s) > maxName || !isAlphanumeric(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// clip shortens what a stranger wrote before it is repeated to him.
func clip(s string) string {
	if len(s) > maxName {
		return strings.ToValidUTF8(s[:maxName], "") + "…"
	}
	return s
}

// IsName reports whether s can name an account, a user or a project.
func IsName(s string) bool { return isName(s) }

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

func checkName(what, s string) error {
	if !isName(s) {
		return fault.New(fault.Invalid, "The name of %s has %s.", what, nameRule)
	}
	return nil
}

// checkPassword looks at a new password; the empty one is for users who do
// not log in by password.
func checkPassword(s string) error {
	if s != "" && (len(s) < MinPassword || len(s) > MaxPassword) {
		return fault.New(fault.Invalid, "A password has %d to %d bytes.", MinPassword, MaxPassword)
	}
	return nil
}

func checkDescription(s string) error {
	if len(s) > maxDescription || !utf8.ValidString(s) {
		return fault.New(fault.Invalid, "A description is text of at most %d bytes.", maxDescription)
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return fault.New(fault.Invalid, "A description has no control characters.")
		}
	}
	return nil
}

const (
	upperAlphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	alphanumeric      = upperAlphanumeric + "abcdefghijklmnopqrstuvwxyz"

	accessSize    = 20
	secretKeySize = 40
)

// isAccess reports whether s has the form of an access key's name.
func isAccess(s string) bool {
	if len(s) != accessSize {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) || 'a' <= c {
			return false
		}
	}
	return true
}

// randomText returns n characters of the alphabet, each as likely as any other.
func randomText(alphabet string, n int) string {
	out := make([]byte, 0, n)
	limit := 256 - 256%len(alphabet) // bytes above would favour the first characters
	for len(out) < n {
		for _, b := range randomBytes(n) {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// newID makes the id of an account, a user or a project: 32 hex digits.
func newID() string { return hex.EncodeToString(randomBytes(16)) }
