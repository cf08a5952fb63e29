package archive

import (
	"cmp"
	"maps"
	"slices"

	"berth.dev/berth/internal/oci"
)

// A Plan is what an archive becomes: blobs to be stored, and then images.
type Plan struct {
	Blobs  []Blob  // in the order in which they lie in the archive
	Images []Image // in the order of their repositories

	layers    int
	manifests int // of all repositories
	text      int // bytes of these
	byFile    map[Entry]int
}

// A Blob is a file of the archive that repositories are to hold.
type Blob struct {
	Entry
	Digest       oci.Digest // of these bytes; "": not known before they are read
	Diff         oci.Digest // a layer of docker save: the digest of its content without compression
	Repositories []string   // without their organization, sorted
}

// An Image is one name's content in one repository.
type Image struct {
	Repository string
	Tags       []string // sorted; none for what is found through its subject
	// Manifests are pushed in this order: children before their index, and
	// the one that the tags point to last. An image of docker save has none
	// before Build has made it.
	Manifests []Manifest

	config oci.Descriptor
	layers []int // of docker save: indexes of Plan.Blobs
}

// A Manifest is what a push would send.
type Manifest struct {
	MediaType string
	Digest    oci.Digest
	Body      []byte
}

// Repositories are those of the images, each once, sorted.
func (p *Plan) Repositories() []string {
	var names []string
	for _, i := range p.Images {
		names = append(names, i.Repository)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// need notes a blob of a repository, and returns its index. The digests count
// where they are not empty.
func (p *Plan) need(e Entry, repository string, digest, diff oci.Digest) (int, error) {
	i, ok := p.byFile[e]
	if !ok {
		i = len(p.Blobs)
		p.Blobs = append(p.Blobs, Blob{Entry: e, Digest: digest, Diff: diff})
		p.byFile[e] = i
	}
	b := &p.Blobs[i]
	b.Digest, b.Diff = cmp.Or(b.Digest, digest), cmp.Or(b.Diff, diff)
	if digest != "" && b.Digest != digest || diff != "" && b.Diff != diff {
		return 0, BadFormat.As("One file of the archive is to have two digests.")
	}
	if at, found := slices.BinarySearch(b.Repositories, repository); !found {
		b.Repositories = slices.Insert(b.Repositories, at, repository)
	}
	if p.layers++; p.layers > MaxLayers {
		return 0, TooBig.As("The images of the archive have more than %d layers.", MaxLayers)
	}
	return i, nil
}

// hold counts a manifest that a repository is to hold. What many repositories
// are to hold counts for each: all of it is stored in one transaction.
func (p *Plan) hold(m Manifest) error {
	p.manifests, p.text = p.manifests+1, p.text+len(m.Body)
	if p.manifests > MaxManifests || p.text > maxDocuments {
		return TooBig.As("The images of the archive have more than %d manifests, or %d bytes of them, in all repositories together.", MaxManifests, maxDocuments)
	}
	return nil
}

// arrange puts blobs into the order of the archive and images into that of
// their repositories, so that a stream is read once and rows are locked alike.
func (p *Plan) arrange() {
	order := make([]int, len(p.Blobs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p.Blobs[a].Offset, p.Blobs[b].Offset) })
	moved := make([]int, len(order))
	blobs := make([]Blob, len(order))
	for to, from := range order {
		blobs[to], moved[from] = p.Blobs[from], to
	}
	p.Blobs = blobs
	for _, img := range p.Images {
		for i, l := range img.layers {
			img.layers[i] = moved[l]
		}
	}
	slices.SortStableFunc(p.Images, func(a, b Image) int { return cmp.Compare(a.Repository, b.Repository) })
}

// Plan reads what the archive says of itself. An archive may do so twice: as
// newer versions of docker write it, with a manifest.json for docker load and
// an index.json that makes it an OCI image layout. The layout counts, since it
// holds the manifests as they were pushed, provided that it is complete and its
// layers are compressed; docker itself would compress them on a push.
//
// Errors: every Defect, NameInvalid, TagInvalid, DigestInvalid.
func (x *Index) Plan(t Target) (*Plan, error) {
	_, _, docker := x.find(dockerManifest)
	_, _, layout := x.find(layoutIndex)
	switch {
	case docker && layout:
		if p, compressed, err := x.planLayout(t); err == nil && compressed {
			return p, nil
		}
		return x.planDocker(t)
	case docker:
		return x.planDocker(t)
	case layout:
		p, _, err := x.planLayout(t)
		return p, err
	}
	return nil, NoManifest.As("The archive has neither %s nor %s: make it with docker save, podman save or as an OCI image layout.", dockerManifest, layoutIndex)
}

// names collects which tags go to which image, and that no two go to one.
type names struct {
	target Target
	taken  map[Name]int // the image that has it
}

// share sorts the names of image i by their repositories.
func (n *names) share(i int, list []Name) (map[string][]string, error) {
	tags := map[string][]string{}
	for _, name := range list {
		if other, ok := n.taken[name]; ok && other != i {
			return nil, NamesDiffer.As("Two images of the archive would get the name %s:%s.", name.Repository, name.Tag)
		} else if ok {
			continue
		}
		n.taken[name] = i
		tags[name.Repository] = append(tags[name.Repository], name.Tag)
	}
	for _, t := range tags {
		slices.Sort(t)
	}
	if len(n.taken) > MaxImages {
		return nil, TooBig.As("The archive has more than %d images.", MaxImages)
	}
	return tags, nil
}

func sortedKeys(m map[string][]string) []string { return slices.Sorted(maps.Keys(m)) }
