package registry

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"berth.dev/berth/internal/db"
)

// pulls counts in memory what clients pull, and the bytes that are sent, so that a pull writes nothing; the
// counts are written together every few seconds.
type pulls struct {
	mu    sync.Mutex
	repos map[int64]int64
	tags  map[manifestKey]struct{}
	sent  map[string]int64 // bytes of blobs, by account
}

// maxPulls bounds what waits to be written. Beyond it new tags are not noted;
// a time of last pull that is a few seconds old is as good.
const maxPulls = 10000

func newPulls() *pulls {
	return &pulls{repos: map[int64]int64{}, tags: map[manifestKey]struct{}{}, sent: map[string]int64{}}
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

func (p *pulls) add(repo int64, tag string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.repos[repo]; ok || len(p.repos) < maxPulls {
		p.repos[repo]++
	}
	if tag != "" && len(p.tags) < maxPulls {
		p.tags[manifestKey{repo, tag}] = struct{}{}
	}
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
