// Package clients drives the real berth binary with the registry clients that
// people use: over http and over TLS with a private authority, logged in by
// password and by access key, on SQLite and on PostgreSQL.
package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/tool"
	"berth.dev/berth/conformance/internal/wire"
)

// registries are the two servers that all tests share. Between them they have
// every kind of transport, login and database; a client that works with both
// depends on none of these.
var registries []*registry

type registry struct {
	*berthtest.Server
	name  string
	login func(testing.TB) berthtest.Login
}

func TestMain(m *testing.M) { os.Exit(berthtest.Main(func() int { return run(m) })) }

func run(m *testing.M) (code int) {
	kinds := []struct {
		name    string
		options berthtest.Options
	}{
		{"http", berthtest.Options{}},
		{"tls", berthtest.Options{TLS: true, Postgres: true}},
	}
	for _, k := range kinds {
		s, err := berthtest.Launch(k.options)
		if errors.Is(err, berthtest.ErrNoPostgres) && !berthtest.Required(berthtest.Postgres) {
			fmt.Fprintln(os.Stderr, err)
			k.options.Postgres = false
			s, err = berthtest.Launch(k.options)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() {
			if code != 0 {
				fmt.Fprintf(os.Stderr, "the end of the log of %s:\n%s\n", k.name, s.LogTail())
			}
			if err := s.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}()
		r := &registry{Server: s, name: k.name, login: func(testing.TB) berthtest.Login { return s.Admin() }}
		if k.options.TLS {
			var once sync.Once
			var key berthtest.Login
			r.login = func(t testing.TB) berthtest.Login {
				once.Do(func() { key = s.Key(t, "admin") })
				return key
			}
		}
		registries = append(registries, r)
	}
	return m.Run()
}

// fixture is what one test of one client has for itself.
type fixture struct {
	*tool.Home
	*registry
	org     string // made for the test
	creds   berthtest.Login
	content *images.Source
	wire    *wire.Client // looks at the registry past the client
}

// each runs a test against both registries. The client's name is that of the
// organization it gets.
func each(t *testing.T, client string, test func(t *testing.T, f *fixture)) {
	t.Parallel()
	for _, r := range registries {
		t.Run(r.name, func(t *testing.T) { test(t, r.fixture(t, client)) })
	}
}

// newHome is a home that nobody has logged in from; clients there trust the
// registry's authority.
func (r *registry) newHome(t testing.TB) *tool.Home {
	t.Helper()
	if r.TLS() {
		return tool.New(t, "SSL_CERT_FILE="+r.CA())
	}
	return tool.New(t)
}

func (r *registry) fixture(t *testing.T, client string) *fixture {
	t.Helper()
	f := &fixture{
		Home: r.newHome(t), registry: r, org: r.Org(t, client), creds: r.login(t), content: images.New(t.Name()),
	}
	admin := r.Admin()
	w, err := wire.New(r.URL(), r.Client(), wire.Basic, admin.User, admin.Password)
	if err != nil {
		t.Fatal(err)
	}
	f.wire = w
	return f
}

// repo is the name of a repository, and ref one that clients understand.
func (f *fixture) repo(name string) string { return f.org + "/" + name }
func (f *fixture) ref(name string) string  { return f.Host + "/" + f.repo(name) }
func (f *fixture) layout(t testing.TB, m *images.Manifest, ref string) string {
	t.Helper()
	dir := f.Path("layout-" + m.Digest.Encoded()[:12] + "-" + ref)
	if err := m.WriteLayout(dir, ref); err != nil {
		t.Fatal(err)
	}
	return dir
}

// push puts content there without the client's help.
func (f *fixture) push(t testing.TB, name, tag string, m *images.Manifest) *images.Manifest {
	t.Helper()
	if err := f.wire.Push(t.Context(), f.repo(name), tag, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// digest is what a reference means to the registry; empty: nothing.
func (f *fixture) digest(t testing.TB, name, reference string) digest.Digest {
	t.Helper()
	resp, err := f.wire.Send(t.Context(), wire.Request{Method: "HEAD", To: wire.Manifest(f.repo(name), reference)})
	if err != nil {
		t.Fatal(err)
	}
	return digest.Digest(resp.Header.Get("Docker-Content-Digest"))
}

// holds checks that the registry has m under the reference, with each byte of
// everything it needs.
func (f *fixture) holds(t testing.TB, name, reference string, m *images.Manifest) {
	t.Helper()
	if got := f.digest(t, name, reference); got != m.Digest {
		t.Fatalf("%s is %q in the registry, want %s", reference, got, m.Digest)
	}
	for _, part := range m.All() {
		f.serves(t, wire.Manifest(f.repo(name), part.Digest.String()), part.Digest)
		for _, b := range part.Blobs {
			f.serves(t, wire.Blob(f.repo(name), b.Digest), b.Digest)
		}
	}
}

func (f *fixture) serves(t testing.TB, path string, want digest.Digest) {
	t.Helper()
	resp, err := f.wire.Want(context.WithoutCancel(t.Context()), 200, wire.Request{Method: "GET", To: path})
	if err != nil {
		t.Fatal(err)
	}
	if got := want.Algorithm().FromBytes(resp.Body); got != want {
		t.Fatalf("%s serves the bytes of %s", path, got)
	}
}

// same checks that a layout that a client wrote holds m.
func same(t testing.TB, dir, ref string, m *images.Manifest) {
	t.Helper()
	got, err := images.ReadLayout(dir, ref)
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest != m.Digest {
		t.Fatalf("the client pulled %s, want %s", got.Digest, m.Digest)
	}
	if len(got.All()) != len(m.All()) {
		t.Fatalf("the client pulled %d manifests, want %d", len(got.All()), len(m.All()))
	}
}

// gone checks that a reference means nothing any more.
func (f *fixture) gone(t testing.TB, name, reference string) {
	t.Helper()
	if d := f.digest(t, name, reference); d != "" {
		t.Fatalf("%s is still %s", reference, d)
	}
}
