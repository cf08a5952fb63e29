package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"berth.dev/berth/internal/archive"
	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// An archiveSource reads the tar of an uploaded archive. Where the archive is
// not compressed as a whole it is read at any place; else from its beginning
// on, again for whatever lies before.
type archiveSource struct {
	ctx         context.Context
	r           *Registry
	key         string // "": inline
	inline      []byte
	size        int64 // stored
	limit       int64 // bytes of the tar at most
	compression archive.Compression

	stream *tarStream // of a compressed one, nil: not begun
}

// maxGrowth is how many times larger than the largest archive a decompressed
// one may be.
const maxGrowth = 4

func (r *Registry) openArchive(ctx context.Context, a *archiveRow) (*archiveSource, error) {
	type row struct {
		Key  string
		Data []byte
	}
	u, err := db.One[row](ctx, r.db, `SELECT key, data FROM upload WHERE id = $1`, a.ID)
	if errors.Is(err, db.ErrNone) {
		return nil, fmt.Errorf("archive %s: its upload is gone", a.ID)
	}
	if err != nil {
		return nil, err
	}
	s := &archiveSource{ctx: ctx, r: r, key: u.Key, inline: u.Data, size: a.Size, limit: a.Size}
	head := make([]byte, min(archive.SniffLen, a.Size))
	rc, err := s.open(0, int64(len(head)))
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	if _, err := io.ReadFull(rc, head); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "The stored archive cannot be read.")
	}
	if s.compression = archive.Sniff(head); s.compression != archive.Plain {
		s.limit = maxGrowth * r.o.ArchiveMax
	}
	return s, nil
}

// open reads what is stored.
func (s *archiveSource) open(off, n int64) (io.ReadCloser, error) {
	if s.key == "" {
		if int64(len(s.inline)) != s.size {
			return nil, fmt.Errorf("archive: %d bytes are stored, and %d should be", len(s.inline), s.size)
		}
		return io.NopCloser(bytes.NewReader(s.inline[min(off, s.size):])), nil
	}
	rc, err := s.r.blobs.Open(s.ctx, s.key, off, n)
	if errors.Is(err, blob.ErrAbsent) {
		err = fmt.Errorf("archive: its bytes are gone: %w", err)
	}
	return rc, err
}

// A tarStream is a tar that is being read. It knows where it stands.
type tarStream struct {
	io.Reader
	at    int64
	close func()
}

func (t *tarStream) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.at += int64(n)
	return n, err
}

// begin reads a compressed archive from its beginning.
func (s *archiveSource) begin() (*tarStream, error) {
	rc, err := s.open(0, s.size)
	if err != nil {
		return nil, err
	}
	z, err := archive.Decompress(watched{s.ctx, io.LimitReader(rc, s.size)}, s.compression, s.limit)
	if err != nil {
		rc.Close()
		return nil, err
	}
	return &tarStream{Reader: z, close: func() { z.Close(); rc.Close() }}, nil
}

// watched ends reading with its context, and calls what is wrong with storage
// by its name.
type watched struct {
	ctx context.Context
	src io.Reader
}

func (w watched) Read(p []byte) (int, error) {
	if err := context.Cause(w.ctx); err != nil {
		return 0, err
	}
	n, err := w.src.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fault.Wrap(fault.Unavailable, err, "The stored archive cannot be read.")
	}
	return n, err
}

// index walks the whole tar.
func (s *archiveSource) index() (*archive.Index, error) {
	if s.compression == archive.Plain {
		w := &walker{s: s}
		defer w.drop()
		return archive.ReadIndex(w, s.limit)
	}
	t, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer t.close()
	return archive.ReadIndex(t, s.limit)
}

// section reads one file of the tar. Only one is read at a time.
func (s *archiveSource) section(e archive.Entry) (io.ReadCloser, error) {
	if s.compression == archive.Plain {
		rc, err := s.open(e.Offset, e.Size)
		if err != nil {
			return nil, err
		}
		return readCloser{&exactly{watched{s.ctx, rc}, e.Size}, rc.Close}, nil
	}
	if s.stream != nil && s.stream.at > e.Offset {
		s.end()
	}
	if s.stream == nil {
		var err error
		if s.stream, err = s.begin(); err != nil {
			return nil, err
		}
	}
	if _, err := io.CopyN(io.Discard, s.stream, e.Offset-s.stream.at); err != nil {
		return nil, short(err)
	}
	return io.NopCloser(&exactly{s.stream, e.Size}), nil
}

func (s *archiveSource) end() {
	if s.stream != nil {
		s.stream.close()
		s.stream = nil
	}
}

type readCloser struct {
	io.Reader
	close func() error
}

func (r readCloser) Close() error { return r.close() }

// exactly reads so many bytes; fewer are an error.
type exactly struct {
	src  io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.src.Read(p)
	e.left -= int64(n)
	if e.left > 0 {
		err = short(err)
	} else if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// short is the error of an archive that ends within a file. Its index was read
// before, so it is storage that has changed.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return fault.Wrap(fault.Unavailable, io.ErrUnexpectedEOF, "The stored archive cannot be read.")
	}
	return err
}

// A walker reads a stored tar and seeks in it by opening it elsewhere.
type walker struct {
	s    *archiveSource
	at   int64
	rc   io.ReadCloser
	here int64 // where rc stands
}

// near is how far a walker rather reads on than opens anew.
const near = 64 << 10

func (w *walker) Read(p []byte) (int, error) {
	if w.at >= w.s.size {
		return 0, io.EOF
	}
	if err := w.reach(); err != nil {
		return 0, err
	}
	n, err := watched{w.s.ctx, w.rc}.Read(p[:min(int64(len(p)), w.s.size-w.at)])
	w.at += int64(n)
	w.here = w.at
	return n, err
}

func (w *walker) reach() error {
	if w.rc != nil && w.here <= w.at && w.at-w.here <= near {
		n, err := io.CopyN(io.Discard, watched{w.s.ctx, w.rc}, w.at-w.here)
		w.here += n
		return short(err)
	}
	w.drop()
	rc, err := w.s.open(w.at, -1)
	if err != nil {
		return err
	}
	w.rc, w.here = rc, w.at
	return nil
}

func (w *walker) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += w.at
	case io.SeekEnd:
		off += w.s.size
	}
	if off < 0 {
		return 0, errors.New("archive: a seek before the beginning")
	}
	w.at = off
	return off, nil
}

func (w *walker) drop() {
	if w.rc != nil {
		w.rc.Close()
		w.rc = nil
	}
}
