package archive

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// layoutIndex says what an OCI image layout holds (image-spec, Image Layout).
const layoutIndex = "index.json"

// Annotations of an entry of index.json that name it.
const (
	annotationName = "io.containerd.image.name"          // a whole name
	annotationRef  = "org.opencontainers.image.ref.name" // a tag, or with some tools a whole name
)

type layoutEntry struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

// A tree is a manifest with all that it names, read from a layout.
type tree struct {
	Manifest
	parsed   *oci.Manifest
	children []*tree
}

// layout reads the manifests of an archive, each once.
type layout struct {
	*Index
	seen  map[oci.Digest]*tree
	plain bool // a layer is not compressed
}

// planLayout reads an OCI image layout, whose manifests stay as they are. It
// also tells whether all layers are compressed.
func (x *Index) planLayout(t Target) (p *Plan, compressed bool, err error) {
	entries, err := x.layoutEntries()
	if err != nil {
		return nil, false, err
	}
	l := &layout{Index: x, seen: map[oci.Digest]*tree{}}
	p = &Plan{byFile: map[Entry]int{}}
	n := &names{target: t, taken: map[Name]int{}}
	homes := map[oci.Digest][]string{} // the repositories of a manifest
	var loose []*tree                  // found through their subject, once that has a place
	for i, e := range entries {
		root, err := l.load(e.MediaType, e.Digest, 0)
		if err != nil {
			return nil, false, err
		}
		if e.nameless() && root.parsed.Subject != nil {
			loose = append(loose, root)
			continue
		}
		name, err := e.place(t)
		if err != nil {
			return nil, false, err
		}
		tags, err := n.share(i, []Name{name})
		if err != nil {
			return nil, false, err
		}
		for _, repository := range sortedKeys(tags) {
			if err := l.add(p, root, repository, tags[repository], homes); err != nil {
				return nil, false, err
			}
		}
	}
	if err := l.addLoose(p, loose, homes); err != nil {
		return nil, false, err
	}
	p.arrange()
	return p, !l.plain, nil
}

func (x *Index) layoutEntries() ([]layoutEntry, error) {
	text, err := x.read(layoutIndex)
	if err != nil {
		return nil, err
	}
	var index struct {
		Manifests []layoutEntry `json:"manifests"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, Unparsable.As("The file %s of the archive cannot be read.", layoutIndex)
	}
	if len(index.Manifests) == 0 {
		return nil, NoManifest.As("The file %s of the archive names no image.", layoutIndex)
	}
	if len(index.Manifests) > MaxManifests {
		return nil, TooBig.As("The file %s of the archive names more than %d manifests.", layoutIndex, MaxManifests)
	}
	return index.Manifests, nil
}

func (e layoutEntry) nameless() bool {
	return e.Annotations[annotationName] == "" && e.Annotations[annotationRef] == ""
}

func (e layoutEntry) place(t Target) (Name, error) {
	if name := e.Annotations[annotationName]; name != "" {
		return t.Place(name)
	}
	ref := e.Annotations[annotationRef]
	switch {
	case ref == "":
		return t.Nameless()
	case strings.ContainsAny(ref, "/:@"):
		return t.Place(ref)
	case t.Repository == "":
		return Name{}, NoNames.As("An image of the archive has the tag %s and no name: say which repository it is to go to.", quote(ref))
	case t.Rename:
		return t.named(t.Repository, t.Tag, ref)
	}
	return t.named(t.Repository, ref)
}

// load reads a manifest and what it names.
func (l *layout) load(mediaType, digest string, depth int) (*tree, error) {
	d, err := oci.ParseDigest(digest)
	if err != nil {
		return nil, Unparsable.As("A manifest of the archive is named by %s, which is no digest.", quote(digest))
	}
	if t, ok := l.seen[d]; ok {
		return t, nil
	}
	if depth > maxDepth || len(l.seen) >= MaxManifests {
		return nil, TooBig.As("The archive has more than %d manifests, or more than %d indexes in one another.", MaxManifests, maxDepth)
	}
	body, err := l.read(blobPath(d))
	if err != nil {
		return nil, err
	}
	if body == nil {
		return nil, NoManifest.As("The archive lacks the manifest %s.", d)
	}
	if got := d.Algorithm().FromBytes(body); got != d {
		return nil, fault.New(fault.DigestInvalid, "The manifest %s of the archive has the digest %s.", d, got)
	}
	m, err := oci.ParseManifest(mediaType, body)
	if err != nil {
		return nil, unparsable(d, err)
	}
	t := &tree{Manifest: Manifest{m.MediaType, d, body}, parsed: m}
	l.seen[d] = t
	for _, c := range m.Children {
		child, err := l.load(c.MediaType, string(c.Digest), depth+1)
		if err != nil {
			return nil, err
		}
		t.children = append(t.children, child)
	}
	for _, b := range m.Layers {
		l.plain = l.plain || b.MediaType == ociLayer || b.MediaType == strings.TrimSuffix(dockerLayerGzip, ".gzip")
	}
	return t, nil
}

// unparsable keeps what the parser says of a manifest.
func unparsable(d oci.Digest, err error) error {
	return fault.Wrap(fault.ManifestInvalid, err, "The manifest %s of the archive cannot be stored: it is malformed, or of a kind that is not known here.", d).With(Unparsable)
}

// add plans a manifest and all below it for a repository.
func (l *layout) add(p *Plan, root *tree, repository string, tags []string, homes map[oci.Digest][]string) error {
	img := Image{Repository: repository, Tags: tags}
	var walk func(t *tree) error
	walk = func(t *tree) error {
		if slices.ContainsFunc(img.Manifests, func(m Manifest) bool { return m.Digest == t.Digest }) {
			return nil
		}
		for _, c := range t.children {
			if err := walk(c); err != nil {
				return err
			}
		}
		if err := p.hold(t.Manifest); err != nil {
			return err
		}
		img.Manifests = append(img.Manifests, t.Manifest)
		if !slices.Contains(homes[t.Digest], repository) {
			homes[t.Digest] = append(homes[t.Digest], repository)
		}
		return l.blobs(p, t.parsed, repository)
	}
	if err := walk(root); err != nil {
		return err
	}
	p.Images = append(p.Images, img)
	return nil
}

// blobs plans what a manifest needs.
func (l *layout) blobs(p *Plan, m *oci.Manifest, repository string) error {
	for _, d := range slices.Concat(m.Blobs(), m.Optional()) {
		at, ok := l.blob(d)
		switch {
		case ok:
		case slices.Contains(m.Optional(), d):
			continue
		case m.Config != nil && m.Config.Digest == d:
			return ConfigMissing.As("The archive lacks the config %s of an image.", d)
		default:
			return LayerMissing.As("The archive lacks the layer %s.", d)
		}
		if _, err := p.need(at, repository, d, ""); err != nil {
			return err
		}
	}
	return nil
}

// addLoose plans manifests without a name beside what they are about, such as
// signatures.
func (l *layout) addLoose(p *Plan, loose []*tree, homes map[oci.Digest][]string) error {
	for len(loose) > 0 {
		var left []*tree
		for _, t := range loose {
			places := homes[t.parsed.Subject.Digest]
			if len(places) == 0 {
				left = append(left, t)
			}
			for _, repository := range places {
				if err := l.add(p, t, repository, nil, homes); err != nil {
					return err
				}
			}
		}
		if len(left) == len(loose) {
			return NoNames.As("The manifest %s of the archive has no name, and what it is about is not there.", cmp.Or(left[0].Digest, "?"))
		}
		loose = left
	}
	return nil
}
