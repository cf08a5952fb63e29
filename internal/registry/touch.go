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
