package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"time"
)

// tarball is the content of a layer: files, a link and a directory.
func (s *Source) tarball(number, size int) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	dir := fmt.Sprintf("layer%d/", number)
	put := func(h tar.Header, data []byte) {
		h.ModTime, h.Size = time.Unix(1_700_000_000, 0), int64(len(data))
		if err := w.WriteHeader(&h); err != nil {
			panic(err) // of headers made here, into memory
		}
		if _, err := w.Write(data); err != nil {
			panic(err)
		}
	}
	put(tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}, nil)
	put(tar.Header{Typeflag: tar.TypeReg, Name: dir + "random", Mode: 0o644}, s.Bytes(size))
	put(tar.Header{Typeflag: tar.TypeReg, Name: dir + "text", Mode: 0o600}, bytes.Repeat([]byte("berth\n"), 50))
	put(tar.Header{Typeflag: tar.TypeSymlink, Name: dir + "link", Linkname: "text", Mode: 0o777}, nil)
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func compress(data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		panic(err) // memory takes all
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}
