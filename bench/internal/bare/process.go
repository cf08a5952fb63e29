package bare

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
)

// Process is a bare server in a process of its own, as a registry is.
type Process struct {
	*raw.Endpoint
	cmd *exec.Cmd
	dir string
}

// Start runs this very program as `bare ADDR DIR`. Its directory is beside those of the
// targets, so that it writes to the same disk.
func Start(program, addr, dir string) (*Process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	e, err := raw.NewEndpoint("http://"+addr, "", "")
	if err != nil {
		return nil, err
	}
	p := &Process{Endpoint: e, dir: dir, cmd: exec.Command(program, "bare", addr, dir)}
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	c := p.New()
	defer c.Close()
	for range 1000 {
		if _, err = c.Once(&raw.Request{Method: "GET", Path: "/v2/"}); err == nil {
			return p, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.Stop()
	return nil, fmt.Errorf("the bare server did not start: %w", err)
}

// Stop ends the process and removes its files.
func (p *Process) Stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	_ = os.RemoveAll(p.dir)
}

// Serve makes b the file that GET /file sends.
func (p *Process) Serve(b content.Blob) error {
	f, err := os.Create(filepath.Join(p.dir, fileName))
	if err != nil {
		return err
	}
	defer f.Close()
	s := b.Stream()
	for x := s.Next(); x != nil; x = s.Next() {
		if _, err := x.WriteTo(f); err != nil {
			return err
		}
	}
	return f.Sync()
}
