package fsblob

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a file system of the given size, which needs root. Elsewhere
// the test is skipped, or fails if TEST_REQUIRE names mount.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if strings.Contains(os.Getenv("TEST_REQUIRE"), "mount") {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("a small disk needs the right to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
