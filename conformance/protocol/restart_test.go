package protocol

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

// What was there before a restart is there after it: images, and uploads in
// the middle of their way.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, shared := range servers {
		t.Run(shared.name, func(t *testing.T) {
			s := &server{Server: berthtest.Start(t, berthtest.Options{Postgres: shared.name == "postgres"}), name: shared.name, scheme: wire.Token}
			p := s.probe(t)
			index := p.push(p.repo, "v1", p.Index("amd64", "arm64"))
			type open struct {
				blob     images.Blob
				location string
			}
			var uploads []open
			for _, size := range []int{1000, 50_000, 3 << 20} {
				b := p.Blob(size)
				resp := p.chunk(p.start(p.repo, digest.SHA256), 0, b.Data[:size/2])
				uploads = append(uploads, open{b, p.location(resp)})
			}
			for _, end := range []func() error{s.Stop, s.Kill} {
				p.must(end())
				p.must(s.Server.Run())
				p.serves(wire.Manifest(p.repo, "v1"), index.Blob)
				for _, u := range uploads {
					p.header(p.want(204, "GET", u.location, nil), "Range", fmt.Sprintf("0-%d", len(u.blob.Data)/2-1))
				}
			}
			for _, u := range uploads {
				half := len(u.blob.Data) / 2
				location := p.location(p.chunk(u.location, half, u.blob.Data[half:]))
				p.arrived(p.do("PUT", wire.WithDigest(location, u.blob.Digest), nil), p.repo, u.blob)
			}
			p.must(s.Stop())
			p.must(s.Fsck())
		})
	}
}
