package fsblob

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"

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

// Stat describes the file of key.
func (d *Driver) Stat(_ context.Context, key string) (blob.Info, error) {
	p, err := d.path(key)
	if err != nil {
		return blob.Info{}, err
	}
	fi, err := os.Lstat(p)
	if err != nil {
		return blob.Info{}, storage(err)
	}
	return blob.Info{Key: key, Size: fi.Size(), Modified: fi.ModTime()}, nil
}

// List reads one shard at a time. Files whose name is no key are not ours and
// are passed over.
func (d *Driver) List(ctx context.Context, after string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for i := range shards {
			name := shard(i)
			if len(after) >= len(name) && name < after[:len(name)] {
				continue
			}
			entries, err := os.ReadDir(filepath.Join(d.dir, name)) // sorted
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(blob.Info{}, storage(err))
				return
			}
			for _, e := range entries {
				key := name + "/" + e.Name()
				if _, err := d.path(key); err != nil || key <= after {
					continue
				}
				info, err := d.Stat(ctx, key)
				if errors.Is(err, blob.ErrAbsent) {
					continue // deleted meanwhile
				}
				if !yield(info, err) || err != nil {
					return
				}
			}
		}
	}
}
