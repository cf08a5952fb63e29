package webhook_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/dial"
	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/webhook"
)

const app = oci.Name("acme/app")

var place = registry.HookPlace{Org: "acme"}

// world is a registry that runs, and sends what happens.
type world struct {
	*registry.Registry
	t     *testing.T
	db    *db.DB
	admin iam.Caller
	stop  func()
}

// open starts a registry whose sender may connect to this machine, unless
// strict.
func open(t *testing.T, o webhook.Options, strict bool) *world {
	t.Helper()
	w := &world{t: t, db: dbtest.Open(t)}
	a, err := iam.New(t.Context(), w.db, iam.Options{Master: bytes.Repeat([]byte{7}, 32), Argon: iam.Argon{Memory: 64, Passes: 1}})
	w.must(err)
	t.Cleanup(func() { a.Close() })
	driver, err := fsblob.Open(filepath.Join(t.TempDir(), "blobs"), fsblob.Options{})
	w.must(err)
	q := job.NewQueue(w.db, nil)
	w.Registry = registry.New(w.db, a, blob.New(driver, blob.Options{}), registry.Options{Jobs: q})
	rules := dial.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	if strict {
		rules.Allow = nil
	}
	o.Transport = dial.New(rules).Transport
	if o.Pause == nil {
		o.Pause = func(int) time.Duration { return time.Millisecond }
	}
	q.Register(webhook.New(w.Registry, o).Kinds()...)
	_, _, err = a.Bootstrap(t.Context(), "admin-password")
	w.must(err)
	w.admin, err = a.Password(t.Context(), "admin", "admin-password", "127.0.0.1")
	w.must(err)
	_, err = w.CreateOrg(t.Context(), w.admin, "acme")
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = w.Run(ctx) })
	parts.Go(func() { _ = q.Run(ctx) })
	w.stop = sync.OnceFunc(func() { cancel(); parts.Wait() })
	t.Cleanup(w.stop)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// hook makes a webhook that waits for pushes, and returns its id.
func (w *world) hook(name, url, secret, ca string) int64 {
	w.t.Helper()
	h, _, err := w.CreateWebhook(w.t.Context(), w.admin, place, registry.Webhook{Name: name, URL: url, Events: event.Push, Enabled: true, CA: ca}, secret)
	w.must(err)
	return h.ID
}

// push makes a tag point to an image of its own.
func (w *world) push(tag string) {
	w.t.Helper()
	config := []byte(`{"tag":"` + tag + time.Now().String() + `"}`)
	d := oci.SHA256.FromBytes(config)
	_, err := w.PutBlob(w.t.Context(), w.admin, app, int64(len(config)), bytes.NewReader(config), d)
	w.must(err)
	const image = "application/vnd.oci.image.manifest.v1+json"
	m := []byte(`{"schemaVersion":2,"mediaType":"` + image + `","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + string(d) + `","size":` + itoa(len(config)) + `},"layers":[]}`)
	_, err = w.PutManifest(w.t.Context(), w.admin, app, oci.Reference{Tag: tag}, nil, image, m)
	w.must(err)
}

// until waits for a delivery to be as it must become, the newest of a webhook.
func (w *world) until(hook int64, what string, ok func(registry.Delivery) bool) registry.Delivery {
	w.t.Helper()
	var last []registry.Delivery
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var err error
		last, _, err = w.Deliveries(w.t.Context(), w.admin, place, hook, "", 100)
		w.must(err)
		if len(last) == 0 {
			continue
		}
		d, err := w.Delivery(w.t.Context(), w.admin, place, hook, last[0].ID)
		if err == nil && ok(d) {
			return d
		}
	}
	w.t.Fatalf("never: %s; there is %+v", what, last)
	return registry.Delivery{}
}

func is(s registry.DeliveryState) func(registry.Delivery) bool {
	return func(d registry.Delivery) bool { return d.State == s }
}

// received is a request as a receiver saw it.
type received struct {
	header http.Header
	body   []byte
}

// receiver is a server that keeps what it gets.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []received
	answer func(n int, w http.ResponseWriter, r *http.Request) // n from 1; nil: 204
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body) // of a test
	r.mu.Lock()
	r.got = append(r.got, received{req.Header.Clone(), body})
	n := len(r.got)
	r.mu.Unlock()
	if r.answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	r.answer(n, w, req)
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

func receive(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}
