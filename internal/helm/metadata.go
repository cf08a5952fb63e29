package helm

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// Metadata is the content of a Chart.yaml. What helm does not know is dropped,
// as helm does when it pushes.
type Metadata struct {
	Name         string            `json:"name,omitempty"`
	Home         string            `json:"home,omitempty"`
	Sources      []string          `json:"sources,omitempty"`
	Version      string            `json:"version,omitempty"`
	Description  string            `json:"description,omitempty"`
	Keywords     []string          `json:"keywords,omitempty"`
	Maintainers  []*Maintainer     `json:"maintainers,omitempty"`
	Icon         string            `json:"icon,omitempty"`
	APIVersion   string            `json:"apiVersion,omitempty"`
	Condition    string            `json:"condition,omitempty"`
	Tags         string            `json:"tags,omitempty"`
	AppVersion   string            `json:"appVersion,omitempty"`
	Deprecated   bool              `json:"deprecated,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	KubeVersion  string            `json:"kubeVersion,omitempty"`
	Dependencies []*Dependency     `json:"dependencies,omitempty"`
	Type         string            `json:"type,omitempty"`
}

// Maintainer of a chart.
type Maintainer struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	URL   string `json:"url,omitempty"`
}

// Dependency of a chart on another.
type Dependency struct {
	Name         string   `json:"name"`
	Version      string   `json:"version,omitempty"`
	Repository   string   `json:"repository"`
	Condition    string   `json:"condition,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	Enabled      bool     `json:"enabled,omitempty"`
	ImportValues []any    `json:"import-values,omitempty"`
	Alias        string   `json:"alias,omitempty"`
}

// ParseYAML reads a Chart.yaml. Errors: ManifestInvalid.
func ParseYAML(b []byte) (Metadata, error) {
	var m Metadata
	if len(b) > MaxMetadata {
		return m, fault.New(fault.ManifestInvalid, "Chart.yaml is larger than %d bytes.", MaxMetadata)
	}
	if !utf8.Valid(b) {
		return m, fault.New(fault.ManifestInvalid, "Chart.yaml is not UTF-8.")
	}
	if err := yaml.Unmarshal(b, &m); err != nil {
		return m, fault.Wrap(fault.ManifestInvalid, err, "Chart.yaml cannot be read: %s.", problem(err))
	}
	return m, m.check()
}

// require takes the dependencies of a requirements.yaml over, as helm does
// when it loads a chart. Errors: ManifestInvalid.
func (m *Metadata) require(b []byte) error {
	var r struct {
		Dependencies []*Dependency `json:"dependencies"`
	}
	if len(b) > MaxMetadata {
		return fault.New(fault.ManifestInvalid, "requirements.yaml is larger than %d bytes.", MaxMetadata)
	}
	if err := yaml.Unmarshal(b, &r); err != nil {
		return fault.Wrap(fault.ManifestInvalid, err, "requirements.yaml cannot be read: %s.", problem(err))
	}
	if r.Dependencies == nil {
		return nil
	}
	m.Dependencies = r.Dependencies
	return m.check()
}

// ParseJSON reads the config of a chart's manifest. Errors: ManifestInvalid.
func ParseJSON(b []byte) (Metadata, error) {
	var m Metadata
	if len(b) > MaxMetadata {
		return m, fault.New(fault.ManifestInvalid, "The chart's config is larger than %d bytes.", MaxMetadata)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fault.Wrap(fault.ManifestInvalid, err, "The chart's config is not the Chart.yaml as JSON: %s.", problem(err))
	}
	return m, m.check()
}

