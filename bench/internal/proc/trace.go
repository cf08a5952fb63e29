package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Syscalls that tell how durable and how copy-free a server is.
const traced = "fsync,fdatasync,syncfs,sync_file_range,msync,sendfile,splice"

// Trace is a running strace on one process.
type Trace struct {
	cmd  *exec.Cmd
	file string
}

// Call is one traced system call: its name and the path behind its first descriptor.
type Call struct{ Name, Path string }

// StartTrace attaches strace to all threads of pid and waits until it holds them.
func StartTrace(pid int, dir string) (*Trace, error) {
	t := &Trace{file: filepath.Join(dir, "strace.out")}
	t.cmd = exec.Command("strace", "-f", "-y", "-s", "0", "-e", "trace="+traced, "-o", t.file, "-p", fmt.Sprint(pid))
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	errs, err := t.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	attached := make(chan string, 1)
	go func() {
		s := bufio.NewScanner(errs)
		s.Scan()
		attached <- s.Text()
		io.Copy(io.Discard, errs)
	}()
	select {
	case line := <-attached:
		if !strings.Contains(line, "attached") {
			t.cmd.Process.Kill()
			t.cmd.Wait()
			return nil, fmt.Errorf("strace: %s", line)
		}
	case <-time.After(10 * time.Second):
		t.cmd.Process.Kill()
		t.cmd.Wait()
		return nil, errors.New("strace did not attach in 10 s")
	}
	return t, nil
}

// one line: `1234 fsync(7</data/x>) = 0`, `1234 sendfile(8<socket:[1]>, 7</data/x>, ...`
var callLine = regexp.MustCompile(`^\d+\s+([a-z_0-9]+)\(\d+<([^>]*)>(?:, \d+<([^>]*)>)?`)

// Stop detaches and returns the calls in order. Of sendfile and splice the path is that of the source.
func (t *Trace) Stop() ([]Call, error) {
	if err := t.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return nil, err
	}
	t.cmd.Wait() // ends by the signal
	b, err := os.ReadFile(t.file)
	if err != nil {
		return nil, err
	}
	return parseTrace(string(b)), nil
}

func parseTrace(s string) []Call {
	var calls []Call
	for line := range strings.Lines(s) {
		m := callLine.FindStringSubmatch(line)
		if m == nil || strings.Contains(line, "resumed>") {
			continue
		}
		c := Call{m[1], m[2]}
		if m[3] != "" {
			c.Path = m[3]
		}
		calls = append(calls, c)
	}
	return calls
}
