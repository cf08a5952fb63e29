// Package charts drives the real berth binary with helm 3 and helm 4, as an OCI
// registry and as a chart repository, and with uploads as the plugin cm-push
// makes them: over http on SQLite, over TLS with a private authority on
// PostgreSQL.
package charts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/described"
	"berth.dev/berth/conformance/internal/tool"
)

type registry struct {
	*berthtest.Server
	name      string
	described *described.Document
}

var registries []*registry

func TestMain(m *testing.M) { os.Exit(berthtest.Main(func() int { return run(m) })) }

func run(m *testing.M) (code int) {
	for _, r := range []*registry{{name: "http"}, {name: "tls"}} {
		o := berthtest.Options{TLS: r.name == "tls", Postgres: r.name == "tls"}
		s, err := berthtest.Launch(o)
		if errors.Is(err, berthtest.ErrNoPostgres) && !berthtest.Required(berthtest.Postgres) {
			fmt.Fprintln(os.Stderr, err)
			o.Postgres = false
			s, err = berthtest.Launch(o)
		}
		if err == nil {
			r.Server = s
			defer func() {
				if code != 0 {
					fmt.Fprintf(os.Stderr, "the end of the log of %s:\n%s\n", r.name, s.LogTail())
				}
				if err := s.Close(); err != nil {
					fmt.Fprintln(os.Stderr, err)
					code = 1
				}
			}()
			r.described, err = described.Fetch(s.Client(), s.URL())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		registries = append(registries, r)
	}
	return m.Run()
}

// fixture is one helm with a home of its own and a private chart group.
type fixture struct {
	t *testing.T
	*tool.Home
	*registry
	helm  string // the command
	group string
}

// each runs a test with both versions of helm against both registries.
func each(t *testing.T, test func(f *fixture)) {
	for _, r := range registries {
		for _, helm := range []string{"helm", "helm4"} {
			t.Run(r.name+" "+helm, func(t *testing.T) {
				if !tool.Has(helm) {
					berthtest.Missing(t, "clients", "%s is not installed", helm)
				}
				home := tool.New(t)
				if r.TLS() {
					home = tool.New(t, "SSL_CERT_FILE="+r.CA())
				}
				group := strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(t.Name(), "/", "-"), "Test"))
				group = strings.ReplaceAll(group, "_", "-")
				f := &fixture{t: t, Home: home, registry: r, helm: helm, group: group}
				f.berth("chart-group", "create", group)
				test(f)
			})
		}
	}
}

// berth runs a command on the registry's data.
func (f *fixture) berth(args ...string) string {
	f.t.Helper()
	out, err := f.Command("", args...)
	if err != nil {
		f.t.Fatalf("berth %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// oci runs helm for a registry, which takes the transport by flags.
func (f *fixture) oci(args ...string) string {
	f.t.Helper()
	return f.Run(f.helm, append(args, f.transport()...)...)
}

func (f *fixture) transport() []string {
	if f.TLS() {
		return []string{"--ca-file", f.CA()}
	}
	return []string{"--plain-http"}
}

func (f *fixture) login() {
	f.t.Helper()
	admin := f.Admin()
	f.RunInput(admin.Password, f.helm, append([]string{"registry", "login", f.Host, "--username", admin.User, "--password-stdin"}, f.transport()...)...)
}

// repository adds the group as a chart repository.
func (f *fixture) repository(name string) {
	f.t.Helper()
	admin := f.Admin()
	f.RunInput(admin.Password, f.helm, f.repoAdd(name, "--username", admin.User, "--password-stdin")...)
}

func (f *fixture) repoAdd(name string, more ...string) []string {
	args := append([]string{"repo", "add", name, f.URL() + "/chart/" + f.group}, more...)
	if f.TLS() {
		args = append(args, "--ca-file", f.CA())
	}
	return args
}

// keys makes a key pair as helm's signing wants it, and returns the keyrings.
func (f *fixture) keys(name string) (secret, public string) {
	f.t.Helper()
	e, err := openpgp.NewEntity(name, "", name+"@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048})
	if err != nil {
		f.t.Fatal(err)
	}
	write := func(file string, serialize func(io.Writer) error) string {
		var b bytes.Buffer
		if err := serialize(&b); err != nil {
			f.t.Fatal(err)
		}
		if err := os.WriteFile(f.Path(file), b.Bytes(), 0o600); err != nil {
			f.t.Fatal(err)
		}
		return f.Path(file)
	}
	secret = write("secring.gpg", func(w io.Writer) error { return e.SerializePrivate(w, nil) })
	return secret, write("pubring.gpg", e.Serialize)
}

// file reads a file of the home.
func (f *fixture) file(name string) []byte {
	f.t.Helper()
	b, err := os.ReadFile(f.Path(name))
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// send sends a request, as the administrator where not otherwise, and holds
// the answer against the description.
func (f *fixture) send(method, address, contentType string, body []byte, anonymous bool) (int, []byte) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if admin := f.Admin(); !anonymous {
		req.SetBasicAuth(admin.User, admin.Password)
	}
	c := f.Client()
	c.Transport = &described.Transport{Base: c.Transport, Document: f.described, Report: func(err error) { f.t.Error(err) }}
	if c.Transport.(*described.Transport).Base == nil {
		c.Transport.(*described.Transport).Base = http.DefaultTransport
	}
	resp, err := c.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// cmPush uploads as the plugin does: the address is made of what the index says
// of its server, and the file goes into a form.
func (f *fixture) cmPush(file string, force bool) int {
	f.t.Helper()
	base := "/chart/" + f.group
	status, index := f.send("GET", f.URL()+base+"/index.yaml", "", nil, false)
	_, context, ok := strings.Cut(string(index), "contextPath: ")
	if status != 200 || !ok {
		f.t.Fatalf("the index: %d %s", status, index)
	}
	context, _, _ = strings.Cut(context, "\n")
	address := f.URL() + path.Join(context, "api", strings.TrimPrefix(base, context), "charts")
	if force {
		address += "?force"
	}
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("chart", filepath.Base(file))
	if err == nil {
		_, err = part.Write(f.file(file))
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	status, answer := f.send("POST", address, form.FormDataContentType(), b.Bytes(), false)
	if message := struct{ Error string }{}; status >= 400 && (json.Unmarshal(answer, &message) != nil || message.Error == "") {
		f.t.Errorf("the plugin cannot read %s", answer)
	}
	return status
}
