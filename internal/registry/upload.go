package registry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

const uploadPurpose = "upload"

// An uploadToken is what an upload's id says. It is signed, so starting an
// upload writes nothing.
type uploadToken struct {
	Path      string        `json:"p"`
	Owner     string        `json:"o"`
	Nonce     string        `json:"n"`
	Started   int64         `json:"t"` // seconds
	Algorithm oci.Algorithm `json:"a,omitempty"`
}

func newNonce() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// owner names who may go on with an upload: one and the same user or key.
func owner(who iam.Caller) string {
	if who.Key != "" {
		return "key:" + who.Key
	}
	return "user:" + who.User
}

func (r *Registry) newUpload(who iam.Caller, name oci.Name, a oci.Algorithm) (string, uploadToken, error) {
	if a == "" {
		a = oci.SHA256
	}
	t := uploadToken{Path: string(name), Owner: owner(who), Nonce: newNonce(), Started: time.Now().Unix(), Algorithm: a}
	b, err := json.Marshal(t)
	if err != nil {
		return "", t, err
	}
	return r.iam.Sign(uploadPurpose, b), t, nil
}

func (r *Registry) parseUpload(who iam.Caller, name oci.Name, id string) (uploadToken, error) {
	var t uploadToken
	unknown := fault.New(fault.UploadUnknown, "There is no such upload; start a new one.")
	b, err := r.iam.Verify(uploadPurpose, id)
	if err != nil {
		return t, unknown
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return t, unknown
	}
	if t.Path != string(name) || t.Owner != owner(who) {
		return t, unknown
	}
	return t, nil
}

// StartUpload opens an upload. Nothing is written until bytes come.
// Errors: Denied, Unauthorized.
func (r *Registry) StartUpload(ctx context.Context, who iam.Caller, name oci.Name, a oci.Algorithm) (string, error) {
	if err := r.mayPush(ctx, who, name); err != nil {
		return "", err
	}
	id, t, err := r.newUpload(who, name, a)
	if err == nil && r.db.Exact() { // elsewhere another node may see to it
		r.ids.started(t.Nonce)
	}
	return id, err
}

// AppendUpload adds bytes. off is where the client believes the upload stands
// (-1: it does not say), length the length of the body (-1: unknown).
// Errors: UploadUnknown, RangeInvalid (Detail: the true size), SizeInvalid,
// Denied, Unauthorized, Full, Unavailable.
func (r *Registry) AppendUpload(ctx context.Context, who iam.Caller, name oci.Name, id string, off, length int64, src io.Reader) (Upload, error) {
	ctx, s, err := r.openUpload(ctx, who, name, id)
	if err != nil {
		return Upload{}, err
	}
	defer s.lease.release()
	if s.row.State != uploadOpen {
		return Upload{}, fault.New(fault.UploadUnknown, "This upload is finished; start a new one.")
	}
	u, err := s.receive(ctx, off, length, src, false)
	return Upload{ID: id, Size: u.Size}, takenOver(ctx, err)
}

// UploadStatus tells how far an upload is. It leaves a request that is at work
// on it alone, and answers what that one has made safe so far.
// Errors: UploadUnknown, Denied, Unauthorized.
func (r *Registry) UploadStatus(ctx context.Context, who iam.Caller, name oci.Name, id string) (Upload, error) {
	t, err := r.parseUpload(who, name, id)
	if err != nil {
		return Upload{}, err
	}
	if err := r.mayPush(ctx, who, name); err != nil {
		return Upload{}, err
	}
	if r.uploads.busy(t.Nonce) {
		row, err := db.One[uploadRow](ctx, r.db, `SELECT `+uploadColumns+` FROM upload WHERE id = $1 AND state = 'open'`, t.Nonce)
		return Upload{ID: id, Size: row.Size}, ignoreNone(err)
	}
	_, s, err := r.holdUpload(ctx, who, name, id, t)
	if err != nil {
		return Upload{}, err
	}
	defer s.lease.release()
	if s.row.State != uploadOpen {
		return Upload{}, fault.New(fault.UploadUnknown, "This upload is finished; start a new one.")
	}
	return Upload{ID: id, Size: s.row.Size}, nil
}

// CancelUpload gives an upload up. Its id cannot start again.
// Errors: UploadUnknown, Denied, Unauthorized.
func (r *Registry) CancelUpload(ctx context.Context, who iam.Caller, name oci.Name, id string) error {
	ctx, s, err := r.openUpload(ctx, who, name, id)
	if err != nil {
		return err
	}
	defer s.lease.release()
	if s.row.State != uploadOpen {
		return fault.New(fault.UploadUnknown, "This upload is finished; there is nothing to cancel.")
	}
	return s.discard(ctx, uploadCancelled)
}

// FinishUpload completes an upload, with the last bytes in src where it is not
// nil, and verifies the digest. Asked again with the same digest it answers
// the same. Errors: those of AppendUpload, DigestInvalid.
func (r *Registry) FinishUpload(ctx context.Context, who iam.Caller, name oci.Name, id string, off, length int64, src io.Reader, d oci.Digest) (oci.Descriptor, error) {
	ctx, s, err := r.openUpload(ctx, who, name, id)
	if err != nil {
		return oci.Descriptor{}, err
	}
	defer s.lease.release()
	if s.row.State == uploadDone {
		if s.row.Digest != string(d) {
			return oci.Descriptor{}, fault.New(fault.UploadUnknown, "This upload is finished; start a new one.")
		}
		return r.StatBlob(ctx, who, name, d)
	}
	blob, err := s.finish(ctx, off, length, src, d)
	return blob, takenOver(ctx, err)
}

// PutBlob stores a blob in one request. Errors: as FinishUpload.
func (r *Registry) PutBlob(ctx context.Context, who iam.Caller, name oci.Name, length int64, src io.Reader, d oci.Digest) (oci.Descriptor, error) {
	if err := r.mayPush(ctx, who, name); err != nil {
		return oci.Descriptor{}, err
	}
	id, t, err := r.newUpload(who, name, d.Algorithm())
	if err != nil {
		return oci.Descriptor{}, err
	}
	r.ids.started(t.Nonce) // nobody else knows it
	ctx, s, err := r.holdUpload(ctx, who, name, id, t)
	if err != nil {
		return oci.Descriptor{}, err
	}
	defer s.lease.release()
	blob, err := s.finish(ctx, -1, length, src, d)
	return blob, takenOver(ctx, err)
}
