package oci

import (
	"encoding/base64"

	"berth.dev/berth/internal/fault"
)

// Members that hold lists of descriptors.
const (
	layers = iota
	manifests
	blobs
)

var listKeys = [...]string{layers: "layers", manifests: "manifests", blobs: "blobs"}

// Known members per object. A key that differs from one of them only in case
// is refused: some parsers take it for the known one.
var (
	documentKeys   = []string{"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "blobs", "subject", "annotations", "fsLayers"}
	descriptorKeys = []string{"mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType"}
	platformKeys   = []string{"architecture", "os", "os.version", "os.features", "variant", "features"}
)

// maxTotal bounds the sum of all sizes in a manifest: the largest integer
// that every JSON parser reads exactly, and far from overflowing when added.
const maxTotal = 1<<53 - 1

// document holds the members of a manifest of any form.
type document struct {
	schema          int64 // 0: absent
	media, artifact string
	config, subject *Descriptor
	lists           [len(listKeys)][]Descriptor // nil: absent
	annotations     map[string]string
	fsLayers        bool // the list of schema 1 is there
}

// reader reads a document's members over the scanner.
type reader struct {
	scanner
	descriptors int
	total       int64 // sum of their sizes
	urls        int   // of all of them
}

// readDocument reads a whole JSON text. A member that may be absent may also
// be null, which means the same. Errors: ManifestInvalid.
func readDocument(body []byte) (*document, error) {
	r := reader{scanner: scanner{data: body}}
	d := &document{}
	err := r.object(documentKeys, func(key []byte) (err error) {
		switch string(key) {
		case "schemaVersion":
			d.schema, err = r.integer()
		case "mediaType":
			d.media, err = r.mediaType()
		case "artifactType":
			d.artifact, err = r.mediaType()
		case "config":
			d.config, err = r.pointer()
		case "subject":
			d.subject, err = r.pointer()
		case "layers":
			d.lists[layers], err = r.list()
		case "manifests":
			d.lists[manifests], err = r.list()
		case "blobs":
			d.lists[blobs], err = r.list()
		case "annotations":
			d.annotations, err = r.annotations(true)
		case "fsLayers":
			d.fsLayers, err = true, r.skip()
		default:
			err = r.skip()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return d, r.end()
}

// list reads a list of descriptors; it returns an empty one for null.
func (r *reader) list() ([]Descriptor, error) {
	ds := []Descriptor{}
	if r.null() {
		return ds, nil
	}
	err := r.array(func() error {
		d, err := r.descriptor()
		ds = append(ds, d)
		return err
	})
	return ds, err
}

// pointer reads a descriptor that may be absent.
func (r *reader) pointer() (*Descriptor, error) {
	if r.null() {
		return nil, nil
	}
	d, err := r.descriptor()
	return &d, err
}

func (r *reader) descriptor() (d Descriptor, err error) {
	if r.descriptors++; r.descriptors > MaxDescriptors {
		return d, fault.New(fault.ManifestInvalid, "The manifest has more than %d descriptors.", MaxDescriptors)
	}
	d.Size = -1
	err = r.object(descriptorKeys, func(key []byte) (err error) {
		switch string(key) {
		case "mediaType":
			d.MediaType, err = r.mediaType()
		case "artifactType":
			d.ArtifactType, err = r.mediaType()
		case "digest":
			d.Digest, err = r.digest()
		case "size":
			d.Size, err = r.integer()
		case "urls":
			d.URLs, err = r.addresses()
		case "annotations":
			_, err = r.annotations(false)
		case "data":
			err = r.base64()
		case "platform":
			err = r.platform()
		default:
			err = r.skip()
		}
		return err
	})
	switch {
	case err != nil:
		return d, err
	case d.Digest == "":
		return d, r.fail("a descriptor has no digest")
	case d.Size < 0:
		return d, r.fail("a descriptor has no size")
	case d.Size > maxTotal-r.total:
		return d, r.fail("the sizes add up to more than any client can count")
	}
	r.total += d.Size
	return d, nil
}

func (r *reader) digest() (Digest, error) {
	s, err := r.str()
	if err != nil {
		return "", err
	}
	d, err := ParseDigest(s)
	if err != nil {
		return "", fault.Wrap(fault.ManifestInvalid, err, "The manifest names a digest that is invalid or of an unsupported algorithm: %s.", quote(s))
	}
	return d, nil
}

// mediaType reads a media or artifact type. Its grammar is left to clients;
// what is kept out is what a header or a database column cannot hold.
func (r *reader) mediaType() (string, error) {
	if r.null() {
		return "", nil
	}
	s, err := r.str()
	if err != nil {
		return "", err
	}
	if len(s) > 255 {
		return "", r.fail("a media type is longer than 255 bytes")
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return "", r.fail("a media type has characters other than printable ASCII")
		}
	}
	return s, nil
}

// annotations reads an object whose members are strings, and returns it if it
// is to be kept; nil for null.
func (r *reader) annotations(keep bool) (map[string]string, error) {
	if r.null() {
		return nil, nil
	}
	var m map[string]string
	if keep {
		m = map[string]string{}
	}
	err := r.object(nil, func(key []byte) error {
		v, err := r.text()
		if keep {
			m[string(key)] = string(v)
		}
		return err
	})
	return m, err
}

// addresses reads a descriptor's urls.
func (r *reader) addresses() ([]string, error) {
	var list []string
	err := r.strings(func(s []byte) error {
		if r.urls++; r.urls > MaxDescriptors {
			return r.fail("it has too many urls")
		}
		list = append(list, string(s))
		return nil
	})
	return list, err
}

// strings reads a list of strings, or null, and calls item for each.
func (r *reader) strings(item func(s []byte) error) error {
	if r.null() {
		return nil
	}
	return r.array(func() error {
		s, err := r.text()
		if err != nil {
			return err
		}
		return item(s)
	})
}

// platform checks the members of a descriptor's platform; a registry does
// not act on them.
func (r *reader) platform() error {
	if r.null() {
		return nil
	}
	return r.object(platformKeys, func(key []byte) error {
		var err error
		switch string(key) {
		case "architecture", "os", "os.version", "variant":
			if !r.null() {
				_, err = r.text()
			}
		case "os.features", "features":
			err = r.strings(func([]byte) error { return nil })
		default:
			err = r.skip()
		}
		return err
	})
}

// base64 checks the content embedded in a descriptor.
func (r *reader) base64() error {
	if r.null() {
		return nil
	}
	b, err := r.text()
	if err != nil {
		return err
	}
	if _, err := base64.StdEncoding.AppendDecode(nil, b); err != nil {
		return r.fail("a descriptor's data is not base64")
	}
	return nil
}
