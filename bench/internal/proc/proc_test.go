package proc

import (
	"os"
	"path/filepath"
	"testing"

	"reflect"
)

func TestReadsThisProcess(t *testing.T) {
	pid := os.Getpid()
	if RSS(pid) <= 0 || PeakRSS(pid) < RSS(pid)/2 {
		t.Errorf("rss %v, peak %v", RSS(pid), PeakRSS(pid))
	}
	for i := 0; CPU(pid) == 0 && i < 1e9; i++ { // a tick is 10 ms
	}
	if CPU(pid) <= 0 {
		t.Error("no processor time")
	}
	if Machine() == "" {
		t.Error("no machine")
	}
}

func TestDiskUseCountsEachInodeOnce(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "a")
	if err := os.WriteFile(a, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(a, filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	mib, inodes := DiskUse(dir)
	if mib < 1 || mib > 1.5 || inodes != 2 {
		t.Errorf("%v MiB in %d inodes, want 1 in 2 (file and directory)", mib, inodes)
	}
}

func TestParseTrace(t *testing.T) {
	got := parseTrace(`12 fdatasync(7</d/berth.db-wal>) = 0
12 fsync(9</d/blobs/ab/cd> <unfinished ...>
13 sendfile(8<socket:[1]>, 7</d/blobs/ab/cd>, NULL, 4194304) = 4194304
12 <... fsync resumed>) = 0
13 +++ exited with 0 +++
`)
	want := []Call{{"fdatasync", "/d/berth.db-wal"}, {"fsync", "/d/blobs/ab/cd"}, {"sendfile", "/d/blobs/ab/cd"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
