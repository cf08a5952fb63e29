package archive_test

import (
	"bytes"
	"io"
	"testing"

	"berth.dev/berth/internal/archive"
	"berth.dev/berth/internal/fault"
)

// fold writes runs of zeros, of which a tar is full, as a zero and their
// number: what is short is changed in more interesting ways.
func fold(b []byte) []byte {
	var out []byte
	for i := 0; i < len(b); i++ {
		if out = append(out, b[i]); b[i] != 0 {
			continue
		}
		n := 1
		for n < 255 && i+1 < len(b) && b[i+1] == 0 {
			n, i = n+1, i+1
		}
		out = append(out, byte(n))
	}
	return out
}

func unfold(b []byte) []byte {
	var out []byte
	for i := 0; i < len(b); i++ {
		if b[i] != 0 || i+1 == len(b) {
			out = append(out, b[i])
			continue
		}
		i++
		out = append(out, make([]byte, b[i])...)
	}
	return out
}

// noFault fails for an error that a client could not be told.
func noFault(t *testing.T, err error) bool {
	t.Helper()
	if err != nil && fault.CodeOf(err) == fault.Internal {
		t.Fatalf("no fault: %v", err)
	}
	return err != nil
}

const fuzzLimit = 1 << 20

// everyPlan makes all plans of an index; what they name lies in the archive.
func everyPlan(t *testing.T, x *archive.Index) {
	t.Helper()
	for _, target := range []archive.Target{acme, {Organization: "acme", Repository: "app", Tag: "v1"}, {Organization: "acme", Repository: "app", Rename: true}} {
		p, err := x.Plan(target)
		if noFault(t, err) {
			continue
		}
		stored := make([]archive.Stored, len(p.Blobs))
		for i, b := range p.Blobs {
			if b.Offset < 0 || b.Size < 0 || b.Offset+b.Size > fuzzLimit || len(b.Repositories) == 0 {
				t.Fatalf("planned %+v", b)
			}
			stored[i] = archive.Stored{Digest: digestOf(nil), Compression: archive.Gzip}
		}
		for i := range p.Images {
			if err := p.Images[i].Build(stored); err != nil || len(p.Images[i].Manifests) == 0 {
				t.Fatalf("built %+v: %v", p.Images[i], err)
			}
		}
	}
}

// No tar makes the reader panic, or fail with an error that is no fault.
func FuzzIndex(f *testing.F) {
	one, two := layerOf("one"), gzipped(layerOf("two"))
	m, files := imageOf(layerType+"+gzip", two)
	f.Add(fold(tarOf(legacy([]string{"app:v1"}, one, two)...)))
	f.Add(fold(tarOf(layoutOf(files, named(descOf(imageType, m), "app:v1"))...)))
	f.Add(fold(tarOf(file{name: "a", link: "b"}, file{name: "manifest.json", content: []byte(`[{"Config":"a"}]`)})))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := archive.ReadIndex(unseekable{bytes.NewReader(unfold(b))}, fuzzLimit)
		if !noFault(t, err) {
			everyPlan(t, x)
		}
	})
}

// The same for the texts in an archive.
func FuzzPlan(f *testing.F) {
	config, layer := configOf([]byte("layer")), []byte("layer")
	m, _ := imageOf(layerType, layer)
	f.Add(jsonOf([]item{{"config.json", []string{"app:v1"}, []string{"layer.tar"}}}), []byte{}, config, m, "other")
	f.Add([]byte{}, jsonOf(map[string]any{"schemaVersion": 2, "manifests": []desc{named(descOf(imageType, m), "acme/app:v1")}}), config, m, "layer.tar")
	f.Fuzz(func(t *testing.T, docker, index, config, manifest []byte, link string) {
		if len(link) > 90 || bytes.IndexByte([]byte(link), 0) >= 0 {
			return
		}
		layer := []byte("layer")
		files := []file{blobFile(layer), {name: "layer.tar", content: layer}, {name: "config.json", content: config}, {name: "link", link: link + "x"}}
		for name, b := range map[string][]byte{"manifest.json": docker, "index.json": index} {
			if len(b) > 0 {
				files = append(files, file{name: name, content: b})
			}
		}
		for _, b := range [][]byte{config, manifest} {
			if x := blobFile(b); x.name != files[0].name && x.name != files[len(files)-1].name {
				files = append(files, x)
			}
		}
		x, err := archive.ReadIndex(bytes.NewReader(tarOf(files...)), fuzzLimit)
		if !noFault(t, err) {
			everyPlan(t, x)
		}
	})
}

// No bytes make decompression panic, run away, or fail with an error that is
// no fault.
func FuzzDecompress(f *testing.F) {
	for _, b := range [][]byte{{}, []byte("text"), bytes.Repeat([]byte("text"), 1000)} {
		f.Add(b)
		f.Add(gzipped(b))
		f.Add(zstandard(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := archive.Decompress(bytes.NewReader(b), archive.Sniff(b), fuzzLimit)
		if noFault(t, err) {
			return
		}
		defer r.Close()
		n, err := io.Copy(io.Discard, r)
		if noFault(t, err); n > fuzzLimit {
			t.Errorf("%d bytes", n)
		}
	})
}
