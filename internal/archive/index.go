package archive

import (
	"archive/tar"
	"errors"
	"io"
	"path"
	"strings"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// An Entry is where a file's content lies in the tar, in bytes.
type Entry struct{ Offset, Size int64 }

// An Index is what stands where in a tar.
type Index struct {
	files     map[string]Entry
	links     map[string]string // a name and the name that it stands for
	documents map[string][]byte // files that look like JSON, while there is room

	names, text int // bytes of both so far
}

// ReadIndex walks a tar of at most size bytes. Where r can seek, contents are
// passed over; else they are read, to their very end, so that a checksum of a
// compression around them counts.
//
// Errors: BadFormat, TooBig, those of r.
func ReadIndex(r io.Reader, size int64) (*Index, error) {
	x := &Index{files: map[string]Entry{}, links: map[string]string{}, documents: map[string][]byte{}}
	p := &position{src: r}
	p.seeker, _ = r.(io.Seeker)
	t := tar.NewReader(p)
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && n == MaxEntries {
			err = TooBig.As("The archive has more than %d files.", MaxEntries)
		}
		if err == nil {
			err = x.add(h, Entry{p.at, h.Size}, size, t)
		}
		if err != nil {
			return nil, p.damaged(err)
		}
	}
	if p.seeker == nil {
		if _, err := io.Copy(io.Discard, p); err != nil {
			return nil, p.damaged(err)
		}
	}
	return x, nil
}

func (x *Index) add(h *tar.Header, e Entry, size int64, content io.Reader) error {
	name, ok := clean(h.Name)
	x.names += len(h.Name) + len(h.Linkname)
	switch {
	case !ok || len(h.Linkname) > MaxName:
		return BadFormat.As("The archive has a file with the name %s, which no image archive has.", quote(h.Name))
	case x.names > maxNames:
		return TooBig.As("The names of the archive's files are more than %d bytes.", maxNames)
	case e.Size < 0 || e.Size > size || e.Offset > size-e.Size:
		return BadFormat.As("The archive ends within the file %s.", quote(name))
	}
	switch h.Typeflag {
	case tar.TypeReg:
		if sparse(h) {
			return BadFormat.As("The file %s is sparse; write the archive without holes.", quote(name))
		}
		if x.has(name) {
			return twice(name)
		}
		x.files[name] = e
		return x.document(name, e, content)
	case tar.TypeSymlink, tar.TypeLink:
		if x.has(name) {
			return twice(name)
		}
		target := h.Linkname
		if h.Typeflag == tar.TypeSymlink {
			target = path.Join(path.Dir(name), target)
		}
		if target, ok = clean(target); ok { // else it leads nowhere
			x.links[name] = target
		}
	}
	return nil // directories, and what no image needs
}

func sparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func (x *Index) has(name string) bool {
	_, file := x.files[name]
	_, link := x.links[name]
	return file || link
}

// twice: which of two is meant, programs do not agree on.
func twice(name string) error {
	return BadFormat.As("The archive has two files with the name %s.", quote(name))
}

// document keeps a file that begins like JSON: which of them are needed is
// known only when manifest.json was read, which often comes last.
func (x *Index) document(name string, e Entry, content io.Reader) error {
	if e.Size == 0 || e.Size > MaxDocument || x.text+int(e.Size) > maxDocuments {
		return nil
	}
	var first [1]byte
	if _, err := io.ReadFull(content, first[:]); err != nil {
		return err
	}
	if strings.IndexByte("{[ \t\r\n", first[0]) < 0 {
		return nil
	}
	b := make([]byte, e.Size)
	b[0] = first[0]
	if _, err := io.ReadFull(content, b[1:]); err != nil {
		return err
	}
	x.documents[name] = b
	x.text += len(b)
	return nil
}

// clean returns a name as the map has it: without ./ and slashes at its ends.
// A name that leads upwards is none.
func clean(name string) (string, bool) {
	if len(name) > MaxName || strings.IndexByte(name, 0) >= 0 {
		return "", false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", false
		}
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/"), true
}

// find returns the file that a name stands for, through links.
func (x *Index) find(name string) (string, Entry, bool) {
	name, ok := clean(name)
	for range maxLinks {
		if !ok {
			break
		}
		if e, found := x.files[name]; found {
			return name, e, true
		}
		name, ok = x.links[name]
	}
	return "", Entry{}, false
}

// read returns the document of a name; nil: the archive has no such file.
func (x *Index) read(name string) ([]byte, error) {
	file, _, ok := x.find(name)
	if !ok {
		return nil, nil
	}
	if b, ok := x.documents[file]; ok {
		return b, nil
	}
	return nil, Unparsable.As("The file %s is not JSON, or too large.", quote(name))
}

// blob finds the file of a digest in an OCI image layout.
func (x *Index) blob(d oci.Digest) (Entry, bool) {
	_, e, ok := x.find(blobPath(d))
	return e, ok
}

func blobPath(d oci.Digest) string { return "blobs/" + string(d.Algorithm()) + "/" + d.Hex() }

// position knows where in the tar a reader stands.
type position struct {
	src    io.Reader
	seeker io.Seeker // nil: it cannot
	at     int64
	err    error
}

func (p *position) Read(b []byte) (int, error) {
	n, err := p.src.Read(b)
	p.at += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
	}
	return n, err
}

var errNoSeek = errors.New("archive: this source cannot seek")

// Seek serves tar.Reader, which passes over contents with it.
func (p *position) Seek(off int64, whence int) (int64, error) {
	if p.seeker == nil {
		return 0, errNoSeek
	}
	at, err := p.seeker.Seek(off, whence)
	if err == nil {
		p.at = at
	}
	return at, err
}

// damaged is the error of a tar that is none, unless the source failed.
func (p *position) damaged(err error) error {
	var f *fault.Error
	switch {
	case p.err != nil:
		return p.err
	case errors.As(err, &f):
		return err
	}
	return fault.Wrap(fault.ManifestInvalid, err, "This is not a tar, or it is damaged.").With(BadFormat)
}
