package registry

import (
	"sync"
	"time"

	"berth.dev/berth/internal/db"
)

// touch records a push. Pushes to one repository that come together would all
// wait for its row, so the time is written at most once a second.
func (r *Registry) touch(tx *db.Tx, id int64) error {
	if !r.touchDue(tx, id) {
		return nil
	}
	now := tx.Micros()
	n, err := tx.Exec(`UPDATE repository SET updated = $2 WHERE id = $1 AND updated < $3`, id, now, now-time.Second.Microseconds())
	if n == 1 {
		r.touching(tx, id)
	}
	return err
}

// touchDue tells whether a push should write its time.
func (r *Registry) touchDue(tx *db.Tx, id int64) bool {
	now, last := tx.Micros(), r.touched.at(id)
	return last > now || now-last >= time.Second.Microseconds()
}

// touching remembers that this transaction writes it.
func (r *Registry) touching(tx *db.Tx, id int64) {
	now := tx.Micros()
	tx.AfterCommit(func() { r.touched.set(id, now) })
}

// renewEvery is how far the time of a tag's last push may be behind, where
// pushes find that it has the image already: they write it once in that time.
const renewEvery = time.Hour

// renewTag records a push that found the tag as it was.
func (r *Registry) renewTag(tx *db.Tx, repo int64, tag string, updated int64) error {
	now := tx.Micros()
	if now-updated >= renewEvery.Microseconds() {
		if _, err := tx.Exec(`UPDATE tag SET updated = $3 WHERE repository = $1 AND name = $2`, repo, tag, now); err != nil {
			return err
		}
		updated = now
	}
	tx.AfterCommit(func() { r.renewed.set(manifestKey{repo, tag}, updated) })
	return nil
}

// isRenewed tells that a push that finds a tag as it was has no time to write.
func (r *Registry) isRenewed(repo int64, tag string) bool {
	return time.Now().UnixMicro()-r.renewed.at(manifestKey{repo, tag}) < renewEvery.Microseconds()
}

// touches remembers when this process last wrote the time of a push, so that
// most pushes do not even ask.
type touches[K comparable] struct {
	mu sync.Mutex
	m  map[K]int64 // microseconds
}

const maxTouches = 1 << 12

func (t *touches[K]) at(k K) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.m[k]
}

func (t *touches[K]) set(k K, now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil || len(t.m) >= maxTouches {
		t.m = map[K]int64{}
	}
	t.m[k] = now
}
