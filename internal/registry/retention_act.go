package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/retention"
)

// Policies act as jobs, one for each repository: at once when a policy was made
// or changed, after pushes, and every day at 00:00 UTC, when tags have come of
// age. A job reads the tags, decides, and removes what goes in small
// transactions, the oldest first: one that is broken off at any point goes on
// where it was, since the rank of what is left is the same.

// KindRetention is the kind of jobs that remove tags.
const KindRetention = "retention"

const (
	tagsPerBatch = 50 // that one transaction removes
	// retentionLife is for how long a run is tried again. The next day has one
	// of its own.
	retentionLife = 24 * time.Hour
)

// Why a run is made.
const (
	whyCreated = "created"
	whyUpdated = "updated"
	whyConfirm = "confirmed"
	whyPush    = "push"
	whyDaily   = "daily"
)

// retentionWork is the payload of a job of KindRetention.
type retentionWork struct {
	Full bool   `json:"full"` // look at every tag
	Why  string `json:"why"`
}

func retentionKey(repo int64) string { return strconv.FormatInt(repo, 10) }

// queueRetention queues a run. One that looks at everything takes the place of
// one that waits already.
func (r *Registry) queueRetention(tx *db.Tx, repo int64, account, path string, w retentionWork) error {
	_, err := r.jobs.Add(tx, job.New{Kind: KindRetention, Account: account, Key: retentionKey(repo), About: path, Payload: w, Replace: w.Full})
	return err
}

// retainAfterPush queues a run where a push can have made a tag go.
func retainAfterPush(r *Registry, tx *db.Tx, e event.Event) (int, error) {
	if e.Kind != event.Push || e.Tag == "" {
		return 0, nil
	}
	run, err := runOf(tx, e.Repository)
	if errors.Is(err, db.ErrNone) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	run.now = tx.Now()
	if needed, err := run.needed(tx); err != nil || !needed {
		return 1, err
	}
	return 1, r.queueRetention(tx, run.Repository, run.Account, run.Path, retentionWork{Why: whyPush})
}

// needed tells whether a run after a push can find anything.
func (run *retentionRun) needed(tx *db.Tx) (bool, error) {
	if run.State == waitsForConfirmation || run.Failed != "" {
		return false, nil
	}
	eras, _ := run.eras()
	for _, e := range eras {
		there, err := exists(tx, `SELECT 1 FROM tag WHERE repository = $1 AND updated >= $2 AND updated < $3 LIMIT 1`, run.Repository, e.from, e.to)
		if there || err != nil {
			return there, err
		}
	}
	return false, nil
}

// errPolicyChanged ends a run whose policy is not what it was: the change has
// queued another one, or there is nothing to do any more.
var errPolicyChanged = errors.New("registry: the policy has changed")

// runRetention is a job of KindRetention.
func (r *Registry) runRetention(ctx context.Context, j *job.Job) error {
	var w retentionWork
	if err := j.Decode(&w); err != nil {
		return job.Permanent(err)
	}
	repo, err := strconv.ParseInt(j.Key, 10, 64)
	if err != nil {
		return job.Permanent(err)
	}
	for {
		run, ok, err := r.loadRun(ctx, repo)
		if err != nil || !ok || run.State == waitsForConfirmation {
			return err
		}
		run.full, run.why = w.Full, w.Why
		f, err := r.find(ctx, &run)
		switch {
		case errors.Is(err, retention.ErrTooLong):
			return job.Permanent(errors.Join(err, r.noteFailed(ctx, run, err)))
		case err != nil:
			return err
		case run.Looked == 0 && run.State == "" && run.Guard && 2*f.all > f.seen:
			return ignoreChanged(r.waitToBeConfirmed(ctx, j, run, f))
		}
		if err := r.removeDoomed(ctx, j, run, f.doomed); err != nil {
			return ignoreChanged(err)
		}
		if f.all == len(f.doomed) {
			return ignoreChanged(r.runDone(ctx, j, run, f))
		}
	}
}

func ignoreChanged(err error) error {
	if errors.Is(err, errPolicyChanged) {
		return nil
	}
	return err
}

