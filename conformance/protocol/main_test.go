// Package protocol holds Berth's real binary to the OCI distribution
// specification, request by request, on SQLite and on PostgreSQL, with Basic
// and with the token flow.
package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

// servers are shared by all tests; each test has an organization of its own.
var servers []*server

type server struct {
	*berthtest.Server
	name   string
	scheme wire.Scheme
}

func TestMain(m *testing.M) { os.Exit(berthtest.Main(func() int { return run(m) })) }

func run(m *testing.M) (code int) {
	for _, s := range []*server{{name: "sqlite", scheme: wire.Basic}, {name: "postgres", scheme: wire.Token}} {
		launched, err := berthtest.Launch(berthtest.Options{Postgres: s.name == "postgres"})
		if errors.Is(err, berthtest.ErrNoPostgres) && !berthtest.Required(berthtest.Postgres) {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() {
			if code != 0 {
				fmt.Fprintf(os.Stderr, "the end of the log of %s:\n%s\n", s.name, launched.LogTail())
			}
			if err := launched.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}()
		s.Server = launched
		servers = append(servers, s)
	}
	return m.Run()
}

// probe is what one test has on one server.
type probe struct {
	*testing.T
	*server
	*wire.Client // the administrator's
	*images.Source

	org  string
	repo string // one repository in org; it exists once something is pushed
}

// each runs a test on every server.
func each(t *testing.T, test func(p *probe)) {
	t.Parallel()
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) { test(s.probe(t)) })
	}
}

func (s *server) probe(t *testing.T) *probe {
	t.Helper()
	top, _, _ := strings.Cut(t.Name(), "/")
	org := s.Org(t, strings.ToLower(top))
	admin := s.Admin()
	return &probe{
		T: t, server: s, Client: s.client(t, s.scheme, admin), Source: images.New(t.Name()), org: org, repo: org + "/app",
	}
}

func (s *server) client(t testing.TB, scheme wire.Scheme, l berthtest.Login) *wire.Client {
	t.Helper()
	c, err := wire.New(s.URL(), s.Server.Client(), scheme, l.User, l.Password)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// as returns the probe with another's login.
func (p *probe) as(l berthtest.Login) *probe {
	q := *p
	scheme := p.scheme
	if l == (berthtest.Login{}) {
		scheme = wire.Anonymous
	}
	q.Client = p.client(p.T, scheme, l)
	return &q
}

// sub runs a part of a test under its own name.
func (p *probe) sub(name string, test func(p *probe)) {
	p.Helper()
	p.Run(name, func(t *testing.T) {
		q := *p
		q.T = t
		test(&q)
	})
}

func (p *probe) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// do sends a request; header is names and values in turn.
func (p *probe) do(method, to string, body []byte, header ...string) *wire.Response {
	p.Helper()
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	resp, err := p.Send(p.Context(), wire.Request{Method: method, To: to, Header: h, Body: body})
	p.must(err)
	return resp
}

// want is do for an answer with one status.
func (p *probe) want(status int, method, to string, body []byte, header ...string) *wire.Response {
	p.Helper()
	resp := p.do(method, to, body, header...)
	if resp.Status != status {
		p.Fatalf("%s %s: %d, want %d\n%v\n%.500s", method, to, resp.Status, status, resp.Header, resp.Body)
	}
	return resp
}

// header checks one header of an answer.
func (p *probe) header(resp *wire.Response, name, want string) {
	p.Helper()
	if got := resp.Header.Get(name); got != want {
		p.Errorf("%s %s: %s is %q, want %q", resp.Request.Method, resp.Request.To, name, got, want)
	}
}

// refused checks that an answer is an error in the specification's form.
func (p *probe) refused(resp *wire.Response, status int, code string) {
	p.Helper()
	if resp.Status != status {
		p.Fatalf("%s %s: %d, want %d\n%.500s", resp.Request.Method, resp.Request.To, resp.Status, status, resp.Body)
	}
	if got := p.code(resp); got != code {
		p.Errorf("%s %s: code %s, want %s\n%s", resp.Request.Method, resp.Request.To, got, code, resp.Body)
	}
}

// code is the first code of an error answer, whose form it checks.
func (p *probe) code(resp *wire.Response) string {
	p.Helper()
	var envelope struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(resp.Body, &envelope); err != nil || len(envelope.Errors) == 0 {
		p.Fatalf("%s %s: %d without the error envelope: %.500s", resp.Request.Method, resp.Request.To, resp.Status, resp.Body)
	}
	first := envelope.Errors[0]
	if first.Message == "" {
		p.Errorf("%s %s: %s says nothing to the user", resp.Request.Method, resp.Request.To, first.Code)
	}
	return first.Code
}

// push pushes a manifest with all it needs.
func (p *probe) push(repo, tag string, m *images.Manifest) *images.Manifest {
	p.Helper()
	p.must(p.Push(p.Context(), repo, tag, m))
	return m
}

// pushed uploads a blob.
func (p *probe) pushed(repo string, b images.Blob) images.Blob {
	p.Helper()
	p.must(p.PushBlob(p.Context(), repo, b.Digest, b.Data))
	return b
}

// serves checks that a GET and a HEAD give exactly the blob or manifest.
func (p *probe) serves(path string, b images.Blob) {
	p.Helper()
	for _, method := range []string{"GET", "HEAD"} {
		resp := p.want(200, method, path, nil)
		p.header(resp, "Docker-Content-Digest", b.Digest.String())
		p.header(resp, "Content-Length", fmt.Sprint(len(b.Data)))
		if method == "GET" && string(resp.Body) != string(b.Data) {
			p.Errorf("GET %s: %d other bytes", path, len(resp.Body))
		}
		if method == "HEAD" && len(resp.Body) != 0 {
			p.Errorf("HEAD %s: a body", path)
		}
	}
}
