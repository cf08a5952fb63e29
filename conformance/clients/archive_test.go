package clients

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
)

// Files that clients save go up by the management API and come down by it, and
// every client that loads files takes them.

// manager speaks the management API as the administrator.
type manager struct {
	t     testing.TB
	f     *fixture
	token string
}

func (f *fixture) manager(t testing.TB) *manager {
	t.Helper()
	m := &manager{t: t, f: f}
	admin := f.Admin()
	resp, body := m.send("POST", "/v3/auth/tokens", nil, fmt.Appendf(nil,
		`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"password":%q,"domain":{"name":"admin"}}}}}}`, admin.User, admin.Password))
	if m.token = resp.Header.Get("X-Subject-Token"); m.token == "" {
		t.Fatalf("no token: %s %s", resp.Status, body)
	}
	return m
}

func (m *manager) send(method, path string, header map[string]string, body []byte) (*http.Response, []byte) {
	m.t.Helper()
	r, err := http.NewRequestWithContext(m.t.Context(), method, m.f.URL()+path, bytes.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Auth-Token", m.token)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := m.f.Client().Do(r)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return resp, b
}

type uploaded struct {
	State  string
	Images []struct{ Repository, Tag, Digest, Path, ImageID string }
}

// upload sends a file in two parts.
func (m *manager) upload(file, options string) uploaded {
	m.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		m.t.Fatal(err)
	}
	base := "/v2/manage/namespaces/" + m.f.org + "/archives"
	resp, answer := m.send("POST", base, nil, []byte(options))
	if resp.StatusCode != 201 {
		m.t.Fatalf("start: %s %s", resp.Status, answer)
	}
	base = resp.Header.Get("Location")
	for _, off := range []int{0, len(b) / 3} {
		part := b[off:]
		if off == 0 {
			part = b[:len(b)/3]
		}
		if resp, answer := m.send("PATCH", fmt.Sprintf("%s?offset=%d", base, off), nil, part); resp.StatusCode != 200 {
			m.t.Fatalf("part: %s %s", resp.Status, answer)
		}
	}
	resp, answer = m.send("POST", base+"/finish?wait=60", nil, nil)
	if resp.StatusCode != 200 {
		m.t.Fatalf("%s: finish: %s %s", filepath.Base(file), resp.Status, answer)
	}
	var out uploaded
	if err := json.Unmarshal(bytes.ReplaceAll(answer, []byte(`"image_id"`), []byte(`"ImageID"`)), &out); err != nil {
		m.t.Fatal(err)
	}
	return out
}

