// Package fsblob keeps blobs in a directory of a local file system.
//
// A blob is one file, created under its final name: 256 shard directories, made
// when the directory is opened, and in them files named by random keys. Nothing
// is ever renamed or copied. A blob becomes durable by one fsync of its file and
// one of its shard.
package fsblob

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/fault"
)

const (
	shards  = 256
	keySize = 2 + 1 + 32 // "ab/" and 128 bits in hexadecimal
)

// Options configure a Driver. The zero value is usable.
type Options struct {
	// Idle is how many files of unfinished uploads stay open between requests.
	// Zero means 64.
	Idle int
}

// Driver is a blob.Driver on a directory that no other process writes to.
type Driver struct {
	dir   string
	files *files
	syncs atomic.Int64
	fsync func(*os.File) error // (*os.File).Sync outside tests
}

var _ blob.Driver = (*Driver)(nil)

// Open opens the directory dir, and makes it and its shards where they are
// missing; they are durable when it returns.
func Open(dir string, o Options) (*Driver, error) {
	if o.Idle <= 0 {
		o.Idle = 64
	}
	d := &Driver{dir: filepath.Clean(dir), files: newFiles(o.Idle), fsync: (*os.File).Sync}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, fmt.Errorf("fsblob: %w", err)
	}
	for i := range shards {
		if err := os.Mkdir(filepath.Join(d.dir, shard(i)), 0o700); err != nil && !os.IsExist(err) {
			return nil, fmt.Errorf("fsblob: %w", err)
		}
	}
	// Also where all were there: an earlier start may have died before this.
	for _, p := range []string{d.dir, filepath.Dir(d.dir)} {
		if err := d.syncDir(p); err != nil {
			return nil, fmt.Errorf("fsblob: sync %s: %w", p, err)
		}
	}
	return d, nil
}

// Close closes the files that unfinished uploads keep open. Uploads can go on
// with another Driver on the same directory.
func (d *Driver) Close() error { return d.files.close() }

// Syncs is the number of files and directories synced so far.
func (d *Driver) Syncs() int64 { return d.syncs.Load() }

// Space tells how many bytes of the file system may still be used, and how many
// there are in all.
func (d *Driver) Space(context.Context) (free, total int64, err error) { return space(d.dir) }

func (d *Driver) sync(f *os.File) error {
	d.syncs.Add(1)
	return d.fsync(f)
}

func (d *Driver) syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.sync(f)
}

func shard(i int) string { return hex.EncodeToString([]byte{byte(i)}) }

// path is the file of a key. Keys come from rows, but nothing in a row may ever
// lead out of the directory.
func (d *Driver) path(key string) (string, error) {
	ok := len(key) == keySize && key[2] == '/'
	for i := 0; ok && i < len(key); i++ {
		ok = i == 2 || strings.IndexByte("0123456789abcdef", key[i]) >= 0
	}
	if !ok {
		return "", malformed(key)
	}
	return filepath.Join(d.dir, key), nil
}

func malformed(key string) error { return fmt.Errorf("fsblob: malformed key %q", key) }

// A state is the number of bytes in place.
func encode(off int64) blob.State {
	return binary.BigEndian.AppendUint64(nil, uint64(off))
}

func decode(key string, s blob.State) (int64, error) {
	if len(s) != 8 || s[0]&0x80 != 0 {
		return 0, fault.Wrap(fault.UploadUnknown, fmt.Errorf("fsblob: malformed state of %s", key), "This upload cannot be continued; start a new one.")
	}
	return int64(binary.BigEndian.Uint64(s)), nil
}
