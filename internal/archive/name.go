package archive

import (
	"strings"

	"berth.dev/berth/internal/oci"
)

// A Target is where the images of an archive are to go.
type Target struct {
	Organization string
	Repository   string // the name of images that have none; the only one that others may have
	Tag          string // the tag of images that have none; "": latest
	Rename       bool   // all images go to Repository, whatever they are called
}

// A Name is a place for an image in the target's organization.
type Name struct{ Repository, Tag string }

const latest = "latest"

// Place finds the name for an image that the archive calls ref: a registry's
// address and docker's own "library/" are left out, an organization must be the
// one of the target. Errors: NamesDiffer, NoNames, NameInvalid, TagInvalid.
func (t Target) Place(ref string) (Name, error) {
	path, tag := splitTag(ref)
	if t.Rename {
		return t.named(t.Repository, t.Tag, tag)
	}
	path, hub := withoutHost(path)
	if hub {
		path = strings.TrimPrefix(path, "library/")
	}
	if org, rest, ok := strings.Cut(path, "/"); ok {
		if org != t.Organization {
			return Name{}, NamesDiffer.As("The archive has an image with the name %s, which is not in the organization %s: "+
				"say a repository and that images are to be renamed.", quote(ref), t.Organization)
		}
		path = rest
	}
	if t.Repository != "" && path != t.Repository {
		return Name{}, NamesDiffer.As("The archive has an image with the name %s, and the repository asked for is %s: "+
			"say that images are to be renamed.", quote(ref), t.Repository)
	}
	return t.named(path, tag, t.Tag)
}

// Nameless is the name for an image that has none. Errors: NoNames.
func (t Target) Nameless() (Name, error) {
	if t.Repository == "" {
		return Name{}, NoNames.As("An image of the archive has no name: say which repository and tag it is to get.")
	}
	return t.named(t.Repository, t.Tag, "")
}

// named checks a name, whose tag is the first of tags that is not empty.
func (t Target) named(repository string, tags ...string) (Name, error) {
	if repository == "" {
		return t.Nameless()
	}
	if _, err := oci.ParseRepository(repository); err != nil {
		return Name{}, err
	}
	n := Name{repository, latest}
	for _, tag := range tags {
		if tag == "" {
			continue
		}
		n.Tag = tag
		break
	}
	_, err := oci.ParseTag(n.Tag)
	return n, err
}

// splitTag cuts a reference before its tag; a digest is left out.
func splitTag(ref string) (path, tag string) {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i], ref[i+1:]
	}
	return ref, ""
}

// withoutHost leaves out a registry's address, by docker's rule, and tells
// whether the rest is a name of docker's own registry.
func withoutHost(path string) (rest string, hub bool) {
	host, rest, ok := strings.Cut(path, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return path, true
	}
	return rest, host == "docker.io" || host == "index.docker.io"
}
