package job

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"berth.dev/berth/internal/db"
)

// A Queue adds jobs and runs them. It is safe for use by many goroutines.
type Queue struct {
	db    *db.DB
	log   *slog.Logger
	kinds map[string]*lane
	order []*lane
	wake  chan struct{}

	attempts, failures, dead atomic.Int64
}

// A lane is a kind on this node.
type lane struct {
	Kind
	busy   atomic.Int64
	cursor string // the account whose turn was last
}

// NewQueue makes a queue. Log may be nil.
func NewQueue(d *db.DB, log *slog.Logger) *Queue {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Queue{db: d, log: log, kinds: map[string]*lane{}, wake: make(chan struct{}, 1)}
}

// Register tells how kinds of jobs are done. It comes before Run; a kind that
// is not registered waits for a node that knows it.
func (q *Queue) Register(kinds ...Kind) {
	for _, k := range kinds {
		if q.kinds[k.Name] != nil {
			panic("job: the kind " + k.Name + " is registered twice")
		}
		k.Workers = max(k.Workers, 1)
		k.PerAccount = cmp.Or(k.PerAccount, k.Workers)
		k.Timeout = cmp.Or(k.Timeout, 10*time.Minute)
		if k.Pause == nil {
			k.Pause = Backoff(10*time.Second, time.Hour)
		}
		l := &lane{Kind: k}
		q.kinds[k.Name] = l
		q.order = append(q.order, l)
	}
}

// New is a job to add.
type New struct {
	Kind    string
	Account string    // whose turn it takes; empty: the installation's
	Key     string    // what it works on
	About   string    // the same for people
	Payload any       // encoded as JSON, 64 KiB at most
	Due     time.Time // zero: now
	// Replace has a job that waits for the same key take this payload and this
	// due time, so that only the newest is done; without it that job stays. With
	// another payload its attempts and its age count from now.
	Replace bool
	// Sooner, with Replace, has the sooner of both due times count: what waits a
	// moment for more of its kind does not wait for ever.
	Sooner bool
}

// maxPayload bounds what a job carries: it names rows, it does not hold content.
const maxPayload = 64 << 10

// Add queues a job with the transaction, and tells whether there is one more
// than before.
func (q *Queue) Add(tx *db.Tx, n New) (added bool, err error) {
	payload, err := json.Marshal(n.Payload)
	if err != nil {
		return false, fmt.Errorf("job: the payload of %s: %w", n.Kind, err)
	}
	if len(payload) > maxPayload {
		return false, fmt.Errorf("job: the payload of %s has %d bytes", n.Kind, len(payload))
	}
	due := tx.Micros()
	if !n.Due.IsZero() {
		due = n.Due.UnixMicro()
	}
	const insert = `INSERT INTO job (kind, account, key, about, payload, state, attempts, due, claim, error, created, updated)
		VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $6, '', '', $7, $7) ON CONFLICT (kind, key) WHERE state = 'waiting' DO `
	args := []any{n.Kind, n.Account, n.Key, n.About, string(payload), due, tx.Micros()}
	changed, err := tx.Exec(insert+`NOTHING`, args...)
	if err != nil {
		return false, err
	}
	if added = changed == 1; !added && n.Replace {
		at := `excluded.due`
		if n.Sooner {
			at = `CASE WHEN job.due < excluded.due THEN job.due ELSE excluded.due END`
		}
		if _, err := tx.Exec(insert+`UPDATE SET account = excluded.account, about = excluded.about, payload = excluded.payload, due = `+at+`,
			attempts = CASE WHEN job.payload = excluded.payload THEN job.attempts ELSE 0 END,
			created = CASE WHEN job.payload = excluded.payload THEN job.created ELSE excluded.created END,
			updated = excluded.updated`, args...); err != nil {
			return false, err
		}
	}
	if added || n.Replace {
		tx.AfterCommit(q.Wake)
	}
	return added, nil
}

// Wake has the queue look for work.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Stats counts since the start, but for Running.
type Stats struct {
	Running  int64
	Attempts int64
	Failures int64 // attempts that failed
	Dead     int64 // jobs put aside
}

// Stats returns the counts.
func (q *Queue) Stats() Stats {
	s := Stats{Attempts: q.attempts.Load(), Failures: q.failures.Load(), Dead: q.dead.Load()}
	for _, l := range q.order {
		s.Running += l.busy.Load()
	}
	return s
}
