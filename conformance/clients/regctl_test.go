package clients

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// regctlSetup tells regclient's commands of the registry, and logs in.
func (f *fixture) regctlSetup(t testing.TB) {
	t.Helper()
	set := []string{"registry", "set", f.Host, "--skip-check", "--tls", "disabled"}
	if f.TLS() {
		ca, err := os.ReadFile(f.CA())
		if err != nil {
			t.Fatal(err)
		}
		set = []string{"registry", "set", f.Host, "--skip-check", "--cacert", string(ca)}
	}
	f.Run("regctl", set...)
	f.RunInput(f.creds.Password, "regctl", "registry", "login", f.Host, "--user", f.creds.User, "--pass-stdin")
}

func TestRegctl(t *testing.T) {
	each(t, "regctl", func(t *testing.T, f *fixture) {
		f.regctlSetup(t)
		index := f.content.Index("amd64", "arm64")
		f.Run("regctl", "image", "copy", "ocidir://"+f.layout(t, index, "v1")+":v1", f.ref("app:v1"))
		f.holds(t, "app", "v1", index)
		if got := f.Run("regctl", "image", "digest", f.ref("app:v1")); got != index.Digest.String() {
			t.Errorf("regctl image digest: %s", got)
		}

		// Artifacts: alone, and with a subject.
		f.RunInput("a document", "regctl", "artifact", "put", "--artifact-type", "application/vnd.example.doc", f.ref("doc:v1"))
		if got := f.Run("regctl", "artifact", "get", f.ref("doc:v1")); got != "a document" {
			t.Errorf("regctl artifact get: %q", got)
		}
		f.RunInput("a bill", "regctl", "artifact", "put", "--artifact-type", "application/vnd.example.sbom", "--subject", f.ref("app:v1"), "--annotation", "a=b")
		f.RunInput("a seal", "regctl", "artifact", "put", "--artifact-type", "application/vnd.example.signature", "--subject", f.ref("app:v1"))
		list := func(args ...string) []string {
			return strings.Fields(f.Run("regctl", append([]string{"artifact", "list", "--format", `{{range .Descriptors}}{{.ArtifactType}} {{end}}`}, args...)...))
		}
		if got := list(f.ref("app:v1")); len(got) != 2 {
			t.Errorf("regctl artifact list: %q", got)
		}
		if got := list("--filter-artifact-type", "application/vnd.example.sbom", f.ref("app:v1")); !slices.Equal(got, []string{"application/vnd.example.sbom"}) {
			t.Errorf("regctl artifact list of one type: %q", got)
		}
		if got := f.Run("regctl", "artifact", "get", "--subject", f.ref("app:v1"), "--filter-artifact-type", "application/vnd.example.sbom"); got != "a bill" {
			t.Errorf("regctl artifact get of a subject: %q", got)
		}
		f.Run("regctl", "image", "copy", "--referrers", "--digest-tags", f.ref("app:v1"), f.ref("copy:v1"))
		f.holds(t, "copy", "v1", index)
		if got := list(f.ref("copy:v1")); len(got) != 2 {
			t.Errorf("the copy has %d referrers", len(got))
		}
		f.Run("regctl", "image", "copy", "--referrers", f.ref("copy:v1"), "ocidir://"+f.Path("pulled")+":v1")
		same(t, f.Path("pulled"), "v1", index)

		// Blobs: put from a stream of unknown length, get, head, delete.
		blob := string(f.content.Bytes(200_000))
		d := digest.FromString(blob).String()
		if got := f.RunInput(blob, "regctl", "blob", "put", f.ref("blobs")); got != d {
			t.Errorf("regctl blob put: %s, want %s", got, d)
		}
		f.serves(t, "/v2/"+f.repo("blobs")+"/blobs/"+d, digest.Digest(d))
		f.Run("regctl", "blob", "head", f.ref("blobs"), d)
		f.Run("regctl", "blob", "delete", f.ref("blobs"), d)
		f.Fails("regctl", "blob", "head", f.ref("blobs"), d)

		// Lists, and deletion of a tag and of a manifest.
		f.Run("regctl", "index", "add", f.ref("app:v1"), "--ref", f.ref("doc:v1"))
		f.Run("regctl", "image", "copy", f.ref("copy:v1"), f.ref("copy:v2"))
		if got := strings.Fields(f.Run("regctl", "tag", "ls", f.ref("copy"))); !slices.Equal(got, []string{"v1", "v2"}) {
			t.Errorf("regctl tag ls: %q", got)
		}
		if got := strings.Fields(f.Run("regctl", "repo", "ls", f.Host)); !slices.Contains(got, f.repo("copy")) {
			t.Errorf("regctl repo ls: %q", got)
		}
		f.Run("regctl", "tag", "delete", f.ref("copy:v2"))
		f.gone(t, "copy", "v2")
		f.holds(t, "copy", "v1", index)
		f.Run("regctl", "manifest", "delete", f.ref("copy@"+index.Digest.String()))
		f.gone(t, "copy", "v1")
	})
}

// regsync keeps a repository like another.
func TestRegsync(t *testing.T) {
	each(t, "regsync", func(t *testing.T, f *fixture) {
		index := f.push(t, "from", "v1", f.content.Index("amd64", "arm64"))
		subject := index.Descriptor()
		artifact := f.push(t, "from", "", f.content.Artifact("application/vnd.example.sbom", &subject, nil))
		f.push(t, "from", "old", f.content.Image(1, 10))
		transport := "disabled"
		if f.TLS() {
			transport = "enabled" // and SSL_CERT_FILE names the authority
		}
		config := fmt.Sprintf("version: 1\ncreds:\n  - {registry: %q, user: %q, pass: %q, tls: %s}\n", f.Host, f.creds.User, f.creds.Password, transport)
		config += "sync:\n  - {source: " + f.ref("from") + ", target: " + f.ref("to") + ", type: repository, referrers: true, tags: {allow: ['v.*']}}\n"
		if err := os.WriteFile(f.Path("regsync.yml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		f.Run("regsync", "once", "-c", f.Path("regsync.yml"))
		f.holds(t, "to", "v1", index)
		f.holds(t, "to", artifact.Digest.String(), artifact)
		f.gone(t, "to", "old")
	})
}
