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

// pulls counts in memory what clients pull, so that a pull writes nothing; the
// counts are written together every few seconds.
type pulls struct {
	mu    sync.Mutex
	repos map[int64]int64
	tags  map[manifestKey]struct{}
}

// maxPulls bounds what waits to be written. Beyond it new tags are not noted;
// a time of last pull that is a few seconds old is as good.
const maxPulls = 10000

func newPulls() *pulls {
	return &pulls{repos: map[int64]int64{}, tags: map[manifestKey]struct{}{}}
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

func (p *pulls) take() (map[int64]int64, map[manifestKey]struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	repos, tags := p.repos, p.tags
	if len(repos) > 0 || len(tags) > 0 {
		p.repos, p.tags = map[int64]int64{}, map[manifestKey]struct{}{}
	}
	return repos, tags
}

// flushPulls writes the counts, a few hundred rows a transaction.
func (r *Registry) flushPulls(ctx context.Context) error {
	repos, tags := r.pulls.take()
	now := time.Now().UnixMicro()
	type update struct {
		query string
		args  []any
	}
	var updates []update
	for _, id := range slices.Sorted(maps.Keys(repos)) { // in one order on all nodes: no deadlock
		updates = append(updates, update{`UPDATE repository SET pulls = pulls + $2 WHERE id = $1`, []any{id, repos[id]}})
	}
	for _, k := range slices.SortedFunc(maps.Keys(tags), compareKeys) {
		updates = append(updates, update{`UPDATE tag SET pulled = $3 WHERE repository = $1 AND name = $2`, []any{k.repo, k.ref, now}})
	}
	for chunk := range slices.Chunk(updates, 500) {
		_, err := db.Update(ctx, r.db, func(tx *db.Tx) (struct{}, error) {
			for _, u := range chunk {
				if _, err := tx.Exec(u.query, u.args...); err != nil {
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
