package oci

import (
	"strings"

	"berth.dev/berth/internal/fault"
)

// Kind says what a request of the distribution API asks for.
type Kind int

// The kinds. A method HEAD has a kind of its own only where it is answered
// by other means than GET; elsewhere it is read as GET.
const (
	Ping           Kind = iota + 1 // GET    /v2/
	Catalog                        // GET    /v2/_catalog
	TagsList                       // GET    /v2/<name>/tags/list
	Referrers                      // GET    /v2/<name>/referrers/<digest>
	ManifestGet                    // GET    /v2/<name>/manifests/<reference>
	ManifestHead                   // HEAD
	ManifestPut                    // PUT
	ManifestDelete                 // DELETE
	BlobGet                        // GET    /v2/<name>/blobs/<digest>
	BlobHead                       // HEAD
	BlobDelete                     // DELETE
	UploadStart                    // POST   /v2/<name>/blobs/uploads/
	UploadStatus                   // GET    /v2/<name>/blobs/uploads/<id>
	UploadPatch                    // PATCH
	UploadPut                      // PUT
	UploadCancel                   // DELETE
)

var kindNames = [...]string{
	Ping: "ping", Catalog: "catalog", TagsList: "tags_list", Referrers: "referrers",
	ManifestGet: "manifest_get", ManifestHead: "manifest_head", ManifestPut: "manifest_put", ManifestDelete: "manifest_delete",
	BlobGet: "blob_get", BlobHead: "blob_head", BlobDelete: "blob_delete",
	UploadStart: "upload_start", UploadStatus: "upload_status", UploadPatch: "upload_patch", UploadPut: "upload_put", UploadCancel: "upload_cancel",
}

// String returns a word for metrics and logs.
func (k Kind) String() string {
	if k <= 0 || int(k) >= len(kindNames) {
		return "unknown"
	}
	return kindNames[k]
}

// Request is a parsed request line of the distribution API. Which members are
// set follows from the Kind.
type Request struct {
	Kind      Kind
	Name      Name      // all but Ping and Catalog
	Reference Reference // Manifest...
	Digest    Digest    // Blob..., Referrers: the subject
	UploadID  string    // Upload... but UploadStart; opaque, not yet verified
}

// MaxUploadID bounds an upload id, in bytes.
const MaxUploadID = 1024

// ParseRequest reads a request's method and its decoded URL path, the whole
// of it from "/v2/" on. Query parameters are the caller's business. The words
// that part a path may also be parts of a repository's name, so it is read
// from its end.
//
// Errors: NameInvalid, Reserved, DigestInvalid, TagInvalid; ManifestUnknown
// for reading or deleting by what cannot be a tag; UploadUnknown for what
// cannot be an upload id; RepoUnknown for a path of no known form and a name of one part;
// Unsupported for a known path with a method it does not have, with the
// value for the header Allow as Detail.
func ParseRequest(method, path string) (Request, error) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return Request{}, unknownPath(path)
	}
	switch rest {
	case "":
		return read(method, Request{Kind: Ping})
	case "_catalog":
		return read(method, Request{Kind: Catalog})
	}
	head, last := cutLast(rest)
	name, word := cutLast(head)
	switch word {
	case "manifests":
		return parseManifest(method, name, last)
	case "tags":
		if last == "list" {
			return named(name, Request{Kind: TagsList}, method)
		}
	case "referrers":
		d, err := ParseDigest(last)
		if err != nil {
			return Request{}, err
		}
		return named(name, Request{Kind: Referrers, Digest: d}, method)
	case "blobs":
		if last == "uploads" { // the trailing slash is often left out
			return parseStart(method, name)
		}
		return parseBlob(method, name, last)
	case "uploads":
		if owner, before := cutLast(name); before == "blobs" {
			if last == "" {
				return parseStart(method, owner)
			}
			return parseUpload(method, owner, last)
		}
	}
	return Request{}, unknownPath(path)
}

func parseManifest(method, name, last string) (Request, error) {
	q := Request{}
	switch method {
	case "GET":
		q.Kind = ManifestGet
	case "HEAD":
		q.Kind = ManifestHead
	case "PUT":
		q.Kind = ManifestPut
	case "DELETE":
		q.Kind = ManifestDelete
	default:
		return q, wrongMethod(method, "GET, HEAD, PUT, DELETE")
	}
	var err error
	if q.Name, err = ParseName(name); err != nil {
		return Request{}, err
	}
	q.Reference, err = ParseReference(last)
	if err != nil {
		// Clients ask for tags by trial, and what cannot be there is not there.
		if q.Kind != ManifestPut && fault.Is(err, fault.TagInvalid) {
			err = fault.New(fault.ManifestUnknown, "The repository has no tag %s.", quote(last))
		}
		return Request{}, err
	}
	return q, nil
}

func parseBlob(method, name, last string) (Request, error) {
	q := Request{}
	switch method {
	case "GET":
		q.Kind = BlobGet
	case "HEAD":
		q.Kind = BlobHead
	case "DELETE":
		q.Kind = BlobDelete
	default:
		return q, wrongMethod(method, "GET, HEAD, DELETE")
	}
	var err error
	if q.Name, err = ParseName(name); err != nil {
		return Request{}, err
	}
	if q.Digest, err = ParseDigest(last); err != nil {
		return Request{}, err
	}
	return q, nil
}

func parseStart(method, name string) (Request, error) {
	if method != "POST" {
		return Request{}, wrongMethod(method, "POST")
	}
	n, err := ParseName(name)
	if err != nil {
		return Request{}, err
	}
	return Request{Kind: UploadStart, Name: n}, nil
}

func parseUpload(method, name, id string) (Request, error) {
	q := Request{UploadID: id}
	switch method {
	case "GET":
		q.Kind = UploadStatus
	case "PATCH":
		q.Kind = UploadPatch
	case "PUT":
		q.Kind = UploadPut
	case "DELETE":
		q.Kind = UploadCancel
	default:
		return Request{}, wrongMethod(method, "GET, PATCH, PUT, DELETE")
	}
	var err error
	if q.Name, err = ParseName(name); err != nil {
		return Request{}, err
	}
	if len(id) > MaxUploadID {
		return Request{}, fault.New(fault.UploadUnknown, "There is no such upload.")
	}
	return q, nil
}

// named finishes a request that only reads and belongs to a repository.
func named(name string, q Request, method string) (Request, error) {
	var err error
	if q.Name, err = ParseName(name); err != nil {
		return Request{}, err
	}
	return read(method, q)
}

// read lets through the methods of a request that only reads.
func read(method string, q Request) (Request, error) {
	if method != "GET" && method != "HEAD" {
		return Request{}, wrongMethod(method, "GET, HEAD")
	}
	return q, nil
}

func unknownPath(path string) error {
	return fault.New(fault.RepoUnknown, "The distribution API has no path %s.", quote(path))
}

func wrongMethod(method, allow string) error {
	return fault.New(fault.Unsupported, "The method %s is not supported here; this path has %s.", quote(method), allow).With(allow)
}

// cutLast parts s at its last slash. Without one all of s is the last part.
func cutLast(s string) (before, last string) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}
