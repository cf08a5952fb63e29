package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/internal/db/dbtest"
)

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

const testPassword = "correct horse battery"

// config is one for tests, in a directory of its own, and on PostgreSQL where
// the environment says so.
func config(t *testing.T) Config {
	t.Helper()
	c := onFile(t)
	if strings.HasPrefix(os.Getenv("BERTH_TEST_DATABASE"), "postgres") {
		c.Database = dbtest.URL(t)
	}
	return c
}

// onFile is config on SQLite whatever the environment says, for what only a
// database in the data directory does.
func onFile(t *testing.T) Config {
	t.Helper()
	c := Default()
	c.Data = filepath.Join(t.TempDir(), "data")
	c.Listen = "127.0.0.1:0"
	c.Storage = Storage{} // the machine's disk may be rather full
	c.secrets.adminPassword = testPassword
	return c
}

// A started server runs until stop.
type started struct {
	url  string
	log  *buffer
	stop func() error // ends the server and returns what Run did
}

func start(t *testing.T, cfg Config) *started {
	t.Helper()
	s := &started{log: &buffer{}}
	out, in := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := Run(ctx, cfg, Outlets{Version: "test", Out: in, Log: s.log})
		in.CloseWithError(io.EOF)
		done <- err
	}()
	var once sync.Once
	var result error
	s.stop = func() error {
		once.Do(func() {
			cancel()
			result = <-done
		})
		return result
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	scan := bufio.NewScanner(out)
	for s.url == "" {
		if !scan.Scan() {
			t.Fatalf("the server did not start: %v\n%s", s.stop(), s.log)
		}
		s.url, _ = strings.CutPrefix(scan.Text(), "Berth serves ")
		if !strings.HasPrefix(s.url, "http") {
			s.url = ""
		}
	}
	go io.Copy(io.Discard, out)
	return s
}

func (s *started) request(t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", testPassword)
	return req
}

