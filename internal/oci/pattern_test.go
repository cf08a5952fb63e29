package oci_test

import (
	"strings"
	"testing"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

func TestParsePattern(t *testing.T) {
	good := map[string]map[string]bool{ // pattern -> tag -> found
		"^123$":          {"123": true, "1234": false, "0123": false},
		"123":            {"0123-x": true, "12": false},
		`^v\d+\.\d+$`:    {"v1.20": true, "v1": false},
		"[0-9a-f]{7,40}": {"abcdef0": true, "abcdef": false},
		".*":             {"": true, "latest": true},
	}
	for pattern, tags := range good {
		re, err := oci.ParsePattern(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		for tag, want := range tags {
			if got := re.MatchString(tag); got != want {
				t.Errorf("%s finds %q: %v", pattern, tag, got)
			}
		}
	}
	for name, pattern := range map[string]string{
		"empty":          "",
		"unclosed":       "(",
		"look-ahead":     "(?!x)y",
		"back reference": `(a)\1`,
		"bad UTF-8":      "a\xff",
		"too long":       strings.Repeat("a", oci.MaxPattern+1),
		"repeats much":   strings.Repeat(`\pL{1000}`, 20),
		"NUL":            "a\x00",
		"nested":         "((a{20}){20}){20}",
	} {
		if _, err := oci.ParsePattern(pattern); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is accepted compares any tag in bounded time, and what is refused is a
// fault of the client.
func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"^v[0-9]+$", "(a|b)*", `\bx{2,}`, "((a{10}){10}){10}", "[^]]", "\xff"} {
		f.Add(s, "v1.2.3")
	}
	f.Fuzz(func(t *testing.T, pattern, tag string) {
		re, err := oci.ParsePattern(pattern)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v", pattern, err)
			}
			return
		}
		re.MatchString(tag[:min(len(tag), oci.MaxTag)])
	})
}
