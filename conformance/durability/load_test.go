package durability

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

// tags are those that a worker moves about.
var tags = []string{"t0", "t1", "t2", "t3", "t4", "t5"}

// worker is one client that pushes, tags, mounts, deletes and leaves uploads
// half done. It has a repository of its own, so that its own answers say all
// there is to know of it.
type worker struct {
	*ledger
	c      *wire.Client
	repo   string
	source *images.Source
	rng    *rand.Rand
	made   []*images.Manifest
	left   int // uploads left open in this run
}

func newWorkers(l *ledger, c *wire.Client, org string, n int) []*worker {
	var all []*worker
	for i := range n {
		all = append(all, &worker{
			ledger: l, c: c, repo: fmt.Sprintf("%s/w%d", org, i), source: images.New(fmt.Sprint("worker ", i)), rng: rand.New(rand.NewPCG(uint64(i), 7)),
		})
	}
	return all
}

// run has all workers work until the context ends, or one gets an answer that
// it should not have got. A request that breaks off is none of these.
func run(ctx context.Context, workers []*worker, stopped func() bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wait sync.WaitGroup
	errs := make([]error, len(workers))
	for i, w := range workers {
		wait.Go(func() {
			for w.left = 0; ctx.Err() == nil && !stopped(); {
				if err := w.step(ctx); err != nil {
					if !stopped() {
						errs[i] = err
						cancel()
					}
					return
				}
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// step does one thing.
func (w *worker) step(ctx context.Context) error {
	switch n := w.rng.IntN(20); {
	case n < 11:
		return w.push(ctx)
	case n < 13:
		return w.chunks(ctx)
	case n < 15:
		return w.refer(ctx)
	case n < 16:
		return w.leave(ctx)
	case n < 17:
		return w.mount(ctx)
	case n < 19:
		return w.untag(ctx)
	default:
		return w.remove(ctx)
	}
}

// any picks a manifest that is there, nil if none turns up.
func (w *worker) any() *images.Manifest {
	for range min(len(w.made), 10) {
		m := w.made[w.rng.IntN(len(w.made))]
		tagged := slices.ContainsFunc(tags, func(tag string) bool { return w.known(wire.Manifest(w.repo, tag)) == m.Digest })
		if tagged || !w.collecting && w.known(wire.Manifest(w.repo, m.Digest.String())) != "" {
			return m
		}
	}
	return nil
}

// blob uploads a blob in one request after the POST.
func (w *worker) blob(ctx context.Context, b images.Blob) error {
	return w.record(func() error { return w.c.PushBlob(ctx, w.repo, b.Digest, b.Data) }, change{wire.Blob(w.repo, b.Digest), b.Digest})
}

// put pushes a manifest with its blobs; without a tag, by digest.
func (w *worker) put(ctx context.Context, tag string, m *images.Manifest) error {
	for _, b := range m.Blobs {
		if err := w.blob(ctx, b); err != nil {
			return err
		}
	}
	w.made = append(w.made, m)
	w.remember(w.repo, m)
	reference := m.Digest.String()
	changes := []change{{wire.Manifest(w.repo, reference), m.Digest}}
	if tag != "" {
		reference = tag
		changes = append(changes, change{wire.Manifest(w.repo, tag), m.Digest})
	}
	return w.record(func() error { return w.c.PushManifest(ctx, w.repo, reference, m.Blob) }, changes...)
}

func (w *worker) push(ctx context.Context) error {
	sizes := []int{100, 100, 100, 5_000, 40_000, 300_000}
	return w.put(ctx, tags[w.rng.IntN(len(tags))], w.source.Image(1+w.rng.IntN(2), sizes[w.rng.IntN(len(sizes))]))
}

// refer attaches an artifact to an image.
func (w *worker) refer(ctx context.Context) error {
	m := w.any()
	if m == nil {
		return nil
	}
	subject := m.Descriptor()
	return w.put(ctx, "", w.source.Artifact("application/vnd.example", &subject, nil))
}

// begin opens an upload and sends the first n bytes of a blob.
func (w *worker) begin(ctx context.Context, b images.Blob, n int) (upload, error) {
	location, err := w.c.StartUpload(ctx, w.repo)
	if err != nil {
		return upload{}, err
	}
	resp, err := w.c.Want(ctx, http.StatusAccepted, wire.Request{
		Method: "PATCH", To: location, Body: b.Data[:n], Header: http.Header{"Content-Range": {fmt.Sprintf("0-%d", n-1)}},
	})
	if err != nil {
		return upload{}, err
	}
	return upload{w.repo, resp.Header.Get("Location"), b, n}, nil
}

func (w *worker) chunks(ctx context.Context) error {
	b := w.source.Blob([]int{1000, 60_000}[w.rng.IntN(2)])
	u, err := w.begin(ctx, b, len(b.Data)/3)
	if err != nil {
		return err
	}
	return w.finish(ctx, w.c, u, u.acknowledged)
}

// leave begins an upload and goes away, or cancels it.
func (w *worker) leave(ctx context.Context) error {
	b := w.source.Blob([]int{1000, 60_000, 400_000}[w.rng.IntN(3)])
	u, err := w.begin(ctx, b, len(b.Data)/2)
	if err != nil {
		return err
	}
	if w.left++; w.left > 2 {
		_, err := w.c.Want(ctx, http.StatusNoContent, wire.Request{Method: "DELETE", To: u.location})
		return err
	}
	w.keep(u)
	return nil
}

// mount takes a layer over into another repository of the worker.
func (w *worker) mount(ctx context.Context) error {
	m := w.any()
	if m == nil {
		return nil
	}
	d := m.Blobs[1].Digest
	return w.record(func() error {
		_, err := w.c.Want(ctx, http.StatusCreated, wire.Request{
			Method: "POST", To: wire.Uploads(w.repo+"/mounts") + "?mount=" + url.QueryEscape(d.String()) + "&from=" + url.QueryEscape(w.repo),
		})
		return err
	}, change{wire.Blob(w.repo+"/mounts", d), d})
}

func (w *worker) untag(ctx context.Context) error {
	tag := tags[w.rng.IntN(len(tags))]
	if w.known(wire.Manifest(w.repo, tag)) == "" {
		return nil
	}
	return w.delete(ctx, tag, change{wire.Manifest(w.repo, tag), ""})
}

// remove deletes a manifest, and with it its tags.
func (w *worker) remove(ctx context.Context) error {
	m := w.any()
	if m == nil {
		return nil
	}
	changes := []change{{wire.Manifest(w.repo, m.Digest.String()), ""}}
	for _, tag := range tags {
		if path := wire.Manifest(w.repo, tag); w.known(path) == m.Digest {
			changes = append(changes, change{path, ""})
		}
	}
	return w.delete(ctx, m.Digest.String(), changes...)
}

func (w *worker) delete(ctx context.Context, reference string, changes ...change) error {
	return w.record(func() error {
		_, err := w.c.Want(ctx, http.StatusAccepted, wire.Request{Method: "DELETE", To: wire.Manifest(w.repo, reference)})
		return err
	}, changes...)
}
