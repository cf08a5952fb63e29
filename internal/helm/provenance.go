package helm

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/fault"
)

const (
	beginSigned    = "-----BEGIN PGP SIGNED MESSAGE-----"
	beginSignature = "-----BEGIN PGP SIGNATURE-----"
	endSignature   = "-----END PGP SIGNATURE-----"
)

// A Provenance is what a provenance file says. Whose signature it is, and
// whether it is good, only those who pull can judge: they know whom they trust.
type Provenance struct {
	Name, Version string
	Files         map[string]string // "sha256:…" by the name of the file
}

// ParseProvenance reads the clear text of a provenance file. Errors: ManifestInvalid.
func ParseProvenance(b []byte) (Provenance, error) {
	var p Provenance
	bad := func(why string) (Provenance, error) {
		return p, fault.New(fault.ManifestInvalid, "The provenance file is none that helm makes: %s.", why)
	}
	if len(b) > MaxProvenance {
		return bad("it is too large")
	}
	if !utf8.Valid(b) {
		return bad("it is not UTF-8")
	}
	text := strings.ReplaceAll(string(bytes.TrimSpace(b)), "\r\n", "\n")
	rest, ok := strings.CutPrefix(text, beginSigned+"\n")
	if !ok {
		return bad("it does not begin with a signed message")
	}
	_, rest, ok = strings.Cut(rest, "\n\n") // behind the headers, such as Hash
	if !ok {
		return bad("it has no text")
	}
	body, signature, ok := strings.Cut(rest, "\n"+beginSignature+"\n")
	if !ok || !strings.HasSuffix(signature, endSignature) {
		return bad("it has no signature")
	}
	lines := strings.Split(body, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "- ") // a line that began with a dash
	}
	chart, sums, ok := strings.Cut(strings.Join(lines, "\n"), "\n...\n")
	if !ok {
		return bad("it has no list of files")
	}
	var m struct{ Name, Version string }
	if err := yaml.Unmarshal([]byte(chart), &m); err != nil {
		return bad("its Chart.yaml cannot be read")
	}
	var f struct{ Files map[string]string }
	if err := yaml.Unmarshal([]byte(sums), &f); err != nil || len(f.Files) == 0 {
		return bad("its list of files cannot be read")
	}
	p.Name, p.Version, p.Files = m.Name, m.Version, f.Files
	return p, nil
}

// Matches tells whether the provenance is that of the archive with this digest
// ("sha256:…"). Errors: ManifestInvalid.
func (p Provenance) Matches(name, version, digest string) error {
	switch file := FileOf(name, version); {
	case p.Name != name || p.Version != version:
		return fault.New(fault.ManifestInvalid, "The provenance file is that of %s %s, not of %s %s.", short(p.Name), short(p.Version), name, version)
	case p.Files[file] == "":
		return fault.New(fault.ManifestInvalid, "The provenance file does not name %s.", file)
	case p.Files[file] != digest:
		return fault.New(fault.ManifestInvalid, "The provenance file is that of another %s: it names %s, and the archive has %s.", file, short(p.Files[file]), digest)
	}
	return nil
}
