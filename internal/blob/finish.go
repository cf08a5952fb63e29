package blob

import (
	"bytes"
	"context"
	"errors"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// Finish verifies that the bytes of u are those of d, as many as u says, and
// makes them durable under u.Key. An inline upload is only verified. Finishing
// again after a lost answer is fine.
//
// Errors: DigestInvalid, with nothing kept in storage; UploadUnknown when
// storage has lost bytes of u; Full and Unavailable, after which the upload is
// lost too, unless ctx has ended.
func (s *Store) Finish(ctx context.Context, u Upload, d oci.Digest) (Upload, error) {
	u, err := s.settle(ctx, u)
	if err != nil {
		return u, err
	}
	if u.Key == "" {
		h, err := newHash(d.Algorithm())
		if err != nil {
			return u, err
		}
		h.Write(u.Inline)
		if sum := h.Sum(nil); !matches(d, sum) {
			return u, mismatch(d, sum, nil)
		}
		return u, nil
	}
	if err := s.trim(ctx, &u); err != nil {
		return u, err
	}
	sum, err := s.sum(ctx, u, d.Algorithm())
	if err != nil {
		return u, err
	}
	if !matches(d, sum) {
		// The row that names the key lets the caller try again if this fails.
		return u, mismatch(d, sum, s.driver.Abort(ctx, u.Key, u.Driver))
	}
	return u, s.driver.Commit(ctx, u.Key, u.Driver, u.Parts)
}

func matches(d oci.Digest, sum []byte) bool { return d.Algorithm().FromSum(sum) == d }

// mismatch is the error of bytes that are not those of d.
func mismatch(d oci.Digest, sum []byte, cause error) error {
	return fault.Wrap(fault.DigestInvalid, cause, "The bytes received have the digest %s, not %s.", d.Algorithm().FromSum(sum), d)
}

// trim makes storage hold exactly the bytes of u: a failed Append may have left
// more, a power cut fewer.
func (s *Store) trim(ctx context.Context, u *Upload) error {
	info, err := s.driver.Stat(ctx, u.Key)
	if errors.Is(err, ErrAbsent) || err == nil && info.Size < u.Size {
		return lost(err)
	}
	if err != nil || info.Size == u.Size {
		return err
	}
	st, parts, err := s.driver.Append(ctx, u.Key, u.Driver, bytes.NewReader(nil))
	if err != nil {
		return err
	}
	u.Driver, u.Parts = st, append(u.Parts[:len(u.Parts):len(u.Parts)], parts...)
	return checkState(st)
}

// sum is the hash of the bytes of u: from its state, or by reading them once if
// another algorithm is asked for.
func (s *Store) sum(ctx context.Context, u Upload, a oci.Algorithm) ([]byte, error) {
	if a == algorithm(u) {
		if h, err := restoreHash(a, u.Hash); err == nil {
			return h.Sum(nil), nil
		}
	}
	h, err := newHash(a)
	if err != nil {
		return nil, err
	}
	if n, err := s.rehash(ctx, u.Key, h, u.Size); err != nil || n != u.Size {
		return nil, lostIfNil(err)
	}
	return h.Sum(nil), nil
}

// Digest is that of the bytes of u so far, by its own algorithm.
func (s *Store) Digest(ctx context.Context, u Upload) (oci.Digest, error) {
	a := algorithm(u)
	if u.Key == "" || len(u.Driver) == 0 {
		return a.FromBytes(u.Inline), nil
	}
	sum, err := s.sum(ctx, u, a)
	if err != nil {
		return "", err
	}
	return a.FromSum(sum), nil
}

// Resume is for an upload that another start of the process has written last:
// it reads the stored bytes and hashes them again, since a power cut may have
// eaten some that the row speaks of. Errors: UploadUnknown when they are not
// those of u; Unavailable.
func (s *Store) Resume(ctx context.Context, u Upload) (Upload, error) {
	u, err := s.settle(ctx, u)
	if err != nil || u.Key == "" {
		return u, err
	}
	h, err := newHash(algorithm(u))
	if err != nil {
		return u, err
	}
	n, err := s.rehash(ctx, u.Key, h, u.Size)
	if err != nil || n != u.Size {
		return u, lostIfNil(err)
	}
	// A state that no longer unmarshals proves nothing either way: then the
	// digest will tell.
	if was, err := restoreHash(algorithm(u), u.Hash); err == nil && !bytes.Equal(was.Sum(nil), h.Sum(nil)) {
		return u, lost(nil)
	}
	u.Hash, err = h.MarshalBinary()
	return u, err
}

// lost is the error of an upload whose bytes are no longer all there.
func lost(err error) error {
	return fault.Wrap(fault.UploadUnknown, err, "What this upload had sent was lost; start a new one.")
}

func lostIfNil(err error) error {
	if err == nil || errors.Is(err, ErrAbsent) {
		return lost(err)
	}
	return err
}
