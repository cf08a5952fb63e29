package archive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"berth.dev/berth/internal/archive"
	"berth.dev/berth/internal/oci"
)

// render makes n bytes of an archive from off on.
func render(w *archive.Written, content map[oci.Digest][]byte, off, n int64) []byte {
	var out []byte
	for _, p := range w.Range(off, n) {
		if p.Digest != "" {
			p.Bytes = content[p.Digest][p.Skip : p.Skip+p.Size]
		}
		out = append(out, p.Bytes...)
	}
	return out
}

func TestWrite(t *testing.T) {
	t.Parallel()
	layer := gzipped(layerOf("one"))
	m, files := imageOf(layerType+"+gzip", layer)
	content := map[oci.Digest][]byte{}
	var all []oci.Descriptor
	for _, f := range files {
		d := digestOf(f.content)
		content[d] = f.content
		all = append(all, oci.Descriptor{Digest: d, Size: int64(len(f.content))}, oci.Descriptor{Digest: d, Size: int64(len(f.content))})
	}
	empty := digestOf(nil)
	content[empty] = nil
	long := oci.SHA512.FromBytes([]byte("long"))
	content[long] = []byte("long")
	all = append(all, oci.Descriptor{Digest: empty}, oci.Descriptor{Digest: long, Size: 4})
	images := []archive.Saved{
		{Name: "example.com/acme/app:v1", Tag: "v1", Manifest: oci.Descriptor{MediaType: imageType, Digest: digestOf(m), Size: int64(len(m))},
			Docker: &archive.DockerItem{Config: digestOf(files[0].content), Layers: []oci.Digest{digestOf(layer)}}},
		{Name: "example.com/acme/app:v2", Tag: "v2", Manifest: oci.Descriptor{MediaType: imageType, Digest: digestOf(m), Size: int64(len(m))},
			Docker: &archive.DockerItem{Config: digestOf(files[0].content), Layers: []oci.Digest{digestOf(layer)}}},
	}
	w, err := archive.Write(images, all)
	if err != nil {
		t.Fatal(err)
	}
	whole := render(w, content, 0, w.Size)
	if int64(len(whole)) != w.Size {
		t.Fatalf("%d bytes, and %d were announced", len(whole), w.Size)
	}
	slices.Reverse(all)
	again, err := archive.Write(images, all)
	if err != nil || again.ETag != w.ETag || !bytes.Equal(render(again, content, 0, again.Size), whole) {
		t.Errorf("another order gives other bytes: %v", err)
	}
	if other, err := archive.Write(images[:1], all); err != nil || other.ETag == w.ETag {
		t.Errorf("another archive has the same tag: %v", err)
	}
	for range 500 {
		off := rand.Int64N(w.Size)
		n := rand.Int64N(w.Size-off) + 1
		if !bytes.Equal(render(w, content, off, n), whole[off:off+n]) {
			t.Fatalf("the range %d+%d differs", off, n)
		}
	}
	// Any tar program reads it, and so does the other half of this package.
	names := map[string]bool{}
	for r := tar.NewReader(bytes.NewReader(whole)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names[h.Name] = true
		b, err := io.ReadAll(r)
		if err != nil || h.Size > 0 && h.Name[:5] == "blobs" && len(b) != int(h.Size) {
			t.Errorf("%s: %d bytes of %d: %v", h.Name, len(b), h.Size, err)
		}
	}
	for _, want := range []string{"oci-layout", "index.json", "manifest.json", "blobs/", "blobs/sha256/", "blobs/sha512/", "blobs/sha256/" + digestOf(layer).Hex()} {
		if !names[want] {
			t.Errorf("the archive has no %s", want)
		}
	}
	p, err := plan(t, whole, acme)
	if err != nil || len(p.Images) != 2 || !bytes.Equal(p.Images[0].Manifests[0].Body, m) {
		t.Errorf("read back as %+v: %v", p, err)
	}
}

// A layer beyond 8 GiB does not fit the oldest form of a header.
func TestWriteLarge(t *testing.T) {
	t.Parallel()
	d := digestOf([]byte("large"))
	w, err := archive.Write([]archive.Saved{{Name: "a/b:c", Tag: "c", Manifest: oci.Descriptor{MediaType: imageType, Digest: d}}}, []oci.Descriptor{{Digest: d, Size: 20 << 30}})
	if err != nil || w.Size < 20<<30 {
		t.Fatalf("%+v: %v", w, err)
	}
	if p := w.Range(10<<30, 5); len(p) != 1 || p[0].Digest != d || p[0].Skip <= 0 || p[0].Size != 5 {
		t.Errorf("a range in it is %+v", p)
	}
}
