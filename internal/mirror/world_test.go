package mirror_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/mirror"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/ociapi"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/web"
)

// node is one installation. Its administrator is admin, with the organization
// acme.
type node struct {
	*registry.Registry
	t      *testing.T
	db     *db.DB
	iam    *iam.Authority
	queue  *job.Queue
	mirror *mirror.Mirror
	admin  iam.Caller
	api    http.Handler
}

const (
	password  = "admin-password"
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
	app       = oci.Name("acme/app")
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, o mirror.Options) *node {
	t.Helper()
	ctx := t.Context()
	n := &node{t: t, db: dbtest.Open(t)}
	var err error
	n.iam, err = iam.New(ctx, n.db, iam.Options{Master: bytes.Repeat([]byte{7}, 32), Argon: iam.Argon{Memory: 64, Passes: 1}})
	must(t, err)
	t.Cleanup(func() { n.iam.Close() })
	driver, err := fsblob.Open(filepath.Join(t.TempDir(), "blobs"), fsblob.Options{})
	must(t, err)
	n.queue = job.NewQueue(n.db, nil)
	n.Registry = registry.New(n.db, n.iam, blob.New(driver, blob.Options{}), registry.Options{Jobs: n.queue})
	if o.Pause == nil {
		o.Pause = func(int) time.Duration { return 50 * time.Millisecond }
	}
	n.mirror = mirror.New(n.Registry, o)
	n.queue.Register(n.Kinds()...)
	n.queue.Register(n.mirror.Kinds()...)
	_, _, err = n.iam.Bootstrap(ctx, password)
	must(t, err)
	n.admin, err = n.iam.Password(ctx, "admin", password, "127.0.0.1")
	must(t, err)
	_, err = n.CreateOrg(ctx, n.admin, "acme")
	must(t, err)
	api := ociapi.New(n.Registry, n.iam, ociapi.Options{})
	n.api = web.New(web.Options{}, web.Mount{Path: "/v2", Handler: api}, web.Mount{Path: "/v2/", Handler: api}, web.Mount{Path: ociapi.TokenPath, Handler: api.TokenHandler()})
	t.Cleanup(func() {
		_, err := n.Fsck(context.Background(), iam.Operator(), true, func(f registry.Finding) {
			t.Errorf("fsck: %s: %s: %s", f.Check, f.Subject, f.Detail)
		})
		if err != nil {
			t.Errorf("fsck: %v", err)
		}
	})
	return n
}

// run does the node's jobs until the test ends, or until stop is called.
func (n *node) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { n.Run(ctx) })
	work.Go(func() { n.queue.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); work.Wait() })
	n.t.Cleanup(stop)
	return stop
}

// A wire is the way to a node, which counts, and can be cut.
type wire struct {
	*httptest.Server
	mu       sync.Mutex
	requests map[string]int // by method and kind
	bytes    atomic.Int64   // of bodies sent to the node
	away     atomic.Bool
	cutAfter atomic.Int64 // bytes after which connections end; 0: never
}

// serve puts a node behind a wire.
func serve(t *testing.T, h http.Handler, tls bool) *wire {
	t.Helper()
	w := &wire{requests: map[string]int{}}
	w.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.away.Load() {
			panic(http.ErrAbortHandler)
		}
		w.count(r)
		r.Body = &counted{r.Body, w}
		h.ServeHTTP(rw, r)
	}))
	if tls {
		w.StartTLS()
	} else {
		w.Start()
	}
	t.Cleanup(w.Close)
	return w
}

