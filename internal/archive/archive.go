// Package archive reads and writes image archives: the tar files that docker
// save and podman save make, and OCI image layouts in a tar.
//
// Reading has two steps. ReadIndex walks the tar once and keeps where each file
// lies, and the text of the small documents among them. Plan turns that into
// the blobs and manifests to be stored; whoever calls it reads these from the
// archive by their offsets. Nothing is ever written under a name from an
// archive: names are keys of a map and no more.
//
// Writing computes the place of every byte from sizes alone, so that any range
// of a tar can be made without what stands before it.
//
// Nothing here does I/O of its own, and no input makes anything panic.
package archive

import (
	"strconv"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// Bounds of an archive that is read.
const (
	MaxEntries   = 100_000
	MaxName      = 1024            // bytes of one file's name
	MaxDocument  = oci.MaxManifest // bytes of one JSON document
	MaxImages    = 100             // with a name of their own
	MaxManifests = 1000            // of all images, children of indexes included, for each repository
	MaxLayers    = 10_000          // of all images

	maxNames     = 16 << 20 // bytes of all names
	maxDocuments = 32 << 20 // bytes of all documents
	maxDepth     = 4        // of indexes in one another
	maxLinks     = 8        // from one link to the next
)

// A Defect is what is wrong with an archive. It is the Detail of a
// fault.ManifestInvalid, and TooBig that of a fault.TooLarge.
type Defect string

// The defects.
const (
	NoNames       Defect = "names"    // an image has no name, and none was given
	NamesDiffer   Defect = "differs"  // a name is not of the organization or the repository asked for
	LayerMissing  Defect = "layer"    // the archive lacks a layer that it names
	ConfigMissing Defect = "config"   // the same of a config
	NoManifest    Defect = "manifest" // it has no manifest.json and no index.json, or lacks a manifest that it names
	Unparsable    Defect = "unparsed" // one of these cannot be read
	BadFormat     Defect = "format"   // it is no archive that is known here, or damaged
	TooBig        Defect = "size"     // the archive, or what is in it, is too large
)

// Defects lists them all, for tests of the surfaces' tables.
var Defects = []Defect{NoNames, NamesDiffer, LayerMissing, ConfigMissing, NoManifest, Unparsable, BadFormat, TooBig}

// As makes the error of a defect.
func (d Defect) As(format string, args ...any) error {
	code := fault.ManifestInvalid
	if d == TooBig {
		code = fault.TooLarge
	}
	return fault.New(code, format, args...).With(d)
}

// quote makes a stranger's string fit for a message.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
