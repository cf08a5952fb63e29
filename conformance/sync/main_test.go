// Package sync copies images between real processes: two of Berth, of which
// one is killed again and again, and Berth and another registry.
package sync

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/port"
	"berth.dev/berth/conformance/internal/wire"
)

func TestMain(m *testing.M) { os.Exit(berthtest.Main(m.Run)) }

// source starts the server that copies.
func source(t *testing.T, o berthtest.Options) *berthtest.Server {
	t.Helper()
	o.Settings = append(o.Settings, "--outbound-allow", "127.0.0.0/8", "--limits-drain", "1s")
	s := berthtest.Start(t, o)
	s.Org(t, "acme")
	return s
}

func client(t *testing.T, s *berthtest.Server) *wire.Client {
	t.Helper()
	c, err := wire.New(s.URL(), s.Client(), wire.Basic, s.Admin().User, s.Admin().Password)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// region registers an address as north.
func region(t *testing.T, s, login *berthtest.Server, address string, more ...string) {
	t.Helper()
	args, password := append([]string{"region", "add", "north", "--url", address, "--insecure-http", "yes"}, more...), ""
	if login != nil {
		args, password = append(args, "--username", login.Admin().User, "--password-stdin"), login.Admin().Password
	}
	command(t, s, password, args...)
}

func command(t *testing.T, s *berthtest.Server, input string, args ...string) string {
	t.Helper()
	out, err := s.Command(input, args...)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func push(t *testing.T, s *berthtest.Server, name, tag string, m *images.Manifest) {
	t.Helper()
	if err := client(t, s).Push(t.Context(), name, tag, m); err != nil {
		t.Fatal(err)
	}
}

// manifest reads a manifest without login; "" for none.
func manifest(t *testing.T, c *wire.Client, name, ref string) string {
	t.Helper()
	r, err := c.Send(t.Context(), wire.Request{Method: http.MethodGet, To: wire.Manifest(name, ref), Header: http.Header{"Accept": {v1.MediaTypeImageIndex, v1.MediaTypeImageManifest, images.DockerManifest, images.DockerList}}})
	if err != nil || r.Status != http.StatusOK {
		return ""
	}
	return string(r.Body)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// A proxy is the way to a server, which counts what goes there.
type proxy struct {
	net.Listener
	sent atomic.Int64
	slow atomic.Bool // about 60 MB a second
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.pipe(c, to)
		}
	}()
	return p
}

func (p *proxy) pipe(c net.Conn, to string) {
	defer c.Close()
	s, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer s.Close()
	go func() {
		io.Copy(c, s)
		c.Close()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			p.sent.Add(int64(n))
			if p.slow.Load() && n > 8<<10 {
				time.Sleep(time.Millisecond)
			}
			if _, err := s.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// distribution starts another registry, and returns its address.
func distribution(t *testing.T) string {
	t.Helper()
	tools := os.Getenv("BERTH_TOOLS")
	if tools == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		tools = filepath.Join(home, ".cache/berth-tools")
	}
	binary := filepath.Join(tools, "bin/registry")
	if _, err := os.Stat(binary); err != nil {
		berthtest.Missing(t, "clients", "there is no %s: run conformance/install.sh", binary)
	}
	number, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", number)
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %q, secret: s}\n", dir, address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(binary, "serve", config)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	until(t, "the other registry is up", func() bool {
		r, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			r.Body.Close()
		}
		return err == nil
	})
	return address
}

// decoded reads JSON.
func decoded[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, strings.TrimSpace(text))
	}
	return v
}
