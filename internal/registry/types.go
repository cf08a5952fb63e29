package registry

import (
	"time"

	"berth.dev/berth/internal/oci"
)

// Org is an organization: the first component of every repository's name.
type Org struct {
	ID          int64
	Account     string
	Name        string
	Creator     string // user id
	CreatorName string
	Created     time.Time
	Public      bool // everyone pulls all that is in it
	Description string
	Charts      bool // it is a chart group
}

// RepoSpec is what a caller says of a repository that it creates.
type RepoSpec struct {
	Public      bool
	Category    string // "" means other
	Description string
}

// RepoPatch changes the members that are not nil.
type RepoPatch struct {
	Public      *bool
	Category    *string
	Description *string
}

// Repo is a repository with its figures.
type Repo struct {
	ID          int64
	OrgID       int64
	Account     string
	Name        oci.Name
	Public      bool // as it was set
	Open        bool // everyone may pull: it is public, or its organization is
	Category    string
	Description string
	Creator     string // user id
	CreatorName string
	Created     time.Time
	Updated     time.Time // last push or change
	Tags        int64
	Size        int64 // bytes: config and layers of the manifests that have a tag, of each once
	Pulls       int64
}

// Upload is the visible state of an upload.
type Upload struct {
	ID   string // opaque, part of the upload's address
	Size int64  // bytes received and safe
}

// PutResult tells what a pushed manifest became.
type PutResult struct {
	Digest  oci.Digest
	Subject oci.Digest // empty: none
	Tags    []string   // the tags that point to it now because of this push
}

// Manifest is a stored manifest. Body is shared: read only.
type Manifest struct {
	Digest    oci.Digest
	MediaType string
	Size      int64
	Body      []byte
}

// TagEvent is one line of a tag's history.
type TagEvent struct {
	ID       int64
	Tag      string
	Digest   string // empty: the tag was removed
	Previous string // empty: the tag was new
	Actor    string
	Cause    string // push, retag, delete, manifest_delete, retention, restore, rollback
	Detail   string // what only this cause has, a JSON object; empty: nothing
	Time     time.Time
	There    bool // the image of Digest, else of Previous, can still be had
}

func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }
