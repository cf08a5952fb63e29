package protocol

import (
	"fmt"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

// The ping and the management API's version document are two addresses, and
// neither leads to the other.
func TestPing(t *testing.T) {
	each(t, func(p *probe) {
		p.header(p.want(200, "GET", "/v2/", nil), "Docker-Distribution-Api-Version", "registry/2.0")
		resp := p.as(noLogin).want(401, "GET", "/v2/", nil)
		challenge, err := wire.ParseChallenge(resp.Header.Get("Www-Authenticate"))
		p.must(err)
		if challenge.Scope != "" {
			p.Errorf("the ping's challenge asks for %q", challenge.Scope)
		}
		if got := p.as(noLogin).do("GET", "/v2", nil); got.Status >= 300 && got.Status < 400 {
			p.Errorf("GET /v2 leads elsewhere: %d %s", got.Status, got.Header.Get("Location"))
		}
	})
}

func TestPullManifest(t *testing.T) {
	each(t, func(p *probe) {
		index := p.push(p.repo, "v1", p.Index("amd64", "arm64"))
		for _, reference := range []string{"v1", index.Digest.String()} {
			path := wire.Manifest(p.repo, reference)
			p.serves(path, index.Blob)
			p.header(p.want(200, "GET", path, nil), "Content-Type", v1.MediaTypeImageIndex)
			p.header(p.want(200, "HEAD", path, nil), "Content-Type", v1.MediaTypeImageIndex)
		}
		for _, child := range index.Children {
			p.serves(wire.Manifest(p.repo, child.Digest.String()), child.Blob)
		}
		absent := p.Blob(10).Digest.String()
		p.refused(p.do("GET", wire.Manifest(p.repo, "absent"), nil), 404, "MANIFEST_UNKNOWN")
		p.refused(p.do("GET", wire.Manifest(p.repo, absent), nil), 404, "MANIFEST_UNKNOWN")
		p.want(404, "HEAD", wire.Manifest(p.repo, "absent"), nil)
		p.want(404, "HEAD", wire.Manifest(p.repo, absent), nil)
		p.refused(p.do("GET", wire.Manifest(p.org+"/absent", "v1"), nil), 404, "NAME_UNKNOWN")
		p.refused(p.do("GET", wire.Manifest("no-such-organization/app", "v1"), nil), 403, "DENIED") // or another account's, for all the caller may know
	})
}

// A manifest that the client has already need not travel again.
func TestPullUnchanged(t *testing.T) {
	each(t, func(p *probe) {
		image := p.push(p.repo, "v1", p.Image(1, 100))
		for _, path := range []string{wire.Manifest(p.repo, "v1"), wire.Blob(p.repo, image.Blobs[1].Digest)} {
			tag := p.want(200, "GET", path, nil).Header.Get("Etag")
			if tag == "" {
				p.Errorf("%s has no ETag", path)
			}
			resp := p.want(304, "GET", path, nil, "If-None-Match", tag)
			if len(resp.Body) != 0 {
				p.Errorf("%s: 304 with a body", path)
			}
			p.want(200, "GET", path, nil, "If-None-Match", `"another"`)
		}
	})
}

func TestPullBlob(t *testing.T) {
	each(t, func(p *probe) {
		for _, size := range []int{0, 1, 2048, 16 << 10, 16<<10 + 1, 3 << 20} {
			p.sub(fmt.Sprint(size), func(p *probe) {
				b := p.pushed(p.repo, p.Blob(size))
				p.serves(wire.Blob(p.repo, b.Digest), b)
			})
		}
		absent := p.Blob(10).Digest
		p.refused(p.do("GET", wire.Blob(p.repo, absent), nil), 404, "BLOB_UNKNOWN")
		p.want(404, "HEAD", wire.Blob(p.repo, absent), nil)
		p.refused(p.do("GET", wire.Blob(p.org+"/absent", absent), nil), 404, "NAME_UNKNOWN")
	})
}

// Ranges of a blob in the database and of one in storage.
func TestPullRange(t *testing.T) {
	each(t, func(p *probe) {
		for _, size := range []int{2048, 100_000} {
			p.sub(fmt.Sprint(size), func(p *probe) { ranges(p, p.pushed(p.repo, p.Blob(size))) })
		}
	})
}

func ranges(p *probe, b images.Blob) {
	path, size := wire.Blob(p.repo, b.Digest), len(b.Data)
	p.header(p.want(200, "GET", path, nil), "Accept-Ranges", "bytes")
	for spec, part := range map[string][2]int{
		"bytes=500-1499":                 {500, 1500},
		"bytes=500-":                     {500, size},
		"bytes=-500":                     {size - 500, size},
		fmt.Sprintf("bytes=-%d", size+1): {0, size},
		fmt.Sprintf("bytes=%d-%d", size-1, size*2): {size - 1, size},
		"bytes=0-0": {0, 1},
	} {
		resp := p.want(206, "GET", path, nil, "Range", spec)
		if string(resp.Body) != string(b.Data[part[0]:part[1]]) {
			p.Errorf("%s: %d other bytes", spec, len(resp.Body))
		}
		p.header(resp, "Content-Range", fmt.Sprintf("bytes %d-%d/%d", part[0], part[1]-1, size))
		p.header(resp, "Content-Length", fmt.Sprint(part[1]-part[0]))
		p.header(resp, "Docker-Content-Digest", b.Digest.String())
	}
	resp := p.want(416, "GET", path, nil, "Range", fmt.Sprintf("bytes=%d-%d", size, size+10))
	p.header(resp, "Content-Range", fmt.Sprintf("bytes */%d", size))
	for _, spec := range []string{"bytes=500-0", "bytes=-0", "bytes=a-b", "bytes=", "lines=1-2"} {
		if resp := p.do("GET", path, nil, "Range", spec); resp.Status != 416 && resp.Status != 200 {
			p.Errorf("%s: %d", spec, resp.Status)
		}
	}
}