// download writes an image to a file, in two ranges.
func (m *manager) download(name, tag, query string) string {
	m.t.Helper()
	path := "/v2/manage/namespaces/" + m.f.org + "/repos/" + strings.ReplaceAll(name, "/", "$") + "/tags/" + tag + "/archive" + query
	head, first := m.send("GET", path, map[string]string{"Range": "bytes=0-999"}, nil)
	if head.StatusCode != 206 {
		m.t.Fatalf("%s: %s %s", path, head.Status, first)
	}
	resp, rest := m.send("GET", path, map[string]string{"Range": "bytes=1000-", "If-Range": head.Header.Get("ETag")}, nil)
	if resp.StatusCode != 206 {
		m.t.Fatalf("%s: %s", path, resp.Status)
	}
	file := m.f.Path(strings.ReplaceAll(name, "/", "-") + "-" + tag + "-" + strings.NewReplacer("/", "-", "?", "", "=", "-").Replace(query) + ".tar")
	if err := os.WriteFile(file, append(first, rest...), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return file
}

// tarOf writes the files of a directory into a tar, compressed if so named.
func tarOf(t testing.TB, dir, file string) string {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := buf.Bytes()
	if strings.HasSuffix(file, ".gz") {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := z.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		b = packed.Bytes()
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// config is the digest of the config of an image of the registry, which is the
// image's id for docker and podman.
func (f *fixture) config(name string) string {
	var m struct{ Config struct{ Digest string } }
	if err := json.Unmarshal([]byte(f.runSkopeo("inspect", "", "--raw", "docker://"+f.ref(name))), &m); err != nil {
		return err.Error()
	}
	return m.Config.Digest
}

func (f *fixture) skopeoLogin() {
	f.RunInput(f.creds.Password, "skopeo", append(append([]string{"login"}, f.skopeo("")...), "-u", f.creds.User, "--password-stdin", f.Host)...)
}

func TestArchivesUp(t *testing.T) {
	each(t, "archives-up", func(t *testing.T, f *fixture) {
		f.skopeoLogin()
		m := f.manager(t)
		docker := images.New(t.Name() + " docker")
		docker.Docker = true
		image := docker.Image(3, 40_000)
		id := image.Blobs[0].Digest

		// As docker has written it for years.
		old := f.Path("old.tar")
		if err := image.WriteDockerArchive(old, "localhost/old:v1"); err != nil {
			t.Fatal(err)
		}
		files := map[string]string{"old": old}
		f.Run("skopeo", "--insecure-policy", "copy", "docker-archive:"+old, "docker-archive:"+f.Path("skopeo.tar")+":docker.io/library/skopeo:v1")
		files["skopeo"] = f.Path("skopeo.tar")
		f.Run("skopeo", "--insecure-policy", "copy", "docker-archive:"+old, "oci-archive:"+f.Path("skopeo-oci.tar")+":"+f.repo("skopeo-oci")+":v1")
		files["skopeo-oci"] = f.Path("skopeo-oci.tar")
		f.push(t, "pushed", "v1", image)
		f.RunInput(f.creds.Password, "crane", "auth", "login", f.Host, "--username", f.creds.User, "--password-stdin")
		f.Run("crane", "tag", f.ref("pushed:v1"), "crane")
		f.Run("crane", "copy", f.ref("pushed:v1"), f.ref("crane:v1"))
		f.Run("crane", "pull", "--format=tarball", f.ref("crane:v1"), f.Path("crane.tar"))
		f.Run("crane", "delete", f.ref("crane:v1"))
		files["crane"] = f.Path("crane.tar")
		if os.Getuid() == 0 {
			f.podman("load", "-q", "-i", old)
			for _, format := range []string{"docker-archive", "oci-archive"} {
				name := "podman-" + strings.TrimSuffix(format, "-archive")
				f.podman("tag", "localhost/old:v1", "localhost/"+name+":v1")
				f.podman("save", "-q", "--format", format, "-o", f.Path(name+".tar"), "localhost/"+name+":v1")
				files[name] = f.Path(name + ".tar")
			}
		}
		for name, file := range files {
			out := m.upload(file, "")
			if len(out.Images) != 1 || out.Images[0].Repository != name || out.Images[0].Path != f.ref(name)+":v1" {
				t.Errorf("%s became %+v", name, out)
				continue
			}
			// OCI's own config is another text, and another id, wherever it is pushed.
			want := id.String()
			if strings.HasSuffix(name, "-oci") {
				want = "sha256:" + out.Images[0].ImageID
			}
			if got := f.config(name + ":v1"); got != want || out.Images[0].ImageID != strings.TrimPrefix(want, "sha256:") {
				t.Errorf("the image of %s has the id %s, want %s: %+v", name, got, want, out)
			}
			if again := m.upload(file, ""); again.Images[0] != out.Images[0] {
				t.Errorf("%s became %+v, and then %+v", name, out, again)
			}
			// Every layer can be pulled, and is what the config says.
			f.runSkopeo("copy", "src", "docker://"+f.ref(name+":v1"), "dir:"+f.Path("dir-"+name))
			f.Run("crane", "validate", "--remote", f.ref(name+":v1"))
		}
		if os.Getuid() == 0 {
			f.podman("save", "-q", "-m", "-o", f.Path("two.tar"), "localhost/old:v1", "localhost/podman-docker:v1")
			if out := m.upload(f.Path("two.tar"), `{"repository":"renamed","rename":true}`); len(out.Images) != 1 || f.config("renamed:v1") != id.String() {
				t.Errorf("two names became %+v", out)
			}
		}

		// A layout for several platforms stays as it is.
		index := f.content.Index("amd64", "arm64", "riscv64")
		f.Run("skopeo", "--insecure-policy", "copy", "--all", "oci:"+f.layout(t, index, "v1")+":v1", "oci-archive:"+f.Path("multi.tar")+":v1")
		m.upload(f.Path("multi.tar"), `{"repository":"multi"}`)
		f.holds(t, "multi", "v1", index)
		m.upload(tarOf(t, f.layout(t, index, "v2"), f.Path("multi.tar.gz")), `{"repository":"multi-gz"}`)
		f.holds(t, "multi-gz", "v2", index)
		if err := f.Fsck(); err != nil {
			t.Error(err)
		}
	})
}

func TestArchivesDown(t *testing.T) {
	each(t, "archives-down", func(t *testing.T, f *fixture) {
		f.skopeoLogin()
		m := f.manager(t)
		docker := images.New(t.Name() + " docker")
		docker.Docker = true
		image, index := docker.Image(3, 40_000), f.content.Index("amd64", "arm64")
		f.push(t, "team/app", "v1", image)
		f.push(t, "multi", "v1", index)

		file := m.download("team/app", "v1", "")
		f.Run("skopeo", "--insecure-policy", "copy", "docker-archive:"+file, "dir:"+f.Path("from-docker"))
		f.runSkopeo("copy", "dest", "docker-archive:"+file, "docker://"+f.ref("again:v1"))
		if got := f.config("again:v1"); got != image.Blobs[0].Digest.String() {
			t.Errorf("loaded by skopeo and pushed it has the id %s", got)
		}
		f.Run("skopeo", "--insecure-policy", "copy", "--preserve-digests", "oci-archive:"+file, "dir:"+f.Path("from-layout"))
		manifest, err := os.ReadFile(f.Path("from-layout") + "/manifest.json")
		if err != nil || !bytes.Equal(manifest, image.Data) {
			t.Errorf("as a layout it has the manifest %s: %v", manifest, err)
		}
		f.RunInput(f.creds.Password, "crane", "auth", "login", f.Host, "--username", f.creds.User, "--password-stdin")
		f.Run("crane", "push", file, f.ref("by-crane:v1"))
		if got := f.config("by-crane:v1"); got != image.Blobs[0].Digest.String() {
			t.Errorf("pushed by crane it has the id %s", got)
		}
		arm := m.download("multi", "v1", "?platform=linux/arm64")
		f.runSkopeo("copy", "dest", "docker-archive:"+arm, "docker://"+f.ref("arm:v1"))
		if got := f.config("arm:v1"); got != index.Children[1].Blobs[0].Digest.String() {
			t.Errorf("the image for arm64 has the id %s", got)
		}
		whole := m.download("multi", "v1", "")
		f.Run("skopeo", "--insecure-policy", "copy", "--all", "oci-archive:"+whole, "oci:"+f.Path("multi-again")+":v1")
		same(t, f.Path("multi-again"), "v1", index)
		// And up again, byte for byte.
		m.upload(whole, `{"repository":"multi-up","rename":true}`)
		f.holds(t, "multi-up", "v1", index)

		if os.Getuid() != 0 {
			berthtest.Missing(t, berthtest.Clients, "podman needs root")
			return
		}
		for file, want := range map[string]*images.Manifest{file: image, arm: index.Children[1], whole: index.Children[0]} {
			said := f.podman("load", "-q", "-i", file)
			ids := strings.Fields(f.podman("images", "-q", "--no-trunc"))
			if got := "sha256:" + want.Blobs[0].Digest.Encoded(); !slices.Contains(ids, got) {
				t.Errorf("podman load %s: %s; it has %q, and not %s", filepath.Base(file), said, ids, got)
			}
		}
		said := cmp.Or(f.podman("images", "--format", "{{.Repository}}:{{.Tag}}"), "nothing")
		for _, name := range []string{"team/app:v1", "multi:v1"} {
			if !strings.Contains(said, f.ref(name)) {
				t.Errorf("podman does not know %s: %s", f.ref(name), said)
			}
		}
	})
}
