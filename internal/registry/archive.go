package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"berth.dev/berth/internal/archive"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// ArchiveState is how far an archive is.
type ArchiveState string

// The states of an archive. From open it goes to unpacking when it is complete,
// and from there to one of the last two.
const (
	ArchiveOpen      ArchiveState = "open"
	ArchiveUnpacking ArchiveState = "unpacking"
	ArchiveDone      ArchiveState = "done"
	ArchiveFailed    ArchiveState = "failed"
)

// ArchiveSpec is what a caller says of an archive that is to come.
type ArchiveSpec struct {
	Repository string // the name of images that have none; "": none
	Tag        string // likewise
	Rename     bool   // Repository, and Tag where it is given, are for all images
	Size       int64  // bytes of the archive, -1: not known
}

// Archive is the visible state of an uploaded archive.
type Archive struct {
	ArchiveSpec
	ID       string
	Org      string
	State    ArchiveState
	Received int64 // bytes that have come and are safe
	Unpacked int64 // bytes of its layers that were read so far
	Images   []ArchiveImage
	Failure  *fault.Error // of a failed one
	Created  time.Time
	Expires  time.Time // when it is forgotten if nothing happens; zero while it is unpacked
}

// ArchiveImage is an image that came from an archive.
type ArchiveImage struct {
	Repository string     `json:"repository"` // without the organization
	Tags       []string   `json:"tags"`
	Digest     oci.Digest `json:"digest"`
	Config     oci.Digest `json:"config,omitempty"` // whose hash docker calls the image's id; "": an index
}

// What archives can be wrong in, for the tables of surfaces.
const (
	ArchiveNoNames       = archive.NoNames
	ArchiveNamesDiffer   = archive.NamesDiffer
	ArchiveLayerMissing  = archive.LayerMissing
	ArchiveConfigMissing = archive.ConfigMissing
	ArchiveNoManifest    = archive.NoManifest
	ArchiveUnparsable    = archive.Unparsable
	ArchiveBadFormat     = archive.BadFormat
	ArchiveTooBig        = archive.TooBig
)

// ArchiveDefect is the detail of a fault that is an archive's.
type ArchiveDefect = archive.Defect

// ArchiveDefects lists them all.
func ArchiveDefects() []ArchiveDefect { return archive.Defects }

