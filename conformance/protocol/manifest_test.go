package protocol

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

// put sends a manifest.
func (p *probe) put(repo, reference, mediaType string, body []byte) *wire.Response {
	p.Helper()
	return p.do("PUT", wire.Manifest(repo, reference), body, "Content-Type", mediaType)
}

// accepted checks the answer to a manifest and the manifest behind it.
func (p *probe) accepted(resp *wire.Response, b images.Blob) {
	p.Helper()
	if resp.Status != 201 {
		p.Fatalf("%s %s: %d\n%.500s", resp.Request.Method, resp.Request.To, resp.Status, resp.Body)
	}
	p.header(resp, "Docker-Content-Digest", b.Digest.String())
	p.serves(p.location(resp), b)
}

// manifest marshals any manifest.
func manifest(mediaType string, v any) images.Blob {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return images.Blob{MediaType: mediaType, Digest: digest.FromBytes(body), Data: body}
}

func TestManifestKinds(t *testing.T) {
	each(t, func(p *probe) {
		docker := images.New(p.Name() + " docker")
		docker.Docker = true
		long := images.New(p.Name() + " sha512")
		long.Algorithm = digest.SHA512
		for name, m := range map[string]*images.Manifest{
			"image":          p.Image(3, 1000),
			"no layers":      p.Image(0, 0),
			"index":          p.Index("amd64", "arm64"),
			"empty index":    p.Index(),
			"artifact":       p.Artifact("application/vnd.example", nil, map[string]string{"a": "b"}),
			"docker image":   docker.Image(2, 1000),
			"docker list":    docker.Index("amd64", "arm64"),
			"sha512 image":   long.Image(2, 1000),
			"sha512 index":   long.Index("amd64"),
			"nested indexes": p.nested(),
		} {
			p.sub(name, func(p *probe) {
				repo := p.org + "/" + strings.ReplaceAll(name, " ", "-")
				p.push(repo, "", m)
				p.serves(wire.Manifest(repo, m.Digest.String()), m.Blob)
				resp := p.put(repo, "v1", m.MediaType, m.Data)
				if resp.Status != 201 {
					p.Fatalf("by tag: %d %s", resp.Status, resp.Body)
				}
				got := p.want(200, "GET", wire.Manifest(repo, "v1"), nil)
				p.header(got, "Content-Type", m.MediaType)
				if string(got.Body) != string(m.Data) {
					p.Error("other bytes by tag")
				}
			})
		}
	})
}

// nested makes an index of an index.
func (p *probe) nested() *images.Manifest {
	inner := p.Index("amd64")
	index := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{inner.Descriptor()}}
	index.SchemaVersion = 2
	return &images.Manifest{Blob: manifest(v1.MediaTypeImageIndex, index), Children: []*images.Manifest{inner}}
}

// Fields that Berth does not know, data inside descriptors, and parameters of
// the Content-Type change nothing: the bytes stay as they came.
func TestManifestStaysAsItCame(t *testing.T) {
	each(t, func(p *probe) {
		config := p.pushed(p.repo, images.Blob{Digest: v1.DescriptorEmptyJSON.Digest, Data: v1.DescriptorEmptyJSON.Data})
		text := fmt.Sprintf("{\n  \"schemaVersion\": 2, \"x-org\": {\"n\": 1.50}, \"mediaType\": %q,\n \"config\": {\"mediaType\": \"application/vnd.oci.empty.v1+json\", \"digest\": %q, \"size\": 2, \"data\": \"e30=\", \"extra\": null},\n\t\"layers\": [],\n \"annotations\": {\"ü\": \"\\u00fc\"}}\n",
			v1.MediaTypeImageManifest, config.Digest)
		b := images.Blob{Digest: digest.FromString(text), Data: []byte(text)}
		p.accepted(p.put(p.repo, "v1", v1.MediaTypeImageManifest, b.Data), b)
		p.accepted(p.put(p.repo, "v2", v1.MediaTypeImageManifest+"; charset=utf-8", b.Data), b)
		p.header(p.want(200, "GET", wire.Manifest(p.repo, "v2"), nil), "Content-Type", v1.MediaTypeImageManifest)
	})
}

