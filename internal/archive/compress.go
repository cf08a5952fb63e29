package archive

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"berth.dev/berth/internal/fault"
)

// Compression is how bytes are compressed.
type Compression string

// What Sniff knows. The last two are not read.
const (
	Plain Compression = ""
	Gzip  Compression = "gzip"
	Zstd  Compression = "zstd"
	Bzip2 Compression = "bzip2"
	Xz    Compression = "xz"
)

// SniffLen is how many bytes tell a compression.
const SniffLen = 6

var magics = []struct {
	bytes string
	is    Compression
}{
	{"\x1f\x8b", Gzip},
	{"\x28\xb5\x2f\xfd", Zstd},
	{"BZh", Bzip2},
	{"\xfd7zXZ\x00", Xz},
}

// Sniff tells by its first bytes how something is compressed.
func Sniff(head []byte) Compression {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.bytes)) {
			return m.is
		}
	}
	return Plain
}

// Bounds of decompression.
const (
	maxWindow = 64 << 20  // bytes that zstd may look back
	freeRatio = 256 << 20 // bytes out before the ratio counts
	maxRatio  = 250       // bytes out for each byte in
)

// Decompress returns the content of src, of at most limit bytes.
// Reading it fails with BadFormat where src is damaged, with TooBig where it
// holds more than limit or blows up beyond reason, and with the errors of src.
func Decompress(src io.Reader, c Compression, limit int64) (io.ReadCloser, error) {
	in := &counter{src: src}
	u := &unpacked{in: in, limit: limit}
	switch c {
	case Plain:
		u.out = in
	case Gzip:
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, in.damaged(err)
		}
		u.out, u.close = z, func() { _ = z.Close() }
	case Zstd:
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, in.damaged(err)
		}
		u.out, u.close = z, z.Close
	default:
		return nil, BadFormat.As("The archive is compressed with %s; send it plain, or compressed with gzip or zstd.", string(c))
	}
	return u, nil
}

// counter counts what is read and remembers the error that ended it.
type counter struct {
	src io.Reader
	n   int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// damaged is the error of content that a decoder did not understand, unless it
// was the source that failed.
func (c *counter) damaged(err error) error {
	if c.err != nil {
		return c.err
	}
	return fault.Wrap(fault.ManifestInvalid, err, "The archive is damaged: its compression cannot be undone.").With(BadFormat)
}

type unpacked struct {
	in    *counter
	out   io.Reader
	n     int64
	limit int64
	close func()
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.out.Read(p)
	u.n += int64(n)
	switch {
	case u.n > u.limit:
		return 0, TooBig.As("The archive has more than %d bytes when it is decompressed.", u.limit)
	case u.n > freeRatio && u.n/maxRatio > u.in.n:
		return 0, TooBig.As("The archive grows to more than %d times its size when it is decompressed.", maxRatio)
	case err != nil && !errors.Is(err, io.EOF):
		return n, u.in.damaged(err)
	case err != nil:
		return n, io.EOF
	}
	return n, nil
}

func (u *unpacked) Close() error {
	if u.close != nil {
		u.close()
	}
	return nil
}

// packLevel is where more effort stops to pay: about the size that docker
// makes, in half the time.
const packLevel = 5

// Pack returns src compressed with gzip. The same content gives the same
// bytes, as long as the program is the same.
func Pack(src io.Reader) io.Reader {
	p := &packer{src: src, chunk: make([]byte, 64<<10)}
	// The header is empty: no name, no time.
	p.z, p.err = gzip.NewWriterLevel(&p.out, packLevel)
	return p
}

type packer struct {
	src   io.Reader
	z     *gzip.Writer
	out   bytes.Buffer
	chunk []byte
	err   error
}

func (p *packer) Read(b []byte) (int, error) {
	for p.out.Len() == 0 && p.err == nil {
		n, err := p.src.Read(p.chunk)
		if _, werr := p.z.Write(p.chunk[:n]); werr != nil {
			err = werr
		}
		if errors.Is(err, io.EOF) {
			if cerr := p.z.Close(); cerr != nil {
				err = cerr
			}
		}
		p.err = err
	}
	if p.out.Len() > 0 {
		return p.out.Read(b)
	}
	return 0, p.err
}
