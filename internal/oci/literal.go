package oci

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// null consumes a null, if it is next.
func (s *scanner) null() bool { return s.word("null") }

func (s *scanner) word(w string) bool {
	end := s.pos + len(w)
	if end > len(s.data) || string(s.data[s.pos:end]) != w {
		return false
	}
	s.pos = end
	s.space()
	return true
}

// integer reads a number that is not negative and has neither fraction nor
// exponent, even where these would change nothing.
func (s *scanner) integer() (int64, error) {
	text, err := s.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || text[0] == '-' {
		return 0, s.fail("the number " + quote(string(text)) + " is not a whole number from 0 on")
	}
	return n, nil
}

// number reads a number and returns its text.
func (s *scanner) number() ([]byte, error) {
	start := s.pos
	if s.peek() == '-' {
		s.pos++
	}
	ok := true
	if s.peek() == '0' {
		s.pos++
	} else {
		ok = s.digits()
	}
	if ok && s.peek() == '.' {
		s.pos++
		ok = s.digits()
	}
	if c := s.peek(); ok && (c == 'e' || c == 'E') {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		ok = s.digits()
	}
	if !ok || isDigit(s.peek()) {
		return nil, s.fail("a number is expected")
	}
	text := s.data[start:s.pos]
	s.space()
	return text, nil
}

// digits consumes digits and reports whether there were any.
func (s *scanner) digits() bool {
	start := s.pos
	for isDigit(s.peek()) {
		s.pos++
	}
	return s.pos > start
}

// str reads a string.
func (s *scanner) str() (string, error) {
	b, err := s.text()
	return string(b), err
}

// text reads a string. What it returns is part of the scanned data unless the
// string has escapes.
func (s *scanner) text() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.fail("a string is expected")
	}
	s.pos++
	start := s.pos
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case ' ' <= c && c <= '~' && c != '"' && c != '\\': // nearly all
			s.pos++
		case c == '"':
			b := s.data[start:s.pos]
			s.pos++
			s.space()
			return b, nil
		case c == '\\':
			return s.escaped(start)
		default:
			if err := s.char(c); err != nil {
				return nil, err
			}
		}
	}
	return nil, s.fail("a string does not end")
}

// char consumes one character that stands for itself; c is its first byte.
func (s *scanner) char(c byte) error {
	switch {
	case c < ' ':
		return s.fail("a string has a control character")
	case c < utf8.RuneSelf:
		s.pos++
		return nil
	}
	r, n := utf8.DecodeRune(s.data[s.pos:])
	if r == utf8.RuneError && n == 1 {
		return s.fail("it is not valid UTF-8")
	}
	s.pos += n
	return nil
}

// escaped reads the rest of a string that started at start and has its first
// escape where the scanner stands.
func (s *scanner) escaped(start int) ([]byte, error) {
	b := append([]byte(nil), s.data[start:s.pos]...)
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case '"':
			s.pos++
			s.space()
			return b, nil
		case '\\':
			s.pos++
			r, err := s.escape()
			if err != nil {
				return nil, err
			}
			b = utf8.AppendRune(b, r)
		default:
			from := s.pos
			if err := s.char(c); err != nil {
				return nil, err
			}
			b = append(b, s.data[from:s.pos]...)
		}
	}
	return nil, s.fail("a string does not end")
}

// escape reads what follows a backslash.
func (s *scanner) escape() (rune, error) {
	c := s.peek()
	s.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return s.unicode()
	}
	s.pos--
	return 0, s.fail("a string has an unknown escape")
}

// unicode reads what follows the u of an escape: four digits, or a pair of
// such escapes for a character outside the basic plane.
func (s *scanner) unicode() (rune, error) {
	r, ok := s.hex4()
	if ok && utf16.IsSurrogate(r) {
		var low rune
		if ok = s.peek() == '\\'; ok {
			s.pos++
			ok = s.peek() == 'u'
			s.pos++
		}
		if ok {
			low, ok = s.hex4()
			r = utf16.DecodeRune(r, low)
			ok = ok && r != utf8.RuneError
		}
	}
	if !ok {
		return 0, s.fail("a string has an invalid \\u escape")
	}
	return r, nil
}

func (s *scanner) hex4() (rune, bool) {
	if s.pos+4 > len(s.data) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s.data[s.pos:s.pos+4]), 16, 16)
	if err != nil {
		return 0, false
	}
	s.pos += 4
	return rune(n), true
}