// Layers that are kept elsewhere need not be here.
func TestManifestForeignLayers(t *testing.T) {
	each(t, func(p *probe) {
		m := p.Image(1, 100)
		var parsed v1.Manifest
		p.must(json.Unmarshal(m.Data, &parsed))
		parsed.Layers = append(parsed.Layers, v1.Descriptor{
			MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Digest: p.Blob(1).Digest, Size: 12345, URLs: []string{"https://example.com/layer"},
		})
		for _, b := range m.Blobs {
			p.pushed(p.repo, b)
		}
		b := manifest(v1.MediaTypeImageManifest, parsed)
		p.accepted(p.put(p.repo, "v1", b.MediaType, b.Data), b)
	})
}

func TestManifestLargest(t *testing.T) {
	each(t, func(p *probe) {
		const most = 4 << 20
		m := p.Image(1, 100)
		for _, b := range m.Blobs {
			p.pushed(p.repo, b)
		}
		padded := func(size int) images.Blob {
			body := append([]byte{}, m.Data[:len(m.Data)-1]...)
			body = append(body, `,"annotations":{"a":"`...)
			body = append(body, strings.Repeat("A", size-len(body)-3)...)
			body = append(body, `"}}`...)
			return images.Blob{MediaType: m.MediaType, Digest: digest.FromBytes(body), Data: body}
		}
		b := padded(most)
		p.accepted(p.put(p.repo, "v1", b.MediaType, b.Data), b)
		b = padded(most + 1)
		if resp := p.put(p.repo, "v2", b.MediaType, b.Data); resp.Status != 413 {
			p.Errorf("a manifest of %d bytes: %d", len(b.Data), resp.Status)
		}
	})
}

// What a manifest names must be in its repository, and the refusal says what
// is not.
func TestManifestMissingParts(t *testing.T) {
	each(t, func(p *probe) {
		image := p.Image(2, 100)
		index := p.Index("amd64", "arm64")
		p.pushed(p.repo, image.Blobs[0])
		p.pushed(p.org+"/other", image.Blobs[1]) // elsewhere does not count
		p.pushed(p.repo, image.Blobs[2])
		for _, c := range []struct {
			m       *images.Manifest
			missing digest.Digest
		}{{image, image.Blobs[1].Digest}, {index, index.Children[0].Digest}} {
			resp := p.put(p.repo, "v1", c.m.MediaType, c.m.Data)
			if resp.Status != 404 && resp.Status != 400 {
				p.Fatalf("%d %s", resp.Status, resp.Body)
			}
			if code := p.code(resp); code != "MANIFEST_BLOB_UNKNOWN" {
				p.Errorf("code %s", code)
			}
			if !strings.Contains(string(resp.Body), c.missing.String()) {
				p.Errorf("the refusal does not name %s: %s", c.missing, resp.Body)
			}
			p.want(404, "HEAD", wire.Manifest(p.repo, "v1"), nil)
			p.want(404, "HEAD", wire.Manifest(p.repo, c.m.Digest.String()), nil)
		}
	})
}