// problem is the text of a parser's error, bounded and on one line.
func problem(err error) string {
	const most = 200
	s := clean(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "), "error unmarshaling JSON: "))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

var alias = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// check refuses what helm would, and names that cannot be a repository's.
func (m *Metadata) check() error {
	m.clean()
	switch m.APIVersion {
	case "v1", "v2":
	case "":
		return invalid("apiVersion is missing in Chart.yaml")
	default:
		return invalid("apiVersion in Chart.yaml is v1 or v2, not " + short(m.APIVersion))
	}
	if m.Name == "" {
		return invalid("name is missing in Chart.yaml")
	}
	if err := CheckName(m.Name); err != nil {
		return err
	}
	if m.Version == "" {
		return invalid("version is missing in Chart.yaml")
	}
	if _, err := ParseVersion(m.Version); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "application", "library"}, m.Type) {
		return invalid("type in Chart.yaml is application or library, not " + short(m.Type))
	}
	names := map[string]bool{}
	for _, d := range m.Dependencies {
		if d == nil || d.Name == "" {
			return invalid("a dependency in Chart.yaml has no name")
		}
		if d.Alias != "" && !alias.MatchString(d.Alias) {
			return invalid("the alias " + short(d.Alias) + " in Chart.yaml has other characters than letters, digits, - and _")
		}
		key := d.Name
		if d.Alias != "" {
			key = d.Alias
		}
		if names[key] {
			return invalid("the dependency " + short(key) + " is in Chart.yaml twice")
		}
		names[key] = true
	}
	if slices.Contains(m.Maintainers, nil) {
		return invalid("a maintainer in Chart.yaml is empty")
	}
	return nil
}

func invalid(what string) error { return fault.New(fault.ManifestInvalid, "%s.", upper(what)) }

// upper begins a sentence, unless it begins with a member's name.
func upper(s string) string {
	if strings.HasPrefix(s, "a ") || strings.HasPrefix(s, "the ") {
		return strings.ToUpper(s[:1]) + s[1:]
	}
	return s
}

func short(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return `"` + s + `"`
}

// clean takes what cannot be shown out of texts, as helm does.
func (m *Metadata) clean() {
	for _, s := range []*string{&m.Name, &m.Home, &m.Version, &m.Description, &m.Icon, &m.APIVersion, &m.Condition, &m.Tags, &m.AppVersion, &m.KubeVersion, &m.Type} {
		*s = clean(*s)
	}
	for _, list := range [][]string{m.Sources, m.Keywords} {
		for i := range list {
			list[i] = clean(list[i])
		}
	}
	for _, p := range m.Maintainers {
		if p != nil {
			p.Name, p.Email, p.URL = clean(p.Name), clean(p.Email), clean(p.URL)
		}
	}
}

func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, s)
}

// versionInName is what would make the name of a file ambiguous.
var versionInName = regexp.MustCompile(`-v?[0-9]+\.[0-9]+\.[0-9]+`)

// CheckName tells whether a chart of this name can be stored: it is the name of
// a repository too. Errors: ManifestInvalid.
func CheckName(name string) error {
	if _, err := oci.ParseRepository(name); err != nil || strings.Contains(name, "/") {
		return invalid("the chart's name " + short(name) + " is invalid: it has lower-case letters and digits, which may be parted by single dots, hyphens, or one or two underscores")
	}
	if versionInName.MatchString(name) {
		return invalid("the chart's name " + short(name) + " is invalid: it holds a version, so that its files could be those of another chart")
	}
	return nil
}

// ParseVersion reads a SemVer 2 version, with or without a v before it.
// Errors: ManifestInvalid.
func ParseVersion(s string) (*semver.Version, error) {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(s, "v"))
	if err != nil {
		return nil, fault.Wrap(fault.ManifestInvalid, err, "The version %s is not of the form 1.2.3, 1.2.3-rc.1 or 1.2.3+build (SemVer 2).", short(s))
	}
	if _, err := oci.ParseTag(TagOf(s)); err != nil {
		return nil, fault.Wrap(fault.ManifestInvalid, err, "The version %s is too long.", short(s))
	}
	return v, nil
}

// TagOf is the tag that a version has: none may hold a plus.
func TagOf(version string) string { return strings.ReplaceAll(version, "+", "_") }

// VersionOf is the version that a tag stands for: no version holds a low line.
func VersionOf(tag string) string { return strings.ReplaceAll(tag, "_", "+") }