// ValidArchiveID tells whether a string has the form of an archive's id.
func ValidArchiveID(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// An archiveRow is an archive with the upload that holds its bytes, which is
// there from the first of them until it was unpacked.
type archiveRow struct {
	ID, Owner, Org  string
	Repository, Tag string
	Rename          bool
	Announced       int64
	State           string
	Size            int64
	Caller          []byte
	Request         string
	Attempts        int64
	Progress        int64
	Code            string
	Defect          string
	Message         string
	Images          []byte
	Created         int64
	Expires         int64
	Received        *int64
	UploadExpires   *int64
	UploadStart     *string
}

const selectArchive = `SELECT a.id, a.owner, a.namespace, a.repository, a.tag, a.renames, a.announced, a.state, a.size, a.caller, a.request,
	a.attempts, a.progress, a.code, a.defect, a.message, a.images, a.created, a.expires, u.size, u.expires, u.start
	FROM archive a LEFT JOIN upload u ON u.id = a.id`

func (a *archiveRow) expires() int64 {
	if a.UploadExpires != nil {
		return max(a.Expires, *a.UploadExpires)
	}
	return a.Expires
}

func (a *archiveRow) target() archive.Target {
	return archive.Target{Organization: a.Org, Repository: a.Repository, Tag: a.Tag, Rename: a.Rename}
}

// failure is the fault that ended the archive, as it was told first.
func (a *archiveRow) failure() *fault.Error {
	if a.State != string(ArchiveFailed) {
		return nil
	}
	f := &fault.Error{Code: fault.Code(a.Code), Msg: a.Message}
	switch {
	case f.Code == fault.Quota:
		f.Detail = a.Defect // which quota
	case a.Defect != "":
		f.Detail = archive.Defect(a.Defect)
	}
	return f
}

func (a *archiveRow) archive() (Archive, error) {
	out := Archive{ArchiveSpec: ArchiveSpec{Repository: a.Repository, Tag: a.Tag, Rename: a.Rename, Size: a.Announced},
		ID: a.ID, Org: a.Org, State: ArchiveState(a.State), Received: a.Size, Unpacked: a.Progress, Failure: a.failure(),
		Created: fromMicros(a.Created)}
	if out.State != ArchiveUnpacking {
		out.Expires = fromMicros(a.expires())
	}
	if a.State == string(ArchiveOpen) && a.Received != nil {
		out.Received = *a.Received
	}
	if len(a.Images) > 0 {
		if err := json.Unmarshal(a.Images, &out.Images); err != nil {
			return out, fmt.Errorf("archive %s: %w", a.ID, err)
		}
	}
	return out, nil
}

// archiveOwner names whose an archive is: a user's, whichever key is used.
func archiveOwner(who iam.Caller) string { return "user:" + who.User }

func archiveUnknown() error {
	return fault.New(fault.UploadUnknown, "There is no such upload of an archive; start a new one.")
}

// mayArchive decides whether the caller may upload archives to the organization.
func (r *Registry) mayArchive(ctx context.Context, who iam.Caller, org string) error {
	if err := r.MayOrg(ctx, who, org, iam.UploadPage); err != nil {
		return err
	}
	if who.User == "" {
		return fault.New(fault.Denied, "Archives are uploaded by users.")
	}
	return nil
}

// archiveRow reads the caller's archive.
func (r *Registry) archiveRow(ctx context.Context, who iam.Caller, org, id string) (archiveRow, error) {
	a, err := db.One[archiveRow](ctx, r.db, selectArchive+` WHERE a.id = $1`, id)
	switch {
	case errors.Is(err, db.ErrNone):
		return a, archiveUnknown()
	case err != nil:
		return a, err
	case a.Org != org || a.Owner != archiveOwner(who) || a.expires() <= time.Now().UnixMicro():
		return a, archiveUnknown()
	}
	return a, nil
}

// Archive shows one of the caller's archives.
// Errors: UploadUnknown, OrgUnknown, Foreign, Denied, Unauthorized.
func (r *Registry) Archive(ctx context.Context, who iam.Caller, org, id string) (Archive, error) {
	if err := r.mayArchive(ctx, who, org); err != nil {
		return Archive{}, err
	}
	a, err := r.archiveRow(ctx, who, org, id)
	if err != nil {
		return Archive{}, err
	}
	if r.db.Exact() && a.State == string(ArchiveOpen) && a.UploadStart != nil && *a.UploadStart != r.start && !r.uploads.busy(id) {
		// What another start of the process has written is looked at first:
		// after a power cut it may be less. Elsewhere another node may be
		// receiving it; whoever sends the next part is told the truth.
		var s *session
		if _, s, a, err = r.holdArchive(ctx, who, org, id); err != nil {
			return Archive{}, err
		}
		defer s.lease.release()
		a.Received = &s.row.Size
	}
	return a.archive()
}

// Archives lists the caller's archives in an organization, the newest first.
// Errors: OrgUnknown, Foreign, Denied, Unauthorized.
func (r *Registry) Archives(ctx context.Context, who iam.Caller, org string, n int) (Page[Archive], error) {
	if err := r.mayArchive(ctx, who, org); err != nil {
		return Page[Archive]{}, err
	}
	n = clampPage(n)
	rows, err := db.All[archiveRow](ctx, r.db, selectArchive+` WHERE a.owner = $1 AND a.namespace = $2
		AND (a.expires > $3 OR u.expires > $3) ORDER BY a.created DESC, a.id LIMIT $4`, archiveOwner(who), org, time.Now().UnixMicro(), n+1)
	if err != nil {
		return Page[Archive]{}, err
	}
	list := make([]Archive, len(rows))
	for i := range rows {
		if list[i], err = rows[i].archive(); err != nil {
			return Page[Archive]{}, err
		}
	}
	return page(list, n), nil
}
