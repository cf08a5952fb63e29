package oci

import (
	"strconv"
	"strings"

	"berth.dev/berth/internal/fault"
)

// scanner walks a JSON text once, front to back. It is stricter than
// encoding/json where parsers are known to differ: no duplicate keys in any
// object, no keys that differ from a known one only in case, valid UTF-8, no
// half surrogate pairs, nothing behind the text, bounded depth.
//
// Each method consumes what it reads together with the white space behind it.
type scanner struct {
	data  []byte
	pos   int
	depth int
	keys  [][]byte // keys of the objects that are open, innermost last
}

// fail returns an error that says where the scanner stands.
func (s *scanner) fail(what string) error {
	return fault.New(fault.ManifestInvalid, "The manifest is invalid before byte %d: %s.", s.pos, what)
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.pos < len(s.data) {
		return s.fail("something follows behind its end")
	}
	return nil
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end and behind it.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// take consumes the byte c and the white space behind it, if c is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	s.space()
	return true
}

// open consumes the start of an object or array.
func (s *scanner) open(c byte, what string) error {
	if s.pos == 0 {
		s.space()
	}
	if !s.take(c) {
		return s.fail(what + " is expected")
	}
	if s.depth++; s.depth > MaxDepth {
		return s.fail("it is nested deeper than " + strconv.Itoa(MaxDepth))
	}
	return nil
}

// object reads an object. member is called behind each key and must consume
// the value. The key is valid until it returns.
func (s *scanner) object(known []string, member func(key []byte) error) error {
	if err := s.open('{', "an object"); err != nil {
		return err
	}
	base := len(s.keys)
	var seen map[string]struct{} // only for objects with many keys
	for first := true; !s.take('}'); first = false {
		if !first && !s.take(',') {
			return s.fail("a comma or the end of the object is expected")
		}
		key, err := s.text()
		if err != nil {
			return err
		}
		if len(s.keys) == MaxMembers {
			return s.fail("it has too many members")
		}
		if err := s.alike(key, known); err != nil {
			return err
		}
		if seen, err = s.unique(key, base, seen); err != nil {
			return err
		}
		s.keys = append(s.keys, key)
		if !s.take(':') {
			return s.fail("a colon is expected")
		}
		if err := member(key); err != nil {
			return err
		}
	}
	s.keys = s.keys[:base]
	s.depth--
	return nil
}

// alike refuses a key that differs from a known one only in case.
func (s *scanner) alike(key []byte, known []string) error {
	for _, k := range known {
		if string(key) == k {
			return nil
		}
	}
	for _, k := range known {
		if strings.EqualFold(string(key), k) {
			return s.fail("the key " + quote(string(key)) + " differs from " + k + " only in case")
		}
	}
	return nil
}

// unique refuses a key that the innermost object has had already. Its keys
// start at base; when there are many, they are also in seen.
func (s *scanner) unique(key []byte, base int, seen map[string]struct{}) (map[string]struct{}, error) {
	const few = 16
	keys := s.keys[base:]
	if len(keys) < few {
		for _, k := range keys {
			if string(k) == string(key) {
				return nil, s.fail("the key " + quote(string(key)) + " is there twice")
			}
		}
		return nil, nil
	}
	if seen == nil {
		seen = make(map[string]struct{}, 2*few)
		for _, k := range keys {
			seen[string(k)] = struct{}{}
		}
	}
	if _, ok := seen[string(key)]; ok {
		return nil, s.fail("the key " + quote(string(key)) + " is there twice")
	}
	seen[string(key)] = struct{}{}
	return seen, nil
}

// array reads an array. item is called for each item and must consume it.
func (s *scanner) array(item func() error) error {
	if err := s.open('[', "an array"); err != nil {
		return err
	}
	for first := true; !s.take(']'); first = false {
		if !first && !s.take(',') {
			return s.fail("a comma or the end of the array is expected")
		}
		if err := item(); err != nil {
			return err
		}
	}
	s.depth--
	return nil
}

// skip reads any value.
func (s *scanner) skip() error {
	switch c := s.peek(); {
	case c == '{':
		return s.object(nil, func([]byte) error { return s.skip() })
	case c == '[':
		return s.array(s.skip)
	case c == '"':
		_, err := s.text()
		return err
	case c == '-' || isDigit(c):
		_, err := s.number()
		return err
	case s.word("true") || s.word("false") || s.null():
		return nil
	}
	return s.fail("a value is expected")
}
