package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"berth.dev/berth/internal/archive"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// file is an entry of a tar; with a link it has no content.
type file struct {
	name, link string
	content    []byte
}

func tarOf(files ...file) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content)), Typeflag: tar.TypeReg}
		if f.link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if _, err := w.Write(f.content); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

func jsonOf(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func gzipped(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = w.Write(b)
	_ = w.Close()
	return buf.Bytes()
}

func zstandard(b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(b, nil)
}

func digestOf(b []byte) oci.Digest { return oci.SHA256.FromBytes(b) }

// layerOf is the tar of a layer.
func layerOf(seed string) []byte { return tarOf(file{name: "etc/" + seed, content: []byte(seed)}) }

// configOf is a config that names these layers by their content without
// compression.
func configOf(layers ...[]byte) []byte {
	diffs := []oci.Digest{}
	for _, l := range layers {
		diffs = append(diffs, digestOf(l))
	}
	return jsonOf(map[string]any{"architecture": "amd64", "os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": diffs}})
}

type item struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// legacy is what docker save wrote for years.
func legacy(tags []string, layers ...[]byte) []file {
	config := configOf(layers...)
	it := item{Config: digestOf(config).Hex() + ".json", RepoTags: tags}
	files := []file{{name: it.Config, content: config}}
	for i, l := range layers {
		name := fmt.Sprintf("%064d/layer.tar", i)
		it.Layers = append(it.Layers, name)
		files = append(files, file{name: name, content: l})
	}
	return append(files, file{name: "manifest.json", content: jsonOf([]item{it})})
}

type desc struct {
	MediaType   string            `json:"mediaType"`
	Digest      oci.Digest        `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

const (
	imageType  = "application/vnd.oci.image.manifest.v1+json"
	indexType  = "application/vnd.oci.image.index.v1+json"
	configType = "application/vnd.oci.image.config.v1+json"
	layerType  = "application/vnd.oci.image.layer.v1.tar"
)

func blobFile(b []byte) file {
	return file{name: "blobs/sha256/" + digestOf(b).Hex(), content: b}
}

func descOf(mediaType string, b []byte) desc { return desc{mediaType, digestOf(b), len(b), nil} }

// imageOf is a manifest with its files.
func imageOf(layerType string, layers ...[]byte) ([]byte, []file) {
	config := configOf(layers...)
	ds, files := []desc{}, []file{blobFile(config)}
	for _, l := range layers {
		ds = append(ds, descOf(layerType, l))
		files = append(files, blobFile(l))
	}
	m := jsonOf(map[string]any{"schemaVersion": 2, "mediaType": imageType, "config": descOf(configType, config), "layers": ds})
	return m, append(files, blobFile(m))
}

// layoutOf is an image layout of roots, whose files are given.
func layoutOf(files []file, roots ...desc) []file {
	return append([]file{
		{name: "oci-layout", content: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{name: "index.json", content: jsonOf(map[string]any{"schemaVersion": 2, "manifests": roots})},
	}, files...)
}

func named(d desc, ref string) desc {
	d.Annotations = map[string]string{"org.opencontainers.image.ref.name": ref}
	return d
}

// unseekable hides that a reader can seek.
type unseekable struct{ io.Reader }

func plan(t *testing.T, b []byte, target archive.Target) (*archive.Plan, error) {
	t.Helper()
	x, err := archive.ReadIndex(bytes.NewReader(b), int64(len(b)))
	y, err2 := archive.ReadIndex(unseekable{bytes.NewReader(b)}, int64(len(b)))
	if fault.CodeOf(err) != fault.CodeOf(err2) {
		t.Errorf("with a seek %v, without %v", err, err2)
	}
	if err != nil {
		return nil, err
	}
	p, err := x.Plan(target)
	q, err2 := y.Plan(target)
	if fault.CodeOf(err) != fault.CodeOf(err2) || err == nil && string(jsonOf(p)) != string(jsonOf(q)) {
		t.Errorf("with a seek %v, without %v", err, err2)
	}
	return p, err
}

var acme = archive.Target{Organization: "acme"}
