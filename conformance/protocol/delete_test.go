package protocol

import (
	"testing"

	"berth.dev/berth/conformance/internal/wire"
)

func TestDeleteTag(t *testing.T) {
	each(t, func(p *probe) {
		image := p.push(p.repo, "v1", p.Image(1, 100))
		p.want(201, "PUT", wire.Manifest(p.repo, "v2"), image.Data, "Content-Type", image.MediaType)
		p.want(202, "DELETE", wire.Manifest(p.repo, "v1"), nil)
		p.want(404, "HEAD", wire.Manifest(p.repo, "v1"), nil)
		p.refused(p.do("DELETE", wire.Manifest(p.repo, "v1"), nil), 404, "MANIFEST_UNKNOWN")
		p.serves(wire.Manifest(p.repo, "v2"), image.Blob)
		p.serves(wire.Manifest(p.repo, image.Digest.String()), image.Blob)
	})
}

func TestDeleteManifest(t *testing.T) {
	each(t, func(p *probe) {
		image := p.push(p.repo, "v1", p.Image(1, 100))
		p.want(201, "PUT", wire.Manifest(p.repo, "v2"), image.Data, "Content-Type", image.MediaType)
		p.want(202, "DELETE", wire.Manifest(p.repo, image.Digest.String()), nil)
		for _, reference := range []string{"v1", "v2", image.Digest.String()} {
			p.refused(p.do("GET", wire.Manifest(p.repo, reference), nil), 404, "MANIFEST_UNKNOWN")
		}
		if tags, _ := p.page("/v2/"+p.repo+"/tags/list", "tags"); len(tags) != 0 {
			p.Errorf("tags of a deleted manifest: %q", tags)
		}
		p.refused(p.do("DELETE", wire.Manifest(p.repo, image.Digest.String()), nil), 404, "MANIFEST_UNKNOWN")
		// It can come back by another push.
		p.push(p.repo, "v1", image)
		p.serves(wire.Manifest(p.repo, "v1"), image.Blob)
	})
}

func TestDeleteBlob(t *testing.T) {
	each(t, func(p *probe) {
		for _, size := range []int{100, 50_000} {
			b := p.pushed(p.repo, p.Blob(size))
			p.pushed(p.org+"/other", b)
			p.want(202, "DELETE", wire.Blob(p.repo, b.Digest), nil)
			p.refused(p.do("GET", wire.Blob(p.repo, b.Digest), nil), 404, "BLOB_UNKNOWN")
			p.want(404, "HEAD", wire.Blob(p.repo, b.Digest), nil)
			p.refused(p.do("DELETE", wire.Blob(p.repo, b.Digest), nil), 404, "BLOB_UNKNOWN")
			p.serves(wire.Blob(p.org+"/other", b.Digest), b)
			p.pushed(p.repo, b)
			p.serves(wire.Blob(p.repo, b.Digest), b)
		}
	})
}

// A manifest cannot be pushed on a blob that was deleted, and one that is
// there still works when the blob is pushed again.
func TestDeleteBlobInUse(t *testing.T) {
	each(t, func(p *probe) {
		image := p.push(p.repo, "v1", p.Image(2, 30_000))
		layer := image.Blobs[1]
		if resp := p.do("DELETE", wire.Blob(p.repo, layer.Digest), nil); resp.Status == 202 {
			p.want(404, "HEAD", wire.Blob(p.repo, layer.Digest), nil)
			resp := p.put(p.repo, "v2", image.MediaType, append([]byte(" "), image.Data...))
			if code := p.code(resp); code != "MANIFEST_BLOB_UNKNOWN" {
				p.Errorf("a new manifest on a deleted blob: %d %s", resp.Status, code)
			}
			p.pushed(p.repo, layer)
		}
		p.serves(wire.Blob(p.repo, layer.Digest), layer)
		p.serves(wire.Manifest(p.repo, "v1"), image.Blob)
	})
}

func TestDeleteNothing(t *testing.T) {
	each(t, func(p *probe) {
		d := p.Blob(10).Digest
		absent := p.org + "/absent"
		for _, path := range []string{wire.Blob(absent, d), wire.Manifest(absent, d.String()), wire.Manifest(absent, "v1")} {
			p.refused(p.do("DELETE", path, nil), 404, "NAME_UNKNOWN")
		}
		p.pushed(p.repo, p.Blob(10))
		if resp := p.do("DELETE", wire.Blob(p.repo, "sha256:bad"), nil); resp.Status != 400 {
			p.Errorf("a bad digest: %d", resp.Status)
		}
	})
}
