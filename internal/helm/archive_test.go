package helm_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/helm"
)

func TestRead(t *testing.T) {
	c, err := helm.Read(bytes.NewReader(archive(t,
		entry{name: "web", kind: tar.TypeDir},
		entry{name: "web/Chart.yaml", body: good + "appVersion: 1.16\nicon: https://example.com/i.png\ndeprecated: true\nunknown: {a: 1}\n"},
		entry{name: "web/values.yaml", body: "a: 1\n"},
		entry{name: "web/README.md", body: "# Web\xff"},
		entry{name: "web/values.schema.json", body: "{}"},
		entry{name: "web/charts/sub/Chart.yaml", body: "not: read"},
		entry{name: "web/charts/sub/README.md", body: "not read"},
	)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "web" || c.Version != "1.2.3" || c.AppVersion != "1.16" || !c.Deprecated || c.Values != "a: 1\n" || c.Readme != "# Web\uFFFD" || c.Schema != "{}" || c.Files != 7 {
		t.Errorf("read %+v", c)
	}
}

// A chart of the old form names what it depends on beside its Chart.yaml.
func TestReadRequirements(t *testing.T) {
	old := "apiVersion: v1\nname: web\nversion: 1.2.3\n"
	for _, order := range [][2]string{{"Chart.yaml", "requirements.yaml"}, {"requirements.yaml", "Chart.yaml"}} {
		files := map[string]string{"Chart.yaml": old, "requirements.yaml": "dependencies:\n- name: redis\n  version: 1.x\n  repository: https://example.com\n"}
		c, err := helm.Read(bytes.NewReader(archive(t, entry{name: "web/" + order[0], body: files[order[0]]}, entry{name: "web/" + order[1], body: files[order[1]]},
			entry{name: "web/charts/sub/requirements.yaml", body: "[not: read"})))
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Dependencies) != 1 || c.Dependencies[0].Name != "redis" || c.Dependencies[0].Version != "1.x" {
			t.Errorf("it depends on %+v", c.Dependencies)
		}
	}
	for _, body := range []string{"", "other: 1\n"} {
		c, err := helm.Read(bytes.NewReader(archive(t, entry{name: "web/Chart.yaml", body: old + "dependencies: [{name: a}]\n"}, entry{name: "web/requirements.yaml", body: body})))
		if err != nil || len(c.Dependencies) != 1 {
			t.Errorf("with %q beside it: %v, %+v", body, err, c)
		}
	}
}

// What is no chart is refused by a sentence, whatever is wrong with it.
func TestReadRefuses(t *testing.T) {
	one := func(yaml string) []byte { return archive(t, entry{name: "web/Chart.yaml", body: yaml}) }
	named := func(name string) []byte {
		return archive(t, entry{name: "web/Chart.yaml", body: good}, entry{name: name, body: "x"})
	}
	cut := one(good)
	for name, c := range map[string]struct {
		archive []byte
		says    string
	}{
		"nothing":               {nil, "empty"},
		"text":                  {[]byte("hello"), "no gzip"},
		"gzip of text":          {zipped(t, []byte(strings.Repeat("hello", 300))), "damaged"},
		"gzip of nothing":       {zipped(t, nil), "no Chart.yaml"},
		"cut off":               {cut[:len(cut)-20], "damaged"},
		"no Chart.yaml":         {archive(t, entry{name: "web/values.yaml"}), "no Chart.yaml"},
		"Chart.yaml elsewhere":  {archive(t, entry{name: "web/charts/sub/Chart.yaml", body: good}), "no Chart.yaml"},
		"Chart.yaml on top":     {archive(t, entry{name: "Chart.yaml", body: good}), "beside its folder"},
		"two":                   {archive(t, entry{name: "web/Chart.yaml", body: good}, entry{name: "web/Chart.yaml", body: good}), "twice"},
		"climbing":              {named("web/../../etc/passwd"), "leave its folder"},
		"climbing like Windows": {named(`web\..\..\x`), "leave its folder"},
		"absolute":              {named("/etc/passwd"), "leave its folder"},
		"drive":                 {named("C:/x"), "leave its folder"},
		"link":                  {archive(t, entry{name: "web/Chart.yaml", body: good}, entry{name: "web/x", kind: tar.TypeSymlink, body: "/etc/passwd"}), "neither a file"},
		"empty Chart.yaml":      {one(""), "apiVersion is missing"},
		"list":                  {one("- a\n"), "cannot be read"},
		"no YAML":               {one("a: [\n"), "cannot be read"},
		"binary":                {one("\xff\xfe"), "UTF-8"},
		"no apiVersion":         {one("name: web\nversion: 1.2.3\n"), "apiVersion is missing"},
		"apiVersion":            {one("apiVersion: v9\nname: web\nversion: 1.2.3\n"), "v1 or v2"},
		"no name":               {one("apiVersion: v2\nversion: 1.2.3\n"), "name is missing"},
		"name with a path":      {one("apiVersion: v2\nname: ../x\nversion: 1.2.3\n"), "name"},
		"name in capitals":      {one("apiVersion: v2\nname: Web\nversion: 1.2.3\n"), "lower-case"},
		"name with a version":   {one("apiVersion: v2\nname: web-1.0.0-x\nversion: 1.2.3\n"), "holds a version"},
		"no version":            {one("apiVersion: v2\nname: web\n"), "version is missing"},
		"short version":         {one("apiVersion: v2\nname: web\nversion: \"1.2\"\n"), "SemVer"},
		"version with a path":   {one("apiVersion: v2\nname: web\nversion: 1.2.3/../x\n"), "SemVer"},
		"long version":          {one("apiVersion: v2\nname: web\nversion: 1.2.3-" + strings.Repeat("a", 200) + "\n"), "too long"},
		"type":                  {one(good + "type: thing\n"), "application or library"},
		"requirements":          {archive(t, entry{name: "web/Chart.yaml", body: good}, entry{name: "web/requirements.yaml", body: "dependencies: [{name: a}, {name: a}]"}), "twice"},
		"no requirements":       {archive(t, entry{name: "web/Chart.yaml", body: good}, entry{name: "web/requirements.yaml", body: "dependencies: 7"}), "requirements.yaml cannot be read"},
		"maintainer":            {one(good + "maintainers: [null]\n"), "maintainer"},
		"dependency":            {one(good + "dependencies: [{name: a}, {name: a}]\n"), "twice"},
		"dependency without":    {one(good + "dependencies: [null]\n"), "no name"},
		"alias":                 {one(good + "dependencies: [{name: a, alias: 'a b'}]\n"), "alias"},
		"wrong member":          {one(good + "keywords: 7\n"), "cannot be read"},
	} {
		_, err := helm.Read(bytes.NewReader(c.archive))
		if !fault.Is(err, fault.ManifestInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want a sentence with %q", name, err, c.says)
		}
	}
}

func zipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Bombs are given up while they are read.
func TestReadIsBounded(t *testing.T) {
	many := make([]entry, helm.MaxFiles+1)
	for i := range many {
		many[i] = entry{name: "web/x"}
	}
	zeros := strings.Repeat("\x00", helm.MaxFile-1)
	var heavy []entry
	for range helm.MaxUnpacked/helm.MaxFile + 1 {
		heavy = append(heavy, entry{name: "web/zeros", body: zeros})
	}
	tail := append(archive(t, entry{name: "web/Chart.yaml", body: good}), zipped(t, make([]byte, helm.MaxUnpacked+1))...)
	for name, b := range map[string][]byte{
		"many files":       archive(t, many...),
		"one large file":   archive(t, entry{name: "web/x", body: zeros + "xx"}),
		"much in all":      archive(t, heavy...),
		"much behind them": tail,
	} {
		if _, err := helm.Read(bytes.NewReader(b)); !fault.Is(err, fault.TooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A connection that breaks is not taken for a bad archive.
func TestReadTellsBrokenSources(t *testing.T) {
	broke := errors.New("broke")
	b := archive(t, entry{name: "web/Chart.yaml", body: good})
	if _, err := helm.Read(io.MultiReader(bytes.NewReader(b[:40]), failing{broke})); !errors.Is(err, broke) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzRead(f *testing.F) {
	f.Add(archive(f, entry{name: "web/Chart.yaml", body: good}, entry{name: "web/README.md", body: "x"}))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := helm.Read(bytes.NewReader(b))
		if err != nil {
			if code := fault.CodeOf(err); code != fault.ManifestInvalid && code != fault.TooLarge {
				t.Fatalf("%v", err)
			}
			return
		}
		whole(t, c.Metadata)
	})
}

// FuzzYAML reads Chart.yaml alone, which the fuzzer cannot see through gzip.
func FuzzYAML(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(good + "a: &a [1]\nb: *a\ndependencies: [{name: x, alias: y}]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := helm.ParseYAML(b)
		if err == nil {
			whole(t, m)
		} else if !fault.Is(err, fault.ManifestInvalid) {
			t.Fatalf("%v", err)
		}
	})
}

// whole checks what holds for all metadata that was accepted.
func whole(t *testing.T, m helm.Metadata) {
	t.Helper()
	name, version, prov, ok := helm.SplitFile(helm.FileOf(m.Name, m.Version))
	if !ok || name != m.Name || version != m.Version || prov {
		t.Fatalf("%s of %s %s is read as %s %s", helm.FileOf(m.Name, m.Version), m.Name, m.Version, name, version)
	}
	if got := helm.VersionOf(helm.TagOf(m.Version)); got != m.Version {
		t.Fatalf("%s comes back as %s", m.Version, got)
	}
	if _, err := helm.Entry(m); err != nil {
		t.Fatal(err)
	}
}
