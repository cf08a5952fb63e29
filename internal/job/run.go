package job

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// How jobs are claimed.
const (
	lease    = 20 * time.Second // for which a process says that it is at work
	beat     = 5 * time.Second  // between two times that it says so
	poll     = time.Second      // between two looks for what other nodes queued
	idle     = time.Minute      // between two looks where this process is the only one
	leaving  = 10 * time.Second // for what runs when the process ends
	maxError = 2000             // bytes of an error that are kept
	accounts = 100              // whose turn one look considers
	crashes  = 20               // attempts beyond a kind's own in which the process died, as it may because of them
)

// Run does jobs until ctx ends. Then nothing more is begun, the contexts of
// what runs end, and what does not finish waits for the next start.
func (q *Queue) Run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	if q.db.Exact() {
		// Whoever had claimed one was a process before this.
		if _, err := q.update(ctx, func(tx *db.Tx) (int64, error) {
			return tx.Exec(`UPDATE job SET due = $1 WHERE state = 'running'`, tx.Micros())
		}); err != nil && ctx.Err() == nil {
			q.log.WarnContext(ctx, "jobs that were running wait until their claims end", "err", err)
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-q.wake:
		}
		looked := time.Now()
		for _, l := range q.order {
			if err := q.begin(ctx, l, &work); err != nil && ctx.Err() == nil {
				q.log.WarnContext(ctx, "jobs were not claimed; it is tried again", "kind", l.Name, "err", err)
			}
		}
		timer.Reset(q.untilDue(ctx, looked))
	}
}

func (q *Queue) update(ctx context.Context, fn func(*db.Tx) (int64, error)) (int64, error) {
	return db.Update(ctx, q.db, fn)
}

// untilDue is the time until the next look. A job that waits for a worker was
// due before looked, when the last look began: the worker wakes the queue when
// it is free. One that became due during the look may have been passed over.
func (q *Queue) untilDue(ctx context.Context, looked time.Time) time.Duration {
	wait := poll
	if q.db.Exact() {
		wait = idle
	}
	due, err := db.One[*int64](ctx, q.db, `SELECT min(due) FROM job WHERE state <> 'dead' AND due > $1`, looked.UnixMicro())
	if err != nil || due == nil {
		return wait
	}
	return max(min(wait, time.Until(time.UnixMicro(*due))), 20*time.Millisecond)
}

// begin starts jobs of a kind while there are workers and jobs.
func (q *Queue) begin(ctx context.Context, l *lane, work *sync.WaitGroup) error {
	for ctx.Err() == nil {
		free := l.Workers - int(l.busy.Load())
		if free <= 0 {
			return nil
		}
		// Most looks find nothing, and that writes nothing.
		if _, err := db.One[int64](ctx, q.db, `SELECT id FROM job WHERE kind = $1 AND due <= $2 AND state <> 'dead' LIMIT 1`, l.Name, time.Now().UnixMicro()); err != nil {
			if errors.Is(err, db.ErrNone) {
				err = nil
			}
			return err
		}
		jobs, err := q.claim(ctx, l, free)
		if err != nil || len(jobs) == 0 {
			return err
		}
		for _, j := range jobs {
			l.busy.Add(1)
			q.attempts.Add(1)
			work.Go(func() {
				defer q.Wake()
				defer l.busy.Add(-1)
				q.work(ctx, l, j)
			})
		}
	}
	return nil
}

