package archive

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"slices"
	"sort"
	"time"

	"berth.dev/berth/internal/oci"
)

// A Saved image is one that is to be written into an archive.
type Saved struct {
	Name     string // whole, with the registry's address and the tag
	Tag      string
	Manifest oci.Descriptor // what the tag points to
	Docker   *DockerItem    // nil: nothing that docker load could take
}

// A DockerItem is an image as docker load takes it.
type DockerItem struct {
	Config oci.Digest
	Layers []oci.Digest
}

// A Part is a piece of an archive: bytes, or the content of a digest.
type Part struct {
	Offset int64 // in the archive
	Size   int64
	Bytes  []byte
	Digest oci.Digest // "": Bytes are meant
	Skip   int64      // bytes of its content before those meant
}

// A Written archive is a tar whose bytes are not made yet.
type Written struct {
	Parts []Part
	Size  int64
	ETag  string // the same for the same bytes, without quotes
}

// Write lays out an archive that is an OCI image layout and one of docker save
// at the same time, as docker writes it today. contents are all blobs and
// manifests, with their sizes; each is written once. The order of contents does
// not matter: the same images give the same bytes.
func Write(images []Saved, contents []oci.Descriptor) (*Written, error) {
	index, err := indexOf(images)
	if err != nil {
		return nil, err
	}
	docker, err := dockerOf(images)
	if err != nil {
		return nil, err
	}
	contents = slices.Clone(contents)
	slices.SortFunc(contents, func(a, b oci.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	contents = slices.CompactFunc(contents, func(a, b oci.Descriptor) bool { return a.Digest == b.Digest })

	w := &writer{tag: sha256.New()}
	w.text("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	w.text(layoutIndex, index)
	if docker != nil {
		w.text(dockerManifest, docker)
	}
	w.header("blobs/", 0)
	folder := oci.Algorithm("")
	for _, c := range contents {
		if a := c.Digest.Algorithm(); a != folder {
			folder = a
			w.header("blobs/"+string(a)+"/", 0)
		}
		w.header(blobPath(c.Digest), c.Size)
		w.content(c.Digest, c.Size)
	}
	w.bytes(make([]byte, 2*block))
	return &Written{Parts: w.parts, Size: w.at, ETag: hex.EncodeToString(w.tag.Sum(nil))}, w.err
}

// indexOf is the text of index.json.
func indexOf(images []Saved) ([]byte, error) {
	entries := make([]oci.Descriptor, len(images))
	for i, s := range images {
		entries[i] = s.Manifest
		entries[i].Annotations = map[string]string{annotationName: s.Name, annotationRef: s.Tag}
	}
	return json.Marshal(struct {
		Version   int              `json:"schemaVersion"`
		MediaType string           `json:"mediaType"`
		Manifests []oci.Descriptor `json:"manifests"`
	}{2, oci.MediaIndex, entries})
}

// dockerOf is the text of manifest.json; nil where docker load can take none of
// the images. One image with several names stands there once.
func dockerOf(images []Saved) ([]byte, error) {
	type item struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	var items []item
	at := map[oci.Digest]int{}
	for _, s := range images {
		if s.Docker == nil {
			continue
		}
		if i, ok := at[s.Manifest.Digest]; ok {
			items[i].RepoTags = append(items[i].RepoTags, s.Name)
			continue
		}
		at[s.Manifest.Digest] = len(items)
		it := item{Config: blobPath(s.Docker.Config), RepoTags: []string{s.Name}, Layers: []string{}}
		for _, l := range s.Docker.Layers {
			it.Layers = append(it.Layers, blobPath(l))
		}
		items = append(items, it)
	}
	if items == nil {
		return nil, nil
	}
	return json.Marshal(items)
}

const block = 512

type writer struct {
	parts []Part
	at    int64
	tag   hash.Hash // over all bytes that are not of a digest
	err   error
}

// bytes adds bytes to the last part, or a part.
func (w *writer) bytes(b []byte) {
	n := len(w.parts)
	if n == 0 || w.parts[n-1].Digest != "" {
		w.parts = append(w.parts, Part{Offset: w.at})
		n++
	}
	p := &w.parts[n-1]
	p.Bytes = append(p.Bytes, b...)
	p.Size = int64(len(p.Bytes))
	w.at += int64(len(b))
	_, _ = w.tag.Write(b)
}

func (w *writer) header(name string, size int64) {
	h := &tar.Header{Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
	if name[len(name)-1] == '/' {
		h.Typeflag, h.Mode = tar.TypeDir, 0o755
	}
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(h); err != nil {
		w.err = cmp.Or(w.err, err)
	}
	w.bytes(buf.Bytes())
}

func (w *writer) text(name string, b []byte) {
	w.header(name, int64(len(b)))
	w.bytes(b)
	w.pad(int64(len(b)))
}

func (w *writer) content(d oci.Digest, size int64) {
	if size > 0 {
		w.parts = append(w.parts, Part{Offset: w.at, Size: size, Digest: d})
		w.at += size
	}
	w.pad(size)
}

func (w *writer) pad(size int64) {
	if n := size % block; n > 0 {
		w.bytes(make([]byte, block-n))
	}
}

// Range returns the parts that hold n bytes from off on, cut to these.
func (w *Written) Range(off, n int64) []Part {
	end := off + n
	first := sort.Search(len(w.Parts), func(i int) bool { return w.Parts[i].Offset+w.Parts[i].Size > off })
	var cut []Part
	for _, p := range w.Parts[first:] {
		if p.Offset >= end {
			break
		}
		from, to := max(off-p.Offset, 0), min(end-p.Offset, p.Size)
		c := Part{Offset: p.Offset + from, Size: to - from, Digest: p.Digest, Skip: from}
		if p.Digest == "" {
			c.Bytes, c.Skip = p.Bytes[from:to], 0
		}
		cut = append(cut, c)
	}
	return cut
}
