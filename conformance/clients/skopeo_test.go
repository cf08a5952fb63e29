package clients

import (
	"encoding/json"
	"slices"
	"testing"

	"berth.dev/berth/conformance/internal/images"
)

// skopeo are the flags that reach the registry on the given side of a copy
// (src or dest), or in a command without sides.
func (f *fixture) skopeo(side string) []string {
	prefix := "--"
	if side != "" {
		prefix = "--" + side + "-"
	}
	if f.TLS() {
		return []string{prefix + "cert-dir", f.CertDir()}
	}
	return []string{prefix + "tls-verify=false"}
}

func (f *fixture) runSkopeo(command string, side string, args ...string) string {
	return f.Run("skopeo", append(append([]string{"--insecure-policy", command}, f.skopeo(side)...), args...)...)
}

func TestSkopeo(t *testing.T) {
	each(t, "skopeo", func(t *testing.T, f *fixture) {
		f.RunInput(f.creds.Password, "skopeo", append(append([]string{"login"}, f.skopeo("")...), "-u", f.creds.User, "--password-stdin", f.Host)...)
		remote := func(ref string) string { return "docker://" + f.ref(ref) }

		index := f.content.Index("amd64", "arm64", "riscv64")
		f.runSkopeo("copy", "dest", "--all", "oci:"+f.layout(t, index, "v1")+":v1", remote("multi:v1"))
		f.holds(t, "multi", "v1", index)
		f.runSkopeo("copy", "src", "--all", remote("multi:v1"), "oci:"+f.Path("pulled")+":v1")
		same(t, f.Path("pulled"), "v1", index)

		docker := images.New(t.Name() + " docker")
		docker.Docker = true
		image := docker.Image(3, 40_000)
		f.push(t, "docker", "v1", image)
		f.Run("skopeo", append(append([]string{"--insecure-policy", "copy", "--preserve-digests"}, append(f.skopeo("src"), f.skopeo("dest")...)...), remote("docker:v1"), remote("docker-copy:v1"))...)
		f.holds(t, "docker-copy", "v1", image)

		archive := f.Path("saved.tar")
		if err := image.WriteDockerArchive(archive, "app:v1"); err != nil {
			t.Fatal(err)
		}
		f.runSkopeo("copy", "dest", "docker-archive:"+archive, remote("archive:v1"))
		var saved struct {
			Config struct{ Digest string }
			Layers []any
		}
		if err := json.Unmarshal([]byte(f.runSkopeo("inspect", "", "--raw", remote("archive:v1"))), &saved); err != nil {
			t.Fatal(err)
		}
		if saved.Config.Digest != image.Blobs[0].Digest.String() || len(saved.Layers) != 3 {
			t.Errorf("the saved image arrived as %+v", saved)
		}

		var seen struct {
			Digest   string
			RepoTags []string
			Layers   []string
		}
		if err := json.Unmarshal([]byte(f.runSkopeo("inspect", "", remote("docker:v1"))), &seen); err != nil {
			t.Fatal(err)
		}
		if seen.Digest != image.Digest.String() || !slices.Equal(seen.RepoTags, []string{"v1"}) || len(seen.Layers) != 3 {
			t.Errorf("skopeo inspect: %+v", seen)
		}
		var tags struct{ Tags []string }
		if err := json.Unmarshal([]byte(f.runSkopeo("list-tags", "", remote("multi"))), &tags); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(tags.Tags, []string{"v1"}) {
			t.Errorf("skopeo list-tags: %q", tags.Tags)
		}

		f.runSkopeo("delete", "", remote("docker:v1"))
		f.gone(t, "docker", "v1")
		f.holds(t, "docker-copy", "v1", image)
	})
}
