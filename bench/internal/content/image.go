package content

import (
	"strconv"
	"strings"
)

// Media types that the workloads push, and the Accept header of their reads.
const (
	TypeManifest = "application/vnd.oci.image.manifest.v1+json"
	TypeIndex    = "application/vnd.oci.image.index.v1+json"
	TypeConfig   = "application/vnd.oci.image.config.v1+json"
	TypeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	TypeEmpty    = "application/vnd.oci.empty.v1+json"
	Accept       = TypeManifest + ", " + TypeIndex + ", application/vnd.docker.distribution.manifest.v2+json"
)

const configSize = 1000 // a small config is about this long

// Image is one image: its blobs and the manifest that names them. The JSON is put
// together by hand: a workload makes one for every push that it times.
type Image struct {
	Config       []byte
	ConfigDigest string
	Layers       []Blob
	Manifest     []byte
	Digest       string // of the manifest
}

// NewImage makes an image with layers of the given size each; id makes all its parts distinct.
func NewImage(id string, layers int, size int64) *Image {
	im := &Image{}
	for i := range layers {
		im.Layers = append(im.Layers, NewBlob(id+"/"+strconv.Itoa(i), size))
	}
	im.Config = config(id, im.Layers)
	im.ConfigDigest = Digest(im.Config)
	im.Manifest = im.manifest(id, "")
	im.Digest = Digest(im.Manifest)
	return im
}

// Small is the image of the small pushes: one layer of 4 KiB, a config of 1 KiB.
func Small(id string) *Image { return NewImage(id, 1, 4<<10) }

// Variant is a manifest of the same blobs that differs by its id.
func (im *Image) Variant(id string) []byte { return im.manifest(id, "") }

// Referrer is a manifest of the same blobs that has subject as its subject.
func (im *Image) Referrer(id, artifactType string, subject *Image) []byte {
	return im.manifest(id, `"artifactType":"`+artifactType+`","subject":`+
		string(descriptor(nil, TypeManifest, subject.Digest, int64(len(subject.Manifest))))+`,`)
}

// Index is an image index without children, whose only difference is its id.
func Index(id string) []byte {
	return []byte(`{"schemaVersion":2,"mediaType":"` + TypeIndex + `","manifests":[],"annotations":{"org.example.id":"` + id + `"}}`)
}

func (im *Image) manifest(id, extra string) []byte {
	b := make([]byte, 0, 512+len(extra)+200*len(im.Layers))
	b = append(b, `{"schemaVersion":2,"mediaType":"`+TypeManifest+`",`...)
	b = append(b, extra...)
	b = append(b, `"config":`...)
	b = descriptor(b, TypeConfig, im.ConfigDigest, int64(len(im.Config)))
	b = append(b, `,"layers":[`...)
	for i, l := range im.Layers {
		if i > 0 {
			b = append(b, ',')
		}
		b = descriptor(b, TypeLayer, l.Digest, l.Size)
	}
	b = append(b, `],"annotations":{"org.example.id":"`...)
	b = append(b, id...)
	return append(b, `"}}`...)
}

func config(id string, layers []Blob) []byte {
	b := make([]byte, 0, configSize+100*len(layers))
	b = append(b, `{"architecture":"amd64","os":"linux","created":"2026-01-01T00:00:00Z","config":{"Env":["PATH=/usr/bin","ID=`...)
	b = append(b, id...)
	b = append(b, `"],"Cmd":["/app"]},"rootfs":{"type":"layers","diff_ids":[`...)
	for i, l := range layers {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, l.Digest...)
		b = append(b, '"')
	}
	b = append(b, `]},"author":"`...)
	b = append(b, strings.Repeat("x", max(1, configSize-len(b)))...)
	return append(b, `"}`...)
}

func descriptor(b []byte, mediaType, digest string, size int64) []byte {
	b = append(b, `{"mediaType":"`...)
	b = append(b, mediaType...)
	b = append(b, `","digest":"`...)
	b = append(b, digest...)
	b = append(b, `","size":`...)
	b = strconv.AppendInt(b, size, 10)
	return append(b, '}')
}
