package registry

import (
	"context"
	"encoding/json"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
)

// maxAttached bounds, times the rules, the tags that are copied again because something was
// attached to their image.
const maxAttached = 5

// expandSync turns a push into jobs, one for each rule of the repository that
// was there before it. A job takes the image that the tag has when it runs.
func expandSync(r *Registry, tx *db.Tx, e event.Event) (rows int, err error) {
	if e.Kind != event.Push {
		return 0, nil
	}
	rules, err := db.All[syncRow](tx.Context(), tx, `SELECT `+syncColumns+` FROM repo_sync WHERE repository = $1 AND auto AND created <= $2 ORDER BY id LIMIT $3`,
		e.Repository, e.Created, MaxSyncs)
	if err != nil || len(rules) == 0 {
		return 0, err
	}
	rp, err := db.One[repoRow](tx.Context(), tx, `SELECT `+repoColumns+` FROM repository WHERE id = $1 AND organization <> 0`+tx.ForKeyShare(), e.Repository)
	if err != nil {
		return 0, ignoreNone(err)
	}
	tags := []string{e.Tag}
	if e.Tag == "" {
		if tags, err = taggedSubjects(tx, rp.ID, e.Digest); err != nil {
			return 0, err
		}
	}
	open, err := openSyncJobs(tx.Context(), tx, rp.ID)
	if err != nil {
		return 0, err
	}
	for _, rule := range rules {
		for _, tag := range tags {
			added, err := r.syncByRule(tx, rp, rule, tag, open >= maxOpenJobs)
			if err != nil {
				return rows, err
			}
			if added {
				open++
			}
			rows += 3
		}
	}
	return rows, keepNewest(tx, "sync_job", " AND status NOT IN ('waiting', 'running')", rp.ID, maxDoneJobs)
}

// syncByRule queues a tag, or where there is no room for it has the rule
// caught up later.
func (r *Registry) syncByRule(tx *db.Tx, rp repoRow, rule syncRow, tag string, full bool) (added bool, err error) {
	if full {
		return false, r.fallBehind(tx, rp, rule)
	}
	_, added, err = r.addSyncJob(tx, rp, SyncJob{Tag: tag, SyncTarget: SyncTarget{rule.Region, rule.Organization}, Override: rule.Override, Rule: rule.ID,
		Operator: rule.Creator, OperatorName: rule.CreatorName})
	if fault.Is(err, fault.TagUnknown) { // it went meanwhile
		err = nil
	}
	return added, err
}

// fallBehind has everything of a rule compared and copied, once. Where that was
// begun before and came to nothing, it begins anew.
func (r *Registry) fallBehind(tx *db.Tx, rp repoRow, rule syncRow) error {
	n, err := tx.Exec(`UPDATE repo_sync SET behind = true WHERE id = $1
		AND (NOT behind OR NOT EXISTS (SELECT 1 FROM sync_report p WHERE p.rule = $1 AND p.reconcile AND p.state = $2))`, rule.ID, comparing)
	if err != nil || n == 0 {
		return err
	}
	return r.compareAnew(tx, rp, rule.ID, SyncTarget{rule.Region, rule.Organization}, true)
}

// taggedSubjects returns the tags of the image that a manifest is attached to.
func taggedSubjects(tx *db.Tx, repo int64, digest string) ([]string, error) {
	return db.All[string](tx.Context(), tx, `SELECT t.name FROM manifest a JOIN manifest m ON m.repository = a.repository AND m.digest = a.subject AND m.deleted IS NULL
		JOIN tag t ON t.manifest = m.id WHERE a.repository = $1 AND a.digest = $2 AND a.subject <> '' AND a.deleted IS NULL ORDER BY t.name LIMIT $3`, repo, digest, maxAttached)
}

// SyncWork is what a job of SyncKind is to do.
type SyncWork struct {
	Repo oci.Name
	SyncJob
}

// ErrSyncOver is returned by BeginSync where there is nothing to do any more.
var ErrSyncOver = errors.New("registry: there is nothing to synchronize any more")

// BeginSync reads what a job is to do, and says that it runs. Errors:
// ErrSyncOver, job.ErrLost, Denied.
func (r *Registry) BeginSync(ctx context.Context, who iam.Caller, j *job.Job) (SyncWork, error) {
	id, err := syncJobOf(who, j)
	if err != nil {
		return SyncWork{}, err
	}
	type row struct {
		Path, Status              string
		Tag, Region, Organization string
		Override                  bool
		Rule                      int64
	}
	return db.Update(ctx, r.db, func(tx *db.Tx) (SyncWork, error) {
		if err := j.Hold(tx); err != nil {
			return SyncWork{}, err
		}
		v, err := db.One[row](tx.Context(), tx, `SELECT r.path, s.status, s.tag, s.region, s.organization, s.override, s.rule
			FROM sync_job s JOIN repository r ON r.id = s.repository WHERE s.id = $1 AND r.organization <> 0`, id)
		if errors.Is(err, db.ErrNone) || err == nil && v.Status != string(SyncWaiting) && v.Status != string(SyncRunning) {
			return SyncWork{}, ErrSyncOver
		}
		if err != nil {
			return SyncWork{}, err
		}
		_, err = tx.Exec(`UPDATE sync_job SET status = $2, updated = $3 WHERE id = $1`, id, string(SyncRunning), tx.Micros())
		return SyncWork{oci.Name(v.Path), SyncJob{ID: id, Tag: v.Tag, SyncTarget: SyncTarget{v.Region, v.Organization}, Override: v.Override, Rule: v.Rule}}, err
	})
}

