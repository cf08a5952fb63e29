package oci

import (
	"slices"
	"strings"

	"berth.dev/berth/internal/fault"
)

// Bounds of a manifest.
const (
	MaxManifest    = 4 << 20 // bytes of its JSON text
	MaxDescriptors = 10_000  // in all its lists together
	MaxMembers     = 10_000  // of one JSON object and those around it
	MaxDepth       = 32      // of JSON objects and arrays in one another
)

// Manifest is what a registry needs of a parsed manifest. Its descriptors
// carry no annotations; nothing acts on them.
type Manifest struct {
	MediaType    string            // one of the Media constants
	ArtifactType string            // its artifactType; an image without one has its config's media type
	Config       *Descriptor       // images only
	Layers       []Descriptor      // an image's layers, an artifact's blobs; foreign ones need not exist
	Children     []Descriptor      // manifests of an index or list
	Subject      *Descriptor       // what this manifest is about, present in the repository or not
	Annotations  map[string]string //
}

// Blobs returns the digests of the config and of the layers that are not
// foreign: what the repository must hold. Each stands once, in byte order.
func (m *Manifest) Blobs() []Digest {
	ds := make([]Digest, 0, 1+len(m.Layers))
	if m.Config != nil {
		ds = append(ds, m.Config.Digest)
	}
	for _, l := range m.Layers {
		if !l.Foreign() {
			ds = append(ds, l.Digest)
		}
	}
	slices.Sort(ds)
	return slices.Compact(ds)
}

// Optional returns the digests of the foreign layers that are not among
// Blobs: what the repository need not hold, and keeps where it does. Each
// stands once, in byte order.
func (m *Manifest) Optional() []Digest {
	var ds []Digest
	for _, l := range m.Layers {
		if l.Foreign() {
			ds = append(ds, l.Digest)
		}
	}
	if ds == nil {
		return nil
	}
	slices.Sort(ds)
	need := m.Blobs()
	return slices.DeleteFunc(slices.Compact(ds), func(d Digest) bool {
		_, found := slices.BinarySearch(need, d)
		return found
	})
}

// form is one of the shapes that a manifest may have.
type form struct {
	media    string
	list     int  // which of the lists it has; it may have none of the others
	listed   bool // the list must be there
	config   bool // it has a config, and must; others may not
	named    bool // its media type must stand in the body too
	versions bool // schemaVersion must be there
}

var forms = [...]form{
	{media: MediaImage, list: layers, config: true, versions: true},
	{media: MediaIndex, list: manifests, listed: true, versions: true},
	{media: MediaDockerImage, list: layers, config: true, named: true, versions: true},
	{media: MediaDockerList, list: manifests, listed: true, named: true, versions: true},
	{media: MediaArtifact, list: blobs, named: true},
}

// ParseManifest reads a manifest that is pushed with the given Content-Type,
// whose parameters are ignored. An empty one stands for the media type in the
// body. What could be read in two ways is refused, so that what the collector
// keeps is what every client pulls: the text is strict JSON without duplicate
// keys, without keys that differ from a known one only in case, and has the
// members of one form of manifest only. Members unknown to Berth are let be. No
// text is accepted under two media types.
//
// Errors: ManifestInvalid; TooLarge above MaxManifest; Unsupported for
// Docker's schema 1.
func ParseManifest(contentType string, body []byte) (*Manifest, error) {
	if len(body) > MaxManifest {
		return nil, fault.New(fault.TooLarge, "The manifest has %d bytes; at most %d are taken.", len(body), MaxManifest)
	}
	media := mediaOf(contentType)
	if isSchema1(media) {
		return nil, schema1()
	}
	f := formOf(media)
	if f == nil && media != "" {
		return nil, fault.New(fault.ManifestInvalid, "The Content-Type %s is not that of a manifest which Berth stores: "+
			"an OCI image, index or artifact, or a Docker image or list of schema version 2.", quote(contentType))
	}
	d, err := readDocument(body)
	if err != nil {
		return nil, err
	}
	if d.schema == 1 || isSchema1(d.media) {
		return nil, schema1()
	}
	if f == nil {
		if f = formOf(d.media); f == nil {
			return nil, fault.New(fault.ManifestInvalid, "The manifest came without a Content-Type, and its mediaType is %s.", quote(d.media))
		}
	}
	if err := f.check(d); err != nil {
		return nil, err
	}
	m := &Manifest{MediaType: f.media, ArtifactType: d.artifact, Config: d.config, Subject: d.subject, Annotations: d.annotations}
	if f.list == manifests {
		m.Children = d.lists[manifests]
	} else {
		m.Layers = d.lists[f.list]
	}
	if m.ArtifactType == "" && m.Config != nil {
		m.ArtifactType = m.Config.MediaType
	}
	return m, nil
}

// check refuses a document that is not of the form.
func (f *form) check(d *document) error {
	switch {
	case d.media != "" && d.media != f.media:
		return fault.New(fault.ManifestInvalid, "The manifest's mediaType is %s and its Content-Type %s; they must be alike.", quote(d.media), f.media)
	case d.media == "" && f.named:
		return fault.New(fault.ManifestInvalid, "A manifest of the type %s must say so in its mediaType.", f.media)
	case d.schema != 2 && (f.versions || d.schema != 0):
		return fault.New(fault.ManifestInvalid, "The manifest's schemaVersion must be 2.")
	case d.config == nil && f.config:
		return fault.New(fault.ManifestInvalid, "The manifest has no config.")
	case d.config != nil && !f.config:
		return fault.New(fault.ManifestInvalid, "A manifest of the type %s has no member config.", f.media)
	case d.lists[f.list] == nil && f.listed:
		return fault.New(fault.ManifestInvalid, "The manifest has no member %s.", listKeys[f.list])
	}
	if d.fsLayers {
		return fault.New(fault.ManifestInvalid, "A manifest of the type %s has no member fsLayers.", f.media)
	}
	for i, l := range d.lists {
		if i != f.list && l != nil {
			return fault.New(fault.ManifestInvalid, "A manifest of the type %s has no member %s.", f.media, listKeys[i])
		}
	}
	return nil
}

func formOf(media string) *form {
	for i := range forms {
		if forms[i].media == media {
			return &forms[i]
		}
	}
	return nil
}

// mediaOf returns the media type of a Content-Type without its parameters.
func mediaOf(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

func isSchema1(media string) bool {
	return strings.HasPrefix(media, "application/vnd.docker.distribution.manifest.v1+")
}

func schema1() error {
	return fault.New(fault.Unsupported, "Docker manifests of schema version 1 are not supported: push the image with a current client.")
}
