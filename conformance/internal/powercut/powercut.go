// Package powercut is a file system that loses what was not synced.
//
// It keeps two states of every file and directory: the one a running program
// sees, and the one on the platters. Only fsync and fdatasync carry the first
// over into the second; a file's sync does not carry its directory entry, and
// a directory's sync carries its entries and no file's bytes. Cut ends the
// power: from then on every operation fails with EIO, and the returned Disk
// holds what a machine would find when it is switched on again.
//
// That is harsher than any journalling file system in use, on purpose: a
// program that is safe here does not lean on the kindness of one of them.
package powercut

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// FS is a mounted file system.
type FS struct {
	server *fuse.Server

	mu   sync.Mutex // guards everything below and all inodes
	root *inode
	dead bool
	last uint64 // inode number given last
	sync Syncs
}

// Syncs counts what programs asked to be made durable.
type Syncs struct{ Files, Directories int }

// Mount shows the disk at the directory dir, which must exist. It needs root.
func Mount(dir string, d Disk) (*FS, error) {
	f := &FS{}
	if d.root == nil {
		d = Blank()
	}
	f.root = f.restore(d.root, map[*entry]*inode{})
	forever := time.Hour // nothing changes behind the kernel's back
	server, err := fs.Mount(dir, &node{fsys: f, i: f.root}, &fs.Options{
		EntryTimeout: &forever,
		AttrTimeout:  &forever,
		MountOptions: fuse.MountOptions{
			Name:              "powercut",
			FsName:            "powercut",
			DirectMountStrict: true,
			MaxWrite:          1 << 20,
			MaxBackground:     64,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("powercut: mount: %w", err)
	}
	f.server = server
	return f, nil
}

// Cut ends the power and returns what the disk holds. Of what was never
// synced, nothing is on it if rng is nil; else each page of a file and each
// entry of a directory is there or not by chance.
func (f *FS) Cut(rng *rand.Rand) Disk {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = true
	return Disk{root: f.root.survivor(rng, map[*inode]*entry{})}
}

// Syncs returns the counts so far.
func (f *FS) Syncs() Syncs {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sync
}

// Unmount takes the file system away. It fails while a program has files open.
func (f *FS) Unmount() error { return f.server.Unmount() }
