package blob

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// Append receives src, to its EOF, behind the bytes of u.
//
// While everything fits InlineMax it stays in u.Inline and nothing is stored.
// The first byte past that calls begin for a new key (NewKey), one that a
// committed row names already: only then the key comes into being. checkpoint
// is called about every CheckpointEvery bytes with a state that can be
// continued after a crash of the process. Both run on the caller's goroutine,
// and their errors end the upload.
//
// announced is the exact length of the body in bytes, -1 if unknown.
//
// The Upload returned is good whatever the error: it tells what is in place,
// which after a client went away is what it sent. Errors: SizeInvalid (a body
// shorter or longer than announced, or cut off), Timeout, Full, Unavailable
// (also when ctx ends), UploadUnknown (storage has lost bytes of u), faults of
// src.
func (s *Store) Append(ctx context.Context, u Upload, src io.Reader, announced int64, begin func() (string, error), checkpoint func(Upload) error) (Upload, error) {
	u, err := s.settle(ctx, u)
	if err != nil {
		return u, err
	}
	b := &body{ctx: ctx, src: src, left: announced}
	if u.Key != "" {
		return s.extend(ctx, u, b, checkpoint)
	}
	head := s.buffers.heads.Get().(*[InlineMax + 1]byte)
	defer s.buffers.heads.Put(head)
	n := copy(head[:], u.Inline)
	n, err = fill(b, head[:], n)
	if n <= InlineMax {
		if n > len(u.Inline) {
			u.Inline = slices.Clone(head[:n])
			u.Size = int64(n)
		}
		return u, end(err)
	}
	if err = end(err); err != nil {
		// What came fits no row, and is not worth a file.
		return u, err
	}
	return s.spill(ctx, u, head[:n], b, begin, checkpoint)
}

// spill moves an upload that has outgrown its row into storage. head is all of
// it so far.
func (s *Store) spill(ctx context.Context, u Upload, head []byte, b *body, begin func() (string, error), checkpoint func(Upload) error) (Upload, error) {
	h, err := newHash(algorithm(u))
	if err != nil {
		return u, err
	}
	if err := s.room(ctx, max(b.left, 0)); err != nil {
		return u, err
	}
	named := u
	if named.Key, err = begin(); err != nil {
		return u, err
	}
	st, err := s.driver.Begin(ctx, named.Key)
	if err != nil {
		return named, err
	}
	empty := Upload{Key: named.Key, Algorithm: u.Algorithm, Driver: st}
	return s.run(ctx, pipeline{safe: named, at: empty, hash: h}, head, b, checkpoint)
}

// extend appends to an upload that is in storage already.
func (s *Store) extend(ctx context.Context, u Upload, b *body, checkpoint func(Upload) error) (Upload, error) {
	h, err := restoreHash(algorithm(u), u.Hash)
	if err != nil {
		// Written by a version of the program whose state we cannot read.
		if u, err = s.Resume(ctx, u); err != nil {
			return u, err
		}
		if h, err = restoreHash(algorithm(u), u.Hash); err != nil {
			return u, err
		}
	}
	if b.left != 0 { // the last request of an upload often has no body
		if err := s.room(ctx, max(b.left, 0)); err != nil {
			return u, err
		}
	}
	return s.run(ctx, pipeline{safe: u, at: u, hash: h}, nil, b, checkpoint)
}

// settle takes an upload whose key was named but never got a byte back to where
// it was before that: the same key cannot be begun twice.
func (s *Store) settle(ctx context.Context, u Upload) (Upload, error) {
	if u.Key == "" || len(u.Driver) > 0 {
		return u, nil
	}
	if err := s.driver.Abort(ctx, u.Key, nil); err != nil {
		return u, err
	}
	u.Key = ""
	return u, nil
}

// checkState refuses what a row could not hold.
func checkState(st State) error {
	if len(st) == 0 || len(st) > MaxState {
		return fmt.Errorf("blob: the driver returned a state of %d bytes", len(st))
	}
	return nil
}

// end turns the EOF that ends every good body into nil.
func end(err error) error {
	if isEOF(err) {
		return nil
	}
	return err
}
