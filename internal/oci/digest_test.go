package oci_test

import (
	"strings"
	"testing"

	godigest "github.com/opencontainers/go-digest"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

var (
	hex64  = strings.Repeat("0123456789abcdef", 4)
	hex128 = strings.Repeat("0123456789abcdef", 8)
)

func TestParseDigest(t *testing.T) {
	tests := []struct {
		in   string
		says string // part of the message; "" for a good digest
	}{
		{"sha256:" + hex64, ""},
		{"sha512:" + hex128, ""},
		{"", "malformed"},
		{":", "malformed"},
		{"sha256", "malformed"},
		{"sha256:", "malformed"},
		{"sha256:" + hex64[1:], "64 lower-case"},
		{"sha256:" + hex64 + "0", "64 lower-case"},
		{"sha256:" + hex128, "64 lower-case"},
		{"sha512:" + hex64, "128 lower-case"},
		{"sha256:" + strings.ToUpper(hex64), "64 lower-case"},
		{"sha256:" + hex64[1:] + "g", "64 lower-case"},
		{"sha256:" + hex64[1:] + "/", "malformed"},
		{"sha256:" + hex64 + "\n", "malformed"},
		{"sha256:baddigeststring", "64 lower-case"},
		{"SHA256:" + hex64, "malformed"},
		{"sha256+:" + hex64, "malformed"},
		{"sha256::" + hex64, "malformed"},
		{"sha384:" + hex64, "not supported"},
		{"blake3:" + hex64, "not supported"},
		{"multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8", "not supported"},
	}
	for _, tt := range tests {
		d, err := oci.ParseDigest(tt.in)
		if tt.says == "" {
			if err != nil || string(d) != tt.in {
				t.Errorf("ParseDigest(%q) = %q, %v", tt.in, d, err)
			}
			continue
		}
		if !fault.Is(err, fault.DigestInvalid) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("ParseDigest(%q): %v, want DigestInvalid and %q", tt.in, err, tt.says)
		}
	}
}

func TestDigestOfBytes(t *testing.T) {
	// The digests of nothing, as every tool prints them.
	empty := map[oci.Algorithm]oci.Digest{
		oci.SHA256: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		oci.SHA512: "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
	}
	for a, want := range empty {
		if got := a.FromBytes(nil); got != want {
			t.Errorf("%s of nothing is %s", a, got)
		}
		h := a.New()
		if got := a.FromSum(h.Sum(nil)); got != want {
			t.Errorf("%s of an unused hash is %s", a, got)
		}
		if want.Algorithm() != a || len(want.Hex()) != 2*h.Size() {
			t.Errorf("parts of %s: %q and %q", want, want.Algorithm(), want.Hex())
		}
	}
	if got := oci.Algorithm("").FromBytes(nil); got != empty[oci.SHA256] {
		t.Errorf("the zero algorithm gives %s", got)
	}
}

func TestParseAlgorithm(t *testing.T) {
	for s, ok := range map[string]bool{"sha256": true, "sha512": true, "": false, "sha384": false, "SHA256": false, "md5": false} {
		if _, err := oci.ParseAlgorithm(s); ok != (err == nil) || !ok && !fault.Is(err, fault.DigestInvalid) {
			t.Errorf("ParseAlgorithm(%q): %v", s, err)
		}
	}
}

func FuzzDigest(f *testing.F) {
	for _, s := range []string{"sha256:" + hex64, "sha512:" + hex128, "sha384:" + hex64, "a+b:c", "sha256:", ":", "sha256:\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := oci.ParseDigest(s)
		ref := godigest.Digest(s)
		want := ref.Validate() == nil && (ref.Algorithm() == godigest.SHA256 || ref.Algorithm() == godigest.SHA512)
		if want != (err == nil) {
			t.Fatalf("ParseDigest(%q): %v, but go-digest says %v", s, err, ref.Validate())
		}
		if err != nil {
			if !fault.Is(err, fault.DigestInvalid) {
				t.Errorf("ParseDigest(%q): %v", s, err)
			}
			return
		}
		if string(d) != s || string(d.Algorithm()) != string(ref.Algorithm()) || d.Hex() != ref.Encoded() {
			t.Errorf("ParseDigest(%q) = %s of %q and %q", s, d, d.Algorithm(), d.Hex())
		}
	})
}
