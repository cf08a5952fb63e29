package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/fault"
)

// writeback is after how many bytes the kernel is asked to start writing, so
// that the fsync at the end finds little left to do.
const writeback = 8 << 20

// Begin creates the file of key. Nothing is synced: the row that names the key
// is enough to find it again, or its absence.
func (d *Driver) Begin(_ context.Context, key string) (blob.State, error) {
	p, err := d.path(key)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, storage(err)
	}
	d.files.put(key, f)
	return encode(0), nil
}

// Append writes r at the offset of s, and cuts off before what lies beyond it.
func (d *Driver) Append(_ context.Context, key string, s blob.State, r io.Reader) (blob.State, []blob.Part, error) {
	off, err := decode(key, s)
	if err != nil {
		return nil, nil, err
	}
	f, size, err := d.open(key)
	if err != nil {
		return nil, nil, err
	}
	if size < off {
		f.Close()
		return nil, nil, lost(key, size, off)
	}
	if size > off {
		if err := f.Truncate(off); err != nil {
			f.Close()
			return nil, nil, storage(err)
		}
	}
	w := &writer{f: f, off: off, started: off}
	if _, err := io.Copy(w, r); err != nil {
		// A full disk gets back at once what was written in vain.
		err = errors.Join(err, f.Truncate(off))
		d.files.put(key, f)
		return nil, nil, storage(err)
	}
	if w.started > off { // a short body is synced at once
		w.start()
	}
	d.files.put(key, f)
	return encode(w.off), nil, nil
}

// open opens the file of key for writing, and tells how long it is.
func (d *Driver) open(key string) (*os.File, int64, error) {
	f := d.files.take(key)
	if f == nil {
		p, err := d.path(key)
		if err != nil {
			return nil, 0, err
		}
		if f, err = os.OpenFile(p, os.O_WRONLY, 0); err != nil {
			return nil, 0, storage(err)
		}
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return nil, 0, storage(err)
	}
	return f, size, nil
}

// Commit syncs the file and its shard.
func (d *Driver) Commit(_ context.Context, key string, s blob.State, _ []blob.Part) error {
	off, err := decode(key, s)
	if err != nil {
		return err
	}
	f, size, err := d.open(key)
	if err != nil {
		return err
	}
	defer f.Close()
	if size != off {
		return lost(key, size, off)
	}
	err = d.sync(f)
	if err == nil {
		err = d.syncDir(filepath.Dir(f.Name()))
	}
	if err != nil {
		// What the kernel could not write it now takes for written: asked
		// again it would say yes. So nobody may ask again.
		return storage(errors.Join(err, f.Truncate(0), d.remove(key)))
	}
	return nil
}

// Abort removes the file.
func (d *Driver) Abort(_ context.Context, key string, _ blob.State) error { return d.remove(key) }

// Delete removes the file. It is gone after a power cut too, so that the row
// that names the key may go.
func (d *Driver) Delete(_ context.Context, key string) error { return d.remove(key) }

func (d *Driver) remove(key string) error {
	p, err := d.path(key)
	if err != nil {
		return err
	}
	if err := os.Remove(p); err != nil && !errors.Is(err, os.ErrNotExist) {
		return storage(err)
	}
	d.files.drop(key)
	// Also where it was absent: an earlier call may have died before this.
	return storage(d.syncDir(filepath.Dir(p)))
}

func lost(key string, size, off int64) error {
	return fault.Wrap(fault.UploadUnknown, fmt.Errorf("fsblob: %s holds %d bytes of %d", key, size, off), "What this upload had sent was lost; start a new one.")
}

// writer writes at its own offset.
type writer struct {
	f       *os.File
	off     int64 // behind the last byte written
	started int64 // up to where write-back was asked for
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.f.WriteAt(p, w.off)
	w.off += int64(n)
	if w.off-w.started >= writeback {
		w.start()
	}
	return n, err
}

// start asks for write-back of what was written since the last time. It is only
// a hint: what goes wrong then, fsync reports.
func (w *writer) start() {
	if w.off > w.started {
		startWriteback(w.f, w.started, w.off-w.started)
		w.started = w.off
	}
}
