// Package blobtest is the suite that every blob driver has to pass.
package blobtest

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"berth.dev/berth/internal/blob"
)

// Run runs the suite, one subtest per rule of blob.Driver. open opens the
// storage that belongs to the test it is given: asked again in the same test it
// returns another instance on the same storage. After each test the storage
// must be empty again.
func Run(t *testing.T, open func(t *testing.T) blob.Driver) {
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"WhatGoesInComesOut", inOut},
		{"AnEmptyBlob", empty},
		{"ManyAppends", pieces},
		{"ABigBlob", big},
		{"BeginTwice", beginTwice},
		{"AnotherInstanceContinues", otherInstance},
		{"AnOlderStateDropsWhatCameAfter", olderState},
		{"AStateThatClaimsTooMuch", tooMuch},
		{"AStateThatIsNone", badState},
		{"AFailingReader", failingReader},
		{"CommitTwice", commitTwice},
		{"CommitOfOtherBytes", commitOther},
		{"AbortWithoutState", abort},
		{"AbsentKeys", absent},
		{"Ranges", ranges},
		{"ReadBeforeCommit", beforeCommit},
		{"ListInOrder", list},
		{"ListByPages", pages},
		{"ListEnds", listEnds},
		{"AReaderOutlivesDelete", readerStays},
		{"Concurrency", concurrency},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{T: t, ctx: t.Context(), d: open(t), open: open}
			c.run(s)
			s.clean()
		})
	}
}

// suite is one running test with its storage. Its methods end the test when
// something that is not under test fails.
type suite struct {
	*testing.T
	ctx  context.Context
	d    blob.Driver
	open func(*testing.T) blob.Driver
	keys []string
}

// key returns a new key that clean will delete.
func (s *suite) key() string {
	k := blob.NewKey()
	s.keys = append(s.keys, k)
	return k
}

// clean deletes what the test stored, and fails if anything else is there.
func (s *suite) clean() {
	s.Helper()
	for _, k := range s.keys {
		if err := s.d.Delete(s.ctx, k); err != nil {
			s.Errorf("delete %s: %v", k, err)
		}
	}
	for info, err := range s.d.List(s.ctx, "") {
		if err != nil {
			s.Fatalf("list: %v", err)
		}
		s.Errorf("left behind: %+v", info)
	}
}

func (s *suite) begin(key string) blob.State {
	s.Helper()
	st, err := s.d.Begin(s.ctx, key)
	if err != nil {
		s.Fatalf("begin: %v", err)
	}
	s.check(st)
	return st
}

// upload is a state and the parts that led to it.
type upload struct {
	key   string
	state blob.State
	parts []blob.Part
}

func (s *suite) append(u upload, p []byte) upload {
	s.Helper()
	st, parts, err := s.d.Append(s.ctx, u.key, u.state, bytes.NewReader(p))
	if err != nil {
		s.Fatalf("append: %v", err)
	}
	s.check(st)
	u.state, u.parts = st, append(u.parts[:len(u.parts):len(u.parts)], parts...)
	return u
}

func (s *suite) commit(u upload) {
	s.Helper()
	if err := s.d.Commit(s.ctx, u.key, u.state, u.parts); err != nil {
		s.Fatalf("commit: %v", err)
	}
}

// put stores p whole.
func (s *suite) put(key string, p []byte) upload {
	s.Helper()
	u := s.append(upload{key: key, state: s.begin(key)}, p)
	s.commit(u)
	return u
}

func (s *suite) check(st blob.State) {
	s.Helper()
	if len(st) == 0 || len(st) > blob.MaxState {
		s.Fatalf("a state of %d bytes", len(st))
	}
}

// holds fails unless exactly p is stored under key.
func (s *suite) holds(key string, p []byte) {
	s.Helper()
	info, err := s.d.Stat(s.ctx, key)
	if err != nil || info.Key != key || info.Size != int64(len(p)) || info.Modified.IsZero() {
		s.Fatalf("stat: %+v, %v; want key %s and size %d", info, err, key, len(p))
	}
	if got := s.read(key, 0, -1); !bytes.Equal(got, p) {
		s.Fatalf("read %d bytes that are not the %d written", len(got), len(p))
	}
}

// read reads n bytes at off, to the end where n is -1.
func (s *suite) read(key string, off, n int64) []byte {
	s.Helper()
	r, err := s.d.Open(s.ctx, key, off, n)
	if err != nil {
		s.Fatalf("open: %v", err)
	}
	defer r.Close()
	var all io.Reader = r
	if n >= 0 {
		all = io.LimitReader(r, n)
	}
	p, err := io.ReadAll(all)
	if err != nil {
		s.Fatalf("read: %v", err)
	}
	return p
}

// data returns n random bytes that depend on seed.
func data(seed, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(p)
	return p
}
