package registry

import (
	"sync"
	"time"

	"berth.dev/berth/internal/db"
)

// touches remembers which repositories got their time of the last push within
// the last second: pushes to one repository that come together would all write
// its place in the order of lists.
type touches struct {
	mu sync.Mutex
	at map[int64]int64
}

const (
	touchEvery = int64(time.Second / time.Microsecond)
	maxTouches = 10000 // remembered; forgetting one costs a write
)

func newTouches() *touches { return &touches{at: map[int64]int64{}} }

func (t *touches) due(repo, now int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return now-t.at[repo] >= touchEvery
}

func (t *touches) note(repo, now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.at) >= maxTouches {
		clear(t.at)
	}
	t.at[repo] = now
}

// touch records the time of a push, at most once a second.
func (r *Registry) touch(tx *db.Tx, repo int64) error {
	if !r.touches.due(repo, tx.Micros()) {
		return nil
	}
	r.noteTouch(tx, repo)
	_, err := tx.Exec(`UPDATE repository SET updated = $2 WHERE id = $1 AND updated < $3`, repo, tx.Micros(), tx.Micros()-touchEvery)
	return err
}

func (r *Registry) noteTouch(tx *db.Tx, repo int64) {
	now := tx.Micros()
	tx.AfterCommit(func() { r.touches.note(repo, now) })
}
