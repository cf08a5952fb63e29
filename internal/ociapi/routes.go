package ociapi

import (
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// access is what a token must have been issued for.
type access string

const (
	anyone  access = ""        // some credential, whatever it permits
	catalog access = "catalog" // registry:catalog:*
	pull    access = "pull"
	push    access = "push"
	remove  access = "delete"
)

// A route is one row of the distribution API.
type route struct {
	kind   oci.Kind
	end    string // endpoint of the distribution-spec, Endpoints
	access access
	do     iam.Action // the same for the registry's rights
	writes bool       // changes something: audited
	early  bool       // ask for the right first: a body or a transaction follows
	upload bool       // the path ends in the id of an upload
	late   bool       // an expired token may still go on with its upload
	step   bool       // of a push, whose manifest has a line in the log
	handle func(*API, *call) error
}

// routes is the whole API. oci.ParseRequest finds the kind of a request.
var routes = [...]route{
	{kind: oci.Ping, end: "end-1", access: anyone, handle: (*API).ping},
	{kind: oci.Catalog, access: catalog, handle: (*API).catalog},
	{kind: oci.TagsList, end: "end-8", access: pull, do: iam.Pull, handle: (*API).tags},
	{kind: oci.Referrers, end: "end-12", access: pull, do: iam.Pull, handle: (*API).referrers},

	{kind: oci.ManifestGet, end: "end-3", access: pull, do: iam.Pull, handle: (*API).getManifest},
	{kind: oci.ManifestHead, end: "end-3", access: pull, do: iam.Pull, handle: (*API).getManifest},
	{kind: oci.ManifestPut, end: "end-7", access: push, do: iam.Push, writes: true, early: true, handle: (*API).putManifest},
	{kind: oci.ManifestDelete, end: "end-9", access: remove, do: iam.DeleteTag, writes: true, early: true, handle: (*API).deleteManifest},

	{kind: oci.BlobGet, end: "end-2", access: pull, do: iam.Pull, handle: (*API).getBlob},
	{kind: oci.BlobHead, end: "end-2", access: pull, do: iam.Pull, handle: (*API).headBlob},
	{kind: oci.BlobDelete, end: "end-10", access: remove, do: iam.DeleteTag, writes: true, early: true, handle: (*API).deleteBlob},

	{kind: oci.UploadStart, end: "end-4, end-11", access: push, do: iam.Push, writes: true, step: true, handle: (*API).startUpload},
	{kind: oci.UploadStatus, end: "end-13", access: push, do: iam.Push, upload: true, late: true, handle: (*API).uploadStatus},
	{kind: oci.UploadPatch, end: "end-5", access: push, do: iam.Push, writes: true, upload: true, late: true, step: true, handle: (*API).patchUpload},
	{kind: oci.UploadPut, end: "end-6", access: push, do: iam.Push, writes: true, upload: true, late: true, step: true, handle: (*API).putUpload},
	{kind: oci.UploadCancel, end: "end-14", access: push, do: iam.Push, writes: true, upload: true, handle: (*API).cancelUpload},
}
