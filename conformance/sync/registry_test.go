package sync

import (
	"net/http"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

// Another registry, which keeps no list of referrers, gets indexes, large
// blobs and what is attached.
func TestDistribution(t *testing.T) {
	address := distribution(t)
	from := source(t, berthtest.Options{})
	region(t, from, nil, "http://"+address, "--type", "oci", "--prefix", "mirror")
	content := images.New(t.Name())
	index := content.Index("amd64", "arm64")
	push(t, from, "acme/app", "v1", index)
	subject := index.Descriptor()
	push(t, from, "acme/app", "", content.Artifact("application/x-signature", &subject, nil))
	large := content.Image(2, 40<<20)
	push(t, from, "acme/app", "large", large)
	for _, tag := range []string{"v1", "large"} {
		command(t, from, "", "sync", "run", "acme/app:"+tag, "north/group")
	}
	there, err := wire.New("http://"+address, &http.Client{}, wire.Anonymous, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for tag, m := range map[string]*images.Manifest{"v1": index, "large": large} {
		until(t, tag+" arrives", func() bool { return manifest(t, there, "mirror/group/app", tag) == string(m.Data) })
	}
	list := decoded[v1.Index](t, manifest(t, there, "mirror/group/app", strings.Replace(string(subject.Digest), ":", "-", 1)))
	if len(list.Manifests) != 1 || list.Manifests[0].ArtifactType != "application/x-signature" {
		t.Errorf("attached are %+v", list.Manifests)
	}
	if manifest(t, there, "mirror/group/app", string(list.Manifests[0].Digest)) == "" {
		t.Error("the signature is listed and not there")
	}
}

// Berth over TLS with authorities of its own.
func TestPrivateAuthority(t *testing.T) {
	from, to := source(t, berthtest.Options{}), berthtest.Start(t, berthtest.Options{TLS: true})
	to.Org(t, "group")
	region(t, from, to, to.URL(), "--ca", to.CA())
	command(t, from, "", "region", "check", "north", "--organization", "group")
	push(t, from, "acme/app", "v1", images.New(t.Name()).Index("amd64", "arm64"))
	command(t, from, "", "sync", "run", "acme/app:v1", "north/group")
	until(t, "the image arrives", func() bool { return manifest(t, client(t, to), "group/app", "v1") != "" })
	equal(t, from, to, "acme/app", "group/app", "v1")
}
