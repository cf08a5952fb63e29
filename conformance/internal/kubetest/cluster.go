package kubetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"berth.dev/berth/conformance/internal/port"
)

// A Cluster is a running control plane. Its methods are safe for use by many
// goroutines.
type Cluster struct {
	URL  string // of the API server
	Addr string // host:port of the same
	CA   string // PEM of what signs its certificate

	dir       string
	processes []*exec.Cmd
	client    *http.Client
}

// adminToken is that of a user who may do everything.
const adminToken = "the-administrator-of-this-cluster"

// patience bounds the start and the end of a program; both take seconds.
const patience = 90 * time.Second

// controllers are those that rollouts and the manifest of a cluster need.
const controllers = "deployment-controller,replicaset-controller,statefulset-controller,garbage-collector-controller," +
	"namespace-controller,serviceaccount-token-controller,resourcequota-controller"

// Launch starts a control plane until Close. Errors: ErrMissing.
func Launch() (*Cluster, error) {
	found, err := find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "berth-kube-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir}
	if err := c.start(found); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) start(found programs) error {
	ports, err := freePorts(4)
	if err != nil {
		return err
	}
	if err := c.secrets(); err != nil {
		return err
	}
	etcd, peer := "http://"+ports[0], "http://"+ports[1]
	c.Addr, c.URL = ports[2], "https://"+ports[2]
	_, securePort, _ := net.SplitHostPort(c.Addr)
	_, controlPort, _ := net.SplitHostPort(ports[3])
	if err := c.spawn("etcd", found.etcd, "--data-dir", filepath.Join(c.dir, "etcd"), "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer); err != nil {
		return err
	}
	if err := c.spawn("apiserver", found.apiserver, "--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port", securePort, "--cert-dir", filepath.Join(c.dir, "certs"),
		"--service-cluster-ip-range", "10.0.0.0/24", "--endpoint-reconciler-type", "none", "--authorization-mode", "RBAC", "--token-auth-file", c.file("tokens.csv"),
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", c.file("sa.key"), "--service-account-signing-key-file", c.file("sa.key"),
		"--disable-admission-plugins", "ServiceAccount", "--profiling=false"); err != nil {
		return err
	}
	if err := c.waitReady(); err != nil {
		return err
	}
	config := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"x","contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],
		"clusters":[{"name":"c","cluster":{"server":%q,"certificate-authority":%q}}],"users":[{"name":"u","user":{"token":%q}}]}`,
		c.URL, filepath.Join(c.dir, "certs", "apiserver.crt"), adminToken)
	if err := os.WriteFile(c.file("kubeconfig"), []byte(config), 0o600); err != nil {
		return err
	}
	return c.spawn("controllers", found.controllers, "--kubeconfig", c.file("kubeconfig"), "--leader-elect=false", "--use-service-account-credentials=false",
		"--service-account-private-key-file", c.file("sa.key"), "--root-ca-file", filepath.Join(c.dir, "certs", "apiserver.crt"), "--controllers", controllers,
		"--bind-address", "127.0.0.1", "--secure-port", controlPort, "--cert-dir", filepath.Join(c.dir, "certs"))
}

func (c *Cluster) file(name string) string { return filepath.Join(c.dir, name) }

// secrets writes the administrator's token and the key of service accounts.
func (c *Cluster) secrets() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return errors.Join(os.WriteFile(c.file("sa.key"), text, 0o600), os.WriteFile(c.file("tokens.csv"), []byte(adminToken+",admin,1,\"system:masters\"\n"), 0o600))
}

func (c *Cluster) spawn(name, program string, args ...string) error {
	log, err := os.Create(c.file(name + ".log"))
	if err != nil {
		return err
	}
	defer log.Close() // the program has a copy
	p := exec.Command(program, args...)
	p.Dir, p.Stdout, p.Stderr = c.dir, log, log
	if err := p.Start(); err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	return nil
}

func (c *Cluster) waitReady() error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(c.dir, "certs", "apiserver.crt"))
		if err != nil {
			continue // it makes its certificate first
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			continue
		}
		c.CA = string(text)
		c.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: 30 * time.Second}
		if _, err := c.send(context.Background(), http.MethodGet, "/readyz", "", nil); err == nil {
			return nil
		}
	}
	text, _ := os.ReadFile(c.file("apiserver.log"))
	return fmt.Errorf("kubetest: the API server was not ready after %s: %s", patience, text[max(0, len(text)-4000):])
}

// Close ends the programs, the last first, and removes what they wrote.
func (c *Cluster) Close() error {
	var problems []error
	for i := len(c.processes) - 1; i >= 0; i-- {
		p := c.processes[i]
		if err := p.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			problems = append(problems, err)
		}
		killed := time.AfterFunc(5*time.Second, func() { _ = p.Process.Kill() }) // a control plane that hangs has nothing to lose
		_ = p.Wait()                                                             // how it ended does not matter
		killed.Stop()
	}
	return errors.Join(append(problems, os.RemoveAll(c.dir))...)
}

// A StatusError is an answer of the API server that is no success.
type StatusError struct {
	Code int
	Body string
}

func (e *StatusError) Error() string { return fmt.Sprintf("kubernetes: %d %s", e.Code, e.Body) }

func (c *Cluster) send(ctx context.Context, method, path, kind string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = &StatusError{resp.StatusCode, string(text)}
	}
	return text, err
}

// Object is one of Kubernetes.
type Object = map[string]any

// Get reads an object.
func (c *Cluster) Get(ctx context.Context, path string) (Object, error) {
	return decoded(c.send(ctx, http.MethodGet, path, "", nil))
}

// Create makes an object.
func (c *Cluster) Create(ctx context.Context, path string, o Object) (Object, error) {
	return decoded(c.send(ctx, http.MethodPost, path, "application/json", encoded(o)))
}

// CreateYAML makes an object of a document in YAML.
func (c *Cluster) CreateYAML(ctx context.Context, path, doc string) error {
	_, err := c.send(ctx, http.MethodPost, path, "application/yaml", []byte(doc))
	return err
}

// Merge changes members of an object, or of its status where the path says so.
func (c *Cluster) Merge(ctx context.Context, path string, o Object) error {
	_, err := c.send(ctx, http.MethodPatch, path, "application/merge-patch+json", encoded(o))
	return err
}

// Delete removes an object.
func (c *Cluster) Delete(ctx context.Context, path string) error {
	_, err := c.send(ctx, http.MethodDelete, path, "", nil)
	return err
}

func encoded(o Object) []byte {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // of maps and texts
	}
	return text
}

func decoded(text []byte, err error) (Object, error) {
	var o Object
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	return o, err
}

func freePorts(n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		number, err := port.Free()
		if err != nil {
			return nil, err
		}
		out[i] = fmt.Sprintf("127.0.0.1:%d", number)
	}
	return out, nil
}
