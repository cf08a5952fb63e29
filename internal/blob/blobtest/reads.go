package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"berth.dev/berth/internal/blob"
)

func absent(s *suite) {
	key := blob.NewKey()
	if err := s.d.Delete(s.ctx, key); err != nil {
		s.Errorf("delete: %v", err)
	}
	if err := s.d.Abort(s.ctx, key, nil); err != nil {
		s.Errorf("abort: %v", err)
	}
	if _, err := s.d.Open(s.ctx, key, 0, -1); !errors.Is(err, blob.ErrAbsent) {
		s.Errorf("open: %v", err)
	}
	if _, err := s.d.Stat(s.ctx, key); !errors.Is(err, blob.ErrAbsent) {
		s.Errorf("stat: %v", err)
	}
	u := s.put(s.key(), data(20, 10))
	if err := s.d.Delete(s.ctx, u.key); err != nil {
		s.Fatal(err)
	}
	if _, _, err := s.d.Append(s.ctx, u.key, u.state, bytes.NewReader(nil)); !errors.Is(err, blob.ErrAbsent) {
		s.Errorf("append: %v", err)
	}
	if err := s.d.Commit(s.ctx, u.key, u.state, u.parts); !errors.Is(err, blob.ErrAbsent) {
		s.Errorf("commit: %v", err)
	}
}

func ranges(s *suite) {
	p := data(21, 100_000)
	u := s.put(s.key(), p)
	for _, r := range []struct{ off, n, want int64 }{
		{0, 0, 0}, {0, 1, 1}, {0, -1, 100_000}, {99_999, -1, 1}, {99_999, 10, 1}, {100_000, -1, 0},
		{4096, 8192, 8192}, {50_000, 50_000, 50_000}, {1, 99_999, 99_999},
	} {
		if got := s.read(u.key, r.off, r.n); !bytes.Equal(got, p[r.off:r.off+r.want]) {
			s.Errorf("%d bytes at %d: got %d bytes, or others", r.n, r.off, len(got))
		}
	}
}

func beforeCommit(s *suite) {
	p := data(22, 70_000)
	key := s.key()
	u := upload{key: key, state: s.begin(key)}
	s.holds(key, nil)
	u = s.append(u, p[:60_000])
	s.holds(key, p[:60_000])
	u = s.append(u, p[60_000:])
	s.holds(key, p)
	s.commit(u)
}

// list has finished and unfinished uploads, in few shards and in many.
func list(s *suite) {
	var want []string
	for i := range 40 {
		key := s.key()
		want = append(want, key)
		u := s.append(upload{key: key, state: s.begin(key)}, data(i, i))
		if i%2 == 0 {
			s.commit(u)
		}
	}
	for range 5 {
		key := "7f" + blob.NewKey()[2:]
		s.keys, want = append(s.keys, key), append(want, key)
		s.put(key, []byte("x"))
	}
	slices.Sort(want)
	var got []string
	for info, err := range s.d.List(s.ctx, "") {
		if err != nil {
			s.Fatal(err)
		}
		if st, err := s.d.Stat(s.ctx, info.Key); err != nil || st.Size != info.Size {
			s.Errorf("listed %+v, stat %+v, %v", info, st, err)
		}
		got = append(got, info.Key)
	}
	if !slices.Equal(got, want) {
		s.Errorf("listed %q, want %q", got, want)
	}
}

func pages(s *suite) {
	var want []string
	for range 20 {
		u := s.put(s.key(), []byte("x"))
		want = append(want, u.key)
	}
	slices.Sort(want)
	for i, after := range want {
		if got := s.page(after, 3); !slices.Equal(got, want[i+1:min(i+4, len(want))]) {
			s.Errorf("behind %q: %q", after, got)
		}
	}
	for _, after := range []string{"0", "00", "00/"} {
		if got := s.page(after, 1); got[0] != want[0] && want[0] > after {
			s.Errorf("behind %q: %q", after, got)
		}
	}
	for _, after := range []string{"g", "ff/g", "~"} {
		if got := s.page(after, 1); len(got) > 0 {
			s.Errorf("behind %q: %q", after, got)
		}
	}
}

// page returns at most n keys behind after.
func (s *suite) page(after string, n int) []string {
	s.Helper()
	var got []string
	for info, err := range s.d.List(s.ctx, after) {
		if err != nil {
			s.Fatal(err)
		}
		if got = append(got, info.Key); len(got) == n {
			break
		}
	}
	return got
}

func listEnds(s *suite) {
	s.put(s.key(), []byte("x"))
	s.put(s.key(), []byte("y"))
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	n := 0
	var last error
	for _, err := range s.d.List(ctx, "") {
		n, last = n+1, err
	}
	if n != 1 || !errors.Is(last, context.Canceled) {
		s.Errorf("with a context that has ended: %d steps, %v", n, last)
	}
}

// readerStays: who reads while the collector deletes reads on.
func readerStays(s *suite) {
	u := s.put(s.key(), []byte("x"))
	r, err := s.d.Open(s.ctx, u.key, 0, -1)
	if err != nil {
		s.Fatal(err)
	}
	if err := s.d.Delete(s.ctx, u.key); err != nil {
		s.Fatal(err)
	}
	if p, err := io.ReadAll(r); err != nil || string(p) != "x" {
		s.Errorf("read after delete: %q, %v", p, err)
	}
	r.Close()
}
