package archive

import (
	"errors"
	"hash"
	"io"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// Verify returns src with a check at its end: where its bytes are not those of
// d, the reader fails with fault.DigestInvalid in place of io.EOF.
func Verify(src io.Reader, d oci.Digest) io.Reader {
	return &verifier{src: src, hash: d.Algorithm().New(), want: d}
}

type verifier struct {
	src  io.Reader
	hash hash.Hash
	want oci.Digest
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.src.Read(p)
	v.hash.Write(p[:n])
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if got := v.want.Algorithm().FromSum(v.hash.Sum(nil)); got != v.want {
		return n, fault.New(fault.DigestInvalid, "A layer of the archive has the digest %s, and its image says %s.", got, v.want)
	}
	return n, io.EOF
}
