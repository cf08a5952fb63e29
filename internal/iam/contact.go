package iam

import (
	"strings"

	"berth.dev/berth/internal/fault"
)

// Contact is how a user can be reached. Berth keeps it and shows it to the user
// and to administrators. Any of it may be empty, AreaCode and Phone only both.
type Contact struct {
	Email           string
	AreaCode, Phone string // "0086", "13800000000"
}

// The bounds of a contact, those of the APIs that clients were made for.
const (
	maxEmail    = 255 // bytes
	maxAreaCode = 8   // digits
	maxPhone    = 32  // digits
)

func (c Contact) check() error {
	switch {
	case c.Email != "" && !isEmail(c.Email):
		return fault.New(fault.Invalid, "The email is an address like name@example.com, of at most %d bytes.", maxEmail)
	case (c.Phone == "") != (c.AreaCode == ""):
		return fault.New(fault.Invalid, "phone and areacode are there both or not at all.")
	case c.Phone != "" && !isDigits(c.Phone, maxPhone):
		return fault.New(fault.Invalid, "The phone has digits only, at most %d.", maxPhone)
	case c.AreaCode != "" && !isDigits(c.AreaCode, maxAreaCode):
		return fault.New(fault.Invalid, "The areacode has digits only, at most %d, like 0086.", maxAreaCode)
	}
	return nil
}

// isEmail looks at what makes an address useless or dangerous in a header.
// Whether it reaches anybody only a letter would show.
func isEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if len(s) > maxEmail || at <= 0 || checkDescription(s) != nil || strings.ContainsAny(s, " <>,;:\\\"()[]") || strings.Count(s, "@") != 1 {
		return false
	}
	domain := s[at+1:]
	return domain != "" && !strings.HasPrefix(domain, ".") && !strings.HasSuffix(domain, ".") && !strings.Contains(domain, "..")
}

func isDigits(s string, most int) bool {
	return len(s) <= most && strings.Trim(s, "0123456789") == ""
}

// contact is what a change makes of a contact.
func (c *UserChange) contact(now Contact) Contact {
	if c.Email != nil {
		now.Email = *c.Email
	}
	if c.AreaCode != nil {
		now.AreaCode = *c.AreaCode
	}
	if c.Phone != nil {
		now.Phone = *c.Phone
	}
	return now
}
