package mirror

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/registry/remote"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// A copier brings one tag with everything that belongs to it to one target,
// from the bottom up: what the other side shows is whole.
type copier struct {
	m        *Mirror
	t        *target
	name     oci.Name // here
	path     string   // there
	repo     *remote.Repository
	override bool

	seen  map[oci.Digest]bool // manifests that were looked at
	sent  atomic.Int64        // blobs and manifests
	left  []string            // tags of attachments that are different over there
	trust bool                // what is known of the target counts
}

// Bounds of one copy.
const (
	maxManifests = 10_000
	maxNesting   = 8 // of indexes, and of what is attached to what is attached
	blobsAtOnce  = 4
)

func (m *Mirror) copier(t *target, name oci.Name, organization string, override bool) *copier {
	c := &copier{m: m, t: t, name: name, path: t.path(organization, name), override: override, seen: map[oci.Digest]bool{}, trust: true}
	c.repo = t.repository(c.path)
	return c
}

// An outcome is what came of a copy.
type outcome struct {
	status registry.SyncStatus
	detail string
	digest oci.Digest // of the tag over there
}

// tag copies a tag as it is now.
func (c *copier) tag(ctx context.Context, tag string) (outcome, error) {
	ctx = c.t.scoped(ctx, c.path)
	for range maxMoves {
		m, err := c.m.reg.Manifest(ctx, me, c.name, oci.Reference{Tag: tag}, false)
		if err != nil {
			return outcome{}, err
		}
		o, err := c.image(ctx, tag, m)
		if err != nil && c.trust && mayBeWrong(err) {
			// What was there once is not any more.
			c.t.known.forget(c.path)
			c.trust = false
			clear(c.seen)
			o, err = c.image(ctx, tag, m)
		}
		if err != nil {
			return outcome{}, err
		}
		now, err := c.m.reg.Manifest(ctx, me, c.name, oci.Reference{Tag: tag}, false)
		if err != nil || now.Digest == m.Digest {
			return o, nil // if it went meanwhile, that is another event
		}
	}
	return outcome{}, fmt.Errorf("mirror: the tag %s moves faster than it is copied", tag)
}

// maxMoves bounds how often a tag that moves meanwhile is copied again at once.
const maxMoves = 3

// mayBeWrong reports that the other side lacks what it was believed to have.
func mayBeWrong(err error) bool {
	r, ok := refusalOf(err)
	return ok && (r.code == "MANIFEST_BLOB_UNKNOWN" || r.code == "BLOB_UNKNOWN" || r.code == "MANIFEST_UNKNOWN" || r.status == http.StatusNotFound)
}

func (c *copier) image(ctx context.Context, tag string, m *registry.Manifest) (outcome, error) {
	there, err := c.resolve(ctx, tag)
	switch {
	case err != nil:
		return outcome{}, err
	case there == "":
		err = c.manifest(ctx, m, tag, 0)
	case there == m.Digest:
		err = c.attached(ctx, m.Digest, 0)
	case !c.override:
		return outcome{registry.SyncExisted, "skipped: differs: the tag is of " + string(there) + " over there, and override is not set.", there}, nil
	default:
		err = c.manifest(ctx, m, tag, 0)
	}
	if err != nil {
		return outcome{}, err
	}
	o := outcome{registry.SyncDone, "", m.Digest}
	if there == m.Digest && c.sent.Load() == 0 {
		o.status = registry.SyncExisted
	}
	if len(c.left) > 0 {
		o.detail = fmt.Sprintf("The tags %v differ over there and were left alone, since override is not set.", c.left)
	}
	return o, nil
}

// resolve returns the digest that a reference has over there, "" for none.
func (c *copier) resolve(ctx context.Context, ref string) (oci.Digest, error) {
	d, err := c.repo.Resolve(ctx, ref)
	if r, ok := refusalOf(err); ok && r.status == http.StatusNotFound {
		return "", nil
	}
	return oci.Digest(d.Digest), err
}

