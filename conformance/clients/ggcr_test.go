package clients

import (
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"berth.dev/berth/conformance/internal/berthtest"
)

// always sends Basic credentials with each request, so that a library that
// knows only the token flow finds itself logged in and never asks for a token.
type always struct {
	login berthtest.Login
	base  http.RoundTripper
}

func (a always) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth(a.login.User, a.login.Password)
	return a.base.RoundTrip(r)
}

// go-containerregistry is the library in crane, cosign, ko and many others.
func TestGoContainerRegistry(t *testing.T) {
	each(t, "ggcr", func(t *testing.T, f *fixture) {
		ways := map[string][]remote.Option{
			"token": {remote.WithTransport(f.Client().Transport), remote.WithAuth(&authn.Basic{Username: f.creds.User, Password: f.creds.Password})},
			"basic": {remote.WithTransport(always{f.creds, f.Client().Transport})},
		}
		for way, options := range ways {
			t.Run(way, func(t *testing.T) { goContainerRegistry(t, f, way, options) })
		}
	})
}

func goContainerRegistry(t *testing.T, f *fixture, repo string, options []remote.Option) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	options = append(options, remote.WithContext(t.Context()))
	parse := func(s string) name.Reference {
		ref, err := name.ParseReference(f.ref(s))
		must(err)
		return ref
	}
	index := f.content.Index("amd64", "arm64")
	from, err := layout.ImageIndexFromPath(f.layout(t, index, "v1"))
	must(err)
	parts, err := from.IndexManifest()
	must(err)
	local, err := from.ImageIndex(parts.Manifests[0].Digest)
	must(err)
	must(remote.WriteIndex(parse(repo+":v1").(name.Tag), local, options...))
	f.holds(t, repo, "v1", index)

	got, err := remote.Get(parse(repo+":v1"), options...)
	must(err)
	if got.MediaType != types.OCIImageIndex || got.Digest.String() != index.Digest.String() {
		t.Errorf("got %s %s", got.MediaType, got.Digest)
	}
	image, err := remote.Image(parse(repo+":v1"), append(options, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "arm64"}))...)
	must(err)
	layers, err := image.Layers()
	must(err)
	for _, l := range layers {
		r, err := l.Uncompressed()
		must(err)
		_, err = io.Copy(io.Discard, r) // verifies digest and diff id
		must(err)
		must(r.Close())
	}
	must(remote.Write(parse(repo+"/mounted:v1"), image, options...))
	f.holds(t, repo+"/mounted", "v1", index.Children[1])

	must(remote.Tag(parse(repo+":v1").Context().Tag("v2"), got, options...))
	tags, err := remote.List(parse(repo).Context(), options...)
	must(err)
	if !slices.Equal(tags, []string{"v1", "v2"}) {
		t.Errorf("tags %q", tags)
	}
	registry, err := name.NewRegistry(f.Host)
	must(err)
	names, err := remote.Catalog(t.Context(), registry, options...)
	must(err)
	if !slices.Contains(names, f.repo(repo)) {
		t.Errorf("the catalog lacks %s: %q", f.repo(repo), names)
	}

	subject := index.Children[0].Descriptor()
	artifact := f.push(t, repo, "", f.content.Artifact("application/vnd.example.sbom", &subject, nil))
	referrers, err := remote.Referrers(parse(repo).Context().Digest(subject.Digest.String()), options...)
	must(err)
	list, err := referrers.IndexManifest()
	must(err)
	if len(list.Manifests) != 1 || list.Manifests[0].Digest.String() != artifact.Digest.String() || list.Manifests[0].ArtifactType != "application/vnd.example.sbom" {
		t.Errorf("referrers %+v", list.Manifests)
	}

	must(remote.Delete(parse(repo+":v2"), options...))
	f.gone(t, repo, "v2")
	must(remote.Delete(parse(repo+"@"+index.Digest.String()), options...))
	f.gone(t, repo, "v1")
}
