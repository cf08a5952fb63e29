package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// WriteLayout writes an OCI image layout that names m by ref.
func (m *Manifest) WriteLayout(dir, ref string) error {
	write := func(b Blob) error {
		path := filepath.Join(dir, "blobs", b.Digest.Algorithm().String(), b.Digest.Encoded())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, b.Data, 0o644)
	}
	for _, manifest := range m.All() {
		for _, b := range append([]Blob{manifest.Blob}, manifest.Blobs...) {
			if err := write(b); err != nil {
				return err
			}
		}
	}
	d := m.Descriptor()
	d.Annotations = map[string]string{v1.AnnotationRefName: ref}
	for name, v := range map[string]any{
		v1.ImageLayoutFile: v1.ImageLayout{Version: v1.ImageLayoutVersion},
		v1.ImageIndexFile:  v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []v1.Descriptor{d}},
	} {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// WriteDockerArchive writes what `docker save` would: config, layers without
// compression, and a list of both.
func (m *Manifest) WriteDockerArchive(path, tag string) error {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	put := func(name string, data []byte) error {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			return err
		}
		_, err := w.Write(data)
		return err
	}
	config := m.Blobs[0].Digest.Encoded() + ".json"
	var layers []string
	for _, b := range m.Blobs[1:] {
		r, err := gzip.NewReader(bytes.NewReader(b.Data))
		if err != nil {
			return err
		}
		tarball, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		name := b.Digest.Encoded() + "/layer.tar"
		if err := put(name, tarball); err != nil {
			return err
		}
		layers = append(layers, name)
	}
	list, err := json.Marshal([]map[string]any{{"Config": config, "RepoTags": []string{tag}, "Layers": layers}})
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{config: m.Blobs[0].Data, "manifest.json": list} {
		if err := put(name, data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// ReadLayout reads the manifest that an OCI image layout names by ref, or its
// only one, and verifies every digest on the way.
func ReadLayout(dir, ref string) (*Manifest, error) {
	data, err := os.ReadFile(filepath.Join(dir, v1.ImageIndexFile))
	if err != nil {
		return nil, err
	}
	var index v1.Index
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, err
	}
	for _, d := range index.Manifests {
		if len(index.Manifests) == 1 || d.Annotations[v1.AnnotationRefName] == ref {
			return readManifest(dir, d)
		}
	}
	return nil, fmt.Errorf("the layout %s has no %q", dir, ref)
}

func readManifest(dir string, d v1.Descriptor) (*Manifest, error) {
	b, err := readBlob(dir, d)
	if err != nil {
		return nil, err
	}
	var named struct {
		Config    *v1.Descriptor
		Layers    []v1.Descriptor
		Manifests []v1.Descriptor
	}
	if err := json.Unmarshal(b.Data, &named); err != nil {
		return nil, err
	}
	m := &Manifest{Blob: b}
	if named.Config != nil {
		named.Layers = append([]v1.Descriptor{*named.Config}, named.Layers...)
	}
	for _, l := range named.Layers {
		b, err := readBlob(dir, l)
		if err != nil {
			return nil, err
		}
		m.Blobs = append(m.Blobs, b)
	}
	for _, c := range named.Manifests {
		child, err := readManifest(dir, c)
		if err != nil {
			return nil, err
		}
		m.Children = append(m.Children, child)
	}
	return m, nil
}

func readBlob(dir string, d v1.Descriptor) (Blob, error) {
	data, err := os.ReadFile(filepath.Join(dir, "blobs", d.Digest.Algorithm().String(), d.Digest.Encoded()))
	if err != nil {
		return Blob{}, err
	}
	if got := d.Digest.Algorithm().FromBytes(data); got != d.Digest {
		return Blob{}, fmt.Errorf("the blob %s holds bytes of %s", d.Digest, got)
	}
	return Blob{MediaType: d.MediaType, Digest: d.Digest, Data: data}, nil
}