type counted struct {
	io.ReadCloser
	w *wire
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	sum := c.w.bytes.Add(int64(n))
	if most := c.w.cutAfter.Load(); most > 0 && sum > most {
		c.w.cutAfter.Store(0)
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func (w *wire) count(r *http.Request) {
	what := "other"
	for _, k := range []string{"/uploads/", "/blobs/", "/manifests/", "/tags/", "/referrers/"} {
		if strings.Contains(r.URL.Path, k) {
			what = strings.Trim(k, "/")
			break
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests[r.Method+" "+what]++
}

func (w *wire) seen(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests[what]
}

func (w *wire) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.requests)
	w.bytes.Store(0)
}

// region registers a wire's node as north.
func (n *node) region(address string, change ...func(*registry.RegionPatch)) {
	n.t.Helper()
	user, pass, yes := "admin", password, true
	p := registry.RegionPatch{URL: &address, Username: &user, Password: &pass, PlainHTTP: &yes}
	for _, c := range change {
		c(&p)
	}
	must(n.t, n.AddRegion(n.t.Context(), iam.Operator(), "north", p))
}

var north = registry.SyncTarget{Region: "north", Organization: "acme"}

// pair is a node that copies to another.
func pair(t *testing.T, o mirror.Options) (from, to *node, w *wire) {
	t.Helper()
	from, to = open(t, o), open(t, mirror.Options{})
	w = serve(t, to.api, false)
	from.region(w.URL)
	return from, to, w
}

func (n *node) rule(s registry.Sync) {
	n.t.Helper()
	s.SyncTarget = north
	if _, err := n.Repo(n.t.Context(), n.admin, app); err != nil {
		_, err = n.CreateRepo(n.t.Context(), n.admin, app, registry.RepoSpec{})
		must(n.t, err)
	}
	must(n.t, n.mirror.CreateSync(n.t.Context(), n.admin, app, s))
}

func digestOf(b []byte) oci.Digest { return oci.SHA256.FromBytes(b) }

// bytesOf is content that differs from any other of another seed everywhere.
func bytesOf(seed string, size int) []byte {
	return []byte(strings.Repeat(seed+"\n", size/(len(seed)+1)+1))[:size]
}

type desc struct {
	MediaType string     `json:"mediaType"`
	Digest    oci.Digest `json:"digest"`
	Size      int        `json:"size"`
	URLs      []string   `json:"urls,omitempty"`
}

func (n *node) blob(name oci.Name, content []byte) oci.Digest {
	n.t.Helper()
	d := digestOf(content)
	_, err := n.PutBlob(n.t.Context(), n.admin, name, int64(len(content)), bytes.NewReader(content), d)
	must(n.t, err)
	return d
}

func encoded(v any) []byte {
	b, err := json.MarshalIndent(v, "", "   ") // as nobody else would
	if err != nil {
		panic(err)
	}
	return b
}

// image pushes config and layers and returns the manifest.
func (n *node) image(name oci.Name, seed string, sizes ...int) []byte {
	n.t.Helper()
	config := bytesOf(`{"seed":"`+seed+`"}`, 100)
	layers := []desc{}
	for i, size := range sizes {
		layers = append(layers, desc{"application/vnd.oci.image.layer.v1.tar", n.blob(name, bytesOf(fmt.Sprintf("%s-%d", seed, i), size)), size, nil})
	}
	return encoded(map[string]any{"schemaVersion": 2, "mediaType": imageType, "config": desc{"application/vnd.oci.image.config.v1+json", n.blob(name, config), len(config), nil}, "layers": layers})
}

func (n *node) push(name oci.Name, ref, media string, body []byte) oci.Digest {
	n.t.Helper()
	r := oci.Reference{Tag: ref}
	if ref == "" {
		r = oci.Reference{Digest: digestOf(body)}
	}
	res, err := n.PutManifest(n.t.Context(), n.admin, name, r, nil, media, body)
	must(n.t, err)
	return res.Digest
}

// tag pushes a small image.
func (n *node) tag(name oci.Name, tag, seed string) oci.Digest {
	n.t.Helper()
	return n.push(name, tag, imageType, n.image(name, seed, 2000))
}

// digest is what a tag is of; "": there is no such tag.
func (n *node) digest(name oci.Name, tag string) oci.Digest {
	m, err := n.Manifest(context.Background(), iam.System("test"), name, oci.Reference{Tag: tag}, false)
	if err != nil {
		return ""
	}
	return m.Digest
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Helper()
			t.Fatalf("never: %s", what)
		}
	}
}

// last is the newest job.
func (n *node) last() registry.SyncJob {
	n.t.Helper()
	jobs, _, err := n.SyncJobs(n.t.Context(), n.admin, app, 0, 1)
	must(n.t, err)
	if len(jobs) == 0 {
		return registry.SyncJob{}
	}
	return jobs[0]
}

// over waits until no job is open, and returns the newest.
func (n *node) over() registry.SyncJob {
	n.t.Helper()
	until(n.t, "all jobs are over", func() bool {
		open, err := db.One[int](n.t.Context(), n.db, `SELECT (SELECT count(*) FROM sync_job WHERE status IN ('waiting', 'running')) + (SELECT count(*) FROM job WHERE kind LIKE 'sync%' AND state <> 'dead') + (SELECT count(*) FROM event)`)
		must(n.t, err)
		return open == 0
	})
	return n.last()
}

// now copies a tag and waits for the end.
func (n *node) now(tag string, override bool) registry.SyncJob {
	n.t.Helper()
	_, err := n.SyncNow(n.t.Context(), n.admin, app, []string{tag}, north, override)
	must(n.t, err)
	return n.over()
}

// closed is an address that nobody listens at.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return "http://" + l.Addr().String()
}

// full leaves no room for more open jobs, and empty makes room again.
func (n *node) full() {
	n.exec(`INSERT INTO sync_job (repository, tag, region, organization, override, status, detail, operator, operator_name, created, updated)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
		SELECT (SELECT id FROM repository WHERE path = 'acme/app'), 'other', 'south', 'acme', false, 'running', '', '', '', 1, 1 FROM n`)
}

func (n *node) empty() { n.exec(`UPDATE sync_job SET status = 'success' WHERE region = 'south'`) }

func (n *node) exec(sql string, args ...any) {
	n.t.Helper()
	_, err := db.Update(n.t.Context(), n.db, func(tx *db.Tx) (int64, error) { return tx.Exec(sql, args...) })
	must(n.t, err)
}
