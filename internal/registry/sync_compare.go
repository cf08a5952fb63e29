package registry

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
)

// A comparison walks the tags of a repository and looks at each over there. It
// is a job, whose findings are kept until the next one.

// A Difference is one tag that is not the same on both sides.
type Difference struct {
	Tag    string `json:"tag"`
	Kind   string `json:"kind"`
	Digest string `json:"digest,omitempty"` // here
	Remote string `json:"remote,omitempty"` // there
}

// The kinds of differences.
const (
	TagMissing   = "missing"   // it is not over there
	TagDifferent = "different" // it is of another image over there
	TagExtra     = "extra"     // it is over there alone
)

// A SyncReport is what the newest comparison of a synchronization found.
type SyncReport struct {
	State     string // comparing, done, failed
	Detail    string // why it failed
	Reconcile bool   // what differs is copied
	Equal     int64
	Missing   int64
	Different int64
	Extra     int64
	Queued    int64        // tags that are copied because of it
	Entries   []Difference // a page
	Listed    int64        // entries in all; not more than MaxDifferences
	Created   time.Time
	Updated   time.Time
}

// Bounds of comparisons.
const (
	MaxDifferences = 10_000      // that are listed; all are counted
	reportLife     = time.Minute // a report younger than this is not made anew
)

// CompareKind is the kind of the jobs that compare.
const CompareKind = "sync-compare"

// comparePayload is what such a job carries: the report that it makes.
type comparePayload struct {
	Rule    int64 `json:"rule"`
	Created int64 `json:"created"`
}

const (
	comparing   = "comparing"
	compareDone = "done"
	compareFail = "failed"
)

// compareAnew begins a comparison, in place of the one that there is.
func (r *Registry) compareAnew(tx *db.Tx, rp repoRow, rule int64, t SyncTarget, reconcile bool) error {
	if _, err := tx.Exec(`DELETE FROM sync_difference WHERE rule = $1`, rule); err != nil {
		return err
	}
	created, err := db.One[int64](tx.Context(), tx, `INSERT INTO sync_report (rule, state, detail, reconcile, after, pages, equal, missing, different, extra, queued, created, updated)
		VALUES ($1, $2, '', $3, '', 0, 0, 0, 0, 0, 0, $4, $4) ON CONFLICT (rule) DO UPDATE SET state = excluded.state, detail = '', reconcile = excluded.reconcile, after = '',
		pages = 0, equal = 0, missing = 0, different = 0, extra = 0, queued = 0,
		created = CASE WHEN excluded.created > sync_report.created THEN excluded.created ELSE sync_report.created + 1 END, updated = excluded.updated
		RETURNING created`, rule, comparing, reconcile, tx.Micros())
	if err != nil {
		return err
	}
	_, err = r.jobs.Add(tx, job.New{Kind: CompareKind, Account: rp.Account, Key: syncRuleKey(rule), About: rp.Path + " with " + t.Region + "/" + t.Organization,
		Payload: comparePayload{rule, created}, Replace: true})
	return err
}

type reportRow struct {
	State, Detail                                   string
	Reconcile                                       bool
	After                                           string
	Pages, Equal, Missing, Different, Extra, Queued int64
	Created, Updated                                int64
}

const selectReport = `SELECT state, detail, reconcile, after, pages, equal, missing, different, extra, queued, created, updated FROM sync_report WHERE rule = $1`

func unknownSync(name oci.Name, t SyncTarget) error {
	return fault.New(fault.RuleUnknown, "The repository %s is not synchronized to the organization %s in %s.", name, shown(t.Organization), shown(t.Region))
}

// syncRule finds a rule of a repository by its target.
func syncRule(ctx context.Context, q db.Querier, rp repoRow, t SyncTarget) (syncRow, error) {
	if err := t.check(); err != nil {
		return syncRow{}, err
	}
	unknown := unknownSync(oci.Name(rp.Path), t)
	if !isLine(t.Region, maxCluster) || !isLine(t.Organization, oci.MaxOrganization) {
		return syncRow{}, unknown
	}
	return ruleOf[syncRow](ctx, q, unknown, `SELECT `+syncColumns+` FROM repo_sync WHERE repository = $1 AND region = $2 AND organization = $3`, rp.ID, t.Region, t.Organization)
}

