package durability

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

// A ledger notes what the registry said is so. What was asked and not answered
// may be so or not; the next look decides.
type ledger struct {
	collecting bool // what has no tag may be gone at any time

	mu      sync.Mutex
	entries map[string]*entry   // by path
	fresh   map[string]bool     // noted since the last look
	needs   map[string][]string // the blobs of a manifest, by path
	open    []upload
}

// entry is what a path serves: the digest, or "" for nothing.
type entry struct {
	known digest.Digest
	asked []digest.Digest // without an answer yet
}

// change is one path and what it is to serve.
type change struct {
	path string
	to   digest.Digest
}

// upload is one in the middle of its way: these bytes are acknowledged.
type upload struct {
	repo, location string
	blob           images.Blob
	acknowledged   int
}

func newLedger(collecting bool) *ledger {
	return &ledger{collecting: collecting, entries: map[string]*entry{}, fresh: map[string]bool{}, needs: map[string][]string{}}
}

// record notes that changes are asked for, asks, and notes the answer. An
// error leaves them open.
func (l *ledger) record(ask func() error, changes ...change) error {
	l.mu.Lock()
	for _, c := range changes {
		e := l.entries[c.path]
		if e == nil {
			e = &entry{}
			l.entries[c.path] = e
		}
		e.asked = append(e.asked, c.to)
		l.fresh[c.path] = true
	}
	l.mu.Unlock()
	if err := ask(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range changes {
		*l.entries[c.path] = entry{known: c.to}
	}
	return nil
}

// known is what a path serves for sure.
func (l *ledger) known(path string) digest.Digest {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[path]; e != nil {
		return e.known
	}
	return ""
}

// remember notes which blobs a manifest needs.
func (l *ledger) remember(repo string, m *images.Manifest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var blobs []string
	for _, b := range m.Blobs {
		blobs = append(blobs, wire.Blob(repo, b.Digest))
	}
	l.needs[wire.Manifest(repo, m.Digest.String())] = blobs
}

func (l *ledger) keep(u upload) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, u)
}

// look compares the registry with the ledger, byte by byte: all that is new,
// and of the rest as many paths as sample says; everything, if that is
// negative.
func (l *ledger) look(ctx context.Context, c *wire.Client, rng *rand.Rand, sample int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var moved, paths, rest []string
	for path := range l.entries {
		switch {
		case sample >= 0 && !l.fresh[path]:
			rest = append(rest, path)
		case isTag(path):
			moved = append(moved, path)
		default:
			paths = append(paths, path)
		}
	}
	rng.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	var problems []error
	for _, path := range moved {
		problems = append(problems, l.settle(ctx, c, path, false))
	}
	needed := l.needed()
	for _, path := range slices.Concat(paths, rest[:min(max(sample, 0), len(rest))]) {
		problems = append(problems, l.settle(ctx, c, path, l.collecting && !isTag(path) && !needed[path]))
	}
	clear(l.fresh)
	return errors.Join(problems...)
}

// isTag says that a path is that of a manifest by tag.
func isTag(path string) bool { return !strings.Contains(path, "sha256:") }

// needed are the paths that no collector may touch: the manifests that have a
// tag, and their blobs.
func (l *ledger) needed() map[string]bool {
	needed := map[string]bool{}
	for path, e := range l.entries {
		if !isTag(path) || e.known == "" {
			continue
		}
		repo, _, _ := strings.Cut(strings.TrimPrefix(path, "/v2/"), "/manifests/")
		manifest := wire.Manifest(repo, e.known.String())
		needed[manifest] = true
		for _, b := range l.needs[manifest] {
			needed[b] = true
		}
	}
	return needed
}

// settle looks at one path and takes what is there for known. A loose one may
// serve nothing.
func (l *ledger) settle(ctx context.Context, c *wire.Client, path string, loose bool) error {
	resp, err := c.Send(ctx, wire.Request{Method: "GET", To: path})
	if err != nil {
		return err
	}
	e := l.entries[path]
	var got digest.Digest
	switch resp.Status {
	case http.StatusOK:
		got = digest.Digest(resp.Header.Get("Docker-Content-Digest"))
		if real := digest.FromBytes(resp.Body); real != got {
			return fmt.Errorf("%s serves the bytes of %s as %s", path, real, got)
		}
	case http.StatusNotFound:
	default:
		return wire.StatusError{Response: resp}
	}
	if got != e.known && !slices.Contains(e.asked, got) && !(loose && got == "") {
		return fmt.Errorf("%s is %q, acknowledged was %q, asked for %q", path, got, e.known, e.asked)
	}
	e.known, e.asked = got, nil
	return nil
}

// resume goes on with the uploads that were open: the acknowledged bytes must
// be there, and the rest completes the blob. Lossy says that an upload may be
// gone, since the bytes of a PATCH are not synced; what is left of one must
// still be right.
func (l *ledger) resume(ctx context.Context, c *wire.Client, lossy bool) error {
	l.mu.Lock()
	open := l.open
	l.open = nil
	l.mu.Unlock()
	for _, u := range open {
		resp, err := c.Send(ctx, wire.Request{Method: "GET", To: u.location})
		if err != nil {
			return err
		}
		if resp.Status == http.StatusNotFound && (lossy || l.collecting) {
			continue
		}
		var last int
		if _, err := fmt.Sscanf(resp.Header.Get("Range"), "0-%d", &last); err != nil || resp.Status != http.StatusNoContent {
			return fmt.Errorf("an upload of which %d bytes were acknowledged: %w", u.acknowledged, wire.StatusError{Response: resp})
		}
		if last+1 < u.acknowledged {
			return fmt.Errorf("%d bytes of an upload are there, %d were acknowledged", last+1, u.acknowledged)
		}
		err = l.finish(ctx, c, u, last+1)
		if gone := (wire.StatusError{}); lossy && errors.As(err, &gone) && gone.Status == http.StatusNotFound {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// finish sends the rest of an upload.
func (l *ledger) finish(ctx context.Context, c *wire.Client, u upload, from int) error {
	return l.record(func() error {
		_, err := c.Want(ctx, http.StatusCreated, wire.Request{
			Method: "PUT", To: wire.WithDigest(u.location, u.blob.Digest), Body: u.blob.Data[from:],
			Header: http.Header{"Content-Range": {fmt.Sprintf("%d-%d", from, len(u.blob.Data)-1)}},
		})
		return err
	}, change{wire.Blob(u.repo, u.blob.Digest), u.blob.Digest})
}

// counts says how much was acknowledged.
func (l *ledger) counts() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	there := 0
	for _, e := range l.entries {
		if e.known != "" {
			there++
		}
	}
	return fmt.Sprintf("%d paths, %d of them serve something", len(l.entries), there)
}
