package clients

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// oras-go is the library in oras, helm and notation.
func TestOras(t *testing.T) {
	each(t, "oras", func(t *testing.T, f *fixture) {
		token := &auth.Client{Client: f.Client(), Cache: auth.NewCache(), Credential: auth.StaticCredential(f.Host, auth.Credential{Username: f.creds.User, Password: f.creds.Password})}
		refresh := &auth.Client{Client: f.Client(), Cache: auth.NewCache(), Credential: token.Credential, ForceAttemptOAuth2: true}
		basic := &auth.Client{Client: f.Client(), Header: http.Header{
			"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(f.creds.User+":"+f.creds.Password))},
		}}
		for way, client := range map[string]*auth.Client{"token": token, "oauth2": refresh, "basic": basic} {
			t.Run(way, func(t *testing.T) { orasGo(t, f, way, client) })
		}
	})
}

func (f *fixture) orasRepo(t testing.TB, name string, client *auth.Client) *remote.Repository {
	t.Helper()
	r, err := remote.NewRepository(f.ref(name))
	if err != nil {
		t.Fatal(err)
	}
	r.Client, r.PlainHTTP = client, !f.TLS()
	r.SetReferrersCapability(true) // fail rather than fall back to a tag
	r.ReferrerListPageSize = 2
	return r
}

func orasGo(t *testing.T, f *fixture, name string, client *auth.Client) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	repo := f.orasRepo(t, name, client)
	local := memory.New()

	// Push an artifact and attach three more to it.
	file, err := oras.PushBytes(ctx, local, "text/plain", []byte("hello "+name))
	must(err)
	pack := func(artifactType string, subject *v1.Descriptor) v1.Descriptor {
		d, err := oras.PackManifest(ctx, local, oras.PackManifestVersion1_1, artifactType, oras.PackManifestOptions{
			Subject: subject, Layers: []v1.Descriptor{file}, ManifestAnnotations: map[string]string{v1.AnnotationCreated: "2020-01-01T00:00:00Z", "type": artifactType},
		})
		must(err)
		return d
	}
	base := pack("application/vnd.example.base", nil)
	must(local.Tag(ctx, base, "v1"))
	pushed, err := oras.Copy(ctx, local, "v1", repo, "v1", oras.DefaultCopyOptions)
	must(err)
	if got := f.digest(t, name, "v1"); got != base.Digest || pushed.Digest != base.Digest {
		t.Fatalf("pushed %s, the registry has %s, want %s", pushed.Digest, got, base.Digest)
	}
	attached := []v1.Descriptor{pack("application/vnd.example.sbom", &base), pack("application/vnd.example.signature", &base), pack("application/vnd.example.scan", &base)}
	for _, d := range attached {
		must(oras.CopyGraph(ctx, local, repo, d, oras.DefaultCopyGraphOptions))
	}

	// Discover them, all (over two pages) and by type.
	discover := func(from *remote.Repository, artifactType string) []v1.Descriptor {
		var found []v1.Descriptor
		must(from.Referrers(ctx, base, artifactType, func(page []v1.Descriptor) error {
			found = append(found, page...)
			return nil
		}))
		return found
	}
	if found := discover(repo, ""); !sameDigests(found, attached) {
		t.Errorf("referrers %v, want %v", found, attached)
	}
	found := discover(repo, "application/vnd.example.sbom")
	if !sameDigests(found, attached[:1]) {
		t.Fatalf("referrers of one type: %v", found)
	}
	if found[0].ArtifactType != "application/vnd.example.sbom" || found[0].Annotations["type"] != "application/vnd.example.sbom" {
		t.Errorf("the referrer is described as %+v", found[0])
	}

	// Copy the whole graph to another repository.
	other := f.orasRepo(t, name+"/copy", client)
	_, err = oras.ExtendedCopy(ctx, repo, "v1", other, "v2", oras.DefaultExtendedCopyOptions)
	must(err)
	if found := discover(other, ""); !sameDigests(found, attached) {
		t.Errorf("referrers after the copy: %v", found)
	}
	back := memory.New()
	_, err = oras.Copy(ctx, other, "v2", back, "v2", oras.DefaultCopyOptions)
	must(err)
	r, err := back.Fetch(ctx, file)
	must(err)
	text, err := content.ReadAll(r, file)
	must(err)
	if string(text) != "hello "+name {
		t.Errorf("pulled %q", text)
	}

	// A part of a blob.
	blob, err := repo.Blobs().Fetch(ctx, file)
	must(err)
	defer blob.Close()
	seeker, ok := blob.(io.ReadSeeker)
	if !ok {
		t.Fatal("the registry does not say that it serves ranges")
	}
	_, err = seeker.Seek(2, io.SeekStart)
	must(err)
	var rest bytes.Buffer
	_, err = rest.ReadFrom(seeker)
	must(err)
	if rest.String() != string(text[2:]) {
		t.Errorf("from the third byte on: %q", rest.String())
	}

	// Tags, and deletion of what nothing needs any more.
	must(repo.Tag(ctx, base, "v0"))
	var tags []string
	must(repo.Tags(ctx, "", func(page []string) error { tags = append(tags, page...); return nil }))
	if !slices.Equal(tags, []string{"v0", "v1"}) {
		t.Errorf("tags %q", tags)
	}
	must(repo.Delete(ctx, attached[2]))
	if found := discover(repo, ""); !sameDigests(found, attached[:2]) {
		t.Errorf("referrers after a deletion: %v", found)
	}
	must(repo.Delete(ctx, base))
	f.gone(t, name, "v1")
	f.gone(t, name, "v0")
	loose, err := oras.PushBytes(ctx, repo, "text/plain", []byte("nothing refers to this"))
	must(err)
	must(repo.Blobs().Delete(ctx, loose))
	if exists, err := repo.Blobs().Exists(ctx, loose); exists || err != nil {
		t.Errorf("the deleted blob exists: %v %v", exists, err)
	}
}

func sameDigests(a, b []v1.Descriptor) bool {
	digests := func(list []v1.Descriptor) []string {
		var out []string
		for _, d := range list {
			out = append(out, d.Digest.String())
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(digests(a), digests(b))
}
