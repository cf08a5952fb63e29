package blobtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing/iotest"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/fault"
)

func inOut(s *suite) {
	p := data(1, 100_000)
	u := s.put(s.key(), p)
	s.holds(u.key, p)
}

func empty(s *suite) {
	key := s.key()
	u := upload{key: key, state: s.begin(key)}
	s.commit(u)
	s.holds(key, nil)
}

func pieces(s *suite) {
	key := s.key()
	u := upload{key: key, state: s.begin(key)}
	var all []byte
	for i, n := range []int{1, 0, 4096, 17, 1 << 20, 5} {
		p := data(i, n)
		u = s.append(u, p)
		all = append(all, p...)
	}
	s.commit(u)
	s.holds(key, all)
}

// big crosses every buffer and write-back window, at odd offsets, by a reader
// that has no WriteTo and one that is slow to give.
func big(s *suite) {
	p := data(2, 41<<20+7)
	key := s.key()
	u := upload{key: key, state: s.begin(key)}
	var err error
	half := 19<<20 + 3
	for _, r := range []io.Reader{
		struct{ io.Reader }{bytes.NewReader(p[:half])},
		iotest.HalfReader(bytes.NewReader(p[half:])),
	} {
		var parts []blob.Part
		if u.state, parts, err = s.d.Append(s.ctx, key, u.state, r); err != nil {
			s.Fatal(err)
		}
		u.parts = append(u.parts, parts...)
	}
	s.commit(u)
	s.holds(key, p)
}

func beginTwice(s *suite) {
	p := data(3, 1000)
	u := s.put(s.key(), p)
	if _, err := s.d.Begin(s.ctx, u.key); err == nil {
		s.Error("began a key that exists")
	}
	s.holds(u.key, p)
}

func otherInstance(s *suite) {
	p := data(4, 3<<20)
	key := s.key()
	u := s.append(upload{key: key, state: s.begin(key)}, p[:1<<20])
	s.d = s.open(s.T)
	u = s.append(u, p[1<<20:2<<20])
	s.d = s.open(s.T)
	u = s.append(u, p[2<<20:])
	s.d = s.open(s.T)
	s.commit(u)
	s.holds(key, p)
}

func olderState(s *suite) {
	p, dropped := data(5, 2<<20), data(6, 3<<20)
	key := s.key()
	u := s.append(upload{key: key, state: s.begin(key)}, p[:1<<20])
	s.append(u, dropped)
	u = s.append(u, p[1<<20:])
	s.append(u, dropped)
	u = s.append(u, nil)
	s.commit(u)
	s.holds(key, p)
}

// tooMuch takes the state of a longer upload of the same storage, as if a power
// cut had eaten the last bytes.
func tooMuch(s *suite) {
	key, other := s.key(), s.key()
	u := s.append(upload{key: key, state: s.begin(key)}, data(7, 1000))
	longer := s.append(upload{key: other, state: s.begin(other)}, data(7, 2000))
	longer.key = key
	if _, _, err := s.d.Append(s.ctx, key, longer.state, bytes.NewReader([]byte("x"))); !fault.Is(err, fault.UploadUnknown) {
		s.Errorf("append: %v", err)
	}
	if err := s.d.Commit(s.ctx, key, longer.state, longer.parts); !fault.Is(err, fault.UploadUnknown) {
		s.Errorf("commit: %v", err)
	}
	s.commit(u)
	s.holds(key, data(7, 1000))
}

func badState(s *suite) {
	key := s.key()
	s.begin(key)
	for _, st := range []blob.State{nil, {}, {1}, bytes.Repeat([]byte{0xff}, 8), bytes.Repeat([]byte{0x20}, 64)} {
		if _, _, err := s.d.Append(s.ctx, key, st, bytes.NewReader([]byte("x"))); err == nil {
			s.Errorf("append took the state %x", st)
		}
		if err := s.d.Commit(s.ctx, key, st, nil); err == nil {
			s.Errorf("commit took the state %x", st)
		}
	}
}

func failingReader(s *suite) {
	p := data(8, 1<<20)
	key := s.key()
	u := s.append(upload{key: key, state: s.begin(key)}, p[:1000])
	broken := errors.New("broken")
	r := io.MultiReader(bytes.NewReader(data(9, 2<<20)), iotest.ErrReader(broken))
	if _, _, err := s.d.Append(s.ctx, key, u.state, r); !errors.Is(err, broken) {
		s.Errorf("append: %v", err)
	}
	s.commit(s.append(u, p[1000:]))
	s.holds(key, p)
}

func commitTwice(s *suite) {
	p := data(10, 5000)
	u := s.put(s.key(), p)
	s.commit(u)
	s.d = s.open(s.T)
	s.commit(u)
	s.holds(u.key, p)
}

func commitOther(s *suite) {
	p := data(11, 5000)
	key := s.key()
	early := s.append(upload{key: key, state: s.begin(key)}, p[:1000])
	u := s.append(early, p[1000:])
	if err := s.d.Commit(s.ctx, key, early.state, early.parts); !fault.Is(err, fault.UploadUnknown) {
		s.Errorf("commit of fewer bytes than are stored: %v", err)
	}
	s.commit(u)
	s.holds(key, p)
}

func abort(s *suite) {
	key := s.key()
	u := s.append(upload{key: key, state: s.begin(key)}, data(12, 1000))
	for range 2 {
		if err := s.d.Abort(s.ctx, key, nil); err != nil {
			s.Fatal(err)
		}
	}
	if err := s.d.Commit(s.ctx, key, u.state, u.parts); err == nil {
		s.Error("committed an aborted upload")
	}
	if _, _, err := s.d.Append(s.ctx, key, u.state, bytes.NewReader(nil)); err == nil {
		s.Error("continued an aborted upload")
	}
	u = s.append(upload{key: key, state: s.begin(key)}, data(13, 10))
	if err := s.d.Abort(s.ctx, key, u.state); err != nil {
		s.Fatal(err)
	}
}

// concurrency uploads in parallel while others list and delete.
func concurrency(s *suite) {
	const workers, rounds = 16, 6
	keep := make([]string, workers)
	for i := range keep {
		keep[i] = s.key()
	}
	failed := make(chan error, 2*workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				if err := s.roundTrip(blob.NewKey(), data(w, 64<<10+i), true); err != nil {
					failed <- err
					return
				}
			}
			if err := s.roundTrip(keep[w], data(w, 64<<10), false); err != nil {
				failed <- err
			}
		})
		wg.Go(func() {
			for _, err := range s.d.List(s.ctx, "") {
				if err != nil {
					failed <- fmt.Errorf("list: %w", err)
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		s.Error(err)
	}
	for w, key := range keep {
		s.holds(key, data(w, 64<<10))
	}
}

func (s *suite) roundTrip(key string, p []byte, remove bool) error {
	st, err := s.d.Begin(s.ctx, key)
	if err != nil {
		return err
	}
	var all []blob.Part
	for chunk := range slices.Chunk(p, 40<<10) {
		var parts []blob.Part
		if st, parts, err = s.d.Append(s.ctx, key, st, bytes.NewReader(chunk)); err != nil {
			return err
		}
		all = append(all, parts...)
	}
	if err := s.d.Commit(s.ctx, key, st, all); err != nil {
		return err
	}
	r, err := s.d.Open(s.ctx, key, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, p) {
		return fmt.Errorf("%s: read %d bytes, %v", key, len(got), err)
	}
	if remove {
		return s.d.Delete(s.ctx, key)
	}
	return nil
}