// Differences shows what the newest comparison of a synchronization found: of
// its entries at most n behind the first offset. Where there is none, or with
// again one that is older than a minute, it begins one.
// Errors: Missing, RuleUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) Differences(ctx context.Context, who iam.Caller, name oci.Name, t SyncTarget, again bool, offset, n int) (SyncReport, error) {
	rp, err := r.lookup(ctx, who, name, iam.ListSyncs)
	if err != nil {
		return SyncReport{}, err
	}
	rule, err := syncRule(ctx, r.db, rp, t)
	if err != nil {
		return SyncReport{}, err
	}
	v, err := db.One[reportRow](ctx, r.db, selectReport, rule.ID)
	old := func(v reportRow) bool {
		return v.State != comparing && time.Since(time.UnixMicro(v.Updated)) > reportLife
	}
	if errors.Is(err, db.ErrNone) || err == nil && again && old(v) {
		v, err = db.Update(ctx, r.db, func(tx *db.Tx) (reportRow, error) {
			if err := lockRepo(tx, rp.ID, name, tx.ForKeyShare()); err != nil {
				return v, err
			}
			v, err := db.One[reportRow](tx.Context(), tx, selectReport+tx.ForUpdate(), rule.ID)
			if err != nil && !errors.Is(err, db.ErrNone) || err == nil && (!again || !old(v)) {
				return v, err // somebody was first
			}
			if _, err := syncRule(tx.Context(), tx, rp, t); err != nil {
				return v, err
			}
			if err := r.compareAnew(tx, rp, rule.ID, t, false); err != nil {
				return v, err
			}
			return db.One[reportRow](tx.Context(), tx, selectReport, rule.ID)
		})
	}
	if err != nil {
		return SyncReport{}, err
	}
	return r.report(ctx, rule.ID, v, offset, n)
}

// report adds the entries to a report.
func (r *Registry) report(ctx context.Context, rule int64, v reportRow, offset, n int) (SyncReport, error) {
	out := SyncReport{State: v.State, Detail: v.Detail, Reconcile: v.Reconcile, Equal: v.Equal, Missing: v.Missing, Different: v.Different, Extra: v.Extra, Queued: v.Queued,
		Entries: []Difference{}, Created: fromMicros(v.Created), Updated: fromMicros(v.Updated)}
	pages, err := db.All[string](ctx, r.db, `SELECT entries FROM sync_difference WHERE rule = $1 ORDER BY page LIMIT $2`, rule, MaxDifferences)
	if err != nil {
		return out, err
	}
	offset, n = max(offset, 0), clampPage(n)
	for _, text := range pages {
		var page []Difference
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			return out, err
		}
		for _, d := range page {
			if out.Listed >= int64(offset) && len(out.Entries) < n {
				out.Entries = append(out.Entries, d)
			}
			out.Listed++
		}
	}
	return out, nil
}

// Reconcile compares a synchronization anew and copies what differs: what is
// missing over there, and with the rule's override what is different.
// Errors: Missing, Invalid, RuleUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) Reconcile(ctx context.Context, who iam.Caller, name oci.Name, t SyncTarget) error {
	if err := t.check(); err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		return r.onRules(tx, who, name, iam.SyncNow, " to "+shown(t.Region+"/"+t.Organization), func(rp repoRow) error {
			rule, err := syncRule(tx.Context(), tx, rp, t)
			if err != nil {
				return err
			}
			if err := checkRegion(tx.Context(), tx, t.Region); err != nil {
				return err
			}
			return r.compareAnew(tx, rp, rule.ID, t, true)
		})
	})
}

// CompareWork is what a job of CompareKind is to do.
type CompareWork struct {
	Repo      oci.Name
	Reconcile bool
	After     string // the last tag that was compared
	Listed    int    // differences
	Sync
	payload comparePayload
}

// BeginCompare reads what a job is to do. Errors: ErrSyncOver, Denied.
func (r *Registry) BeginCompare(ctx context.Context, who iam.Caller, j *job.Job) (CompareWork, error) {
	var w CompareWork
	if err := systemOnly(who); err != nil {
		return w, err
	}
	if err := j.Decode(&w.payload); err != nil {
		return w, err
	}
	type row struct {
		Path, After string
		Reconcile   bool
		Pages       int64
	}
	v, err := db.One[row](ctx, r.db, `SELECT r.path, p.after, p.reconcile, p.missing + p.different + p.extra FROM sync_report p JOIN repo_sync s ON s.id = p.rule
		JOIN repository r ON r.id = s.repository WHERE p.rule = $1 AND p.created = $2 AND p.state = $3 AND r.organization <> 0`, w.payload.Rule, w.payload.Created, comparing)
	if errors.Is(err, db.ErrNone) {
		return w, ErrSyncOver
	}
	if err != nil {
		return w, err
	}
	rule, err := db.One[syncRow](ctx, r.db, `SELECT `+syncColumns+` FROM repo_sync WHERE id = $1`, w.payload.Rule)
	if errors.Is(err, db.ErrNone) {
		return w, ErrSyncOver
	}
	w.Repo, w.Reconcile, w.After, w.Listed, w.Sync = oci.Name(v.Path), v.Reconcile, v.After, int(v.Pages), rule.sync()
	return w, err
}

// A Compared is what was found of some tags.
type Compared struct {
	After       string // the last of them
	Equal       int64
	Differences []Difference // all of them
	Copy        []string     // tags to copy
	End         bool         // these were the last
}

