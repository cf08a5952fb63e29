package powercut

import (
	"maps"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const pageSize = 4096

// inode is one file or directory in its two states. FS.mu guards it.
type inode struct {
	number  uint64
	mode    uint32
	links   uint32
	changed time.Time

	// A file: its bytes, those on the disk, and the pages that differ.
	now, disk []byte
	dirty     map[int]struct{}

	// A directory: its entries, and those on the disk.
	entries, settled map[string]*inode
}

func (f *FS) inode(mode uint32) *inode {
	f.last++
	return &inode{
		number: f.last, mode: mode, links: 1, changed: time.Now(), dirty: map[int]struct{}{},
		entries: map[string]*inode{}, settled: map[string]*inode{},
	}
}

func (i *inode) isDir() bool { return i.mode&syscall.S_IFMT == syscall.S_IFDIR }

// settle carries the state that programs see over to the disk.
func (i *inode) settle() {
	if i.isDir() {
		i.settled = maps.Clone(i.entries)
		return
	}
	i.disk = resize(i.disk, len(i.now))
	for page := range i.dirty {
		copyPage(i.disk, i.now, page)
	}
	clear(i.dirty)
}

func (i *inode) write(data []byte, off int) {
	if end := off + len(data); end > len(i.now) {
		i.truncate(end)
	}
	copy(i.now[off:], data)
	i.touch(off, off+len(data))
}

func (i *inode) truncate(size int) {
	from := min(size, len(i.now))
	i.now = resize(i.now, size)
	i.touch(from, size)
}

// touch marks the pages of [from,to) as different from the disk.
func (i *inode) touch(from, to int) {
	i.changed = time.Now()
	for page := from / pageSize; page*pageSize < to; page++ {
		i.dirty[page] = struct{}{}
	}
}

func (i *inode) attr(out *fuse.Attr) {
	out.Ino = i.number
	out.Mode = i.mode
	out.Size = uint64(len(i.now))
	out.Blocks = (out.Size + 511) / 512
	out.Blksize = pageSize
	out.Nlink = i.links
	out.SetTimes(&i.changed, &i.changed, &i.changed)
}

// resize returns data with the size, zeros where it grew.
func resize(data []byte, size int) []byte {
	if size <= cap(data) {
		if size > len(data) {
			clear(data[len(data):size])
		}
		return data[:size]
	}
	grown := make([]byte, size, size+size/4)
	copy(grown, data)
	return grown
}

func copyPage(to, from []byte, page int) {
	start := page * pageSize
	if start < len(to) && start < len(from) {
		copy(to[start:min(start+pageSize, len(to))], from[start:])
	}
}
