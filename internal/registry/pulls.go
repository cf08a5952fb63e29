package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// pulls counts in memory what clients pull, and the bytes that are sent, so that a pull writes nothing; the
// counts are written together every few seconds.
type pulls struct {
	mu    sync.Mutex
	repos map[int64]int64
	tags  map[manifestKey]struct{}
	sent  map[string]int64 // bytes of blobs, by account
	seen  map[pulled]int64 // pulls that somebody waits for
}

// pulled is what an event tells of pulls.
type pulled struct {
	repo        repoRow
	tag, digest string
	actor       string
}

// PullCount is the detail of events Pull.
type PullCount struct {
	Count int64 `json:"count"` // pulls of the same image by the same caller since a few seconds before
}

// maxPulls bounds what waits to be written. Beyond it new tags are not noted;
// a time of last pull that is a few seconds old is as good.
const maxPulls = 10000

func newPulls() *pulls {
	return &pulls{repos: map[int64]int64{}, tags: map[manifestKey]struct{}{}, sent: map[string]int64{}, seen: map[pulled]int64{}}
}

// Sent notes that n bytes of the blob were sent to a client.
func (b Blob) Sent(n int64) {
	if n <= 0 {
		return
	}
	p := b.r.pulls
	p.mu.Lock()
	defer p.mu.Unlock()
	addTo(p.sent, b.account, n)
}

func (p *pulls) add(rp repoRow, tag string, d oci.Digest, who iam.Caller) {
	p.mu.Lock()
	defer p.mu.Unlock()
	addTo(p.repos, rp.ID, 1)
	if tag != "" {
		p.note(manifestKey{rp.ID, tag})
	}
	if rp.Watched&event.Pull != 0 {
		addTo(p.seen, pulled{rp, tag, string(d), who.String()}, 1)
	}
}

// note remembers that a tag was pulled.
func (p *pulls) note(k manifestKey) {
	if len(p.tags) < maxPulls {
		p.tags[k] = struct{}{}
	}
}

// addTo counts, unless that would be one count too many.
func addTo[K comparable](counts map[K]int64, k K, n int64) {
	if _, ok := counts[k]; ok || len(counts) < maxPulls {
		counts[k] += n
	}
}

// take takes all that waits.
func (p *pulls) take() *pulls {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.repos)+len(p.tags)+len(p.sent)+len(p.seen) == 0 {
		return &pulls{}
	}
	taken := &pulls{repos: p.repos, tags: p.tags, sent: p.sent, seen: p.seen}
	p.repos, p.tags, p.sent, p.seen = map[int64]int64{}, map[manifestKey]struct{}{}, map[string]int64{}, map[pulled]int64{}
	return taken
}

// A pullUpdate writes one count, or puts it back where the database has failed.
type pullUpdate struct {
	write func(*db.Tx) error
	back  func(*pulls)
}

// flushPulls writes the counts, a few hundred rows a transaction. What could
// not be written waits for the next time. A commit whose answer is lost may be
// one of those: then its counts count twice.
func (r *Registry) flushPulls(ctx context.Context) error {
	updates := r.pullUpdates(r.pulls.take())
	for len(updates) > 0 {
		chunk := updates[:min(len(updates), 500)]
		_, err := db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
			for _, u := range chunk {
				if err := u.write(tx); err != nil {
					return struct{}{}, err
				}
			}
			return struct{}{}, nil
		})
		if err != nil {
			r.pulls.mu.Lock()
			defer r.pulls.mu.Unlock()
			for _, u := range updates {
				u.back(r.pulls)
			}
			return err
		}
		updates = updates[len(chunk):]
	}
	return nil
}

// pullUpdates lists tags, repositories, usage: in the order in which pushes
// lock them, and each in one order on all nodes, so that there is no deadlock.
func (r *Registry) pullUpdates(taken *pulls) (updates []pullUpdate) {
	now := time.Now().UnixMicro()
	exec := func(query string, args ...any) func(*db.Tx) error {
		return func(tx *db.Tx) error {
			_, err := tx.Exec(query, args...)
			return err
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(taken.tags), compareKeys) {
		updates = append(updates, pullUpdate{
			exec(`UPDATE tag SET pulled = $3 WHERE repository = $1 AND name = $2`, k.repo, k.ref, now),
			func(p *pulls) { p.note(k) }})
	}
	for _, id := range slices.Sorted(maps.Keys(taken.repos)) {
		n := taken.repos[id]
		updates = append(updates, pullUpdate{
			exec(`UPDATE repository SET pulls = pulls + $2 WHERE id = $1`, id, n),
			func(p *pulls) { addTo(p.repos, id, n) }})
	}
	for _, account := range slices.Sorted(maps.Keys(taken.sent)) {
		n := taken.sent[account]
		updates = append(updates, pullUpdate{
			func(tx *db.Tx) error { return r.addUsage(tx, account, change{downflow: n}) },
			func(p *pulls) { addTo(p.sent, account, n) }})
	}
	for k, n := range taken.seen {
		updates = append(updates, pullUpdate{
			func(tx *db.Tx) error { return r.emitPull(tx, k, n) },
			func(p *pulls) { addTo(p.seen, k, n) }})
	}
	return updates
}

func (r *Registry) emitPull(tx *db.Tx, p pulled, n int64) error {
	detail, err := json.Marshal(PullCount{n})
	if err != nil {
		return err
	}
	return r.emit(tx, p.repo, event.Event{Kind: event.Pull, Tag: p.tag, Digest: p.digest, Actor: p.actor, Detail: string(detail)})
}

func compareKeys(a, b manifestKey) int {
	return cmp.Or(cmp.Compare(a.repo, b.repo), cmp.Compare(a.ref, b.ref))
}
