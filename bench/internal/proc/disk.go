package proc

import (
	"io/fs"
	"path/filepath"
	"syscall"
)

// DiskUse is what the files below dir take on the disk, in MiB, and how many inodes.
// Files that vanish during the walk do not count.
func DiskUse(dir string) (mib float64, inodes int) {
	seen := map[uint64]bool{}
	var blocks int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || seen[st.Ino] {
			return nil
		}
		seen[st.Ino] = true
		blocks += st.Blocks
		return nil
	})
	return float64(blocks) * 512 / (1 << 20), len(seen)
}
