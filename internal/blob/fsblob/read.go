package fsblob

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"berth.dev/berth/internal/blob"
)

// Open returns an *os.File that stands at off.
func (d *Driver) Open(_ context.Context, key string, off, _ int64) (io.ReadCloser, error) {
	p, err := d.path(key)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(p)
	if err != nil {
		return nil, storage(err)
	}
	if off != 0 {
		if _, err := f.Seek(off, io.SeekStart); err != nil {
			f.Close()
			return nil, storage(err)
		}
	}
	return f, nil
}

// Stat describes the file of key, or any other file that List yields.
func (d *Driver) Stat(_ context.Context, key string) (blob.Info, error) {
	if !filepath.IsLocal(key) {
		return blob.Info{}, malformed(key)
	}
	fi, err := os.Lstat(filepath.Join(d.dir, key))
	if err != nil {
		return blob.Info{}, storage(err)
	}
	if fi.IsDir() {
		return blob.Info{}, malformed(key)
	}
	return blob.Info{Key: key, Size: fi.Size(), Modified: fi.ModTime()}, nil
}

// recovered is where fsck of the operating system puts what it finds; it
// stands in the root of a file system, which may be ours.
const recovered = "lost+found"

// List reads one directory at a time. It yields files whose name is no key too:
// they are not ours, so nothing here opens or deletes them, but whoever
// accounts for the storage is to hear of them.
func (d *Driver) List(ctx context.Context, after string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) { d.list(ctx, "", after, yield) }
}

// list lists the directory dir, which is empty or ends in a slash. It reports
// whether to go on.
func (d *Driver) list(ctx context.Context, dir, after string, yield func(blob.Info, error) bool) bool {
	entries, err := os.ReadDir(filepath.Join(d.dir, dir))
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		yield(blob.Info{}, storage(err))
		return false
	}
	var names []string
	for _, e := range entries {
		name := dir + e.Name()
		switch {
		case name == recovered:
			continue
		case e.IsDir():
			name += "/" // so that it sorts as the names in it
			if name <= after && !strings.HasPrefix(after, name) {
				continue
			}
		case name <= after:
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			if !d.list(ctx, name, after, yield) {
				return false
			}
			continue
		}
		info, err := d.Stat(ctx, name)
		if errors.Is(err, blob.ErrAbsent) {
			continue // deleted meanwhile
		}
		if !yield(info, err) || err != nil {
			return false
		}
	}
	return true
}
