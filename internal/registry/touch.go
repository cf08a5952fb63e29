package registry

import (
	"sync"
	"time"

	"berth.dev/berth/internal/db"
)

// touch records a push. Pushes to one repository that come together would all
// wait for its row, so the time is written at most once a second.
func (r *Registry) touch(tx *db.Tx, id int64) error {
	now, last := tx.Micros(), r.touched.at(id)
	if last <= now && now-last < time.Second.Microseconds() {
		return nil
	}
	n, err := tx.Exec(`UPDATE repository SET updated = $2 WHERE id = $1 AND updated < $3`, id, now, now-time.Second.Microseconds())
	if n == 1 {
		tx.AfterCommit(func() { r.touched.set(id, now) })
	}
	return err
}

// touches remembers when this process last wrote the time of a push, so that
// most pushes do not even ask.
type touches struct {
	mu sync.Mutex
	m  map[int64]int64 // repository -> microseconds
}

const maxTouches = 1 << 12

func (t *touches) at(id int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.m[id]
}

func (t *touches) set(id, now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil || len(t.m) >= maxTouches {
		t.m = map[int64]int64{}
	}
	t.m[id] = now
}
