package oci_test

import (
	"regexp"
	"strings"
	"testing"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

func TestParseReference(t *testing.T) {
	tests := []struct {
		in   string
		want oci.Reference
		code fault.Code
	}{
		{in: "latest", want: oci.Reference{Tag: "latest"}},
		{in: "1.0.0_build.5", want: oci.Reference{Tag: "1.0.0_build.5"}},
		{in: "_", want: oci.Reference{Tag: "_"}},
		{in: "Z-9", want: oci.Reference{Tag: "Z-9"}},
		{in: "sha256-" + hex64 + ".sig", want: oci.Reference{Tag: "sha256-" + hex64 + ".sig"}},
		{in: strings.Repeat("t", 128), want: oci.Reference{Tag: strings.Repeat("t", 128)}},
		{in: "sha256:" + hex64, want: oci.Reference{Digest: oci.Digest("sha256:" + hex64)}},
		{in: "sha512:" + hex128, want: oci.Reference{Digest: oci.Digest("sha512:" + hex128)}},
		{in: "", code: fault.TagInvalid},
		{in: ".hidden", code: fault.TagInvalid},
		{in: "-flag", code: fault.TagInvalid},
		{in: "a+b", code: fault.TagInvalid},
		{in: "a b", code: fault.TagInvalid},
		{in: "a/b", code: fault.TagInvalid},
		{in: "a\n", code: fault.TagInvalid},
		{in: "é", code: fault.TagInvalid},
		{in: strings.Repeat("t", 129), code: fault.TagInvalid},
		{in: "a:b", code: fault.DigestInvalid},
		{in: "sha256:baddigeststring", code: fault.DigestInvalid},
	}
	for _, tt := range tests {
		got, err := oci.ParseReference(tt.in)
		if got != tt.want || fault.CodeOf(err) != tt.code {
			t.Errorf("ParseReference(%q) = %+v, %v", tt.in, got, err)
		}
		if err == nil && got.String() != tt.in {
			t.Errorf("ParseReference(%q).String() = %q", tt.in, got)
		}
	}
}

var tag = regexp.MustCompile(`\A[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\z`)

func FuzzReference(f *testing.F) {
	for _, s := range []string{"latest", "_", ".x", "-x", "sha256:" + hex64, "sha256:x", ":", "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := oci.ParseReference(s)
		_, digestErr := oci.ParseDigest(s)
		if want := tag.MatchString(s) || digestErr == nil; want != (err == nil) {
			t.Fatalf("ParseReference(%q): %v, but the grammar says %v", s, err, want)
		}
		if err == nil && (r.String() != s || (r.Tag == "") == (r.Digest == "")) {
			t.Errorf("ParseReference(%q) = %+v", s, r)
		}
	})
}
