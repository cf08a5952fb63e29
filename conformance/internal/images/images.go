// Package images makes images, indexes and artifacts out of nothing: real
// layers (gzipped tar archives) with content that depends on a seed alone, so
// that a failing test fails again.
package images

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"

	_ "crypto/sha512" // go-digest finds its algorithms by registration
	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's own media types.
const (
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerConfig   = "application/vnd.docker.container.image.v1+json"
	DockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// Blob is some bytes as a manifest names them.
type Blob struct {
	MediaType string
	Digest    digest.Digest
	Data      []byte
}

// Descriptor of the blob.
func (b Blob) Descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: int64(len(b.Data))}
}

// Manifest is an image, an index or an artifact with all that it needs.
type Manifest struct {
	Blob
	Blobs    []Blob      // config first, then layers; none of an index
	Children []*Manifest // of an index
}

// All lists m and its descendants, children before parents.
func (m *Manifest) All() []*Manifest {
	var all []*Manifest
	for _, child := range m.Children {
		all = append(all, child.All()...)
	}
	return append(all, m)
}

// Source makes content. It is not for several goroutines.
type Source struct {
	Algorithm digest.Algorithm // of all digests; sha256 if not set
	Docker    bool             // Docker's media types in place of OCI's

	rng *rand.Rand
}

// New returns a source whose content depends on the seed alone.
func New(seed string) *Source {
	h := fnv.New64a()
	h.Write([]byte(seed))
	return &Source{Algorithm: digest.SHA256, rng: rand.New(rand.NewPCG(h.Sum64(), 0))}
}

// Bytes are n bytes that do not compress.
func (s *Source) Bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.rng.Uint32())
	}
	return b
}

// Blob makes a blob of n bytes.
func (s *Source) Blob(n int) Blob { return s.blob("application/octet-stream", s.Bytes(n)) }

func (s *Source) blob(mediaType string, data []byte) Blob {
	return Blob{MediaType: mediaType, Digest: s.Algorithm.FromBytes(data), Data: data}
}

func (s *Source) marshal(mediaType string, v any) Blob {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // of types that always marshal
	}
	return s.blob(mediaType, data)
}

func (s *Source) oneOf(docker, oci string) string {
	if s.Docker {
		return docker
	}
	return oci
}

// Image makes an image for linux/amd64 with layers of about size bytes each.
func (s *Source) Image(layers, size int) *Manifest { return s.imageFor("amd64", layers, size) }

func (s *Source) imageFor(architecture string, layers, size int) *Manifest {
	config := v1.Image{
		Platform: v1.Platform{OS: "linux", Architecture: architecture},
		Config:   v1.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"/hello"}},
		RootFS:   v1.RootFS{Type: "layers"},
	}
	var made []Blob
	for i := range layers {
		tarball := s.tarball(i, size)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(tarball))
		config.History = append(config.History, v1.History{CreatedBy: fmt.Sprintf("layer %d", i)})
		made = append(made, s.blob(s.oneOf(DockerLayer, v1.MediaTypeImageLayerGzip), compress(tarball)))
	}
	blobs := append([]Blob{s.marshal(s.oneOf(DockerConfig, v1.MediaTypeImageConfig), config)}, made...)
	return s.manifest(v1.Manifest{MediaType: s.oneOf(DockerManifest, v1.MediaTypeImageManifest)}, blobs)
}

// manifest completes m with descriptors of the blobs, config first.
func (s *Source) manifest(m v1.Manifest, blobs []Blob) *Manifest {
	m.Versioned = specs.Versioned{SchemaVersion: 2}
	m.Config = blobs[0].Descriptor()
	m.Layers = []v1.Descriptor{}
	for _, b := range blobs[1:] {
		m.Layers = append(m.Layers, b.Descriptor())
	}
	return &Manifest{Blob: s.marshal(m.MediaType, m), Blobs: blobs}
}

// Index makes an index of one image for each architecture.
func (s *Source) Index(architectures ...string) *Manifest {
	index := v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: s.oneOf(DockerList, v1.MediaTypeImageIndex),
		Manifests: []v1.Descriptor{},
	}
	var children []*Manifest
	for _, a := range architectures {
		child := s.imageFor(a, 2, 3000)
		d := child.Descriptor()
		d.Platform = &v1.Platform{OS: "linux", Architecture: a}
		index.Manifests = append(index.Manifests, d)
		children = append(children, child)
	}
	return &Manifest{Blob: s.marshal(index.MediaType, index), Children: children}
}

// Artifact makes an artifact with one layer that refers to a subject; nil: to
// none.
func (s *Source) Artifact(artifactType string, subject *v1.Descriptor, annotations map[string]string) *Manifest {
	empty := v1.DescriptorEmptyJSON
	blobs := []Blob{s.blob(empty.MediaType, empty.Data), s.Blob(100)}
	return s.manifest(v1.Manifest{
		MediaType: v1.MediaTypeImageManifest, ArtifactType: artifactType, Subject: subject, Annotations: annotations,
	}, blobs)
}
