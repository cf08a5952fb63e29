package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The names in a data directory. Blobs and the database are elsewhere in it.
const (
	lockName   = "berth.lock"
	socketName = "berth.sock"
	blobsName  = "blobs"
)

// A lock is the exclusive use of a data directory. The kernel gives it back
// when the process ends, however it ends.
type lock struct{ file *os.File }

// errLocked is what lockData wraps when another process has the directory.
var errLocked = errors.New("in use")

// makeData makes the data directory, durably and for the owner alone. One that
// is there already keeps its mode.
func makeData(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	var parents []string // of what is about to be made
	for missing := dir; ; missing = filepath.Dir(missing) {
		if there, err := exists(missing); err != nil || there {
			break // MkdirAll says it better
		}
		parents = append(parents, filepath.Dir(missing))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	for _, p := range parents {
		if err := syncDir(p); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
	}
	return nil
}

// lockData takes the directory, or says at once who has it.
func lockData(dir string) (*lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		holder := "another process"
		if pid := readPID(f); pid > 0 {
			holder = fmt.Sprintf("process %d", pid)
		}
		f.Close()
		return nil, fmt.Errorf("the data directory %s is %w by %s: one directory serves one berth at a time", dir, errLocked, holder)
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("lock the data directory %s: %w", dir, err)
	}
	// The number only tells people whom to ask; the lock itself is the kernel's.
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock the data directory %s: %w", dir, err)
		}
	}
	return &lock{f}, nil
}

func readPID(f *os.File) int {
	var text [16]byte
	n, _ := f.ReadAt(text[:], 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return 0
	}
	return pid
}

func (l *lock) release() error { return l.file.Close() }

// exists says that a file is there.
func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
