package target

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"berth.dev/berth/bench/internal/raw"
)

// Fresh wipes the directory, writes the files, runs the commands before and after, and
// leaves the server running. For a target that is not owned it does nothing.
func (t *Target) Fresh() error {
	if !t.Owned() {
		return nil
	}
	if err := os.RemoveAll(t.Root); err != nil {
		return err
	}
	t.made = false
	if err := os.MkdirAll(t.Root, 0o755); err != nil {
		return err
	}
	for name, body := range t.Files {
		p := filepath.Join(t.Root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p, []byte(body), 0o600); err != nil {
			return err
		}
	}
	if err := t.commands(t.Init); err != nil {
		return err
	}
	if _, err := t.Run(t.Start); err != nil {
		return err
	}
	return t.commands(t.Setup)
}

// Wipe removes everything the target wrote. The server must be stopped.
func (t *Target) Wipe() error {
	if !t.Owned() {
		return nil
	}
	return os.RemoveAll(t.Root)
}

// Run starts the server by args and waits until GET /v2/ answers. It returns the time
// from exec to that answer.
func (t *Target) Run(args []string) (time.Duration, error) {
	e, err := t.Endpoint()
	if err != nil {
		return 0, err
	}
	if c, err := net.DialTimeout("tcp", e.Addr, time.Second); err == nil {
		c.Close()
		return 0, fmt.Errorf("%s: something else listens on %s", t.Name, e.Addr)
	}
	f, err := os.OpenFile(filepath.Join(t.Root, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = t.Root, t.environ()
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		f.Close()
		return 0, err
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.cmd, t.done, t.log = cmd, done, f
	c := e.New()
	defer c.Close()
	for time.Since(begin) < startLimit {
		r, err := c.Once(&raw.Request{Method: "GET", Path: "/v2/"})
		if err == nil && (r.Status == 200 || r.Status == 401) {
			return time.Since(begin), nil
		}
		select {
		case <-done:
			t.Stop()
			return 0, fmt.Errorf("%s ended at its start, see %s", t.Name, f.Name())
		case <-time.After(time.Millisecond):
		}
	}
	t.Stop()
	return 0, fmt.Errorf("%s did not answer within %s", t.Name, startLimit)
}

// Stop ends the server by SIGTERM, and by SIGKILL if that takes too long.
func (t *Target) Stop() {
	if t.cmd == nil {
		return
	}
	_ = t.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-t.done:
	case <-time.After(stopLimit):
		_ = t.cmd.Process.Kill()
		<-t.done
	}
	t.log.Close()
	t.cmd = nil
}

// Command runs one of the target's commands to its end.
func (t *Target) Command(args []string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = t.Root, t.environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %v: %w: %s", t.Name, args, err, out[max(0, len(out)-500):])
	}
	return nil
}

func (t *Target) commands(l [][]string) error {
	for _, args := range l {
		if err := t.Command(args, setupLimit); err != nil {
			return err
		}
	}
	return nil
}

func (t *Target) environ() []string {
	env := os.Environ()
	for k, v := range t.Env {
		env = append(env, k+"="+v)
	}
	return env
}
