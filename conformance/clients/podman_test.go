package clients

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
)

// podman runs a podman with a storage of its own.
func (f *fixture) podman(args ...string) string {
	return f.Run("podman", f.podmanArgs(args...)...)
}

func (f *fixture) podmanArgs(args ...string) []string {
	return append([]string{"--root", f.Path("storage"), "--runroot", f.Path("run"), "--storage-driver", "vfs", "--events-backend", "none"}, args...)
}

func TestPodman(t *testing.T) {
	each(t, "podman", func(t *testing.T, f *fixture) {
		if os.Getuid() != 0 {
			berthtest.Missing(t, berthtest.Clients, "podman needs root")
		}
		conf := "[[registry]]\nlocation = \"" + f.Host + "\"\n"
		if !f.TLS() {
			conf += "insecure = true\n"
		}
		if err := os.WriteFile(f.Path("registries.conf"), []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		f.Set("CONTAINERS_REGISTRIES_CONF=" + f.Path("registries.conf"))
		f.RunInput(f.creds.Password, "podman", "login", "-u", f.creds.User, "--password-stdin", f.Host)

		docker := images.New(t.Name() + " docker")
		docker.Docker = true
		image := docker.Image(3, 10_000)
		if err := image.WriteDockerArchive(f.Path("saved.tar"), "localhost/app:v1"); err != nil {
			t.Fatal(err)
		}
		f.podman("load", "-q", "-i", f.Path("saved.tar"))
		f.podman("tag", "localhost/app:v1", f.ref("app:v1"))
		f.podman("push", "-q", "--digestfile", f.Path("digest"), f.ref("app:v1"))
		pushed, err := os.ReadFile(f.Path("digest"))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.digest(t, "app", "v1"); got.String() != string(pushed) {
			t.Errorf("podman pushed %s, the registry has %s", pushed, got)
		}
		f.podman("rmi", "-f", f.ref("app:v1"), "localhost/app:v1")
		id := f.podman("pull", "-q", f.ref("app:v1"))
		if want := image.Blobs[0].Digest.Encoded(); id != want {
			t.Errorf("podman pulled the image %s, want %s", id, want)
		}
		f.podman("pull", "-q", f.ref("app")+"@"+string(pushed))

		// A list of images for two architectures, made by podman.
		index := f.push(t, "parts", "v1", f.content.Index("amd64", "arm64"))
		f.podman("manifest", "create", "localhost/multi:v1")
		for _, child := range index.Children {
			f.podman("manifest", "add", "localhost/multi:v1", "docker://"+f.ref("parts")+"@"+child.Digest.String())
		}
		f.podman("manifest", "push", "-q", "--all", "localhost/multi:v1", "docker://"+f.ref("multi:v1"))
		for _, child := range index.Children {
			f.holds(t, "multi", child.Digest.String(), child)
		}
		var list struct{ Manifests []struct{ Digest string } }
		if err := json.Unmarshal([]byte(f.runSkopeo("inspect", "", "--raw", "docker://"+f.ref("multi:v1"))), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Manifests) != 2 {
			t.Errorf("podman pushed a list of %d", len(list.Manifests))
		}
		if id := f.podman("pull", "-q", "--arch", "arm64", f.ref("multi:v1")); id != index.Children[1].Blobs[0].Digest.Encoded() {
			t.Errorf("podman pulled %s for arm64", id)
		}
		f.Run("podman", "logout", f.Host)
		if said := f.Fails("podman", f.podmanArgs("pull", f.ref("parts:v1"))...); !strings.Contains(said, "authentication required") && !strings.Contains(said, "unauthorized") {
			t.Errorf("podman pull without login: %s", said)
		}
	})
}