// A manifest that two readers could understand differently is no manifest.
func TestManifestInvalid(t *testing.T) {
	each(t, func(p *probe) {
		image := p.push(p.repo, "good", p.Image(1, 100))
		text := string(image.Data)
		with := func(more string) string { return strings.TrimSuffix(text, "}") + "," + more + "}" }
		for name, c := range map[string][2]string{
			"no JSON":           {image.MediaType, "hello"},
			"empty":             {image.MediaType, ""},
			"null":              {image.MediaType, "null"},
			"list":              {image.MediaType, "[]"},
			"trailing data":     {image.MediaType, text + "{}"},
			"key twice":         {image.MediaType, with(`"layers":[]`)},
			"key in other case": {image.MediaType, with(`"Layers":[]`)},
			"layers and more":   {image.MediaType, with(`"manifests":[]`)},
			"another type":      {v1.MediaTypeImageIndex, text},
			"type of nothing":   {"application/json", text},
			"bad digest":        {image.MediaType, strings.Replace(text, image.Blobs[1].Digest.String(), "sha256:bad", 1)},
			"negative size":     {image.MediaType, strings.Replace(text, `"size":`, `"size":-`, 1)},
			"deep":              {image.MediaType, with(`"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100))},
			"bad UTF-8":         {image.MediaType, with("\"x\":\"\xff\"")},
			"bad subject":       {image.MediaType, with(`"subject":{"digest":"latest"}`)},
		} {
			p.sub(name, func(p *probe) {
				p.refused(p.put(p.repo, "bad", c[0], []byte(c[1])), 400, "MANIFEST_INVALID")
				p.want(404, "HEAD", wire.Manifest(p.repo, "bad"), nil)
			})
		}
		for _, mediaType := range []string{"application/vnd.docker.distribution.manifest.v1+json", "application/vnd.docker.distribution.manifest.v1+prettyjws"} {
			p.refused(p.put(p.repo, "old", mediaType, []byte(`{"schemaVersion":1,"name":"a/b","tag":"old","fsLayers":[]}`)), 400, "UNSUPPORTED")
		}
	})
}

func TestManifestReference(t *testing.T) {
	each(t, func(p *probe) {
		image := p.push(p.repo, "", p.Image(1, 100))
		p.refused(p.put(p.repo, p.Blob(1).Digest.String(), image.MediaType, image.Data), 400, "DIGEST_INVALID")
		p.refused(p.put(p.repo, "sha256:baddigeststring", image.MediaType, image.Data), 400, "DIGEST_INVALID")
		long := digest.SHA512.FromBytes(image.Data)
		p.accepted(p.put(p.repo, long.String(), image.MediaType, image.Data), images.Blob{Digest: long, Data: image.Data})
		for _, tag := range []string{"-a", ".a", strings.Repeat("a", 129), "a%20b", "a%2Fb", "%C3%BC", "a+b"} {
			if resp := p.put(p.repo, tag, image.MediaType, image.Data); resp.Status != 400 && resp.Status != 404 {
				p.Errorf("the tag %s: %d", tag, resp.Status)
			}
		}
		for _, tag := range []string{"a", "A", "_", "0", strings.Repeat("a", 128), "a.b-c__d..e--f"} {
			p.accepted(p.put(p.repo, tag, image.MediaType, image.Data), image.Blob)
		}
	})
}

// A tag moves; what it named stays, by digest.
func TestManifestRetag(t *testing.T) {
	each(t, func(p *probe) {
		first, second := p.push(p.repo, "v1", p.Image(1, 100)), p.push(p.repo, "v1", p.Image(1, 100))
		p.serves(wire.Manifest(p.repo, "v1"), second.Blob)
		p.serves(wire.Manifest(p.repo, first.Digest.String()), first.Blob)
	})
}

// Several tags come with one manifest.
func TestManifestSeveralTags(t *testing.T) {
	each(t, func(p *probe) {
		image := p.push(p.repo, "old", p.Image(1, 100))
		var want []string
		query := url.Values{}
		for i := range 12 {
			tag := fmt.Sprintf("1.%02d", i)
			want = append(want, tag)
			query.Add("tag", tag)
		}
		resp := p.do("PUT", wire.Manifest(p.repo, image.Digest.String())+"?"+query.Encode(), image.Data, "Content-Type", image.MediaType)
		p.accepted(resp, image.Blob)
		var said []string
		for _, line := range resp.Header.Values("Oci-Tag") {
			for tag := range strings.SplitSeq(line, ",") {
				said = append(said, strings.TrimSpace(tag))
			}
		}
		slices.Sort(said)
		if !slices.Equal(said, want) {
			p.Errorf("OCI-Tag: %q, want %q", said, want)
		}
		for _, tag := range want {
			p.serves(wire.Manifest(p.repo, tag), image.Blob)
		}
		// One bad tag, and none is made.
		resp = p.do("PUT", wire.Manifest(p.repo, image.Digest.String())+"?tag=fine&tag=-bad", image.Data, "Content-Type", image.MediaType)
		if resp.Status != 400 {
			p.Errorf("a bad tag among others: %d", resp.Status)
		}
		p.want(404, "HEAD", wire.Manifest(p.repo, "fine"), nil)
	})
}
