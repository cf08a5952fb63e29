package helm_test

import (
	"strings"
	"testing"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/helm"
)

const sum = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

const signed = `-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

apiVersion: v2
keywords:
- - a
name: web
version: 1.2.3

...
files:
  web-1.2.3.tgz: ` + sum + `
-----BEGIN PGP SIGNATURE-----

wsBcBAEBCgAQBQJ=
=abcd
-----END PGP SIGNATURE-----`

func TestProvenance(t *testing.T) {
	for _, text := range []string{signed, signed + "\n", strings.ReplaceAll(signed, "\n", "\r\n")} {
		p, err := helm.ParseProvenance([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Matches("web", "1.2.3", sum); err != nil {
			t.Error(err)
		}
		for _, other := range [][3]string{{"api", "1.2.3", sum}, {"web", "1.2.4", sum}, {"web", "1.2.3", "sha256:00"}} {
			if err := p.Matches(other[0], other[1], other[2]); !fault.Is(err, fault.ManifestInvalid) {
				t.Errorf("it is also that of %v: %v", other, err)
			}
		}
	}
}

func TestProvenanceRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":      "",
		"text":         "signed",
		"no signature": strings.Split(signed, "-----BEGIN PGP SIGNATURE")[0],
		"no end":       strings.TrimSuffix(signed, "-----END PGP SIGNATURE-----"),
		"no files":     strings.Replace(signed, "\n...\n", "\n", 1),
		"empty files":  strings.Replace(signed, "  web-1.2.3.tgz: "+sum+"\n", "", 1),
		"bad YAML":     strings.Replace(signed, "name: web", "name: [", 1),
		"too large":    signed + strings.Repeat("\n", helm.MaxProvenance),
	} {
		if _, err := helm.ParseProvenance([]byte(text)); !fault.Is(err, fault.ManifestInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzProvenance(f *testing.F) {
	f.Add([]byte(signed))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := helm.ParseProvenance(b)
		if err != nil && !fault.Is(err, fault.ManifestInvalid) {
			t.Fatal(err)
		}
		if err == nil && len(p.Files) == 0 {
			t.Fatal("it names no file")
		}
	})
}

func TestSplitFile(t *testing.T) {
	for file, want := range map[string]string{
		"web-1.2.3.tgz":                  "web 1.2.3 false",
		"web-api-v1.2.3-rc.1+b.2.tgz":    "web-api v1.2.3-rc.1+b.2 false",
		"a-1.0.0-foo-2.0.0.tgz.prov":     "a 1.0.0-foo-2.0.0 true",
		"web-1.2.tgz":                    "",
		"web.tgz":                        "",
		"-1.2.3.tgz":                     "",
		"web-1.2.3.tar":                  "",
		"../web-1.2.3.tgz":               "",
		"web-01.2.3.tgz":                 "",
		"index.yaml":                     "",
		"web-1.2.3.tgz.prov.tgz":         "",
		"web_2-0.0.1-alpha.1.tgz":        "web_2 0.0.1-alpha.1 false",
		"Web-1.2.3.tgz":                  "",
		"web-1.2.3-.tgz":                 "",
		"web-99999999999999999999.0.tgz": "",
	} {
		name, version, prov, ok := helm.SplitFile(file)
		got := ""
		if ok {
			got = name + " " + version + " " + map[bool]string{true: "true", false: "false"}[prov]
		}
		if got != want {
			t.Errorf("%s is read as %q, want %q", file, got, want)
		}
	}
}
