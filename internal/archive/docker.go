package archive

import (
	"encoding/json"
	"strings"

	"berth.dev/berth/internal/oci"
)

// dockerManifest says what an archive of docker save holds.
const dockerManifest = "manifest.json"

// planDocker reads an archive of docker save. Its images have no manifest: one
// is made of config and layers as a push makes it.
func (x *Index) planDocker(t Target) (*Plan, error) {
	text, err := x.read(dockerManifest)
	if err != nil {
		return nil, err
	}
	var items []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(text, &items); err != nil {
		return nil, Unparsable.As("The file %s of the archive cannot be read.", dockerManifest)
	}
	if len(items) == 0 {
		return nil, NoManifest.As("The file %s of the archive names no image.", dockerManifest)
	}
	if len(items) > MaxImages {
		return nil, TooBig.As("The archive has more than %d images.", MaxImages)
	}
	p := &Plan{byFile: map[Entry]int{}}
	n := &names{target: t, taken: map[Name]int{}}
	for i, item := range items {
		list, err := t.all(item.RepoTags)
		if err != nil {
			return nil, err
		}
		tags, err := n.share(i, list)
		if err != nil {
			return nil, err
		}
		for _, repository := range sortedKeys(tags) {
			img := Image{Repository: repository, Tags: tags[repository]}
			if err := x.dockerImage(p, &img, item.Config, item.Layers); err != nil {
				return nil, err
			}
			p.Images = append(p.Images, img)
		}
	}
	p.arrange()
	return p, nil
}

// all places every name of an image; none at all is one too.
func (t Target) all(refs []string) ([]Name, error) {
	if len(refs) == 0 {
		n, err := t.Nameless()
		return []Name{n}, err
	}
	if len(refs) > MaxImages {
		return nil, TooBig.As("An image of the archive has more than %d names.", MaxImages)
	}
	list := make([]Name, len(refs))
	for i, ref := range refs {
		var err error
		if list[i], err = t.Place(ref); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (x *Index) dockerImage(p *Plan, img *Image, config string, layers []string) error {
	_, at, ok := x.find(config)
	if !ok || config == "" {
		return ConfigMissing.As("The archive lacks the config %s of an image.", quote(config))
	}
	text, err := x.read(config)
	if err != nil {
		return err
	}
	var c struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return Unparsable.As("The config %s of an image cannot be read.", quote(config))
	}
	if len(c.RootFS.DiffIDs) != len(layers) {
		return BadFormat.As("An image has %d layers in %s and %d in its config.", len(layers), dockerManifest, len(c.RootFS.DiffIDs))
	}
	img.config = oci.Descriptor{MediaType: dockerConfig, Digest: oci.SHA256.FromBytes(text), Size: int64(len(text))}
	if _, err := p.need(at, img.Repository, img.config.Digest, ""); err != nil {
		return err
	}
	for i, name := range layers {
		diff, err := oci.ParseDigest(c.RootFS.DiffIDs[i])
		if err != nil {
			return Unparsable.As("The config %s of an image has a diff_id that is no digest.", quote(config))
		}
		file, at, ok := x.find(name)
		if !ok {
			return LayerMissing.As("The archive lacks the layer %s.", quote(name))
		}
		l, err := p.need(at, img.Repository, digestOf(file), diff)
		if err != nil {
			return err
		}
		img.layers = append(img.layers, l)
	}
	return nil
}

// digestOf is the digest that a file's name promises, as in an OCI image
// layout; "": none.
func digestOf(file string) oci.Digest {
	rest, ok := strings.CutPrefix(file, "blobs/")
	if !ok {
		return ""
	}
	d, err := oci.ParseDigest(strings.Replace(rest, "/", ":", 1))
	if err != nil {
		return ""
	}
	return d
}

// Media types of what docker pushes.
const (
	dockerConfig    = "application/vnd.docker.container.image.v1+json"
	dockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	ociConfig       = "application/vnd.oci.image.config.v1+json"
	ociLayer        = "application/vnd.oci.image.layer.v1.tar"
)

// IsImageConfig tells whether a config is one that docker load takes.
func IsImageConfig(mediaType string) bool { return mediaType == dockerConfig || mediaType == ociConfig }

// A Stored blob is what became of one of a plan.
type Stored struct {
	Digest      oci.Digest
	Size        int64       // bytes
	Compression Compression // of a layer
}

// Build makes the manifest of an image of docker save, now that its layers are
// stored. blobs are those of the plan, in their order. Docker has no name for
// layers compressed with zstd: an image with one gets a manifest of OCI.
func (i *Image) Build(blobs []Stored) error {
	if len(i.Manifests) > 0 {
		return nil
	}
	type descriptor struct {
		MediaType string     `json:"mediaType"`
		Size      int64      `json:"size"`
		Digest    oci.Digest `json:"digest"`
	}
	m := struct {
		Version   int          `json:"schemaVersion"`
		MediaType string       `json:"mediaType"`
		Config    descriptor   `json:"config"`
		Layers    []descriptor `json:"layers"`
	}{2, oci.MediaDockerImage, descriptor{dockerConfig, i.config.Size, i.config.Digest}, []descriptor{}}
	for _, l := range i.layers {
		if blobs[l].Compression != Gzip {
			m.MediaType, m.Config.MediaType = oci.MediaImage, ociConfig
		}
	}
	for _, l := range i.layers {
		b := blobs[l]
		media := dockerLayerGzip
		if m.MediaType == oci.MediaImage {
			media = ociLayer + "+" + string(b.Compression)
		}
		m.Layers = append(m.Layers, descriptor{media, b.Size, b.Digest})
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	i.Manifests = []Manifest{{m.MediaType, oci.SHA256.FromBytes(body), body}}
	return nil
}