func syncJobOf(who iam.Caller, j *job.Job) (int64, error) {
	if err := systemOnly(who); err != nil {
		return 0, err
	}
	var p syncPayload
	err := j.Decode(&p)
	return p.Job, err
}

// RetrySync says that a job waits for its next attempt, and why. Where a newer
// one waits for the same it takes over.
func (r *Registry) RetrySync(ctx context.Context, who iam.Caller, j *job.Job, why string) error {
	id, err := syncJobOf(who, j)
	if err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		if err := j.Hold(tx); err != nil {
			return err
		}
		newer, err := exists(tx, `SELECT 1 FROM sync_job s JOIN sync_job n ON n.repository = s.repository AND n.tag = s.tag AND n.region = s.region
			AND n.organization = s.organization AND n.override = s.override AND n.status = 'waiting' AND n.id > s.id WHERE s.id = $1`, id)
		if err != nil {
			return err
		}
		if newer {
			return r.endSync(tx, id, SyncCancelled, "A newer push took over: "+why, "")
		}
		gone, err := exists(tx, `SELECT 1 FROM sync_job s WHERE s.id = $1 AND s.rule <> 0 AND NOT EXISTS (SELECT 1 FROM repo_sync r WHERE r.id = s.rule)`, id)
		if err != nil {
			return err
		}
		if gone {
			return r.endSync(tx, id, SyncCancelled, "The synchronization was deleted: "+why, "")
		}
		_, err = tx.Exec(`UPDATE sync_job SET status = $2, detail = $3, updated = $4 WHERE id = $1`+isOpen, id, string(SyncWaiting), why, tx.Micros())
		return err
	})
}

// EndSync says what came of a job, together with its end. digest is of the
// image that is over there now, where that is known. Errors: job.ErrLost.
func (r *Registry) EndSync(ctx context.Context, who iam.Caller, j *job.Job, status SyncStatus, detail, digest string) error {
	id, err := syncJobOf(who, j)
	if err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		if err := r.endSync(tx, id, status, detail, digest); err != nil {
			return err
		}
		return j.Done(tx)
	})
}

// SyncResult is the detail of events of the kind Sync.
type SyncResult struct {
	Region       string     `json:"region"`
	Organization string     `json:"organization"`
	Status       SyncStatus `json:"status"`
	Detail       string     `json:"detail,omitempty"`
}

// endSync makes a status final and tells whoever waits for it.
func (r *Registry) endSync(tx *db.Tx, id int64, status SyncStatus, detail, digest string) error {
	type row struct {
		Repository                int64
		Tag, Region, Organization string
		OperatorName              string
	}
	v, err := db.One[row](tx.Context(), tx, `UPDATE sync_job SET status = $2, detail = $3, digest = $4, updated = $5 WHERE id = $1`+isOpen+`
		RETURNING repository, tag, region, organization, operator_name`, id, string(status), detail, digest, tx.Micros())
	if err != nil {
		return ignoreNone(err)
	}
	rp, err := db.One[repoRow](tx.Context(), tx, `SELECT `+repoColumns+` FROM repository WHERE id = $1 AND organization <> 0`, v.Repository)
	if err != nil {
		return ignoreNone(err)
	}
	text, err := json.Marshal(SyncResult{v.Region, v.Organization, status, detail})
	if err != nil {
		return err
	}
	return r.emit(tx, rp, event.Event{Kind: event.Sync, Tag: v.Tag, Digest: digest, Actor: v.OperatorName, Detail: string(text)})
}

// SyncChanged is what follows where a job of SyncKind is given up, cancelled,
// or taken up once more. What a rule could not copy for so long is compared
// when the other side is back.
func (r *Registry) SyncChanged(tx *db.Tx, j *job.Job, s job.State) error {
	var p syncPayload
	if err := j.Decode(&p); err != nil {
		return err
	}
	switch s {
	case job.Waiting:
		_, err := tx.Exec(`UPDATE sync_job SET status = 'waiting', updated = $2 WHERE id = $1`, p.Job, tx.Micros())
		return err
	case job.Cancelled:
		return r.endSync(tx, p.Job, SyncCancelled, "Somebody cancelled it.", "")
	case job.Dead:
		if err := r.endSync(tx, p.Job, SyncTimedOut, j.Error, ""); err != nil {
			return err
		}
	default:
		return nil
	}
	rule, err := db.One[syncRow](tx.Context(), tx, `SELECT `+syncColumns+` FROM repo_sync WHERE id = (SELECT rule FROM sync_job WHERE id = $1)`, p.Job)
	if err != nil {
		return ignoreNone(err)
	}
	rp, err := db.One[repoRow](tx.Context(), tx, `SELECT `+repoColumns+` FROM repository WHERE id = (SELECT repository FROM sync_job WHERE id = $1) AND organization <> 0`, p.Job)
	if err != nil {
		return ignoreNone(err)
	}
	return r.fallBehind(tx, rp, rule)
}
