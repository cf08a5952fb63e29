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
	if _, ok := p.sent[b.account]; ok || len(p.sent) < maxPulls {
		p.sent[b.account] += n
	}
}

func (p *pulls) add(rp repoRow, tag string, d oci.Digest, who iam.Caller) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.repos[rp.ID]; ok || len(p.repos) < maxPulls {
		p.repos[rp.ID]++
	}
	if tag != "" && len(p.tags) < maxPulls {
		p.tags[manifestKey{rp.ID, tag}] = struct{}{}
	}
	if rp.Watched&event.Pull == 0 {
		return
	}
	seen := pulled{rp, tag, string(d), who.String()}
	if _, ok := p.seen[seen]; ok || len(p.seen) < maxPulls {
		p.seen[seen]++
	}
}

// takeSeen takes the pulls that somebody waits for.
func (p *pulls) takeSeen() map[pulled]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	if len(seen) > 0 {
		p.seen = map[pulled]int64{}
	}
	return seen
}

func (p *pulls) take() (map[int64]int64, map[manifestKey]struct{}, map[string]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	repos, tags, sent := p.repos, p.tags, p.sent
	if len(repos) > 0 || len(tags) > 0 || len(sent) > 0 {
		p.repos, p.tags, p.sent = map[int64]int64{}, map[manifestKey]struct{}{}, map[string]int64{}
	}
	return repos, tags, sent
}

// flushPulls writes the counts, a few hundred rows a transaction.
func (r *Registry) flushPulls(ctx context.Context) error {
	repos, tags, sent := r.pulls.take()
	now := time.Now().UnixMicro()
	type update func(*db.Tx) error
	exec := func(query string, args ...any) update {
		return func(tx *db.Tx) error {
			_, err := tx.Exec(query, args...)
			return err
		}
	}
	var updates []update
	// Tags, repositories, usage: in the order in which pushes lock them.
	for _, k := range slices.SortedFunc(maps.Keys(tags), compareKeys) {
		updates = append(updates, exec(`UPDATE tag SET pulled = $3 WHERE repository = $1 AND name = $2`, k.repo, k.ref, now))
	}
	for _, id := range slices.Sorted(maps.Keys(repos)) { // in one order on all nodes: no deadlock
		updates = append(updates, exec(`UPDATE repository SET pulls = pulls + $2 WHERE id = $1`, id, repos[id]))
	}
	for _, account := range slices.Sorted(maps.Keys(sent)) {
		updates = append(updates, func(tx *db.Tx) error { return r.addUsage(tx, account, change{downflow: sent[account]}) })
	}
	for p, n := range r.pulls.takeSeen() {
		detail, err := json.Marshal(PullCount{n})
		if err != nil {
			return err
		}
		updates = append(updates, func(tx *db.Tx) error {
			return r.emit(tx, p.repo, event.Event{Kind: event.Pull, Tag: p.tag, Digest: p.digest, Actor: p.actor, Detail: string(detail)})
		})
	}
	for chunk := range slices.Chunk(updates, 500) {
		_, err := db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
			for _, u := range chunk {
				if err := u(tx); err != nil {
					return struct{}{}, err
				}
			}
			return struct{}{}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func compareKeys(a, b manifestKey) int {
	return cmp.Or(cmp.Compare(a.repo, b.repo), cmp.Compare(a.ref, b.ref))
}
