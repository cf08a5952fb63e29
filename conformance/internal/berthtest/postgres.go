package berthtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"berth.dev/berth/conformance/internal/port"
)

// ErrNoPostgres means that the machine has no PostgreSQL server programs.
var ErrNoPostgres = errors.New("no PostgreSQL server here: run conformance/install.sh")

// postgres is a private server on loopback.
type postgres struct {
	bin, dir, url string
}

// startPostgres makes and starts a server under dir. Its data is not synced:
// tests that kill kill Berth, never the database.
func startPostgres(dir string) (*postgres, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, ErrNoPostgres
	}
	slices.Sort(found)
	p := &postgres{bin: filepath.Dir(found[len(found)-1]), dir: dir}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		if out, err := exec.Command("chown", "postgres", dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("chown postgres: %w\n%s", err, out)
		}
	}
	number, err := port.Free()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if err := p.run("initdb", "-D", data, "-U", "berth", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"); err != nil {
		return nil, err
	}
	options := fmt.Sprintf("-c listen_addresses=127.0.0.1 -p %d -c unix_socket_directories=%s -c fsync=off -c max_connections=60", number, dir)
	if err := p.run("pg_ctl", "-D", data, "-l", filepath.Join(dir, "log"), "-w", "-t", "60", "-s", "-o", options, "start"); err != nil {
		return nil, err
	}
	p.url = fmt.Sprintf("postgres://berth@127.0.0.1:%d/postgres?sslmode=disable", number)
	return p, nil
}

func (p *postgres) stop() error {
	return p.run("pg_ctl", "-D", filepath.Join(p.dir, "data"), "-m", "immediate", "-w", "-s", "stop")
}

// run runs one of the server's programs; they refuse to be root.
func (p *postgres) run(program string, args ...string) error {
	argv := append([]string{filepath.Join(p.bin, program)}, args...)
	if os.Getuid() == 0 {
		argv = append([]string{"runuser", "-u", "postgres", "--"}, argv...)
	}
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir = "/"
	// pg_ctl leaves the server behind with its output open, so a pipe would
	// never end: both go to a file.
	log, err := os.OpenFile(filepath.Join(p.dir, "ctl.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	if err := c.Run(); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%s: %w\n%s", program, err, text)
	}
	return nil
}
