package registry

import (
	"context"
	"errors"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// uploadHeld is the state of an upload that is an archive being unpacked: it
// receives nothing more.
const uploadHeld = "held"

// FinishArchive says that all of an archive has come, d its digest where it is
// not empty. It is unpacked in the background, and that it will be is durable
// when this returns. It waits for the end of that, at most for the time given,
// and then tells how far it is; the failure of a failed one is in the answer.
// Asked again it waits again.
//
// Errors: UploadUnknown, DigestInvalid and SizeInvalid, after which the archive
// is still open, Full, Unavailable, and those of Archive.
func (r *Registry) FinishArchive(ctx context.Context, who iam.Caller, org, id string, d oci.Digest, wait time.Duration) (Archive, error) {
	if err := r.mayArchive(ctx, who, org); err != nil {
		return Archive{}, err
	}
	if err := r.sealArchive(ctx, who, org, id, d); err != nil {
		return Archive{}, err
	}
	pause := 5 * time.Millisecond
	for end := time.Now().Add(wait); ; pause = min(2*pause, 500*time.Millisecond) {
		a, err := r.archiveRow(ctx, who, org, id)
		if err != nil {
			return Archive{}, err
		}
		left := time.Until(end)
		if a.State != string(ArchiveUnpacking) || left <= 0 {
			return a.archive()
		}
		select {
		case <-time.After(min(pause, left)):
		case <-ctx.Done():
			return Archive{}, ctx.Err()
		}
	}
}

// sealArchive makes what has come durable and queues it for unpacking, unless
// that has happened.
func (r *Registry) sealArchive(ctx context.Context, who iam.Caller, org, id string, d oci.Digest) error {
	ctx, s, a, err := r.holdArchive(ctx, who, org, id)
	if err != nil {
		return err
	}
	defer s.lease.release()
	if a.State != string(ArchiveOpen) {
		return nil
	}
	u := s.blob()
	switch {
	case u.Size == 0:
		return fault.New(fault.SizeInvalid, "Nothing of the archive has come yet.")
	case a.Announced >= 0 && a.Announced != u.Size:
		return fault.New(fault.SizeInvalid, "The archive was announced with %d bytes, and %d have come.", a.Announced, u.Size)
	}
	has, err := r.blobs.Digest(ctx, u)
	if err != nil {
		return takenOver(ctx, err)
	}
	if d != "" && d.Algorithm() != has.Algorithm() {
		return fault.New(fault.DigestInvalid, "The digest of an archive is its sha256.")
	}
	if d != "" && d != has {
		return fault.New(fault.DigestInvalid, "The archive received has the digest %s, not %s.", has, d)
	}
	lasting, err := r.iam.Lasting(ctx, who)
	if err != nil {
		return err
	}
	caller, err := lasting.Defer()
	if err != nil {
		return err
	}
	if u, err = r.blobs.Finish(ctx, u, has); err != nil {
		return takenOver(ctx, err)
	}
	return r.queueArchive(ctx, s, u, has, caller)
}

// queueArchive does not let the archive expire until it is unpacked: that was
// promised, however long the server is away.
func (r *Registry) queueArchive(ctx context.Context, s *session, u blob.Upload, d oci.Digest, caller []byte) error {
	return r.update(ctx, func(tx *db.Tx) error {
		_, err := db.One[int64](tx.Context(), tx, `UPDATE upload SET state = $3, driver = $4, start = $5, updated = $6, expires = $7
			WHERE id = $1 AND epoch = $2 AND state = 'open' RETURNING epoch`, s.id, s.row.Epoch, uploadHeld, []byte(u.Driver), r.start, tx.Micros(), never)
		if errors.Is(err, db.ErrNone) {
			return fault.New(fault.UploadInvalid, "Another request took this upload over.")
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE archive SET state = 'unpacking', size = $2, digest = $3, caller = $4, request = $5, due = $6, updated = $6, expires = $7
			WHERE id = $1 AND state = 'open'`, s.id, u.Size, string(d), caller, iam.RequestOf(ctx), tx.Micros(), never)
		tx.AfterCommit(r.archives.wakeUp)
		return err
	})
}