// removeDoomed removes tags, the oldest first.
func (r *Registry) removeDoomed(ctx context.Context, j *job.Job, run retentionRun, list []doomed) error {
	for len(list) > 0 {
		from := max(len(list)-tagsPerBatch, 0)
		begun := time.Now()
		if err := r.update(ctx, func(tx *db.Tx) error { return r.removeBatch(tx, j, run, list[from:]) }); err != nil {
			return err
		}
		list = list[:from]
		if err := pause(ctx, time.Since(begun)); err != nil {
			return err
		}
	}
	return nil
}

// removeBatch removes those tags that are still what they were when the run
// looked at them, with their log, their history and the event.
func (r *Registry) removeBatch(tx *db.Tx, j *job.Job, run retentionRun, list []doomed) error {
	if err := j.Hold(tx); err != nil {
		return err
	}
	// The policy's row is held from here on, and with it whoever changes it.
	if err := run.set(tx, `state = state`); err != nil {
		return err
	}
	rp, err := db.One[repoRow](tx.Context(), tx, `SELECT `+repoColumns+` FROM repository WHERE id = $1 AND organization <> 0`, run.Repository)
	if errors.Is(err, db.ErrNone) {
		return errPolicyChanged
	}
	if err != nil {
		return err
	}
	who, moves := retentionCaller(rp), &tagMoves{}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b doomed) int { return cmp.Compare(a.Name, b.Name) }) // in one order: no deadlock
	var gone []Retained
	for _, d := range list {
		x, ok, err := r.removeTag(tx, who, rp, run, d, moves)
		if err != nil {
			return err
		}
		if ok {
			gone = append(gone, x)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := run.set(tx, `removed = CASE WHEN run = $3 THEN removed ELSE 0 END + $4, removed_all = removed_all + $4, run = $3, acted = $5`,
		j.ID, len(gone), tx.Micros()); err != nil {
		return err
	}
	if err := logRetained(tx, rp.ID, gone); err != nil {
		return err
	}
	if err := r.emitRetention(tx, rp, run, who, gone); err != nil {
		return err
	}
	if err := r.iam.Audit(tx, who, iam.DeleteTag, fmt.Sprintf("%s retention %d: %d tags", rp.Path, run.ID, len(gone)), "ok"); err != nil {
		return err
	}
	return r.settle(tx, rp, moves, false)
}

// retentionCaller is Berth itself at work for the owner of a repository.
func retentionCaller(rp repoRow) iam.Caller {
	return iam.System("retention").In(iam.Account{ID: rp.Account})
}

// removeTag removes a tag that nobody has pushed or moved since the run looked
// at it.
func (r *Registry) removeTag(tx *db.Tx, who iam.Caller, rp repoRow, run retentionRun, d doomed, moves *tagMoves) (Retained, bool, error) {
	digest, err := db.One[string](tx.Context(), tx, `SELECT digest FROM manifest WHERE id = $1`, d.Manifest)
	if err != nil {
		return Retained{}, false, ignoreNone(err)
	}
	same, err := exists(tx, `SELECT 1 FROM tag WHERE id = $1 AND manifest = $2 AND updated = $3`+tx.ForUpdate(), d.ID, d.Manifest, d.Updated)
	if err != nil || !same {
		return Retained{}, false, err
	}
	detail, err := run.explain(d)
	if err != nil {
		return Retained{}, false, err
	}
	ok, err := r.dropTag(tx, who, rp, d.Name, "retention", detail, moves)
	return Retained{Policy: run.ID, Index: d.verdict.Rule, Rule: run.policy.Rules[d.verdict.Rule], Tag: d.Name, Digest: digest}, ok, err
}

// set changes the policy's row, which must be what it was when the run began.
// The values of columns are numbered from $3.
func (run *retentionRun) set(tx *db.Tx, columns string, args ...any) error {
	n, err := tx.Exec(`UPDATE repo_retention SET `+columns+` WHERE id = $1 AND version = $2 AND state <> '`+waitsForConfirmation+`'`,
		append([]any{run.ID, run.Version}, args...)...)
	if err == nil && n == 0 {
		err = errPolicyChanged
	}
	return err
}

// An Explanation is what a tag's history says about its removal by a policy.
type Explanation struct {
	Policy   int64              `json:"retention_id"`
	Rule     int                `json:"rule"` // its index in the policy
	Template retention.Template `json:"template"`
	N        int                `json:"n"`                  // days, or how many stay
	Rank     int                `json:"rank,omitempty"`     // among the tags that the rule counts, the newest first
	Pushed   string             `json:"last_push"`          // RFC 3339
	Age      int64              `json:"age_seconds"`        // since the last push
	Run      string             `json:"run"`                // created, updated, confirmed, push, daily
	Tags     int64              `json:"tags_of_repository"` // when the run began
}

func (run *retentionRun) explain(d doomed) (string, error) {
	rule := run.policy.Rules[d.verdict.Rule]
	text, err := json.Marshal(Explanation{
		Policy: run.ID, Rule: d.verdict.Rule, Template: rule.Template, N: rule.N, Rank: d.verdict.Rank,
		Pushed: fromMicros(d.Updated).Format(time.RFC3339Nano), Age: (run.now.UnixMicro() - d.Updated) / int64(time.Second/time.Microsecond),
		Run: run.why, Tags: run.Tags,
	})
	return string(text), err
}

// RetentionDetail is the detail of events Retention, one for some tags that
// went together.
type RetentionDetail struct {
	Policy int64         `json:"retention_id"`
	Run    string        `json:"run"`
	Tags   []RetainedTag `json:"tags"`
}

// RetainedTag is a tag that went.
type RetainedTag struct {
	Tag    string `json:"tag"`
	Digest string `json:"digest"`
	Rule   int    `json:"rule"` // index in the policy
}

func (r *Registry) emitRetention(tx *db.Tx, rp repoRow, run retentionRun, who iam.Caller, gone []Retained) error {
	if rp.Watched&event.Retention == 0 {
		return nil
	}
	d := RetentionDetail{Policy: run.ID, Run: run.why, Tags: make([]RetainedTag, len(gone))}
	for i, x := range gone {
		d.Tags[i] = RetainedTag{x.Tag, x.Digest, x.Index}
	}
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return r.emit(tx, rp, event.Event{Kind: event.Retention, Actor: who.String(), Detail: string(text)})
}

// runDone notes a complete run and ends its job.
func (r *Registry) runDone(ctx context.Context, j *job.Job, run retentionRun, f found) error {
	swept := int64(0)
	if eras, _ := run.eras(); len(eras) > 0 && eras[0] == always[0] {
		swept = run.now.UnixMicro()
	}
	return r.lastOf(ctx, j, run, `looked = $3, low = $4, swept = CASE WHEN $5 > swept THEN $5 ELSE swept END, error = ''`, run.now.UnixMicro(), f.low, swept)
}

// lastOf changes the policy's row and ends the job. Done comes last: where the
// policy is another one by now it is left to the queue.
func (r *Registry) lastOf(ctx context.Context, j *job.Job, run retentionRun, columns string, args ...any) error {
	return r.update(ctx, func(tx *db.Tx) error {
		if err := j.Hold(tx); err != nil {
			return err
		}
		if err := run.set(tx, columns, args...); err != nil {
			return err
		}
		return j.Done(tx)
	})
}

// noteFailed has pushes wait for the next day's run, or for another policy.
func (r *Registry) noteFailed(ctx context.Context, run retentionRun, why error) error {
	return ignoreChanged(r.update(ctx, func(tx *db.Tx) error { return run.set(tx, `error = $3`, why.Error()) }))
}

// waitToBeConfirmed puts a policy aside that would remove most of a repository
// at once.
func (r *Registry) waitToBeConfirmed(ctx context.Context, j *job.Job, run retentionRun, f found) error {
	return r.lastOf(ctx, j, run, `state = '`+waitsForConfirmation+`', would_delete = $3, would_see = $4`, f.all, f.seen)
}
