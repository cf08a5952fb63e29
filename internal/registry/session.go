package registry

import (
	"context"
	"errors"
	"io"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

const (
	uploadOpen      = "open"
	uploadDone      = "done"
	uploadCancelled = "cancelled"
)

// An uploadRow is an upload that has received something.
type uploadRow struct {
	State     string
	Digest    string
	Size      int64
	Algorithm string
	Hash      []byte
	Data      []byte
	Key       string
	Driver    []byte
	Start     string
	Epoch     int64
	Expires   int64
}

// A session is one request's hold on an upload: the only one in this process
// (leases) and, by the epoch, the only one that can write the row.
type session struct {
	r     *Registry
	who   iam.Caller
	name  oci.Name
	id    string
	token uploadToken
	row   uploadRow
	saved bool   // there is a row
	whole bool   // of what one request sends, all counts or nothing
	key   string // reserved for this upload (keys.go), until a row takes it over
	lease *lease
}

// openUpload takes the upload over from whatever request had it before.
// Errors: UploadUnknown, Denied, Unauthorized.
func (r *Registry) openUpload(ctx context.Context, who iam.Caller, name oci.Name, id string) (context.Context, *session, error) {
	t, err := r.parseUpload(who, name, id)
	if err != nil {
		return ctx, nil, err
	}
	if err := r.mayPush(ctx, who, name); err != nil {
		return ctx, nil, err
	}
	return r.holdUpload(ctx, who, name, id, t)
}

func (r *Registry) holdUpload(ctx context.Context, who iam.Caller, name oci.Name, id string, t uploadToken) (context.Context, *session, error) {
	ctx, l, err := r.uploads.take(ctx, t.Nonce)
	if err != nil {
		return ctx, nil, err
	}
	s := &session{r: r, who: who, name: name, id: id, token: t, lease: l}
	switch d, known := r.ids.use(t.Nonce); {
	case known && d == "":
		s.fresh()
	case known:
		s.row = uploadRow{State: uploadDone, Digest: string(d)}
	default:
		err = s.load(ctx)
	}
	if err != nil {
		l.release()
		return ctx, nil, err
	}
	return ctx, s, nil
}

// fresh is the state of an upload for which nothing has come.
func (s *session) fresh() {
	s.row = uploadRow{State: uploadOpen, Algorithm: string(s.token.Algorithm), Start: s.r.start}
}

const uploadColumns = `state, digest, size, algorithm, hash, data, key, driver, start, epoch, expires`

func (s *session) load(ctx context.Context) error {
	unknown := fault.New(fault.UploadUnknown, "There is no such upload; start a new one.")
	row, err := db.One[uploadRow](ctx, s.r.db, `SELECT `+uploadColumns+` FROM upload WHERE id = $1`, s.token.Nonce)
	switch {
	case errors.Is(err, db.ErrNone):
		if time.Since(time.Unix(s.token.Started, 0)) > s.r.o.UploadLife {
			return unknown
		}
		s.fresh()
		return nil
	case err != nil:
		return err
	case row.State == uploadCancelled, row.State == uploadOpen && row.Expires < time.Now().UnixMicro():
		return unknown
	}
	s.row, s.saved = row, true
	if row.State == uploadDone {
		return nil
	}
	if !s.r.db.Exact() {
		// Another node may still write: after this its writes find another epoch.
		row.Epoch, err = db.Update(ctx, s.r.db, func(tx *db.Tx) (int64, error) {
			return db.One[int64](tx.Context(), tx, `UPDATE upload SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch`, s.token.Nonce)
		})
		if err != nil {
			return err
		}
		s.row.Epoch = row.Epoch
	}
	if s.row.Key != "" && s.row.Start != s.r.start {
		// After a power cut the storage may hold less than the row says.
		u, err := s.r.blobs.Resume(ctx, s.blob())
		if fault.Is(err, fault.UploadUnknown) {
			if err := s.discard(ctx, uploadCancelled); err != nil {
				return err
			}
			return unknown
		}
		if err != nil {
			return err
		}
		s.set(u)
	}
	return nil
}

// blob is the upload as the blob store sees it.
func (s *session) blob() blob.Upload {
	return blob.Upload{Key: s.row.Key, Algorithm: oci.Algorithm(s.row.Algorithm), Size: s.row.Size,
		Hash: s.row.Hash, Driver: s.row.Driver, Inline: s.row.Data}
}

func (s *session) set(u blob.Upload) {
	s.row.Key, s.row.Size, s.row.Hash, s.row.Driver, s.row.Data = u.Key, u.Size, u.Hash, u.Driver, u.Inline
	s.row.Algorithm = string(u.Algorithm)
}

// expires is when the row may go: not before its id is too old to start again.
func (s *session) expires(now int64) int64 {
	return max(now, s.token.Started*1e6) + s.r.o.UploadLife.Microseconds()
}

// save writes the upload's state. A row that another node has taken over is
// left alone: UploadInvalid.
func (s *session) save(ctx context.Context, u blob.Upload) error {
	epoch, err := db.Update(ctx, s.r.db, func(tx *db.Tx) (int64, error) {
		if err := adopt(tx, s.key, s.r.keys.life); err != nil {
			return 0, err
		}
		return s.saveTx(tx, u, uploadOpen, "")
	})
	if err != nil {
		return err
	}
	s.set(u)
	s.row.Epoch, s.row.Start, s.saved, s.key = epoch, s.r.start, true, ""
	return nil
}

// saveTx writes the row. It is made once: a row that the collector took away
// in the meantime does not come back.
func (s *session) saveTx(tx *db.Tx, u blob.Upload, state string, digest oci.Digest) (int64, error) {
	if state != uploadOpen {
		u.Hash, u.Driver, u.Inline, u.Key = nil, nil, nil, ""
	}
	query := `INSERT INTO upload (id, state, digest, size, algorithm, hash, data, key, driver, start, epoch, updated, expires, path, owner)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (id) DO NOTHING RETURNING epoch`
	args := []any{s.token.Nonce, state, string(digest), u.Size, string(u.Algorithm), u.Hash, u.Inline, u.Key, []byte(u.Driver),
		s.r.start, s.row.Epoch, tx.Micros(), s.expires(tx.Micros()), s.token.Path, s.token.Owner}
	if !s.saved && state == uploadOpen {
		if err := s.r.checkOpenUploads(tx.Context(), tx, s.token.Owner); err != nil {
			return 0, err
		}
	}
	if s.saved {
		query = `UPDATE upload SET state = $2, digest = $3, size = $4, algorithm = $5, hash = $6, data = $7, key = $8, driver = $9,
			start = $10, updated = $12, expires = $13 WHERE id = $1 AND epoch = $11 AND state = 'open' RETURNING epoch`
		args = args[:13]
	}
	epoch, err := db.One[int64](tx.Context(), tx, query, args...)
	if errors.Is(err, db.ErrNone) {
		return 0, fault.New(fault.UploadInvalid, "Another request took this upload over.")
	}
	return epoch, err
}

// checkOpenUploads bounds what one caller can leave unfinished.
func (r *Registry) checkOpenUploads(ctx context.Context, q db.Querier, owner string) error {
	n, err := db.One[int64](ctx, q, `SELECT count(*) FROM upload WHERE owner = $1 AND state = 'open'`, owner)
	if err == nil && n >= int64(r.o.OpenUploads) {
		return fault.New(fault.TooMany, "You have %d unfinished uploads; finish or cancel some first.", n)
	}
	return err
}

// An Interrupter is a source of bytes whose Read can be made to return at once.
type Interrupter interface{ Interrupt() }

// begin gives the upload a key. Whoever has too many unfinished uploads learns
// it before the bytes of one more are stored; one that is about to be finished
// is not left behind.
func (s *session) begin(ctx context.Context, finishing bool) (string, error) {
	if !s.saved && !finishing {
		if err := s.r.checkOpenUploads(ctx, s.r.db, s.token.Owner); err != nil {
			return "", err
		}
	}
	var err error
	s.key, err = s.r.keys.take(ctx)
	return s.key, err
}

// receive appends src to the upload and saves what came, also when the client
// went away in the middle. An upload that is about to be finished needs no row.
func (s *session) receive(ctx context.Context, off, length int64, src io.Reader, finishing bool) (blob.Upload, error) {
	u := s.blob()
	if off >= 0 && off != u.Size {
		return u, fault.New(fault.RangeInvalid, "The upload goes on at byte %d, not %d.", u.Size, off).With(u.Size)
	}
	if err := s.r.blobs.Free(ctx); err != nil {
		return u, err
	}
	// Taken over while it waits for bytes that do not come, it must not wait on.
	if i, ok := src.(Interrupter); ok {
		defer context.AfterFunc(ctx, i.Interrupt)()
	}
	before := u.Size
	checkpoint := func(u blob.Upload) error { return s.save(ctx, u) }
	if s.whole {
		checkpoint = func(blob.Upload) error { return nil }
	}
	u, err := s.r.blobs.Append(ctx, u, src, length, func() (string, error) { return s.begin(ctx, finishing) }, checkpoint)
	if err == nil && finishing {
		return u, nil
	}
	if err != nil && s.whole {
		if s.key != "" { // nothing of it is to stay
			err = errors.Join(err, s.r.blobs.Abort(context.WithoutCancel(ctx), u))
		}
		return u, err
	}
	if u.Size > before || u.Key != s.row.Key {
		// What is in place stays in place: the client may ask where to go on.
		serr := s.save(context.WithoutCancel(ctx), u)
		if s.key != "" && fault.Is(serr, fault.TooMany) {
			// Nobody can go on with these bytes: they are not to lie there
			// until the reservation of their key is over.
			serr = errors.Join(serr, s.r.blobs.Abort(context.WithoutCancel(ctx), u))
		}
		if serr != nil && err == nil {
			err = serr
		}
	}
	return u, err
}

// discard ends the upload without a blob: what it stored becomes garbage.
func (s *session) discard(ctx context.Context, state string) error {
	key := s.row.Key
	_, err := db.Update(context.WithoutCancel(ctx), s.r.db, func(tx *db.Tx) (int64, error) {
		if err := adopt(tx, s.key, s.r.keys.life); err != nil {
			return 0, err
		}
		if key != "" {
			if err := addGarbage(tx, key); err != nil {
				return 0, err
			}
		}
		return s.saveTx(tx, s.blob(), state, "")
	})
	if err == nil {
		s.key = ""
		s.r.wakeCollector()
	}
	return err
}

func (s *session) finish(ctx context.Context, off, length int64, src io.Reader, d oci.Digest) (oci.Descriptor, error) {
	var none oci.Descriptor
	if !s.saved {
		s.row.Algorithm = string(d.Algorithm()) // nothing is hashed yet
	}
	if src == nil {
		src, length = eof{}, 0
	}
	u, err := s.receive(ctx, off, length, src, true)
	if err != nil {
		return none, err
	}
	return s.complete(ctx, u, d)
}

// complete makes what has come the blob d.
func (s *session) complete(ctx context.Context, u blob.Upload, d oci.Digest) (oci.Descriptor, error) {
	var none oci.Descriptor
	s.set(u)
	u, err := s.r.blobs.Finish(ctx, u, d)
	if err != nil {
		if s.saved || s.key != "" {
			if serr := s.failed(ctx, err); serr != nil {
				s.r.log.ErrorContext(ctx, "the state of an upload was not saved", "err", serr)
			}
		}
		return none, err
	}
	size, err := db.Update(ctx, s.r.db, func(tx *db.Tx) (int64, error) {
		rp, err := s.r.repoForPush(tx, s.who, s.name)
		if err != nil {
			return 0, err
		}
		if err := lockRepo(tx, rp.ID, s.name, tx.ForKeyShare()); err != nil {
			return 0, err
		}
		if err := adopt(tx, s.key, s.r.keys.life); err != nil {
			return 0, err
		}
		size, err := s.r.commitBlob(tx, rp, d, u)
		if err != nil {
			return 0, err
		}
		if s.saved {
			_, err = s.saveTx(tx, u, uploadDone, d)
		}
		return size, err
	})
	if err != nil {
		return none, err
	}
	if !s.saved {
		s.r.ids.finished(s.token.Nonce, d)
	}
	s.row.State, s.row.Digest, s.key = uploadDone, string(d), ""
	return oci.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: size}, nil
}

// failed keeps what can be of use after an upload could not be finished: bytes
// that are not what they should be are of none, all others may be finished in
// another try.
func (s *session) failed(ctx context.Context, cause error) error {
	if fault.Is(cause, fault.DigestInvalid) || fault.Is(cause, fault.UploadUnknown) {
		return s.discard(ctx, uploadCancelled)
	}
	return s.save(context.WithoutCancel(ctx), s.blob())
}

// takenOver gives a request that lost its upload to a newer one the error that
// says so.
func takenOver(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errTakenOver) {
		return errTakenOver
	}
	return err
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
