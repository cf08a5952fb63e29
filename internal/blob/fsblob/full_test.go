package fsblob

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/fault"
)

func TestErrorsOfTheFileSystem(t *testing.T) {
	path := func(err error) error { return &os.PathError{Op: "write", Path: "/data/x", Err: err} }
	own := errors.New("the reader's own")
	for _, c := range []struct {
		err  error
		want fault.Code
	}{
		{path(syscall.ENOSPC), fault.Full},
		{path(syscall.EDQUOT), fault.Full},
		{path(syscall.EFBIG), fault.Full},
		{path(syscall.EIO), fault.Unavailable},
		{path(syscall.EROFS), fault.Unavailable},
		{path(syscall.EMFILE), fault.Unavailable},
		{path(syscall.ENOTDIR), fault.Unavailable},
		{path(fs.ErrClosed), fault.Unavailable},
		{fault.New(fault.Timeout, "slow"), fault.Timeout},
		{own, fault.Internal},
	} {
		got := storage(c.err)
		if !fault.Is(got, c.want) || !errors.Is(got, c.err) {
			t.Errorf("%v became %v, want code %s", c.err, got, c.want)
		}
		if f := (*fault.Error)(nil); errors.As(got, &f) && strings.Contains(f.Msg, "/data") {
			t.Errorf("a client is told %q", f.Msg)
		}
	}
	if storage(nil) != nil {
		t.Error("nothing became an error")
	}
	if err := storage(path(syscall.ENOENT)); !errors.Is(err, blob.ErrAbsent) {
		t.Errorf("absence became %v", err)
	}
}

func TestAFullDisk(t *testing.T) {
	d, ctx := openDriver(t, smallDisk(t, "4m")), t.Context()
	key := blob.NewKey()
	st, err := d.Begin(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	p := bytes.Repeat([]byte("berth"), 1<<20)
	if st, _, err = d.Append(ctx, key, st, bytes.NewReader(p[:1<<20])); err != nil {
		t.Fatal(err)
	}
	before, total, err := d.Space(ctx)
	if err != nil || total != 4<<20 {
		t.Fatalf("%d free of %d, %v", before, total, err)
	}
	if _, _, err := d.Append(ctx, key, st, bytes.NewReader(p)); !fault.Is(err, fault.Full) {
		t.Fatalf("append to a full disk: %v", err)
	}
	if after, _, _ := d.Space(ctx); after != before {
		t.Errorf("%d bytes are free, %d were before", after, before)
	}
	// What fits goes on.
	if st, _, err = d.Append(ctx, key, st, bytes.NewReader(p[1<<20:2<<20])); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(ctx, key, st, nil); err != nil {
		t.Fatal(err)
	}
	r, err := d.Open(ctx, key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, p[:2<<20]) {
		t.Errorf("read %d bytes, or others: %v", len(got), err)
	}
}