// claim makes jobs this process's for a while: those whose claim ended, and
// those that wait, from each account in turn.
func (q *Queue) claim(ctx context.Context, l *lane, n int) ([]*Job, error) {
	type claimed struct {
		jobs   []*Job
		cursor string
	}
	got, err := db.Update(ctx, q.db, func(tx *db.Tx) (claimed, error) {
		out := claimed{cursor: l.cursor}
		take := func(where string, most int, args ...any) error {
			args = append([]any{"", tx.Micros() + lease.Microseconds(), tx.Micros(), l.Name}, args...)
			ids, err := db.All[int64](tx.Context(), tx, `SELECT id FROM job j WHERE kind = $1 AND `+where, args[3:]...)
			if err != nil {
				return err
			}
			for _, id := range ids[:min(len(ids), most)] {
				args[0] = rand.Text()
				r, err := db.One[row](tx.Context(), tx, `UPDATE job SET state = 'running', claim = $1, due = $2, attempts = attempts + 1, updated = $3
					WHERE id = $4 RETURNING `+columns, args[0], args[1], args[2], id)
				if err != nil {
					return err
				}
				out.jobs = append(out.jobs, r.job())
			}
			return nil
		}
		lock := tx.ForUpdate() + tx.SkipLocked()
		if err := take(`state = 'running' AND due <= $2 ORDER BY due LIMIT $3`+lock, n, tx.Micros(), n); err != nil {
			return out, err
		}
		wrapped := false
		for turn := 0; turn < accounts && len(out.jobs) < n; turn++ {
			account, err := db.One[string](tx.Context(), tx, `SELECT account FROM job WHERE kind = $1 AND state = 'waiting' AND account > $2 AND due <= $3 ORDER BY account LIMIT 1`,
				l.Name, out.cursor, tx.Micros())
			if errors.Is(err, db.ErrNone) && !wrapped {
				// The account "" is before all others: none is greater than a cursor "" but itself.
				wrapped, out.cursor = true, ""
				account, err = "", nil
			}
			if errors.Is(err, db.ErrNone) {
				break
			}
			if err != nil {
				return out, err
			}
			out.cursor = account
			runs, err := db.One[int](tx.Context(), tx, `SELECT count(*) FROM job WHERE kind = $1 AND state = 'running' AND account = $2`, l.Name, account)
			if err != nil {
				return out, err
			}
			most := min(l.PerAccount-runs, n-len(out.jobs))
			if most <= 0 {
				continue
			}
			if err := take(`state = 'waiting' AND account = $2 AND due <= $3 AND NOT EXISTS (SELECT 1 FROM job r WHERE r.kind = j.kind AND r.key = j.key AND r.state = 'running')
				ORDER BY due LIMIT $4`+lock, most, account, tx.Micros(), most); err != nil {
				return out, err
			}
		}
		return out, nil
	})
	if err == nil {
		l.cursor = got.cursor
	}
	return got.jobs, err
}

// work makes one attempt.
func (q *Queue) work(ctx context.Context, l *lane, j *Job) {
	// The process may end while the job does; what is written down about it is.
	written := context.WithoutCancel(ctx)
	ctx, stop := context.WithCancelCause(ctx)
	limited, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		q.beat(ctx, j, stop)
	}()
	err := q.guarded(limited, l, j)
	cause := context.Cause(ctx)
	if err != nil && cause == nil && limited.Err() != nil {
		err = fmt.Errorf("the attempt took longer than %s: %w", l.Timeout, err)
	}
	stop(nil)
	<-beats
	if errors.Is(err, ErrLost) || errors.Is(cause, ErrLost) {
		return
	}
	if err == nil && j.done {
		return
	}
	written, cancelWrite := context.WithTimeout(written, leaving)
	defer cancelWrite()
	if err := q.finish(written, l, j, err, cause != nil); err != nil {
		q.log.WarnContext(ctx, "the end of a job was not written down; it runs again", "kind", j.Kind, "job", j.ID, "err", err)
	}
}

// guarded turns a panic into a failure.
func (q *Queue) guarded(ctx context.Context, l *lane, j *Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			// Where the job is shown it is to accounts: the place in the source is for the log.
			q.log.ErrorContext(ctx, "a job panicked", "kind", j.Kind, "job", j.ID, "panic", p, "stack", string(debug.Stack()))
			err = errors.New(broke)
		}
	}()
	if l.Attempts > 0 && j.Attempts > l.Attempts+crashes {
		return Permanent(errors.New("the server ended in the middle of every attempt"))
	}
	return l.Run(ctx, j)
}

// beat renews the claim until ctx ends, and ends ctx where the claim is lost.
func (q *Queue) beat(ctx context.Context, j *Job, stop context.CancelCauseFunc) {
	t := time.NewTicker(beat)
	defer t.Stop()
	last := time.Now()
	// A database that hangs answers nothing, and meanwhile others may take the job.
	over := time.AfterFunc(lease, func() {
		if !q.db.Exact() {
			stop(ErrLost)
		}
	})
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		asked := time.Now()
		n, err := q.update(ctx, func(tx *db.Tx) (int64, error) {
			return tx.Exec(`UPDATE job SET due = $3 WHERE id = $1 AND claim = $2 AND state = 'running'`, j.ID, j.claim, tx.Micros()+lease.Microseconds())
		})
		switch {
		case err == nil && n == 1:
			last = asked
			over.Reset(lease - time.Since(asked))
		case err == nil, time.Since(last) > lease-beat:
			stop(ErrLost)
			return
		}
	}
}

