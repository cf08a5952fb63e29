package web

import (
	"math"
	"strconv"
	"strings"

	"berth.dev/berth/internal/fault"
)

// A Span is a range of some content in bytes; N < 0 stands for all of it.
type Span struct{ Off, N int64 }

// Whole is all of the content.
var Whole = Span{0, -1}

// ParseRange reads a Range header (RFC 9110, section 14.2) for content of this
// size. Ranges in other units and several ranges at once are answered with the
// whole; ok is false for what cannot be answered at all.
func ParseRange(s string, size int64) (p Span, ok bool) {
	unit, set, found := strings.Cut(s, "=")
	if !found || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || strings.Contains(set, ",") {
		return Whole, true
	}
	from, to, found := strings.Cut(strings.TrimSpace(set), "-")
	switch {
	case !found:
		return p, false
	case from == "": // the last so many bytes
		n, ok := number(to)
		n = min(n, size)
		return Span{size - n, n}, ok && n > 0
	}
	off, ok := number(from)
	last := size - 1
	if ok && to != "" {
		last, ok = number(to)
		last = min(last, size-1)
	}
	return Span{off, last - off + 1}, ok && off <= last
}

// IfRange reports whether a Range counts (RFC 9110, section 13.1.5): there is
// no condition, or it names the entity tag, which is given without quotes.
func IfRange(header []string, tag string) bool {
	return len(header) == 0 || header[0] == `"`+tag+`"`
}

// Matches evaluates If-None-Match (RFC 9110, section 13.1.2) for content with
// this entity tag. The tag is also taken without its quotes.
func Matches(header []string, tag string) bool {
	for _, line := range header {
		for t := range strings.SplitSeq(line, ",") {
			t = strings.Trim(strings.TrimPrefix(strings.TrimSpace(t), "W/"), `"`)
			if t == tag || t == "*" {
				return true
			}
		}
	}
	return false
}

// ParseContentRange reads the Content-Range of a chunk (distribution-spec,
// Pushing a blob in chunks): its first and last byte, which is not that of RFC
// 9110. Without one the offset is -1. length is the body's, -1 if unknown; the
// one returned is never longer than the range.
//
// Errors: fault.UploadInvalid, fault.SizeInvalid.
func ParseContentRange(header []string, length int64) (off, n int64, err error) {
	if len(header) == 0 {
		return -1, length, nil
	}
	from, to, found := strings.Cut(header[0], "-")
	off, ok := number(from)
	last, ok2 := number(to)
	if !found || !ok || !ok2 || last < off || last == math.MaxInt64 || len(header) > 1 {
		return 0, 0, fault.New(fault.UploadInvalid, "The Content-Range is malformed: it is the chunk's first and last byte, as in 0-1023.")
	}
	n = last - off + 1
	if length >= 0 && length != n {
		return 0, 0, fault.New(fault.SizeInvalid, "The Content-Range has %d bytes, the body %d.", n, length)
	}
	return off, n, nil
}

// number reads a decimal number without a sign.
func number(s string) (int64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
