package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"berth.dev/berth/internal/archive"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// Bounds of an archive to download.
const (
	MaxArchiveTags   = 20
	maxSavedContents = 10_000 // blobs and manifests
	maxSavedText     = 16 << 20
)

// A SavedImage is an archive of images that can be read from any byte on.
// Nothing of it is stored: it is laid out from rows.
type SavedImage struct {
	*archive.Written
	r         *Registry
	repo      repoRow
	who       iam.Caller
	tags      []string
	manifests map[oci.Digest][]byte
}

// SaveImage lays out an archive of one or more tags of a repository, as docker
// save makes it, with its layers as they are stored. host is the registry's
// address, which the images are named with. Of an index, platform picks one
// image ("os/architecture" or "os/architecture/variant"); without it the index
// is in the archive with all its images, and docker load takes the one for
// linux/amd64, or else the first.
//
// Errors: ManifestUnknown, BlobUnknown, TagInvalid, Invalid, TooLarge,
// RepoUnknown, Denied, Unauthorized.
func (r *Registry) SaveImage(ctx context.Context, who iam.Caller, name oci.Name, tags []string, platform, host string) (*SavedImage, error) {
	rp, err := r.lookup(ctx, who, name, iam.Pull)
	if err != nil {
		return nil, err
	}
	want, err := parsePlatform(platform)
	if err != nil {
		return nil, err
	}
	if len(tags) > MaxArchiveTags {
		return nil, fault.New(fault.Invalid, "An archive has at most %d tags.", MaxArchiveTags)
	}
	s := &saving{r: r, repo: rp, name: name, manifests: map[oci.Digest][]byte{}, sizes: map[oci.Digest]int64{}}
	tags = slices.Compact(slices.Sorted(slices.Values(tags)))
	var images []archive.Saved
	for _, tag := range tags {
		if _, err := oci.ParseTag(tag); err != nil {
			return nil, err
		}
		img, err := s.image(ctx, tag, want)
		if err != nil {
			return nil, err
		}
		img.Name, img.Tag = host+"/"+string(name)+":"+tag, tag
		images = append(images, img)
	}
	var contents []oci.Descriptor
	for d, size := range s.sizes {
		contents = append(contents, oci.Descriptor{Digest: d, Size: size})
	}
	w, err := archive.Write(images, contents)
	return &SavedImage{Written: w, r: r, repo: rp, who: who, tags: tags, manifests: s.manifests}, err
}

// Count counts the archive as a pull of each of its tags.
func (s *SavedImage) Count() {
	for _, t := range s.tags {
		s.r.pulls.add(s.repo, t, "", s.who)
	}
}

// Send writes n bytes of the archive from off on. Contents go as files where
// they are, so that w can hand them to sendfile. begin is called when the first
// content was found to be there, before anything is written.
func (s *SavedImage) Send(ctx context.Context, w io.Writer, off, n int64, begin func()) error {
	for _, p := range s.Range(off, n) {
		if p.Digest == "" || s.manifests[p.Digest] != nil {
			b := p.Bytes
			if p.Digest != "" {
				b = s.manifests[p.Digest][p.Skip : p.Skip+p.Size]
			}
			once(&begin)
			if _, err := w.Write(b); err != nil {
				return err
			}
			continue
		}
		if err := s.sendBlob(ctx, w, p, &begin); err != nil {
			return err
		}
	}
	once(&begin)
	return nil
}

func once(fn *func()) {
	if *fn != nil {
		(*fn)()
		*fn = nil
	}
}

func (s *SavedImage) sendBlob(ctx context.Context, w io.Writer, p archive.Part, begin *func()) error {
	l, err := s.r.link(ctx, s.repo, p.Digest)
	if err != nil {
		return err
	}
	b := Blob{Descriptor: oci.Descriptor{Digest: p.Digest, Size: l.Size}, key: l.Key, inline: l.Data, account: s.repo.Account, r: s.r}
	rc, err := b.Open(ctx, p.Skip, p.Size)
	if err != nil {
		return err
	}
	defer rc.Close()
	once(begin)
	sent, err := io.CopyN(w, rc, p.Size)
	b.Sent(sent)
	if err != nil {
		return fmt.Errorf("blob %s: %w", p.Digest, err)
	}
	return nil
}

// A saving collects what goes into an archive.
type saving struct {
	r         *Registry
	repo      repoRow
	name      oci.Name
	manifests map[oci.Digest][]byte
	sizes     map[oci.Digest]int64 // of all contents
	text      int
}

