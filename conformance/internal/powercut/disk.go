package powercut

import (
	"maps"
	"math/rand/v2"
	"syscall"
)

// Disk is what is on the platters: a tree that no program can change.
type Disk struct{ root *entry }

type entry struct {
	mode     uint32
	data     []byte
	children map[string]*entry
}

// Blank is an empty disk.
func Blank() Disk {
	return Disk{root: &entry{mode: syscall.S_IFDIR | 0o755, children: map[string]*entry{}}}
}

// restore makes an inode whose two states are both the entry's. An entry with
// several names becomes one inode, which done keeps.
func (f *FS) restore(e *entry, done map[*entry]*inode) *inode {
	if i := done[e]; i != nil {
		i.links++
		return i
	}
	i := f.inode(e.mode)
	done[e] = i
	i.now = append([]byte(nil), e.data...)
	i.disk = append([]byte(nil), e.data...)
	for name, child := range e.children {
		i.entries[name] = f.restore(child, done)
	}
	i.settled = maps.Clone(i.entries)
	return i
}

// survivor is what a cut leaves of an inode whose entry is on the disk. The
// same inode under another name, which done knows, is the same survivor.
func (i *inode) survivor(rng *rand.Rand, done map[*inode]*entry) *entry {
	if e := done[i]; e != nil {
		return e
	}
	e := &entry{mode: i.mode}
	done[i] = e
	if !i.isDir() {
		e.data = i.remains(rng)
		return e
	}
	e.children = map[string]*entry{}
	for name, child := range i.settled {
		if i.entries[name] == child || rng == nil || rng.IntN(2) == 0 {
			e.children[name] = child.survivor(rng, done)
		}
	}
	if rng == nil {
		return e
	}
	for name, child := range i.entries {
		if i.settled[name] != child && rng.IntN(2) == 0 {
			e.children[name] = child.survivor(rng, done)
		}
	}
	return e
}

// remains is what a cut leaves of a file's bytes: those synced last, with some
// of the pages written since.
func (i *inode) remains(rng *rand.Rand) []byte {
	data := append([]byte(nil), i.disk...)
	if rng == nil {
		return data
	}
	if rng.IntN(2) == 0 {
		data = resize(data, len(i.now))
	}
	for page := range i.dirty {
		if rng.IntN(2) == 0 {
			copyPage(data, i.now, page)
		}
	}
	return data
}
