package oci

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"

	"berth.dev/berth/internal/fault"
)

// MaxPattern is the length of the longest pattern, in bytes.
const MaxPattern = 256

// maxProgram bounds what a pattern becomes, in instructions: the time to match
// a tag grows with it, and repetition makes a short pattern a long program.
const maxProgram = 1000

// ParsePattern reads a regular expression over tags in the syntax of RE2. It
// finds tags by any part of them unless it is anchored. Errors: Invalid.
func ParsePattern(s string) (*regexp.Regexp, error) {
	if s == "" || len(s) > MaxPattern {
		return nil, fault.New(fault.Invalid, "A regular expression has 1 to %d bytes.", MaxPattern)
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return nil, fault.New(fault.Invalid, "The regular expression %s has control characters, which no tag has.", quote(s))
	}
	tree, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s is no regular expression in the syntax of RE2.", quote(s))
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s is no regular expression in the syntax of RE2.", quote(s))
	}
	if len(program.Inst) > maxProgram {
		return nil, fault.New(fault.Invalid, "The regular expression %s repeats too much: every tag would take long to compare.", quote(s))
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s is no regular expression in the syntax of RE2.", quote(s))
	}
	return re, nil
}
