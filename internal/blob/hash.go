package blob

import (
	"context"
	"encoding"
	"fmt"
	"hash"
	"io"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// resumable is a hash whose state can be kept between requests.
type resumable interface {
	hash.Hash
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// algorithm is that of u's hash; none said means the default.
func algorithm(u Upload) oci.Algorithm {
	if u.Algorithm == "" {
		return oci.SHA256
	}
	return u.Algorithm
}

func newHash(a oci.Algorithm) (resumable, error) {
	if a != oci.SHA256 && a != oci.SHA512 {
		return nil, fmt.Errorf("blob: no hash %q", a)
	}
	h, ok := a.New().(resumable)
	if !ok {
		return nil, fmt.Errorf("blob: hash %q cannot be continued", a)
	}
	return h, nil
}

func restoreHash(a oci.Algorithm, state []byte) (resumable, error) {
	h, err := newHash(a)
	if err != nil {
		return nil, err
	}
	if err := h.UnmarshalBinary(state); err != nil {
		return nil, fmt.Errorf("blob: hash state: %w", err)
	}
	return h, nil
}

// Sum reads everything under key and returns its digest and size in bytes. A
// key that is not stored is ErrAbsent; Unavailable when it cannot be read.
func (s *Store) Sum(ctx context.Context, key string, a oci.Algorithm) (oci.Digest, int64, error) {
	h, err := newHash(a)
	if err != nil {
		return "", 0, err
	}
	n, err := s.rehash(ctx, key, h, -1)
	if err != nil {
		return "", 0, err
	}
	return a.FromSum(h.Sum(nil)), n, nil
}

// rehash adds the first n bytes under key (-1: all) to h, and returns how many
// there were.
func (s *Store) rehash(ctx context.Context, key string, h hash.Hash, n int64) (int64, error) {
	f, err := s.driver.Open(ctx, key, 0, n)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	c, err := s.buffers.take(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer s.buffers.give(c)
	var done int64
	for n < 0 || done < n {
		if ctx.Err() != nil {
			return done, interrupted(ctx)
		}
		p := c.data[:]
		if n >= 0 {
			p = p[:min(int64(len(p)), n-done)]
		}
		m, err := f.Read(p)
		h.Write(p[:m])
		done += int64(m)
		if err == io.EOF {
			break
		}
		if err != nil {
			return done, fault.Wrap(fault.Unavailable, err, "The stored bytes cannot be read.")
		}
	}
	return done, nil
}
