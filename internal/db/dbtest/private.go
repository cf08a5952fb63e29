package dbtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
)

// cluster is a PostgreSQL server of this process. It ends with it, however it
// ends: the script that watches over the server reads from stdin until nobody
// holds the other end.
type cluster struct {
	url   string
	stdin io.Closer // kept so that it is not collected, and closed, before
}

const script = `
bin=$1 dir=$2
exec 2>"$dir/script.log"
"$bin/initdb" -D "$dir/data" -U berth --auth=trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 &&
"$bin/pg_ctl" start -D "$dir/data" -l "$dir/server.log" -w -t 60 -s -o "-c listen_addresses= -c unix_socket_directories=$dir \
	-c max_connections=200 -c shared_buffers=64MB -c fsync=off -c synchronous_commit=off -c full_page_writes=off" >/dev/null || exit 1
echo ready
read -r nothing
"$bin/pg_ctl" stop -D "$dir/data" -m immediate -s >/dev/null
rm -rf "$dir"
`

// private starts a server on a socket in a directory of its own. PostgreSQL
// refuses to run as root, who becomes the user postgres instead.
var private = sync.OnceValues(func() (_ *cluster, err error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return nil, errors.New("no server binaries in /usr/lib/postgresql/*/bin")
	}
	bin := filepath.Dir(slices.MaxFunc(found, byVersion))
	dir, err := os.MkdirTemp("/tmp", "berth-pg-") // a socket's path must be short
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir) // the error that counts is err
		}
	}()
	cmd := exec.Command("sh", "-c", script, "sh", bin, dir)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt from the terminal is not for the script
	if os.Getuid() == 0 {
		id, err := account("postgres")
		if err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(id.Uid), int(id.Gid)); err != nil {
			return nil, err
		}
		cmd.SysProcAttr.Credential = id
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		_ = cmd.Wait()
		return nil, errors.New("the private server did not start:\n" + logs(dir))
	}
	u := url.URL{Scheme: "postgres", User: url.User("berth"), Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode()}
	return &cluster{url: u.String(), stdin: stdin}, nil
})

// account looks a user up.
func account(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

// byVersion orders /usr/lib/postgresql/15/bin/initdb by its number.
func byVersion(a, b string) int {
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	return version(a) - version(b)
}

// logs returns what the start of the server had to say.
func logs(dir string) (out string) {
	for _, name := range []string{"script.log", "initdb.log", "server.log"} {
		b, _ := os.ReadFile(filepath.Join(dir, name))
		out += fmt.Sprintf("%s: %s\n", name, b)
	}
	return out
}