// finish writes down how an attempt ended. ended: the process was ending.
func (q *Queue) finish(ctx context.Context, l *lane, j *Job, failed error, ended bool) error {
	var snooze snoozed
	var final permanent
	again := errors.As(failed, &snooze)
	dead := errors.As(failed, &final)
	if failed != nil && !again && !ended {
		q.failures.Add(1)
		dead = dead || l.Attempts > 0 && j.Attempts >= l.Attempts || l.GiveUp > 0 && time.Since(j.Created) >= l.GiveUp
		q.log.WarnContext(ctx, "a job failed", "kind", j.Kind, "job", j.ID, "about", j.About, "attempt", j.Attempts, "dead", dead, "err", failed)
	}
	_, err := db.Update(ctx, q.db, func(tx *db.Tx) (struct{}, error) {
		var none struct{}
		if failed == nil {
			return none, j.Done(tx)
		}
		if err := j.Hold(tx); err != nil {
			return none, err
		}
		if dead {
			return none, q.bury(tx, l, j, failed)
		}
		due, attempts, why := tx.Micros()+l.Pause(j.Attempts).Microseconds(), j.Attempts, text(failed)
		switch {
		case again:
			due, attempts = tx.Micros()+snooze.pause.Microseconds(), attempts-1
		case ended: // the process: that is not the job's fault
			due, attempts, why = tx.Micros(), attempts-1, j.Error
		}
		// One that came meanwhile does the same, for what is newer: later where
		// this one failed, not later where it only waits.
		newer, err := db.All[int64](tx.Context(), tx, `SELECT id FROM job WHERE kind = $1 AND key = $2 AND state = 'waiting'`, j.Kind, j.Key)
		if err != nil {
			return none, err
		}
		if len(newer) > 0 {
			later := `CASE WHEN due < $2 THEN $2 ELSE due END`
			if again {
				later = `CASE WHEN due > $2 THEN $2 ELSE due END`
			}
			_, err := tx.Exec(`UPDATE job SET due = `+later+`, error = $3 WHERE id = $1`, newer[0], due, why)
			if err != nil {
				return none, err
			}
			return none, j.Done(tx)
		}
		_, err = tx.Exec(`UPDATE job SET state = 'waiting', claim = '', due = $2, attempts = $3, error = $4, updated = $5 WHERE id = $1`,
			j.ID, due, attempts, why, tx.Micros())
		tx.AfterCommit(q.Wake)
		return none, err
	})
	if err == nil && dead {
		q.dead.Add(1)
	}
	if errors.Is(err, ErrLost) {
		return nil
	}
	return err
}

// keepDead is how many dead jobs of an account and kind are kept.
const keepDead = 1000

// bury puts a job aside.
func (q *Queue) bury(tx *db.Tx, l *lane, j *Job, failed error) error {
	if _, err := tx.Exec(`UPDATE job SET state = 'dead', claim = '', error = $2, updated = $3 WHERE id = $1`, j.ID, text(failed), tx.Micros()); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM job WHERE id IN (SELECT id FROM job WHERE kind = $1 AND state = 'dead' AND account = $2 ORDER BY id DESC LIMIT 100 OFFSET $3)`,
		j.Kind, j.Account, keepDead); err != nil {
		return err
	}
	return changed(tx, l, j, Dead, text(failed))
}

func changed(tx *db.Tx, l *lane, j *Job, s State, why string) error {
	if l == nil || l.Changed == nil {
		return nil
	}
	told := *j
	told.State, told.Error = s, why
	return l.Changed(tx, &told, s)
}

// broke is what accounts are told of what they cannot mend.
const broke = "something in this registry broke; its log has more"

// text is an error fit to be stored, and shown to accounts: of one with a code
// that is the sentence which is for them. How this registry is made is not.
func text(err error) string {
	if f := (*fault.Error)(nil); errors.As(err, &f) {
		return f.Msg
	}
	if s := (*db.StatementError)(nil); errors.As(err, &s) {
		return broke
	}
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return broke
	}
	s := strings.ReplaceAll(err.Error(), "\x00", "")
	if len(s) > maxError {
		s = s[:maxError]
	}
	for !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "?")
	}
	return s
}
