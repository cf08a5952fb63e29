//go:build !linux

package fsblob

import (
	"os"

	"golang.org/x/sys/unix"
)

func startWriteback(*os.File, int64, int64) {}

func space(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

func unlinked(f *os.File) bool {
	_, err := os.Lstat(f.Name())
	return err != nil
}
