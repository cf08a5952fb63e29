package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
)

// A SyncJob is one tag on its way to a target.
type SyncJob struct {
	ID  int64
	Tag string
	SyncTarget
	Override     bool
	Rule         int64 // whose push it was; 0: somebody asked for it
	Status       SyncStatus
	Detail       string // what there is to say of the status
	Digest       string // of the image that is over there now; "": it is not known
	Operator     string // who asked for it, by id
	OperatorName string
	Created      time.Time
	Updated      time.Time
}

// A SyncStatus is how far a job is.
type SyncStatus string

// The statuses. Those but the first two are final.
const (
	SyncWaiting   SyncStatus = "waiting" // for its turn, or for the next attempt: the detail says why the last one failed
	SyncRunning   SyncStatus = "running"
	SyncDone      SyncStatus = "success" // the image was copied
	SyncExisted   SyncStatus = "existed" // the same image was there, or a different one that is left alone: the detail begins with "skipped: differs"
	SyncFailed    SyncStatus = "failed"  // for good
	SyncTimedOut  SyncStatus = "timeout" // it failed for as long as it is tried
	SyncCancelled SyncStatus = "cancel"  // the tag or the rule is gone, a newer one took over, or somebody cancelled it
)

// isOpen selects jobs that are not over.
const isOpen = ` AND status IN ('waiting', 'running')`

// How many jobs a repository has.
const (
	MaxTagsPerSync = 100  // of one request
	maxOpenJobs    = 1000 // not over
	maxDoneJobs    = 1000 // over; older ones are forgotten
)

// SyncNow queues the copying of tags to a target, and returns the ids of the
// jobs in the order of the tags. Where the same job waits already it is that
// one. Errors: Missing, Invalid, TagInvalid, TagUnknown, TooMany, RepoUnknown,
// Denied, Unauthorized.
func (r *Registry) SyncNow(ctx context.Context, who iam.Caller, name oci.Name, tags []string, t SyncTarget, override bool) ([]int64, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	tags, err := syncTags(tags)
	if err != nil {
		return nil, err
	}
	return db.Update(ctx, r.db, func(tx *db.Tx) (ids []int64, err error) {
		err = r.onRules(tx, who, name, iam.SyncNow, " to "+t.Region+"/"+t.Organization, func(rp repoRow) error {
			if err := checkSyncTarget(tx.Context(), tx, t); err != nil {
				return err
			}
			open, err := openSyncJobs(tx.Context(), tx, rp.ID)
			if err != nil {
				return err
			}
			ids = make([]int64, 0, len(tags))
			for _, tag := range tags {
				id, added, err := r.addSyncJob(tx, rp, SyncJob{Tag: tag, SyncTarget: t, Override: override, Operator: who.User, OperatorName: creatorName(who)})
				if err != nil {
					return err
				}
				if added {
					open++
				}
				if open > maxOpenJobs {
					return fault.New(fault.TooMany, "The repository %s has %d synchronizations under way, which is as many as it may have; wait until some are done.", name, maxOpenJobs)
				}
				ids = append(ids, id)
			}
			return keepNewest(tx, "sync_job", " AND status NOT IN ('waiting', 'running')", rp.ID, maxDoneJobs)
		})
		return ids, err
	})
}

// syncTags checks the tags of a request and returns each once.
func syncTags(tags []string) ([]string, error) {
	switch {
	case len(tags) == 0:
		return nil, fault.New(fault.Missing, "imageTag names no tag.")
	case len(tags) > MaxTagsPerSync:
		return nil, fault.New(fault.Invalid, "imageTag names %d tags; one request synchronizes at most %d.", len(tags), MaxTagsPerSync)
	}
	var once []string
	for _, tag := range tags {
		if _, err := oci.ParseTag(tag); err != nil {
			return nil, err
		}
		if !slices.Contains(once, tag) {
			once = append(once, tag)
		}
	}
	return once, nil
}

