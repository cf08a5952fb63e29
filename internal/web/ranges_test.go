package web

import (
	"testing"

	"berth.dev/berth/internal/fault"
)

func TestParseRange(t *testing.T) {
	tests := []struct {
		in   string
		size int64
		want Span
		ok   bool
	}{
		{"bytes=0-0", 10, Span{0, 1}, true},
		{"bytes=2-5", 10, Span{2, 4}, true},
		{"Bytes = 2-5", 10, Span{2, 4}, true},
		{"bytes=2-", 10, Span{2, 8}, true},
		{"bytes=2-99", 10, Span{2, 8}, true},
		{"bytes=9-9", 10, Span{9, 1}, true},
		{"bytes=-3", 10, Span{7, 3}, true},
		{"bytes=-99", 10, Span{0, 10}, true},
		{"bytes=0-9223372036854775807", 10, Span{0, 10}, true},
		{"items=0-5", 10, Whole, true},
		{"bytes=0-1,3-4", 10, Whole, true},
		{"bytes", 10, Whole, true},
		{"", 10, Whole, true},
		{"bytes=10-", 10, Span{}, false},
		{"bytes=10-12", 10, Span{}, false},
		{"bytes=5-2", 10, Span{}, false},
		{"bytes=-0", 10, Span{}, false},
		{"bytes=-", 10, Span{}, false},
		{"bytes=", 10, Span{}, false},
		{"bytes=a-b", 10, Span{}, false},
		{"bytes=1-b", 10, Span{}, false},
		{"bytes=+1-2", 10, Span{}, false},
		{"bytes=--2", 10, Span{}, false},
		{"bytes=99999999999999999999-", 10, Span{}, false},
		{"bytes=0-", 0, Span{}, false},
		{"bytes=-5", 0, Span{}, false},
	}
	for _, tt := range tests {
		got, ok := ParseRange(tt.in, tt.size)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q of %d: %+v, %v", tt.in, tt.size, got, ok)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=-5", "bytes=5-", "bytes=5-2", "x=1", "bytes=1-2,3-4", "bytes=9223372036854775807-9223372036854775807"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, s string, size int64) {
		if size < 0 {
			return
		}
		p, ok := ParseRange(s, size)
		if ok && p != Whole && (p.Off < 0 || p.N <= 0 || p.N > size-p.Off) {
			t.Errorf("%q of %d: %+v", s, size, p)
		}
	})
}

func TestParseContentRange(t *testing.T) {
	tests := []struct {
		in     []string
		length int64
		off, n int64
		want   fault.Code
	}{
		{nil, 5, -1, 5, ""},
		{nil, -1, -1, -1, ""},
		{[]string{"0-4"}, 5, 0, 5, ""},
		{[]string{"10-19"}, -1, 10, 10, ""},
		{[]string{"0-0"}, 1, 0, 1, ""},
		{[]string{"0-4"}, 6, 0, 0, fault.SizeInvalid},
		{[]string{"4-0"}, 5, 0, 0, fault.UploadInvalid},
		{[]string{"bytes 0-4/5"}, 5, 0, 0, fault.UploadInvalid},
		{[]string{"0-"}, 5, 0, 0, fault.UploadInvalid},
		{[]string{"-4"}, 5, 0, 0, fault.UploadInvalid},
		{[]string{"0"}, 5, 0, 0, fault.UploadInvalid},
		{[]string{""}, 5, 0, 0, fault.UploadInvalid},
		{[]string{"0-4-5"}, 5, 0, 0, fault.UploadInvalid},
		{[]string{"0-99999999999999999999"}, 5, 0, 0, fault.UploadInvalid},
		{[]string{"0-9223372036854775807"}, -1, 0, 0, fault.UploadInvalid},
		{[]string{"0-4", "0-4"}, 5, 0, 0, fault.UploadInvalid},
	}
	for _, tt := range tests {
		off, n, err := ParseContentRange(tt.in, tt.length)
		if fault.CodeOf(err) != tt.want || off != tt.off || n != tt.n {
			t.Errorf("%q with %d bytes: %d, %d, %v", tt.in, tt.length, off, n, err)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	f.Add("0-4", int64(5))
	f.Add("0-9223372036854775807", int64(-1))
	f.Fuzz(func(t *testing.T, s string, length int64) {
		off, n, err := ParseContentRange([]string{s}, length)
		if err == nil && (off < 0 || n <= 0 || length >= 0 && n != length) {
			t.Errorf("%q with %d bytes: %d, %d", s, length, off, n)
		}
	})
}

func TestMatches(t *testing.T) {
	const d = "sha256:abc"
	for in, want := range map[string]bool{
		`"sha256:abc"`: true, `W/"sha256:abc"`: true, `sha256:abc`: true, `"x", "sha256:abc"`: true, `*`: true,
		``: false, `"sha256:abcd"`: false, `"x"`: false, `,`: false,
	} {
		if got := Matches([]string{in}, d); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
	if Matches(nil, d) {
		t.Error("no condition matches")
	}
}
