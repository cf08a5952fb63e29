//go:build !linux

package fsblob

import (
	"errors"
	"os"
)

func startWriteback(*os.File, int64, int64) {}

func space(string) (free, total int64, err error) { return 0, 0, errors.ErrUnsupported }

func unlinked(f *os.File) bool {
	_, err := os.Lstat(f.Name())
	return err != nil
}