// Compare notes what was found of the next tags, and queues those that are to
// be copied. Errors: ErrSyncOver, job.ErrLost, Denied.
func (r *Registry) Compare(ctx context.Context, who iam.Caller, j *job.Job, w CompareWork, c Compared) error {
	if err := systemOnly(who); err != nil {
		return err
	}
	counts := map[string]int64{}
	for _, d := range c.Differences {
		counts[d.Kind]++
	}
	listed := c.Differences[:min(len(c.Differences), max(MaxDifferences-w.Listed, 0))]
	text, err := json.Marshal(listed)
	if err != nil {
		return err
	}
	state := comparing
	if c.End {
		state = compareDone
	}
	return r.update(ctx, func(tx *db.Tx) error {
		if err := j.Hold(tx); err != nil {
			return err
		}
		rule, err := db.One[syncRow](tx.Context(), tx, `SELECT `+syncColumns+` FROM repo_sync WHERE id = $1`, w.payload.Rule)
		if errors.Is(err, db.ErrNone) {
			return ErrSyncOver
		}
		if err != nil {
			return err
		}
		queued, err := r.copyDiffering(tx, w, rule, c.Copy)
		if err != nil {
			return err
		}
		page, err := db.One[int64](tx.Context(), tx, `UPDATE sync_report SET state = $3, after = $4, pages = pages + 1, equal = equal + $5, missing = missing + $6,
			different = different + $7, extra = extra + $8, queued = queued + $9, updated = $10 WHERE rule = $1 AND created = $2 AND state = $11 RETURNING pages`,
			w.payload.Rule, w.payload.Created, state, c.After, c.Equal, counts[TagMissing], counts[TagDifferent], counts[TagExtra], queued, tx.Micros(), comparing)
		if errors.Is(err, db.ErrNone) {
			return ErrSyncOver
		}
		if err != nil {
			return err
		}
		if len(listed) > 0 {
			if err := keepDifferences(tx, w.payload.Rule, page, string(text)); err != nil {
				return err
			}
		}
		if !c.End {
			return nil
		}
		if w.Reconcile {
			if _, err := tx.Exec(`UPDATE repo_sync SET behind = false WHERE id = $1`, w.payload.Rule); err != nil {
				return err
			}
		}
		return j.Done(tx)
	})
}

// fullPage is the length of a page of differences that takes no more. Rows are
// few so that they can go with their rule.
const fullPage = 128 << 10

// keepDifferences puts differences, an array of JSON, behind those that there are.
func keepDifferences(tx *db.Tx, rule, page int64, entries string) error {
	n, err := tx.Exec(`UPDATE sync_difference SET entries = substr(entries, 1, length(entries) - 1) || ',' || $2 WHERE rule = $1 AND length(entries) < $3
		AND page = (SELECT max(page) FROM sync_difference WHERE rule = $1)`, rule, entries[1:], fullPage)
	if err != nil || n > 0 {
		return err
	}
	_, err = tx.Exec(`INSERT INTO sync_difference (rule, page, entries) VALUES ($1, $2, $3)`, rule, page, entries)
	return err
}

// copyDiffering queues tags and tells how many.
func (r *Registry) copyDiffering(tx *db.Tx, w CompareWork, rule syncRow, tags []string) (queued int64, err error) {
	if len(tags) == 0 {
		return 0, nil
	}
	rp, err := db.One[repoRow](tx.Context(), tx, `SELECT `+repoColumns+` FROM repository WHERE path = $1 AND organization <> 0`+tx.ForKeyShare(), string(w.Repo))
	if err != nil {
		return 0, ignoreNone(err)
	}
	for _, tag := range tags {
		_, _, err := r.addSyncJob(tx, rp, SyncJob{Tag: tag, SyncTarget: w.SyncTarget, Override: rule.Override, Rule: rule.ID, Operator: rule.Creator, OperatorName: rule.CreatorName})
		switch {
		case err == nil:
			queued++
		case !fault.Is(err, fault.TagUnknown):
			return queued, err
		}
	}
	return queued, keepNewest(tx, "sync_job", " AND status NOT IN ('waiting', 'running')", rp.ID, maxDoneJobs)
}

// FailCompare ends a comparison that cannot be made. Errors: job.ErrLost, Denied.
func (r *Registry) FailCompare(ctx context.Context, who iam.Caller, j *job.Job, w CompareWork, why string) error {
	if err := systemOnly(who); err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`UPDATE sync_report SET state = $3, detail = $4, updated = $5 WHERE rule = $1 AND created = $2`,
			w.payload.Rule, w.payload.Created, compareFail, why, tx.Micros()); err != nil {
			return err
		}
		return j.Done(tx)
	})
}

// CompareWaits says why a comparison goes on later. Errors: Denied.
func (r *Registry) CompareWaits(ctx context.Context, who iam.Caller, w CompareWork, why string) error {
	if err := systemOnly(who); err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE sync_report SET detail = $3, updated = $4 WHERE rule = $1 AND created = $2 AND detail <> $3`, w.payload.Rule, w.payload.Created, why, tx.Micros())
		return err
	})
}

// CompareChanged is what follows where a job of CompareKind is given up or cancelled.
func (r *Registry) CompareChanged(tx *db.Tx, j *job.Job, s job.State) error {
	var p comparePayload
	if err := j.Decode(&p); err != nil {
		return err
	}
	state, why := compareFail, j.Error
	if s == job.Waiting {
		state, why = comparing, ""
	}
	_, err := tx.Exec(`UPDATE sync_report SET state = $3, detail = $4, updated = $5 WHERE rule = $1 AND created = $2`, p.Rule, p.Created, state, why, tx.Micros())
	return err
}