// image collects what a tag points to, or one image of it.
func (s *saving) image(ctx context.Context, tag string, want platform) (archive.Saved, error) {
	m, parsed, err := s.read(ctx, oci.Reference{Tag: tag})
	if err != nil {
		return archive.Saved{}, err
	}
	docker, picked := m, parsed
	if len(parsed.Children) > 0 {
		d, ok := pickPlatform(m.Body, want)
		if want != (platform{}) && !ok {
			return archive.Saved{}, fault.New(fault.ManifestUnknown, "The tag %s has no image for %s.", tag, want)
		}
		if ok {
			if docker, picked, err = s.read(ctx, oci.Reference{Digest: d}); err != nil {
				return archive.Saved{}, err
			}
		}
		if want != (platform{}) {
			m, parsed = docker, picked
		}
	}
	if err := s.add(ctx, m, parsed); err != nil {
		return archive.Saved{}, err
	}
	return archive.Saved{Manifest: oci.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}, Docker: s.dockerItem(picked)}, nil
}

func (s *saving) read(ctx context.Context, ref oci.Reference) (*Manifest, *oci.Manifest, error) {
	m, err := s.r.manifest(ctx, s.repo.ID, ref)
	if errors.Is(err, db.ErrNone) {
		return nil, nil, manifestUnknown(s.name, ref)
	}
	if err != nil {
		return nil, nil, err
	}
	parsed, err := oci.ParseManifest(m.MediaType, m.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("stored manifest %s: %w", m.Digest, errors.New(err.Error()))
	}
	return m, parsed, nil
}

// add collects a manifest with all that it names.
func (s *saving) add(ctx context.Context, m *Manifest, parsed *oci.Manifest) error {
	if s.manifests[m.Digest] != nil {
		return nil
	}
	s.manifests[m.Digest], s.sizes[m.Digest] = m.Body, m.Size
	s.text += len(m.Body)
	for _, c := range parsed.Children {
		child, p, err := s.read(ctx, oci.Reference{Digest: c.Digest})
		if err != nil {
			return err
		}
		if err := s.add(ctx, child, p); err != nil {
			return err
		}
	}
	optional := parsed.Optional()
	for _, d := range slices.Concat(parsed.Blobs(), optional) {
		if _, ok := s.sizes[d]; ok {
			continue
		}
		l, err := s.r.link(ctx, s.repo, d)
		if fault.Is(err, fault.BlobUnknown) && slices.Contains(optional, d) {
			continue
		}
		if err != nil {
			return err
		}
		s.sizes[d] = l.Size
	}
	if len(s.sizes) > maxSavedContents || s.text > maxSavedText {
		return fault.New(fault.TooLarge, "The images have too many parts for one archive: pull them, or ask for one platform.").With(archive.TooBig)
	}
	return nil
}

// dockerItem is an image as docker load takes it; nil: it takes only images
// with a config of its own kind, and with all their layers.
func (s *saving) dockerItem(m *oci.Manifest) *archive.DockerItem {
	if m.Config == nil || !archive.IsImageConfig(m.Config.MediaType) {
		return nil
	}
	item := &archive.DockerItem{Config: m.Config.Digest}
	for _, l := range m.Layers {
		if _, ok := s.sizes[l.Digest]; !ok {
			return nil
		}
		item.Layers = append(item.Layers, l.Digest)
	}
	return item
}

// A platform is what an image of an index runs on.
type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

func (p platform) String() string {
	return strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
}

var usual = platform{OS: "linux", Architecture: "amd64"}

func parsePlatform(s string) (platform, error) {
	if s == "" {
		return platform{}, nil
	}
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || len(s) > 100 || slices.Contains(parts, "") {
		return platform{}, fault.New(fault.Invalid, "A platform is os/architecture or os/architecture/variant, as linux/arm64.")
	}
	p := platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// pickPlatform finds the manifest for a platform in the text of an index: the one
// asked for, or the usual one and else the first. A variant that is not asked
// for does not matter.
func pickPlatform(index []byte, want platform) (oci.Digest, bool) {
	var x struct {
		Manifests []struct {
			Digest   oci.Digest `json:"digest"`
			Platform platform   `json:"platform"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(index, &x); err != nil || len(x.Manifests) == 0 {
		return "", false
	}
	asked := cmp.Or(want, usual)
	for _, m := range x.Manifests {
		p := m.Platform
		if p.OS == asked.OS && p.Architecture == asked.Architecture && (asked.Variant == "" || asked.Variant == p.Variant) {
			return m.Digest, true
		}
	}
	return x.Manifests[0].Digest, want == platform{}
}
