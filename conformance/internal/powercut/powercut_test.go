package powercut

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/conformance/internal/berthtest"
)

// shell runs a script inside the mounted disk, in a process of its own: the
// one that serves a FUSE file system must not use it.
func shell(t *testing.T, d Disk, script string) (*FS, string) {
	t.Helper()
	if os.Getuid() != 0 {
		berthtest.Missing(t, berthtest.Clients, "mounting a file system needs root")
	}
	dir := t.TempDir()
	f, err := Mount(dir, d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	out, err := exec.Command("/bin/sh", "-euc", "cd "+dir+"\n"+script).CombinedOutput() // cmd.Dir would be entered by this process
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return f, string(out)
}

// files lists what the disk holds, as "name=content".
func files(d Disk) string {
	var list []string
	var walk func(dir string, e *entry)
	walk = func(dir string, e *entry) {
		for name, child := range e.children {
			path := filepath.Join(dir, name)
			if child.children != nil {
				list = append(list, path+"/")
				walk(path, child)
			} else {
				list = append(list, path+"="+strings.TrimSpace(string(child.data)))
			}
		}
	}
	walk("", d.root)
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestCutKeepsOnlyWhatWasSynced(t *testing.T) {
	cases := map[string]struct{ script, want string }{
		"nothing synced":            {`echo 1 >a`, ``},
		"bytes without their entry": {`echo 1 >a; sync -d a`, ``},
		"entry without its bytes":   {`echo 1 >a; sync .`, `a=`},
		"bytes and entry":           {`echo 1 >a; sync a .`, `a=1`},
		"write after the sync":      {`echo 1 >a; sync a .; echo 2 >>a`, `a=1`},
		"truncated after the sync":  {`echo 1 >a; sync a .; : >a`, `a=1`},
		"rename not synced":         {`echo 1 >a; sync a .; mv a b`, `a=1`},
		"rename synced":             {`echo 1 >a; sync a .; mv a b; sync .`, `b=1`},
		"link not synced":           {`echo 1 >a; sync a .; ln a b`, `a=1`},
		"link synced, and one gone": {`echo 1 >a; ln a b; sync a .; rm a; sync .`, `b=1`},
		"remove not synced":         {`echo 1 >a; sync a .; rm a`, `a=1`},
		"remove synced":             {`echo 1 >a; sync a .; rm a; sync .`, ``},
		"directory not synced":      {`mkdir d; echo 1 >d/a; sync d/a d`, ``},
		"directory synced":          {`mkdir d; echo 1 >d/a; sync d/a d .`, `d/ d/a=1`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f, _ := shell(t, Blank(), c.script)
			if got := files(f.Cut(nil)); got != c.want {
				t.Errorf("disk holds %q, want %q", got, c.want)
			}
		})
	}
}

func TestDiskSurvivesMounting(t *testing.T) {
	f, _ := shell(t, Blank(), `mkdir d; echo 1 >d/a; sync d/a d .; echo 2 >b`)
	_, out := shell(t, f.Cut(nil), `cat d/a; ls`)
	if out != "1\nd\n" {
		t.Errorf("after the cut the machine sees %q", out)
	}
}

func TestChanceTakesSome(t *testing.T) {
	f, _ := shell(t, Blank(), `for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do echo $i >f$i; done`)
	kept := strings.Count(files(f.Cut(rand.New(rand.NewPCG(1, 2)))), "=")
	if kept == 0 || kept == 16 {
		t.Errorf("%d of 16 unsynced files survived, want some", kept)
	}
}

// A sync that is answered after the cut would be a promise about a disk that is
// already final.
func TestNothingWorksWithoutPower(t *testing.T) {
	f, _ := shell(t, Blank(), `echo 1 >a`)
	f.Cut(rand.New(rand.NewPCG(1, 2)))
	if errno := (&node{fsys: f, i: f.root}).Fsync(t.Context(), nil, 0); errno == 0 {
		t.Error("fsync succeeded after the cut")
	}
}
