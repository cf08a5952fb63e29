package registry

import (
	"context"
	"errors"
	"io"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// StartArchive opens an upload of an archive.
//
// Errors: OrgUnknown, Foreign, Denied, Unauthorized, NameInvalid, TagInvalid,
// Invalid, TooLarge, TooMany, Full.
func (r *Registry) StartArchive(ctx context.Context, who iam.Caller, org string, s ArchiveSpec) (Archive, error) {
	if err := r.mayArchive(ctx, who, org); err != nil {
		return Archive{}, err
	}
	if err := r.checkArchive(ctx, s); err != nil {
		return Archive{}, err
	}
	id := newNonce()
	_, err := db.Update(ctx, r.db, func(tx *db.Tx) (int64, error) {
		owner := archiveOwner(who)
		n, err := db.One[int64](tx.Context(), tx, `SELECT count(*) FROM archive WHERE owner = $1 AND state IN ('open', 'unpacking')`, owner)
		if err != nil {
			return 0, err
		}
		if n >= int64(r.o.OpenUploads) {
			return 0, fault.New(fault.TooMany, "You have %d unfinished uploads of archives; finish or cancel some first.", n)
		}
		// What became of the oldest is forgotten, so that nobody fills the table.
		if _, err := tx.Exec(`DELETE FROM archive WHERE id IN (SELECT id FROM archive WHERE owner = $1 AND state IN ('done', 'failed')
				ORDER BY created DESC LIMIT 100 OFFSET $2)`, owner, r.o.OpenUploads); err != nil {
			return 0, err
		}
		return tx.Exec(`INSERT INTO archive (id, owner, namespace, repository, tag, renames, announced, state, size, digest, request, attempts,
				claim, due, progress, code, defect, message, created, updated, expires)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', 0, '', '', 0, '', 0, 0, '', '', '', $8, $8, $9)`,
			id, owner, org, s.Repository, s.Tag, s.Rename, s.Size, tx.Micros(), tx.Micros()+r.o.UploadLife.Microseconds())
	})
	if err != nil {
		return Archive{}, err
	}
	return r.Archive(ctx, who, org, id)
}

func (r *Registry) checkArchive(ctx context.Context, s ArchiveSpec) error {
	if s.Repository != "" {
		if _, err := oci.ParseRepository(s.Repository); err != nil {
			return err
		}
	}
	if s.Tag != "" {
		if _, err := oci.ParseTag(s.Tag); err != nil {
			return err
		}
	}
	switch {
	case s.Rename && s.Repository == "":
		return fault.New(fault.Invalid, "Images can be renamed where a repository is given.")
	case s.Size == 0 || s.Size < -1:
		return fault.New(fault.Invalid, "The size of an archive is at least one byte.")
	case s.Size > r.o.ArchiveMax:
		return r.archiveTooBig()
	}
	return r.blobs.Free(ctx)
}

func (r *Registry) archiveTooBig() error {
	return ArchiveTooBig.As("An archive has at most %d bytes.", r.o.ArchiveMax)
}

// An ArchivePart is a piece of an archive.
type ArchivePart struct {
	Offset int64 // where the client believes the upload stands, -1: it does not say
	Length int64 // of the body, -1: unknown
	Whole  bool  // the body is good only at its end: before that, nothing of it counts
	Body   io.Reader
}

// AppendArchive adds a part. Whatever came before an error is kept, and the
// next part goes on there.
//
// Errors: UploadUnknown, UploadInvalid where it is complete already,
// RangeInvalid (Detail: the true size), SizeInvalid, TooLarge, Timeout, Full,
// Unavailable, and those of Archive.
func (r *Registry) AppendArchive(ctx context.Context, who iam.Caller, org, id string, p ArchivePart) (Archive, error) {
	if err := r.mayArchive(ctx, who, org); err != nil {
		return Archive{}, err
	}
	ctx, s, a, err := r.holdArchive(ctx, who, org, id)
	if err != nil {
		return Archive{}, err
	}
	defer s.lease.release()
	if a.State != string(ArchiveOpen) {
		return Archive{}, fault.New(fault.UploadInvalid, "This archive is complete; nothing can be added to it.")
	}
	at := s.row.Size
	if p.Offset >= 0 && p.Offset != at {
		return Archive{}, fault.New(fault.RangeInvalid, "The upload goes on at byte %d, not %d.", at, p.Offset).With(at)
	}
	over := r.archiveTooBig()
	limit := r.o.ArchiveMax
	if a.Announced >= 0 {
		limit, over = a.Announced, fault.New(fault.SizeInvalid, "The archive was announced with %d bytes, and more have come.", a.Announced)
	}
	if p.Length > limit-at {
		return Archive{}, over
	}
	s.whole = p.Whole
	u, err := s.receive(ctx, p.Offset, p.Length, &capped{src: p.Body, left: limit - at, over: over}, false)
	if err != nil {
		return Archive{}, takenOver(ctx, err)
	}
	a.Received = &u.Size
	expires := s.expires(time.Now().UnixMicro())
	a.UploadExpires = &expires
	return a.archive()
}

// holdArchive takes the upload of an archive over from whatever request had it
// before, and reads its row then: nobody else of this process changes it.
func (r *Registry) holdArchive(ctx context.Context, who iam.Caller, org, id string) (context.Context, *session, archiveRow, error) {
	if a, err := r.archiveRow(ctx, who, org, id); err != nil {
		return ctx, nil, a, err // whose it is not must not end what is being sent to it
	}
	held, l, err := r.uploads.take(ctx, id)
	if err != nil {
		return ctx, nil, archiveRow{}, err
	}
	a, err := r.archiveRow(held, who, org, id)
	s := &session{r: r, who: who, id: id, lease: l, token: uploadToken{Path: org, Owner: a.Owner, Nonce: id, Started: a.Created / 1e6, Algorithm: oci.SHA256}}
	if err == nil && a.State == string(ArchiveOpen) {
		err = s.load(held)
		if fault.Is(err, fault.UploadUnknown) { // what had come was lost
			s.fresh()
			s.saved = false
			err = r.update(held, func(tx *db.Tx) error { return dropUpload(tx, id) })
		}
	}
	if err != nil {
		l.release()
		return ctx, nil, a, err
	}
	return held, s, a, nil
}

// CancelArchive gives an archive up, whatever its state: what it stored goes,
// and images that came from it stay. Errors: those of Archive.
func (r *Registry) CancelArchive(ctx context.Context, who iam.Caller, org, id string) error {
	if err := r.mayArchive(ctx, who, org); err != nil {
		return err
	}
	if _, err := r.archiveRow(ctx, who, org, id); err != nil {
		return err // as in holdArchive
	}
	_, l, err := r.uploads.take(ctx, id)
	if err != nil {
		return err
	}
	defer l.release()
	if _, err := r.archiveRow(ctx, who, org, id); err != nil {
		return err
	}
	if err := r.update(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`DELETE FROM archive WHERE id = $1`, id); err != nil {
			return err
		}
		tx.AfterCommit(r.wakeCollector)
		return dropUpload(tx, id)
	}); err != nil {
		return err
	}
	r.archives.stop(id)
	return nil
}

// dropUpload removes the upload of an archive; what it stored becomes garbage.
func dropUpload(tx *db.Tx, id string) error {
	key, err := db.One[string](tx.Context(), tx, `DELETE FROM upload WHERE id = $1 RETURNING key`, id)
	switch {
	case errors.Is(err, db.ErrNone) || err == nil && key == "":
		return nil
	case err != nil:
		return err
	}
	return addGarbage(tx, key)
}

// capped is a body that may not be longer than what is left.
type capped struct {
	src  io.Reader
	left int64
	over error
}

func (c *capped) Read(p []byte) (int, error) {
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.src.Read(p)
	if int64(n) > c.left {
		n, err = int(c.left), c.over
	}
	c.left -= int64(n)
	return n, err
}

// Interrupt serves Interrupter.
func (c *capped) Interrupt() {
	if i, ok := c.src.(Interrupter); ok {
		i.Interrupt()
	}
}
