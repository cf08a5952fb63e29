package clients

import (
	"slices"
	"strings"
	"testing"
)

func TestCrane(t *testing.T) {
	each(t, "crane", func(t *testing.T, f *fixture) {
		f.RunInput(f.creds.Password, "crane", "auth", "login", f.Host, "--username", f.creds.User, "--password-stdin")

		image, index := f.content.Image(4, 20_000), f.content.Index("amd64", "arm64")
		f.Run("crane", "push", f.layout(t, image, "v1"), f.ref("app:v1"))
		f.holds(t, "app", "v1", image)
		f.Run("crane", "push", f.layout(t, index, "v1"), f.ref("multi:v1"))
		f.holds(t, "multi", "v1", index)

		if got := f.Run("crane", "digest", f.ref("app:v1")); got != image.Digest.String() {
			t.Errorf("crane digest: %s, want %s", got, image.Digest)
		}
		f.Run("crane", "validate", "--remote", f.ref("app:v1"))
		f.Run("crane", "pull", "--format", "oci", f.ref("multi:v1"), f.Path("pulled"))
		same(t, f.Path("pulled"), "", index)

		// Copies mount; the blobs of a forbidden or absent source are pushed.
		f.Run("crane", "copy", f.ref("app:v1"), f.ref("copy/of/app:v2"))
		f.holds(t, "copy/of/app", "v2", image)
		f.Run("crane", "copy", "--all-tags", f.ref("multi"), f.ref("multi-copy"))
		f.holds(t, "multi-copy", "v1", index)

		f.Run("crane", "tag", f.ref("app:v1"), "latest")
		if got := strings.Fields(f.Run("crane", "ls", f.ref("app"))); !slices.Equal(got, []string{"latest", "v1"}) {
			t.Errorf("crane ls: %q", got)
		}
		for _, want := range []string{f.repo("app"), f.repo("copy/of/app"), f.repo("multi")} {
			if got := strings.Fields(f.Run("crane", "catalog", f.Host)); !slices.Contains(got, want) {
				t.Errorf("crane catalog lacks %s: %q", want, got)
			}
		}
		if got := f.Run("crane", "blob", f.ref("app")+"@"+image.Blobs[0].Digest.String()); got != string(image.Blobs[0].Data) {
			t.Errorf("crane blob: %q", got)
		}

		f.Run("crane", "index", "filter", f.ref("multi:v1"), "--platform", "linux/arm64", "-t", f.ref("multi:arm"))
		if got := f.Run("crane", "digest", "--platform", "linux/arm64", f.ref("multi:arm")); got != index.Children[1].Digest.String() {
			t.Errorf("the filtered index has %s for arm64", got)
		}
		f.Run("crane", "index", "append", f.ref("multi:v1"), "-m", f.ref("app@"+image.Digest.String()), "-t", f.ref("multi:more"))
		f.serves(t, "/v2/"+f.repo("multi")+"/manifests/"+image.Digest.String(), image.Digest)
		f.Run("crane", "mutate", "--label", "a=b", f.ref("app:v1"), "-t", f.ref("app:labelled"))
		if d := f.digest(t, "app", "labelled"); d == "" || d == image.Digest {
			t.Errorf("the mutated image is %q", d)
		}

		f.Run("crane", "delete", f.ref("app:latest"))
		f.gone(t, "app", "latest")
		f.holds(t, "app", "v1", image)
		f.Run("crane", "delete", f.ref("app@"+image.Digest.String()))
		f.gone(t, "app", "v1")
		f.gone(t, "app", image.Digest.String())
		f.holds(t, "copy/of/app", "v2", image) // another repository's own
	})
}
