package berthtest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/port"
)

// Options say what kind of server to run.
type Options struct {
	TLS      bool     // with a certificate of a private authority, else plain http
	Postgres bool     // on a private PostgreSQL, else SQLite
	Data     string   // data directory; empty: a new one
	Settings []string // further flags of berth serve
	Under    []string // a program, with its arguments, to run berth under

	// Beside, where set, is a server on PostgreSQL that this one shares the
	// database and the master key with. What is not in the database, blobs above
	// 16 KiB, each has for itself.
	Beside *Server
}

// Server is a berth process. Its methods are for one goroutine.
type Server struct {
	Host string // host:port, the same over restarts
	Data string

	options  Options
	dir      string // everything that Close removes
	binary   string
	certs    *certificates
	database *postgres // its own
	shared   *postgres // another server's
	process  *exec.Cmd
	exited   chan struct{}
	log      *os.File
}

// adminPassword is that of the user admin on every server.
const adminPassword = "correct horse battery staple"

// patience bounds a start and a stop; both take milliseconds.
const patience = 60 * time.Second

// Start runs a server for a test and its subtests, and ends it after them.
// Where the test failed, it shows the end of the server's log.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Launch(o)
	if errors.Is(err, ErrNoPostgres) {
		Missing(t, Postgres, "%v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", s.LogTail())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Launch runs a server until Close.
func Launch(o Options) (*Server, error) {
	path, err := binary()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "berth-")
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, dir: dir, binary: path, Data: o.Data}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) prepare() error {
	if err := os.Chmod(s.dir, 0o755); err != nil { // PostgreSQL runs as another user
		return err
	}
	if s.Data == "" {
		s.Data = filepath.Join(s.dir, "data")
	}
	number, err := port.Free()
	if err != nil {
		return err
	}
	s.Host = fmt.Sprintf("127.0.0.1:%d", number)
	if s.options.TLS {
		if s.certs, err = newCertificates(s.dir); err != nil {
			return err
		}
	}
	if one := s.options.Beside; one != nil {
		s.shared = one.database
		if err := copyKey(one.Data, s.Data); err != nil {
			return err
		}
	}
	if s.options.Postgres {
		if s.database, err = startPostgres(filepath.Join(s.dir, "pg")); err != nil {
			return err
		}
	}
	if s.log, err = os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return err
	}
	return s.Run()
}

// Run starts the process, again after Stop or Kill, and waits until it is
// ready.
func (s *Server) Run() error {
	if err := s.Spawn(); err != nil {
		return err
	}
	return s.waitReady()
}

// Spawn starts the process and does not wait.
func (s *Server) Spawn() error {
	argv := append(append([]string{}, s.options.Under...), s.binary, "serve", "--data", s.Data, "--listen", s.Host)
	if s.certs != nil {
		argv = append(argv, "--tls-cert", s.certs.cert, "--tls-key", s.certs.key)
	}
	argv = append(argv, s.options.Settings...)
	c := exec.Command(argv[0], argv[1:]...)
	c.Env = append(s.env(), "BERTH_ADMIN_PASSWORD="+adminPassword)
	c.Stdout, c.Stderr = s.log, s.log
	if err := c.Start(); err != nil {
		return err
	}
	s.process, s.exited = c, make(chan struct{})
	go func(exited chan struct{}) {
		_ = c.Wait() // how it ended is told by ProcessState
		close(exited)
	}(s.exited)
	return nil
}

// env is the environment of the server and of the command, with nothing of
// Berth's that the developer may have set.
func (s *Server) env() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "BERTH_") {
			env = append(env, e)
		}
	}
	for _, p := range []*postgres{s.database, s.shared} {
		if p != nil {
			env = append(env, "BERTH_DATABASE="+p.url)
		}
	}
	return env
}

// copyKey gives a new data directory the master key of another.
func copyKey(from, to string) error {
	const name = "master.key"
	key, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, name), key, 0o600)
}

func (s *Server) waitReady() error {
	client := s.Client()
	defer client.CloseIdleConnections()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if resp, err := client.Get(s.URL() + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK && s.Running() {
				return nil
			}
		}
		select {
		case <-s.exited:
			return fmt.Errorf("berth ended at its start: %s\n%s", s.process.ProcessState, s.LogTail())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("berth was not ready after %s\n%s", patience, s.LogTail())
}

// Stop asks the process to end, as an operator would, and waits for it.
func (s *Server) Stop() error {
	if err := s.end(syscall.SIGTERM); err != nil {
		return err
	}
	if !s.process.ProcessState.Success() {
		return fmt.Errorf("berth ended with %s\n%s", s.process.ProcessState, s.LogTail())
	}
	return nil
}

// Kill ends the process at once.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

func (s *Server) end(signal syscall.Signal) error {
	if err := s.process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.exited:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("berth did not end within %s of %s", patience, signal)
	}
}

// Running says that the process has not ended.
func (s *Server) Running() bool {
	select {
	case <-s.exited:
		return false
	default:
		return s.process != nil
	}
}

// Close ends the process and removes what Launch made.
func (s *Server) Close() error {
	var problems []error
	if s.process != nil && s.Running() {
		problems = append(problems, s.Stop())
		if s.Running() {
			problems = append(problems, s.Kill())
		}
	}
	if s.database != nil {
		problems = append(problems, s.database.stop())
	}
	if s.log != nil {
		problems = append(problems, s.log.Close())
	}
	return errors.Join(append(problems, os.RemoveAll(s.dir))...)
}

// PID is that of the process.
func (s *Server) PID() int { return s.process.Process.Pid }

// URL is where clients reach the server.
func (s *Server) URL() string {
	if s.certs != nil {
		return "https://" + s.Host
	}
	return "http://" + s.Host
}

// TLS says that the server speaks TLS.
func (s *Server) TLS() bool { return s.certs != nil }

// CA is the file with the private authority's certificate, CertDir a directory
// that holds it alone, as ca.crt.
func (s *Server) CA() string      { return s.certs.ca() }
func (s *Server) CertDir() string { return s.certs.dir }

// Client trusts the server's authority. Each call makes one of its own.
func (s *Server) Client() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	if s.certs != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: s.certs.pool}
	}
	return &http.Client{Transport: transport, Timeout: 2 * time.Minute}
}

// LogTail is the end of what the server wrote.
func (s *Server) LogTail() string {
	const most = 16 << 10
	if s.log == nil {
		return ""
	}
	info, err := s.log.Stat()
	if err != nil {
		return err.Error()
	}
	text := make([]byte, min(most, info.Size()))
	n, _ := s.log.ReadAt(text, info.Size()-int64(len(text)))
	return string(text[:n])
}
