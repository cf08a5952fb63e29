package durability

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/powercut"
)

// The power goes while clients push; what the disk holds then is all there is,
// and everything acknowledged must be in it. In every other round, some of
// what was not synced is on the disk as well, by chance.
func TestPowerCut(t *testing.T) {
	t.Run("keeping", func(t *testing.T) { powerless(t, 12, false) })
	t.Run("collecting", func(t *testing.T) {
		powerless(t, 12, true,
			"--uploads-life", "2s", "--collection-grace", "2s", "--collection-undelete", "1s", "--collection-sweep", "100ms")
	})
}

func powerless(t *testing.T, cuts int, collecting bool, settings ...string) {
	if os.Getuid() != 0 {
		berthtest.Missing(t, berthtest.Clients, "mounting a file system needs root")
	}
	// A short path: the data directory holds a socket.
	dir, err := os.MkdirTemp("", "disk-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	fsys, err := powercut.Mount(dir, powercut.Blank())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unmount(fsys); err != nil {
			t.Error(err)
		}
	}()
	s := berthtest.Start(t, berthtest.Options{Data: filepath.Join(dir, "data"), Settings: settings})
	defer func() { _ = s.Kill() }() // lets go of the disk
	m := newMachine(t, s, collecting)

	for i := range cuts {
		var chance *rand.Rand
		if i%2 == 1 {
			chance = m.rng
		}
		var disk powercut.Disk
		err := m.load(t.Context(), 100*time.Millisecond+m.upTo(700*time.Millisecond), func() error {
			disk = fsys.Cut(chance)
			return m.Kill()
		})
		if err != nil {
			t.Fatalf("cut %d: %v", i, err)
		}
		if err := unmount(fsys); err != nil {
			t.Fatal(err)
		}
		if fsys, err = powercut.Mount(dir, disk); err != nil {
			t.Fatal(err)
		}
		if err := m.Run(); err != nil {
			t.Fatalf("after cut %d: %v", i, err)
		}
		if err := m.look(t.Context(), m.client, m.rng, 200); err != nil {
			t.Fatalf("after cut %d: %v", i, err)
		}
		if err := m.resume(t.Context(), m.client, true); err != nil {
			t.Fatalf("after cut %d: %v", i, err)
		}
		if err := m.Fsck(); err != nil {
			t.Fatalf("after cut %d: %v", i, err)
		}
	}
	if err := m.look(t.Context(), m.client, m.rng, -1); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := m.Fsck(); err != nil {
		t.Fatal(err)
	}
	t.Log(m.counts())
}

// unmount waits until the kernel has let go of a dead process's files.
func unmount(fsys *powercut.FS) error {
	var err error
	for range 200 {
		if err = fsys.Unmount(); !errors.Is(err, syscall.EBUSY) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}