func openSyncJobs(ctx context.Context, q db.Querier, repo int64) (int, error) {
	return db.One[int](ctx, q, `SELECT count(*) FROM sync_job WHERE repository = $1`+isOpen, repo)
}

// addSyncJob queues a job, or finds the one that waits and makes it due.
// Errors: TagUnknown.
func (r *Registry) addSyncJob(tx *db.Tx, rp repoRow, j SyncJob) (id int64, added bool, err error) {
	there, err := exists(tx, `SELECT 1 FROM tag WHERE repository = $1 AND name = $2`, rp.ID, j.Tag)
	if err != nil {
		return 0, false, err
	}
	if !there {
		return 0, false, fault.New(fault.TagUnknown, "The repository %s has no tag %s.", rp.Path, j.Tag)
	}
	id, err = db.One[int64](tx.Context(), tx, `SELECT id FROM sync_job WHERE repository = $1 AND status = $2 AND tag = $3
		AND region = $4 AND organization = $5 AND override = $6 ORDER BY id LIMIT 1`, rp.ID, string(SyncWaiting), j.Tag, j.Region, j.Organization, j.Override)
	if errors.Is(err, db.ErrNone) {
		added = true
		id, err = db.One[int64](tx.Context(), tx, `INSERT INTO sync_job (repository, tag, region, organization, override, status, detail, rule, operator, operator_name, created, updated)
			VALUES ($1, $2, $3, $4, $5, $6, '', $7, $8, $9, $10, $10) RETURNING id`,
			rp.ID, j.Tag, j.Region, j.Organization, j.Override, string(SyncWaiting), j.Rule, j.Operator, j.OperatorName, tx.Micros())
	}
	if err != nil {
		return 0, false, err
	}
	_, err = r.jobs.Add(tx, job.New{Kind: SyncKind, Account: rp.Account, Key: syncKey(rp.ID, j), About: rp.Path + ":" + j.Tag + " to " + j.Region + "/" + j.Organization,
		Payload: syncPayload{id}, Replace: true})
	return id, added, err
}

// SyncKind is the kind of the jobs that copy a tag.
const SyncKind = "sync"

// syncPayload is what such a job carries.
type syncPayload struct {
	Job int64 `json:"job"` // the row of sync_job
}

// syncKey names a tag on its way to a target: one of a key is copied at a time.
func syncKey(repo int64, j SyncJob) string {
	return fmt.Sprintf("%d/%s/%s/%s/%t", repo, j.Region, j.Organization, j.Tag, j.Override)
}

// SyncJobs lists what is and was copied, the newest first: at most n jobs
// behind the first offset, and how many there are in all.
// Errors: RepoUnknown, Denied, Unauthorized.
func (r *Registry) SyncJobs(ctx context.Context, who iam.Caller, name oci.Name, offset, n int) ([]SyncJob, int64, error) {
	rp, err := r.lookup(ctx, who, name, iam.ShowSync)
	if err != nil {
		return nil, 0, err
	}
	type row struct {
		ID                        int64
		Tag, Region, Organization string
		Override                  bool
		Rule                      int64
		Status, Detail, Digest    string
		Operator, OperatorName    string
		Created, Updated          int64
	}
	rows, total, err := listed[row](ctx, r, "sync_job", `id, tag, region, organization, override, rule, status, detail, digest, operator, operator_name, created, updated`, rp.ID, offset, n)
	if err != nil {
		return nil, 0, err
	}
	list := make([]SyncJob, len(rows))
	for i, v := range rows {
		list[i] = SyncJob{ID: v.ID, Tag: v.Tag, SyncTarget: SyncTarget{v.Region, v.Organization}, Override: v.Override, Rule: v.Rule, Status: SyncStatus(v.Status),
			Detail: v.Detail, Digest: v.Digest, Operator: v.Operator, OperatorName: v.OperatorName, Created: fromMicros(v.Created), Updated: fromMicros(v.Updated)}
	}
	return list, total, nil
}
