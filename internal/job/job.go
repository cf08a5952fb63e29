// Package job is a durable queue. A job is a row that is written with its
// cause, claimed for a while by the process that runs it, tried again with
// growing pauses where it fails, and put aside where it fails for good.
//
// A job runs at least once: what it does must be such that doing it twice is
// doing it once. Of one key one job runs at a time on all nodes, and beside it
// one waits at most.
package job

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
)

// A Kind is a sort of work and how it is done.
type Kind struct {
	Name       string
	Workers    int                             // jobs at once on this node
	PerAccount int                             // jobs at once of one account, on all nodes; 0: as many as there are workers
	Timeout    time.Duration                   // of one attempt; 0: 10 minutes
	Attempts   int                             // a job that failed so often is dead; 0: no bound
	GiveUp     time.Duration                   // a job is dead so long after it was made; 0: never
	Pause      func(attempt int) time.Duration // before the next attempt; nil: Backoff(10 s, 1 h)

	// Run does the work. Its context ends when time is up, when the claim is
	// lost and when the process ends.
	Run func(ctx context.Context, j *Job) error
	// Changed, where set, is called in the transaction that makes a job dead,
	// cancelled, or waiting once more after it was dead.
	Changed func(tx *db.Tx, j *Job, s State) error
}

// A State is where a job stands.
type State string

// The states. A job that is done is gone, and so is a cancelled one.
const (
	Waiting   State = "waiting"
	Running   State = "running"
	Dead      State = "dead"
	Cancelled State = "cancelled"
)

// A Job is work to be done.
type Job struct {
	ID       int64
	Kind     string
	Account  string // whose work it is; empty: the installation's
	Key      string // what it works on
	About    string // the same for people
	State    State
	Attempts int // begun
	Due      time.Time
	Error    string // why the last attempt failed; empty: none did
	Created  time.Time
	Updated  time.Time

	payload string
	claim   string
	done    bool // by Done, and committed
}

// Decode reads the payload into v.
func (j *Job) Decode(v any) error { return json.Unmarshal([]byte(j.payload), v) }

// ErrLost is what a job's methods return when it is not this process's any
// more: its claim ended, or it was cancelled. The transaction must fail with it.
var ErrLost = errors.New("job: the job is not ours any more")

// Done removes the job together with what came of it. Without it the queue
// removes the job when Run returns nil.
func (j *Job) Done(tx *db.Tx) error {
	n, err := tx.Exec(`DELETE FROM job WHERE id = $1 AND claim = $2 AND state = 'running'`, j.ID, j.claim)
	if err == nil && n == 0 {
		err = ErrLost
	}
	if err == nil {
		tx.AfterCommit(func() { j.done = true })
	}
	return err
}

// Hold makes sure, in the middle of the work, that the job is still this
// process's, and keeps it so until the transaction ends.
func (j *Job) Hold(tx *db.Tx) error {
	_, err := db.One[int64](tx.Context(), tx, `SELECT id FROM job WHERE id = $1 AND claim = $2 AND state = 'running'`+tx.ForUpdate(), j.ID, j.claim)
	if errors.Is(err, db.ErrNone) {
		return ErrLost
	}
	return err
}

// permanent is a failure that no further attempt can mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent makes a failure final: the job is dead at once.
func Permanent(err error) error { return permanent{err} }

// snoozed is no failure.
type snoozed struct {
	pause time.Duration
	why   string
}

func (s snoozed) Error() string { return s.why }

// Snooze, returned by Run, has the job wait without counting the attempt.
func Snooze(d time.Duration, why string) error { return snoozed{d, why} }

// Backoff doubles the pause with every attempt, from first to most.
func Backoff(first, most time.Duration) func(attempt int) time.Duration {
	return func(attempt int) time.Duration {
		pause := first
		for range attempt - 1 {
			if pause >= most {
				break
			}
			pause *= 2
		}
		return min(pause, most)
	}
}

// rows are what is read of a job.
type row struct {
	ID                               int64
	Kind, Account, Key, About, State string
	Attempts, Due                    int64
	Error                            string
	Created, Updated                 int64
	Payload, Claim                   string
}

const columns = `id, kind, account, key, about, state, attempts, due, error, created, updated, payload, claim`

func (r row) job() *Job {
	at := func(us int64) time.Time { return time.UnixMicro(us).UTC() }
	return &Job{ID: r.ID, Kind: r.Kind, Account: r.Account, Key: r.Key, About: r.About, State: State(r.State), Attempts: int(r.Attempts),
		Due: at(r.Due), Error: r.Error, Created: at(r.Created), Updated: at(r.Updated), payload: r.Payload, claim: r.Claim}
}
