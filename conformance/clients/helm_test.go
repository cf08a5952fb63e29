package clients

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"berth.dev/berth/conformance/internal/wire"
)

func TestHelm(t *testing.T) {
	each(t, "helm", func(t *testing.T, f *fixture) {
		transport := []string{"--plain-http"}
		if f.TLS() {
			transport = []string{"--ca-file", f.CA()}
		}
		helm := func(args ...string) string { return f.Run("helm", append(args, transport...)...) }
		f.RunInput(f.creds.Password, "helm", append([]string{"registry", "login", f.Host, "--username", f.creds.User, "--password-stdin"}, transport...)...)

		f.Run("helm", "create", "web")
		for _, version := range []string{"0.1.0", "1.1.0-rc.1", "1.0.0+build.5"} {
			f.Run("helm", "package", "web", "--version", version)
		}
		// A provenance file beside a chart goes up with it, whatever it says.
		if err := os.WriteFile(f.Path("web-0.1.0.tgz.prov"), []byte("signed"), 0o600); err != nil {
			t.Fatal(err)
		}
		base := "oci://" + f.Host + "/" + f.org
		for _, version := range []string{"0.1.0", "1.1.0-rc.1", "1.0.0+build.5"} {
			chart, err := os.ReadFile(f.Path("web-" + version + ".tgz"))
			if err != nil {
				t.Fatal(err)
			}
			helm("push", "web-"+version+".tgz", base)
			m := f.manifest(t, "web", strings.ReplaceAll(version, "+", "_")) // no tag may hold a plus
			if m.Config.MediaType != "application/vnd.cncf.helm.config.v1+json" || !slices.ContainsFunc(m.Layers, func(l v1.Descriptor) bool { return l.Digest == digest.FromBytes(chart) }) {
				t.Errorf("the chart %s arrived as %+v", version, m)
			}
			if provenance := version == "0.1.0"; provenance != (len(m.Layers) == 2) {
				t.Errorf("the chart %s has %d layers", version, len(m.Layers))
			}
			f.Run("mkdir", "-p", "pulled")
			helm("pull", base+"/web", "--version", version, "-d", "pulled")
			got, err := os.ReadFile(f.Path("pulled/web-" + version + ".tgz"))
			if err != nil {
				t.Fatal(err)
			}
			if digest.FromBytes(got) != digest.FromBytes(chart) {
				t.Errorf("the chart %s came back different", version)
			}
		}

		// The highest version without a wish, the highest in a range, one from a digest.
		if got := helm("show", "chart", base+"/web"); !strings.Contains(got, "version: 1.0.0+build.5") {
			t.Errorf("helm show chart: %s", got)
		}
		if got := helm("show", "chart", base+"/web", "--version", "<1"); !strings.Contains(got, "version: 0.1.0") {
			t.Errorf("helm show chart of a range: %s", got)
		}
		if got := helm("template", base+"/web", "--version", "1.1.0-rc.1"); !strings.Contains(got, "kind: Deployment") {
			t.Errorf("helm template: %.200s", got)
		}
		f.Run("helm", "registry", "logout", f.Host)
		f.Fails("helm", append([]string{"pull", base + "/web", "--version", "0.1.0"}, transport...)...)
	})
}

// manifest reads an image manifest by its tag.
func (f *fixture) manifest(t testing.TB, name, tag string) v1.Manifest {
	t.Helper()
	resp, err := f.wire.Want(t.Context(), 200, wire.Request{Method: "GET", To: wire.Manifest(f.repo(name), tag)})
	if err != nil {
		t.Fatal(err)
	}
	var m v1.Manifest
	if err := json.Unmarshal(resp.Body, &m); err != nil {
		t.Fatal(err)
	}
	return m
}
