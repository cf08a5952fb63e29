package clients

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"berth.dev/berth/conformance/internal/wire"
)

func TestCosign(t *testing.T) {
	each(t, "cosign", func(t *testing.T, f *fixture) {
		f.RunInput(f.creds.Password, "crane", "auth", "login", f.Host, "--username", f.creds.User, "--password-stdin") // cosign reads docker's logins
		var transport []string
		if !f.TLS() {
			transport = []string{"--allow-http-registry"}
		}
		cosign := func(command string, args ...string) string {
			return f.Run("cosign", append(append([]string{command}, transport...), args...)...)
		}
		f.Set("COSIGN_PASSWORD=")
		f.Run("cosign", "generate-key-pair")
		sign := func(command string, args ...string) {
			cosign(command, append([]string{"--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false", "--yes"}, args...)...)
		}
		index := f.push(t, "app", "v1", f.content.Index("amd64", "arm64"))
		ref := f.ref("app@" + index.Digest.String())
		verify := func(command string, args ...string) string {
			return cosign(command, append([]string{"--key", "cosign.pub", "--insecure-ignore-tlog=true"}, args...)...)
		}

		// The older scheme: a tag made of the digest.
		f.Fails("cosign", append([]string{"verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true", ref}, transport...)...)
		sign("sign", "--new-bundle-format=false", ref)
		if d := f.digest(t, "app", "sha256-"+index.Digest.Encoded()+".sig"); d == "" {
			t.Error("there is no tag with the signature")
		}
		if got := verify("verify", "--new-bundle-format=false", ref); !strings.Contains(got, index.Digest.String()) {
			t.Errorf("cosign verify: %s", got)
		}

		// The newer: a referrer.
		other := f.push(t, "new", "v1", f.content.Image(2, 1000))
		ref = f.ref("new@" + other.Digest.String())
		sign("sign", "--new-bundle-format=true", ref)
		if got := f.referrers(t, "new", other.Descriptor()); len(got) != 1 || !strings.Contains(got[0].ArtifactType, "sigstore.bundle") {
			t.Errorf("the signature's referrer: %+v", got)
		}
		if got := verify("verify", "--new-bundle-format=true", ref); !strings.Contains(got, other.Digest.String()) {
			t.Errorf("cosign verify: %s", got)
		}
		if err := os.WriteFile(f.Path("predicate.json"), []byte(`{"checked":true}`), 0o600); err != nil {
			t.Fatal(err)
		}
		sign("attest", "--new-bundle-format=true", "--type", "custom", "--predicate", "predicate.json", ref)
		verify("verify-attestation", "--new-bundle-format=true", "--type", "custom", ref)
		if got := f.referrers(t, "new", other.Descriptor()); len(got) != 2 {
			t.Errorf("there are %d referrers, want 2", len(got))
		}

		// A copy takes the signatures along.
		cosign("copy", f.ref("app:v1"), f.ref("copy:v1"))
		f.holds(t, "copy", "v1", index)
		if got := verify("verify", "--new-bundle-format=false", f.ref("copy:v1")); !strings.Contains(got, index.Digest.String()) {
			t.Errorf("cosign verify of the copy: %s", got)
		}
	})
}

// referrers asks the registry what refers to a manifest.
func (f *fixture) referrers(t testing.TB, name string, subject v1.Descriptor) []v1.Descriptor {
	t.Helper()
	resp, err := f.wire.Want(t.Context(), 200, wire.Request{Method: "GET", To: "/v2/" + f.repo(name) + "/referrers/" + subject.Digest.String()})
	if err != nil {
		t.Fatal(err)
	}
	var list v1.Index
	if err := json.Unmarshal(resp.Body, &list); err != nil {
		t.Fatal(err)
	}
	return list.Manifests
}
