package mirror

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	reference "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// A target is a region with its connections, its tokens, and what is known of
// what it has.
type target struct {
	region registry.Region
	born   time.Time
	limit  time.Duration // of a look while somebody waits
	host   string
	plain  bool // http
	http   *http.Transport
	client *auth.Client
	known  *known
	flight singleflight.Group // of blobs that several images need at once

	mu    sync.Mutex
	repos map[string]*remote.Repository // by path
	heard time.Time                     // when it answered last; zero: never, or it was away since
	down  time.Time                     // until then nobody tries
	fails int                           // in a row, to reach it
	why   string
}

// patience is for how long the other side may think.
const patience = 10 * time.Minute

// targetLife bounds how much tokens and knowledge can pile up.
const targetLife = time.Hour

// target returns the region's connections, new ones where the region has
// changed. Errors: RuleUnknown where it is not registered any more.
func (m *Mirror) target(ctx context.Context, name string) (*target, error) {
	region, password, err := m.reg.RegionLogin(ctx, me, name)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.targets[name]
	if old != nil && old.region.Updated.Equal(region.Updated) && old.region.Created.Equal(region.Created) && time.Since(old.born) < targetLife {
		return old, nil
	}
	t, err := m.connect(region, password)
	if err != nil {
		return nil, err
	}
	if old != nil {
		old.http.CloseIdleConnections()
	}
	m.targets[name] = t
	return t, nil
}

func (m *Mirror) connect(region registry.Region, password string) (*target, error) {
	scheme, host, _ := strings.Cut(region.URL, "://")
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if region.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(region.CA)) {
			return nil, fmt.Errorf("mirror: the authorities of the region %s do not parse", region.Name)
		}
	}
	t := &target{region: region, born: time.Now(), limit: m.o.Look, host: host, plain: scheme == "http", http: m.o.Transport(c), known: newKnown(),
		repos: map[string]*remote.Repository{}}
	t.http.MaxIdleConns, t.http.MaxIdleConnsPerHost = 4*workers, 4*workers
	t.http.ForceAttemptHTTP2 = false        // large blobs side by side are faster on connections of their own
	t.http.ResponseHeaderTimeout = patience // some read a whole blob once more before they answer
	t.client = &auth.Client{Client: &http.Client{Transport: secure{t.http, t.plain}}, Cache: auth.NewCache(), Header: http.Header{"User-Agent": {"berth"}}}
	if region.Username != "" {
		t.client.Credential = auth.StaticCredential(host, auth.Credential{Username: region.Username, Password: password})
	}
	return t, nil
}

// secure sends nothing in the clear but to regions that are registered so.
type secure struct {
	next  http.RoundTripper
	plain bool
}

func (s secure) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.URL.Scheme != "https" && !s.plain {
		return nil, fmt.Errorf("mirror: the other side asks to go on at %s without TLS", q.URL.Host)
	}
	return s.next.RoundTrip(q)
}

// path is what a repository is called over there.
func (t *target) path(organization string, name oci.Name) string {
	p := organization + "/" + name.Repository()
	if t.region.Prefix != "" {
		p = t.region.Prefix + "/" + p
	}
	return p
}

const maxRepos = 1000 // that clients are kept of

// repository is the client of one repository over there. All jobs use the same:
// it puts together what they change in a list of referrers that is kept by tag.
func (t *target) repository(path string) *remote.Repository {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.repos[path]; r != nil {
		return r
	}
	if len(t.repos) >= maxRepos {
		clear(t.repos)
	}
	r := &remote.Repository{Client: t.client, Reference: reference.Reference{Registry: t.host, Repository: path}, PlainHTTP: t.plain,
		TagListPageSize: 1000, TagListMaxPages: maxTagPages, SkipReferrersGC: true}
	t.repos[path] = r
	return r
}

// scoped has all requests under ctx use one token for the repository.
func (t *target) scoped(ctx context.Context, path string) context.Context {
	return auth.AppendRepositoryScope(ctx, reference.Reference{Registry: t.host, Repository: path}, auth.ActionPull, auth.ActionPush)
}

// ping connects and logs in.
func (t *target) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	a, err := t.do(ctx, request{method: http.MethodGet, url: t.base() + "/v2/"})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return a.refused()
	}
	return nil
}

// trusted is for how long a region that has answered is believed to be there.
const trusted = time.Minute

// answers makes sure, before much is begun, that the region answers at all:
// whoever finds one that hangs would hang with it for minutes, and take the place
// of what goes to others. A refusal is an answer.
func (t *target) answers(ctx context.Context) error {
	t.mu.Lock()
	recently := time.Since(t.heard) < trusted
	t.mu.Unlock()
	if recently {
		return nil
	}
	// One asks for all, whose job may end before the others'.
	_, err, _ := t.flight.Do("/v2/", func() (any, error) { return nil, t.ping(context.WithoutCancel(ctx)) })
	if _, refused := refusalOf(err); err != nil && !refused {
		return err
	}
	t.mu.Lock()
	t.heard = time.Now()
	t.mu.Unlock()
	return nil
}

// check asks whether a repository takes images, and writes nothing: it opens
// an upload and cancels it.
func (t *target) check(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(t.scoped(ctx, path), t.limit)
	defer cancel()
	location, _, err := t.open(ctx, path, "", "")
	if err != nil {
		return err
	}
	_, _ = t.do(ctx, request{method: http.MethodDelete, url: location}) // else it ends by itself
	return nil
}

// base is the address of the region. It is built of what was checked.
func (t *target) base() string { return t.region.URL }

// How long a region that cannot be reached is left alone.
const (
	downFirst = 2 * time.Second
	downMost  = time.Minute
)

// away tells for how long the region is left alone, and why.
func (t *target) away() (time.Duration, string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Until(t.down), t.why
}

// reached notes whether the region could be reached. A pause that is on is not
// made longer by those who were under way when it began.
func (t *target) reached(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.fails, t.down, t.heard = 0, time.Time{}, time.Now()
		return
	}
	t.heard = time.Time{}
	if time.Now().Before(t.down) {
		return
	}
	t.down, t.why = time.Now().Add(min(downFirst<<min(t.fails, 10), downMost)), cmp.Or(reason(err), "it does not answer")
	t.fails++
}
