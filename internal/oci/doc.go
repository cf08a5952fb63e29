// Package oci holds the nouns of the OCI specifications as Berth uses them:
// names, digests, references, manifests, and the request paths of the
// distribution API.
//
// Everything here is pure: parsers that turn bytes from strangers into values
// or into a fault. Nothing does I/O, nothing keeps state, and no input makes
// anything panic. A value made by a parser is valid for good; code behind the
// parsers checks nothing again.
package oci
