package job

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// A Filter selects jobs; what is empty selects all.
type Filter struct {
	Account *string // nil: of all accounts
	Kind    string
	State   State
	Before  int64 // with a smaller id; 0: from the newest
}

// MaxPage bounds a list.
const MaxPage = 1000

func unknown(id int64) error { return fault.New(fault.JobUnknown, "There is no job %d.", id) }

// List returns jobs, the newest first, and whether there are more. It asks
// nobody's right.
func (q *Queue) List(ctx context.Context, f Filter, n int) (jobs []*Job, more bool, err error) {
	n = min(max(n, 1), MaxPage)
	query, args := `SELECT `+columns+` FROM job WHERE 1 = 1`, []any{}
	and := func(what string, v any) {
		args = append(args, v)
		query += fmt.Sprintf(" AND %s $%d", what, len(args))
	}
	if f.Account != nil {
		and("account =", *f.Account)
	}
	if f.Kind != "" {
		and("kind =", f.Kind)
	}
	if f.State != "" {
		and("state =", string(f.State))
	}
	if f.Before > 0 {
		and("id <", f.Before)
	}
	args = append(args, n+1)
	rows, err := db.All[row](ctx, q.db, query+fmt.Sprintf(" ORDER BY id DESC LIMIT $%d", len(args)), args...)
	if err != nil {
		return nil, false, err
	}
	for _, r := range rows[:min(len(rows), n)] {
		jobs = append(jobs, r.job())
	}
	return jobs, len(rows) > n, nil
}

// Find reads one job. Errors: JobUnknown.
func Find(tx *db.Tx, id int64) (*Job, error) {
	r, err := db.One[row](tx.Context(), tx, `SELECT `+columns+` FROM job WHERE id = $1`+tx.ForUpdate(), id)
	if errors.Is(err, db.ErrNone) {
		return nil, unknown(id)
	}
	return r.job(), err
}

// Of returns the jobs of a key, those that are dead included, the newest first.
func Of(ctx context.Context, q db.Querier, kind, key string) ([]*Job, error) {
	const most = 10
	rows, err := db.All[row](ctx, q, `SELECT `+columns+` FROM job WHERE kind = $1 AND key = $2 ORDER BY id DESC LIMIT $3`, kind, key, most)
	if err != nil {
		return nil, err
	}
	jobs := make([]*Job, len(rows))
	for i, r := range rows {
		jobs[i] = r.job()
	}
	return jobs, nil
}

// Retry makes a job of Find due now: one that waits, or one that is dead, whose
// attempts then count from the beginning. A running one stays. Where another
// waits for the same key the dead one goes.
func (q *Queue) Retry(tx *db.Tx, j *Job) error {
	switch j.State {
	case Running:
		return nil
	case Dead:
		n, err := tx.Exec(`UPDATE job SET state = 'waiting', attempts = 0, due = $2, created = $2, updated = $2 WHERE id = $1
			AND NOT EXISTS (SELECT 1 FROM job w WHERE w.kind = $3 AND w.key = $4 AND w.state = 'waiting')`, j.ID, tx.Micros(), j.Kind, j.Key)
		if err != nil {
			return err
		}
		if n == 0 { // the one that waits has its own story
			_, err := tx.Exec(`DELETE FROM job WHERE id = $1`, j.ID)
			return err
		}
		if err := changed(tx, q.kinds[j.Kind], j, Waiting, j.Error); err != nil {
			return err
		}
	default:
		if _, err := tx.Exec(`UPDATE job SET due = $2 WHERE id = $1`, j.ID, tx.Micros()); err != nil {
			return err
		}
	}
	tx.AfterCommit(q.Wake)
	return nil
}

// Cancel removes a job of Find. The context of one that runs ends soon.
func (q *Queue) Cancel(tx *db.Tx, j *Job) error {
	if _, err := tx.Exec(`DELETE FROM job WHERE id = $1`, j.ID); err != nil {
		return err
	}
	return changed(tx, q.kinds[j.Kind], j, Cancelled, "cancelled")
}

// Withdraw removes the job that waits for a key, where there is one: what it
// was for is gone.
func Withdraw(tx *db.Tx, kind, key string) error {
	_, err := tx.Exec(`DELETE FROM job WHERE kind = $1 AND key = $2 AND state = 'waiting'`, kind, key)
	return err
}

// Depth is how many jobs of a kind are in a state, and how long the one that is
// due for the longest time has been so.
type Depth struct {
	Kind  string
	State State
	Jobs  int64
	Age   time.Duration
}

// Depths reads the queue's depth. It counts rows: it is for metrics.
func (q *Queue) Depths(ctx context.Context) ([]Depth, error) {
	type line struct {
		Kind, State string
		Jobs, Due   int64
	}
	rows, err := db.All[line](ctx, q.db, `SELECT kind, state, count(*), min(due) FROM job GROUP BY kind, state ORDER BY kind, state LIMIT 1000`)
	if err != nil {
		return nil, err
	}
	out := make([]Depth, len(rows))
	for i, r := range rows {
		out[i] = Depth{r.Kind, State(r.State), r.Jobs, max(time.Since(time.UnixMicro(r.Due)), 0)}
	}
	return out, nil
}

// Kinds lists the registered kinds.
func (q *Queue) Kinds() string {
	names := make([]string, len(q.order))
	for i, l := range q.order {
		names[i] = l.Name
	}
	return strings.Join(names, ", ")
}

// Newer reports that another job waits for the key of this one, which runs: what
// this one does may be of no use any more.
func (j *Job) Newer(ctx context.Context, q db.Querier) (bool, error) {
	_, err := db.One[int64](ctx, q, `SELECT id FROM job WHERE kind = $1 AND key = $2 AND state = 'waiting' LIMIT 1`, j.Kind, j.Key)
	if errors.Is(err, db.ErrNone) {
		return false, nil
	}
	return err == nil, err
}
