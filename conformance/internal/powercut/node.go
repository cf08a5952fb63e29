package powercut

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node connects an inode with the kernel. Each method holds FS.mu for its
// whole life and fails with EIO once the power is cut.
type node struct {
	fs.Inode
	fsys *FS
	i    *inode
}

var (
	_ fs.NodeLookuper  = (*node)(nil)
	_ fs.NodeReaddirer = (*node)(nil)
	_ fs.NodeMkdirer   = (*node)(nil)
	_ fs.NodeMknoder   = (*node)(nil)
	_ fs.NodeCreater   = (*node)(nil)
	_ fs.NodeLinker    = (*node)(nil)
	_ fs.NodeUnlinker  = (*node)(nil)
	_ fs.NodeRmdirer   = (*node)(nil)
	_ fs.NodeRenamer   = (*node)(nil)
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeReader    = (*node)(nil)
	_ fs.NodeWriter    = (*node)(nil)
	_ fs.NodeFsyncer   = (*node)(nil)
	_ fs.NodeAllocater = (*node)(nil)
	_ fs.NodeStatfser  = (*node)(nil)
)

// powered runs op under the lock.
func (n *node) powered(op func() syscall.Errno) syscall.Errno {
	n.fsys.mu.Lock()
	defer n.fsys.mu.Unlock()
	if n.fsys.dead {
		return syscall.EIO
	}
	return op()
}

// show hands the inode to the kernel.
func (n *node) show(ctx context.Context, i *inode, out *fuse.EntryOut) *fs.Inode {
	i.attr(&out.Attr)
	return n.NewInode(ctx, &node{fsys: n.fsys, i: i}, fs.StableAttr{Mode: i.mode, Ino: i.number})
}

// add makes a new inode with an entry.
func (n *node) add(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	var made *fs.Inode
	errno := n.powered(func() syscall.Errno {
		if n.i.entries[name] != nil {
			return syscall.EEXIST
		}
		i := n.fsys.inode(mode)
		n.i.entries[name] = i
		made = n.show(ctx, i, out)
		return fs.OK
	})
	return made, errno
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	var found *fs.Inode
	errno := n.powered(func() syscall.Errno {
		i := n.i.entries[name]
		if i == nil {
			return syscall.ENOENT
		}
		found = n.show(ctx, i, out)
		return fs.OK
	})
	return found, errno
}

func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	var list []fuse.DirEntry
	errno := n.powered(func() syscall.Errno {
		for name, i := range n.i.entries {
			list = append(list, fuse.DirEntry{Name: name, Mode: i.mode, Ino: i.number})
		}
		return fs.OK
	})
	return fs.NewListDirStream(list), errno
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.add(ctx, name, mode|syscall.S_IFDIR, out)
}

func (n *node) Mknod(ctx context.Context, name string, mode, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.add(ctx, name, mode, out)
}

func (n *node) Create(ctx context.Context, name string, _, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	made, errno := n.add(ctx, name, mode|syscall.S_IFREG, out)
	return made, nil, fuse.FOPEN_KEEP_CACHE, errno
}

func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	var linked *fs.Inode
	errno := n.powered(func() syscall.Errno {
		to, ok := target.(*node)
		switch {
		case !ok:
			return syscall.EINVAL
		case n.i.entries[name] != nil:
			return syscall.EEXIST
		}
		n.i.entries[name] = to.i
		to.i.links++
		linked = n.show(ctx, to.i, out)
		return fs.OK
	})
	return linked, errno
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	return n.powered(func() syscall.Errno {
		i := n.i.entries[name]
		if i == nil {
			return syscall.ENOENT
		}
		delete(n.i.entries, name)
		i.links--
		return fs.OK
	})
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	return n.powered(func() syscall.Errno {
		i := n.i.entries[name]
		switch {
		case i == nil:
			return syscall.ENOENT
		case len(i.entries) > 0:
			return syscall.ENOTEMPTY
		}
		delete(n.i.entries, name)
		return fs.OK
	})
}

func (n *node) Rename(_ context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	return n.powered(func() syscall.Errno {
		to, ok := parent.(*node)
		if !ok || flags != 0 {
			return syscall.EINVAL
		}
		i := n.i.entries[name]
		if i == nil {
			return syscall.ENOENT
		}
		if over := to.i.entries[newName]; over != nil && over != i {
			over.links--
		}
		delete(n.i.entries, name)
		to.i.entries[newName] = i
		return fs.OK
	})
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return n.powered(func() syscall.Errno {
		n.i.attr(&out.Attr)
		return fs.OK
	})
}

func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return n.powered(func() syscall.Errno {
		if mode, ok := in.GetMode(); ok {
			n.i.mode = n.i.mode&syscall.S_IFMT | mode&^uint32(syscall.S_IFMT)
		}
		if size, ok := in.GetSize(); ok {
			n.i.truncate(int(size))
		}
		n.i.attr(&out.Attr)
		return fs.OK
	})
}

// Open gives no handle: the inode is all there is. The kernel keeps its pages,
// which also makes shared memory maps (SQLite's -shm) work.
func (n *node) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, n.powered(func() syscall.Errno { return fs.OK })
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	var got int
	errno := n.powered(func() syscall.Errno {
		if off < int64(len(n.i.now)) {
			got = copy(dest, n.i.now[off:])
		}
		return fs.OK
	})
	return fuse.ReadResultData(dest[:got]), errno
}

func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	return uint32(len(data)), n.powered(func() syscall.Errno {
		n.i.write(data, int(off))
		return fs.OK
	})
}

// Fsync serves fsync and fdatasync of files and of directories.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return n.powered(func() syscall.Errno {
		if n.i.isDir() {
			n.fsys.sync.Directories++
		} else {
			n.fsys.sync.Files++
		}
		n.i.settle()
		return fs.OK
	})
}

func (n *node) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	return n.powered(func() syscall.Errno {
		if end := int(off + size); mode == 0 && end > len(n.i.now) {
			n.i.truncate(end)
		}
		return fs.OK
	})
}

// Statfs claims plenty of room, so that no reserve of free space gets in the way.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	const blocks = 64 << 30 / pageSize
	out.Bsize, out.Frsize, out.NameLen = pageSize, pageSize, 255
	out.Blocks, out.Bfree, out.Bavail = blocks, blocks, blocks
	out.Files, out.Ffree = 1<<20, 1<<20
	return fs.OK
}