func do(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// newOrg makes an organization over the local socket.
func newOrg(t *testing.T, cfg *Config, name string) {
	t.Helper()
	l := local(t, cfg, true)
	if _, err := Call(t.Context(), l, CreateOrg, NewOrg{Named: Named{Name: name}}); err != nil {
		t.Fatal(err)
	}
}

func local(t *testing.T, cfg *Config, create bool) *Local {
	t.Helper()
	l, err := OpenLocal(t.Context(), cfg, LocalOptions{Make: create, Notice: io.Discard, Log: cfg.Logger(io.Discard)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestPublicRoutes(t *testing.T) {
	cfg := config(t)
	s := start(t, cfg)
	for _, tt := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/", 200, `{"versions":[{"id":"v2","links":{"href":"` + s.url + `/v2","rel":"self"}`},
		{"GET", "/v2", 200, `{"version":{"id":"v2",`},
		{"GET", "/v2/", 200, `{}`},
		{"GET", "/healthz", 200, `{"status":"ok"}`},
		{"GET", "/readyz", 200, `{"status":"ok"}`},
		{"GET", "/metrics", 200, `berth_db_commits_total`},
		{"GET", "/debug/pprof/", 404, `"NOT_FOUND"`},
		{"GET", "/index.html", 404, `"NOT_FOUND"`},
		{"GET", "/v2//", 404, `"errors"`},
		{"GET", "//", 404, `"NOT_FOUND"`},
		{"GET", "/healthz/", 404, `"NOT_FOUND"`},
		{"POST", "/", 405, `"UNSUPPORTED"`},
		{"DELETE", "/metrics", 405, `"UNSUPPORTED"`},
		// What the management API has not is refused in its form.
		{"GET", "/v9", 404, `[{"errorCode":"SVCSTG.SWR.4040083"`},
		{"GET", "/v2.0", 404, `[{"errorCode":"SVCSTG.SWR.4040083"`},
		{"GET", "/v2/manage", 404, `[{"errorCode":"SVCSTG.SWR.4040083"`},
		{"GET", "/v2/manage/", 404, `[{"errorCode":"SVCSTG.SWR.4040083"`},
		{"GET", "/v3/manage/nothing", 404, `[{"errorCode":"SVCSTG.SWR.4040083"`},
		{"GET", "/v2/0123456789abcdef/instances", 404, `[{"errorCode":"SVCSTG.SWR.4040083"`},
		{"POST", "/v2/0123456789abcdef/instances/1/namespaces/x/repositories", 404, `[{"errorCode":"SVCSTG.SWR.4040083"`},
		{"GET", "/v2/0123456789abcdef/jobs/7", 404, `[{"errorCode":"SVCSTG.SWR.4040083"`},
		// Repositories may be called so.
		{"GET", "/v2/acme/instances/x/manifests/v1", 403, `{"errors":[{"code":"DENIED"`},
		{"GET", "/v2/acme/jobs/tags/list", 403, `{"errors":[{"code":"DENIED"`},
		{"PATCH", "/v2/acme/jobs/tags/list", 405, `{"errors":[{"code":"UNSUPPORTED"`},
		{"GET", "/v2/acme/app", 404, `{"errors":[{"code":"NAME_UNKNOWN"`},
	} {
		res, body := do(t, s.request(t, tt.method, tt.path, nil))
		if res.StatusCode != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, res.StatusCode, body)
		}
		if id := res.Header.Get("X-Request-Id"); id == "" {
			t.Errorf("%s %s has no request id", tt.method, tt.path)
		}
		if tt.path != "/metrics" && !json.Valid([]byte(body)) {
			t.Errorf("%s %s is no JSON: %s", tt.method, tt.path, body)
		}
	}
}

func TestAdminAddressHasTheFigures(t *testing.T) {
	cfg := config(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.AdminListen = l.Addr().String()
	l.Close()
	s := start(t, cfg)
	if res, _ := do(t, s.request(t, "GET", "/metrics", nil)); res.StatusCode != 404 {
		t.Errorf("metrics on the public address: %d", res.StatusCode)
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/pprof/goroutine?debug=1"} {
		res, err := http.Get("http://" + cfg.AdminListen + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
}

func TestReadyFailsWhereNothingCanBeStored(t *testing.T) {
	cfg := config(t)
	cfg.Storage.ReserveBytes = 1 << 50
	s := start(t, cfg)
	res, body := do(t, s.request(t, "GET", "/readyz", nil))
	if res.StatusCode != 503 || !strings.Contains(body, "full") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if res, _ := do(t, s.request(t, "GET", "/healthz", nil)); res.StatusCode != 200 {
		t.Errorf("healthz: %d", res.StatusCode)
	}
}

func TestTLS(t *testing.T) {
	cfg := config(t)
	dir := t.TempDir()
	cfg.TLS = TLS{filepath.Join(dir, "crt"), filepath.Join(dir, "key")}
	first := writeCertificate(t, cfg.TLS, 1)
	s := start(t, cfg)
	if !strings.HasPrefix(s.url, "https://127.0.0.1:") {
		t.Fatal(s.url)
	}
	roots := x509.NewCertPool()
	roots.AddCert(first)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	res, err := client.Get(s.url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Errorf("protocol %s", res.Proto)
	}
	if res, err := http.Get("http" + strings.TrimPrefix(s.url, "https") + "/healthz"); err == nil {
		res.Body.Close()
		if res.StatusCode != 400 {
			t.Errorf("plain HTTP on a TLS port: %s", res.Status)
		}
	}

	second := writeCertificate(t, cfg.TLS, 2)
	roots.AddCert(second)
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{RootCAs: roots})
		if err != nil {
			t.Fatal(err)
		}
		serial := conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
		conn.Close()
		if serial == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not used")
		}
	}
}

func TestPlainHTTPHasNoHTTP2(t *testing.T) {
	s := start(t, config(t))
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(conn).ReadString('\n')
	if !strings.HasPrefix(line, "HTTP/1.1 ") {
		t.Errorf("answer %q", line)
	}
}

func TestHeaderLimit(t *testing.T) {
	cfg := config(t)
	cfg.Limits.Header = 8 << 10
	s := start(t, cfg)
	req := s.request(t, "GET", "/healthz", nil)
	req.Header.Set("X-Long", strings.Repeat("x", 32<<10))
	if res, _ := do(t, req); res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%s", res.Status)
	}
}

func TestRunRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
		nodata bool // nothing may have been made
	}{
		"address in use":       {func(c *Config) { c.Listen = taken.Addr().String() }, "listen: another program serves ", true},
		"admin address in use": {func(c *Config) { c.AdminListen = taken.Addr().String() }, "admin_listen: ", true},
		"no certificate":       {func(c *Config) { c.TLS = TLS{"/nowhere", "/nowhere"} }, "tls: ", true},
		"data is a file":       {func(c *Config) { c.Data = file }, "data directory: ", false},
		"short password":       {func(c *Config) { c.secrets.adminPassword = "x" }, "BERTH_ADMIN_PASSWORD: ", false},
		"bad master key":       {func(c *Config) { c.secrets.masterKey = "hunter2" }, "BERTH_MASTER_KEY: ", false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			tt.change(&cfg)
			var out, log buffer
			err := Run(t.Context(), cfg, Outlets{Out: &out, Log: &log})
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if out.String() != "" {
				t.Errorf("printed %q", &out)
			}
			if there, _ := exists(filepath.Join(cfg.Data, "berth.db")); tt.nodata && there {
				t.Error("a database was made")
			}
		})
	}
}