// manifest copies a manifest and all below it, and in the end puts it there
// under ref.
func (c *copier) manifest(ctx context.Context, m *registry.Manifest, ref string, depth int) error {
	if depth > maxNesting || len(c.seen) > maxManifests {
		return fmt.Errorf("mirror: %s has more manifests, or deeper ones, than are copied at once", ref)
	}
	c.seen[m.Digest] = true
	p, err := oci.ParseManifest(m.MediaType, m.Body)
	if err != nil {
		return err
	}
	if err := c.blobs(ctx, p.Blobs()); err != nil {
		return err
	}
	for _, child := range p.Children {
		if err := c.byDigest(ctx, child.Digest, depth+1); err != nil {
			return err
		}
	}
	// What is attached comes first: whoever asks for signatures finds them as
	// soon as there is the image.
	if err := c.attached(ctx, m.Digest, depth+1); err != nil {
		return err
	}
	return c.put(ctx, m, p, ref)
}

func (c *copier) blobs(ctx context.Context, digests []oci.Digest) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(blobsAtOnce)
	for _, d := range digests {
		g.Go(func() error {
			sent, err := c.blob(ctx, d)
			if sent {
				c.sent.Add(1)
			}
			return err
		})
	}
	return g.Wait()
}

// byDigest copies a manifest that has no tag of its own, unless it is there. An
// index may name manifests that the repository does not have: those are for
// nobody to copy.
func (c *copier) byDigest(ctx context.Context, d oci.Digest, depth int) error {
	if c.seen[d] {
		return nil
	}
	m, err := c.m.reg.Manifest(ctx, me, c.name, oci.Reference{Digest: d}, false)
	if fault.Is(err, fault.ManifestUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	there := c.t.known.there(c.path, string(d))
	if !there {
		found, err := c.resolve(ctx, string(d))
		if err != nil {
			return err
		}
		there = found == d
	}
	if !there {
		return c.manifest(ctx, m, string(d), depth)
	}
	c.seen[d] = true
	return c.attached(ctx, d, depth)
}

// attached copies what names the image as its subject, and the tags that are
// made of its digest.
func (c *copier) attached(ctx context.Context, d oci.Digest, depth int) error {
	if depth > maxNesting {
		return nil
	}
	for after := ""; ; {
		page, err := c.m.reg.Referrers(ctx, me, c.name, d, "", after, 500)
		if err != nil {
			return err
		}
		for _, r := range page.Items {
			if err := c.byDigest(ctx, r.Digest, depth+1); err != nil {
				return err
			}
			after = string(r.Digest)
		}
		if !page.More {
			break
		}
	}
	tags, err := c.m.reg.Attachments(ctx, me, c.name, d)
	if err != nil {
		return err
	}
	for _, t := range tags {
		if err := c.attachment(ctx, t, depth); err != nil {
			return err
		}
	}
	return nil
}

// attachment copies one such tag; a different one over there stays, unless the
// rule overrides.
func (c *copier) attachment(ctx context.Context, t registry.TagDigest, depth int) error {
	there, err := c.resolve(ctx, t.Tag)
	if err != nil || string(there) == t.Digest {
		return err
	}
	if there != "" && !c.override {
		c.left = append(c.left, t.Tag)
		return nil
	}
	m, err := c.m.reg.Manifest(ctx, me, c.name, oci.Reference{Tag: t.Tag}, false)
	if fault.Is(err, fault.ManifestUnknown) || err == nil && c.seen[m.Digest] {
		return nil
	}
	if err != nil {
		return err
	}
	return c.manifest(ctx, m, t.Tag, depth+1)
}

// put sends a manifest byte for byte.
func (c *copier) put(ctx context.Context, m *registry.Manifest, p *oci.Manifest, ref string) error {
	desc := ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.Digest(m.Digest), Size: int64(len(m.Body))}
	var err error
	if p.Subject != nil {
		// The client keeps the list by tag, where the other side keeps none.
		err = c.repo.Manifests().PushReference(ctx, desc, bytes.NewReader(m.Body), ref)
	} else {
		err = c.t.created(ctx, request{method: http.MethodPut, url: c.t.base() + "/v2/" + c.path + "/manifests/" + ref,
			header: http.Header{"Content-Type": {m.MediaType}}, length: int64(len(m.Body)),
			body: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.Body)), nil }})
	}
	if err != nil {
		return err
	}
	c.sent.Add(1)
	c.t.known.add(c.path, string(m.Digest))
	return nil
}
