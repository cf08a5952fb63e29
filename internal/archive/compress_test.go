package archive_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"berth.dev/berth/internal/archive"
	"berth.dev/berth/internal/fault"
)

func unpack(b []byte, limit int64) ([]byte, error) {
	r, err := archive.Decompress(bytes.NewReader(b), archive.Sniff(b), limit)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestDecompress(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("some text, "), 10_000)
	for name, packed := range map[string][]byte{"plain": content, "gzip": gzipped(content), "zstd": zstandard(content)} {
		if got, err := unpack(packed, int64(len(content))); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if _, err := unpack(packed, int64(len(content))-1); !fault.Is(err, fault.TooLarge) {
			t.Errorf("%s over its limit: %v", name, err)
		}
		if name == "plain" {
			continue
		}
		if _, err := unpack(packed[:len(packed)-5], 1<<30); !fault.Is(err, fault.ManifestInvalid) {
			t.Errorf("%s cut off: %v", name, err)
		}
		packed[len(packed)/2] ^= 0x55
		if _, err := unpack(packed, 1<<30); !fault.Is(err, fault.ManifestInvalid) {
			t.Errorf("%s damaged: %v", name, err)
		}
	}
	for _, s := range []string{"BZh91", "\xfd7zXZ\x00", "\x1f\x8b"} {
		if _, err := unpack([]byte(s), 100); !fault.Is(err, fault.ManifestInvalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
	// An error of the source is no damage.
	broken := errors.New("broken")
	head := gzipped(content)[:100]
	r, err := archive.Decompress(io.MultiReader(bytes.NewReader(head), iotest.ErrReader(broken)), archive.Gzip, 1<<30)
	if err == nil {
		_, err = io.ReadAll(r)
	}
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// Much of nothing in little is refused after a part of it.
func TestDecompressBombs(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	zero := make([]byte, 1<<20)
	for range 300 {
		_, _ = w.Write(zero)
	}
	_ = w.Close()
	r, err := archive.Decompress(&bomb, archive.Gzip, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	if !fault.Is(err, fault.TooLarge) || n > 270<<20 {
		t.Errorf("%d bytes came out: %v", n, err)
	}
}

func TestPack(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 100, 1 << 20} {
		content := bytes.Repeat([]byte("0123456789 text"), n/15+1)[:n]
		one, err := io.ReadAll(archive.Pack(bytes.NewReader(content)))
		two, err2 := io.ReadAll(archive.Pack(iotest.OneByteReader(bytes.NewReader(content))))
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if got, err := unpack(one, 1<<30); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came back as %d: %v", n, len(got), err)
		}
		if got, err := unpack(two, 1<<30); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came back as %d: %v", n, len(got), err)
		}
	}
	broken := errors.New("broken")
	if _, err := io.ReadAll(archive.Pack(iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	b := []byte("content")
	if got, err := io.ReadAll(archive.Verify(bytes.NewReader(b), digestOf(b))); err != nil || string(got) != "content" {
		t.Errorf("%q: %v", got, err)
	}
	if _, err := io.ReadAll(archive.Verify(bytes.NewReader(b[1:]), digestOf(b))); !fault.Is(err, fault.DigestInvalid) {
		t.Errorf("got %v", err)
	}
}
