package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/fault"
)

// faults says what a client hears of an error of the file system. What is not
// in the table is a storage that fails: there is nothing a client could do
// about it but to try again.
var faults = []struct {
	err  syscall.Errno
	code fault.Code
	msg  string
}{
	{syscall.ENOSPC, fault.Full, "The storage of this registry is full."},
	{syscall.EDQUOT, fault.Full, "The storage of this registry has reached its quota."},
	{syscall.EFBIG, fault.Full, "The storage of this registry cannot hold a file of this size."},
	{syscall.EIO, fault.Unavailable, "The storage of this registry reports a read or write error."},
	{syscall.EROFS, fault.Unavailable, "The storage of this registry is read-only."},
	{syscall.EACCES, fault.Unavailable, "The storage of this registry refuses access."},
	{syscall.EPERM, fault.Unavailable, "The storage of this registry refuses access."},
	{syscall.EMFILE, fault.Unavailable, "This registry has too many files open; try again later."},
	{syscall.ENFILE, fault.Unavailable, "This registry has too many files open; try again later."},
}

// storage gives an error of a file its code. Errors that are not of a file, as
// those of the reader that Append copies from, stay what they are.
func storage(err error) error {
	var f *fault.Error
	var errno syscall.Errno
	switch {
	case err == nil, errors.As(err, &f), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", blob.ErrAbsent, err)
	case errors.As(err, &errno):
		for _, k := range faults {
			if errno == k.err {
				return fault.Wrap(k.code, err, "%s", k.msg)
			}
		}
	case !isPath(err):
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "The storage of this registry fails.")
}

func isPath(err error) bool {
	var p *os.PathError
	return errors.As(err, &p)
}
