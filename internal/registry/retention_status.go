package registry

import (
	"context"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
)

// A RetentionStatus tells how a policy acts. Times are zero for never.
type RetentionStatus struct {
	ID         int64
	State      RetentionState
	Looked     time.Time // the last complete run of the policy as it is now
	Swept      time.Time // the last of them that looked at every tag
	Acted      time.Time // when something was last removed, also by an earlier form
	Removed    int64     // tags that went in that run
	RemovedAll int64     // tags that went in all
	Error      string    // why the last run failed; empty: it did not
	Next       time.Time // the next run, if nothing is pushed

	WouldDelete, WouldSee int64 // see Retention
}

// A RetentionState is where a policy stands.
type RetentionState string

// The states of a policy.
const (
	RetentionWaits   RetentionState = "waiting_confirmation"
	RetentionQueued  RetentionState = "queued"  // a run is due
	RetentionRunning RetentionState = "running" // tags are being looked at, or go
	RetentionFailed  RetentionState = "failed"  // the last run; the error says why, and when it is tried again Next
	RetentionIdle    RetentionState = "idle"    // all is done until the next push, or day
)

// RetentionStatus tells how a policy acts.
// Errors: RuleUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) RetentionStatus(ctx context.Context, who iam.Caller, name oci.Name, id int64) (RetentionStatus, error) {
	rp, err := r.lookup(ctx, who, name, iam.ShowRetention)
	if err != nil {
		return RetentionStatus{}, err
	}
	return db.View(ctx, r.db, func(tx *db.Tx) (RetentionStatus, error) {
		type row struct {
			State                                                            string
			Looked, Swept, Acted, Removed, RemovedAll, WouldDelete, WouldSee int64
			Error                                                            string
		}
		v, err := ruleOf[row](tx.Context(), tx, retentionUnknown(name, id), `SELECT state, looked, swept, acted, removed, removed_all, would_delete, would_see, error
			FROM repo_retention WHERE repository = $1 AND id = $2`, rp.ID, id)
		if err != nil {
			return RetentionStatus{}, err
		}
		s := RetentionStatus{ID: id, State: RetentionIdle, Looked: momentOf(v.Looked), Swept: momentOf(v.Swept), Acted: momentOf(v.Acted),
			Removed: v.Removed, RemovedAll: v.RemovedAll, Error: v.Error, Next: nextMidnight(tx.Now())}
		jobs, err := job.Of(tx.Context(), tx, KindRetention, retentionKey(rp.ID))
		if err != nil {
			return s, err
		}
		s.read(jobs, fromMicros(v.Looked))
		if v.State == waitsForConfirmation {
			s.State, s.Next, s.WouldDelete, s.WouldSee = RetentionWaits, time.Time{}, v.WouldDelete, v.WouldSee
		}
		return s, nil
	})
}

// read takes from the jobs of a policy, the newest first, what they tell of it.
// One that is dead tells nothing of a policy that has been looked at since.
func (s *RetentionStatus) read(jobs []*job.Job, looked time.Time) {
	if s.Error != "" {
		s.State = RetentionFailed
	}
	for i, j := range jobs {
		switch {
		case j.State == job.Running:
			s.State, s.Next = RetentionRunning, time.Time{}
			return
		case j.State == job.Waiting && j.Error == "":
			s.State, s.Next = RetentionQueued, j.Due
		case j.State == job.Waiting:
			s.State, s.Next, s.Error = RetentionFailed, j.Due, j.Error
		case i == 0 && j.Updated.After(looked):
			s.State, s.Error = RetentionFailed, j.Error
		}
	}
}

// momentOf is a time that may be none.
func momentOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return fromMicros(micros)
}

// ConfirmRetention lets a policy act that waits because its first run would
// remove most of the repository. One that does not wait stays as it is.
// Errors: RuleUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) ConfirmRetention(ctx context.Context, who iam.Caller, name oci.Name, id int64) error {
	return r.update(ctx, func(tx *db.Tx) error {
		return r.onRules(tx, who, name, iam.ConfirmRetained, "", func(rp repoRow) error {
			state, err := db.One[string](tx.Context(), tx, `SELECT state FROM repo_retention WHERE repository = $1 AND id = $2`+tx.ForUpdate(), rp.ID, id)
			switch {
			case errors.Is(err, db.ErrNone):
				return retentionUnknown(name, id)
			case err != nil || state != waitsForConfirmation:
				return err
			}
			if _, err := tx.Exec(`UPDATE repo_retention SET state = '`+isConfirmed+`' WHERE id = $1`, id); err != nil {
				return err
			}
			return r.queueRetention(tx, rp.ID, rp.Account, rp.Path, retentionWork{Full: true, Why: whyConfirm})
		})
	})
}
