// Package swr drives the real berth binary with clients of the management API
// that it did not grow up with: the vendor's SDK, a client that behaves as
// Terraform's, and the walk-throughs of the API's documents, as scripts. Every
// answer is also held against the server's own description.
package swr

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/described"
	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

// region is the name of the server's region and so of each account's project.
const region = "region-1"

// worlds are the servers that all tests share, both over TLS with a
// certificate that no system knows. Between them they have both databases and
// both forms of errors.
var worlds []*world

// A world is a server with an account partner beside the first.
type world struct {
	*berthtest.Server
	name      string
	objects   bool // errors are objects, not lists
	described *described.Document
	admin     berthtest.AccessKey // of the first account's administrator
	partner   berthtest.AccessKey // of another account's
}

func TestMain(m *testing.M) { os.Exit(berthtest.Main(func() int { return run(m) })) }

func run(m *testing.M) (code int) {
	flag.Parse()
	for _, w := range []*world{{name: "sqlite"}, {name: "postgres", objects: true}} {
		o := berthtest.Options{TLS: true, Postgres: w.name == "postgres", Settings: settings}
		if w.objects {
			o.Settings = append(o.Settings, "--errors", "object")
		}
		s, err := berthtest.Launch(o)
		if errors.Is(err, berthtest.ErrNoPostgres) && !berthtest.Required(berthtest.Postgres) {
			fmt.Fprintln(os.Stderr, err)
			o.Postgres = false
			s, err = berthtest.Launch(o)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() {
			if code != 0 {
				fmt.Fprintf(os.Stderr, "the end of the log of %s:\n%s\n", w.name, s.LogTail())
			}
			if err := s.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}()
		w.Server = s
		// The other region is the server itself.
		if _, err := s.Command(s.Admin().Password, "region", "add", "region-2", "--url", s.URL(), "--ca", s.CA(), "--username", "admin", "--password-stdin", "--optional", "yes"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if w.described, err = described.Fetch(s.Client(), s.URL()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := w.clusters(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		worlds = append(worlds, w)
	}
	code = m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" {
		code = allSeen()
	}
	return code
}

// settings of both servers.
var settings = []string{"--outbound-allow", "127.0.0.0/8", "--organizations-per-account", "1000"}

// neverGranted are operations that never succeed: what clients ask for is not to be had.
var neverGranted = []string{"deleteDomain"}

// allSeen proves that the tests together had a success of every other operation.
func allSeen() (code int) {
	for _, w := range worlds {
		for _, id := range w.described.Unseen("/v2/manage/", "/v3/", "/v3.0/") {
			if slices.Contains(neverGranted, id) {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s: no test had a success of %s\n", w.name, id)
			code = 1
		}
	}
	return code
}

// fixture is what one test has for itself in one world.
type fixture struct {
	*testing.T
	*world
	org     string // a name for an organization; it is not made
	content *images.Source
}

// each runs a test in every world.
func each(t *testing.T, test func(f *fixture)) {
	t.Parallel()
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			w.people(t)
			top, _, _ := strings.Cut(t.Name(), "/")
			test(&fixture{T: t, world: w, org: strings.ToLower(top), content: images.New(t.Name())})
		})
	}
}

// transport speaks TLS without looking at the certificate, as clients of
// private installations are told to, and holds every answer against the
// description.
func (f *fixture) transport() http.RoundTripper {
	return &described.Transport{
		Base:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		Document: f.described,
		Report:   func(err error) { f.Error(err) },
	}
}

// repo is the path of a repository of the test.
func (f *fixture) repo(name string) string { return f.org + "/" + name }

// push pushes an image with some layers, and returns it.
func (f *fixture) push(name, tag string, layers ...int) *images.Manifest {
	f.Helper()
	m := f.content.Image(max(1, len(layers)), 1000)
	f.pushImage(name, tag, m)
	return m
}

func (f *fixture) pushImage(name, tag string, m *images.Manifest) {
	f.Helper()
	l := f.Server.Admin()
	c, err := wire.New(f.URL(), f.Server.Client(), wire.Basic, l.User, l.Password)
	if err == nil {
		err = c.Push(f.Context(), f.repo(name), tag, m)
	}
	if err != nil {
		f.Fatal(err)
	}
}

// user makes a user of the first account with a key.
func (f *fixture) user(name string) berthtest.AccessKey {
	f.Helper()
	name = strings.ToLower(f.org + "-" + name)
	f.User(f.T, name)
	return f.AccessKey(f.T, "", name)
}

// object is JSON made from Go values.
func object(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// fields are an object on its way to JSON.
type fields = map[string]any
