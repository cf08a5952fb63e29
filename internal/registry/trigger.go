package registry

import (
	"context"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
)

// A Trigger changes a workload in a cluster when certain tags are pushed. Of
// all members but Enabled it is true that they never change.
type Trigger struct {
	ID          int64
	Name        string
	Enabled     bool
	Condition   Condition
	Pattern     string
	Mode        ClusterMode
	ClusterID   string // with ByName: one of both or both
	ClusterName string
	Namespace   string // of the workload in the cluster
	Workload    Workload
	Application string // the workload's name
	Container   string // empty: all that use the repository
	Pin         bool   // the image is named with its digest behind the tag
	Creator     string
	CreatorName string
	Created     time.Time
	Updated     time.Time
}

// A TriggerResult is what a trigger did for one push.
type TriggerResult struct {
	ID       int64
	Tag      string
	Digest   string
	Result   string // success, failed
	Detail   string
	Attempts int
	Duration time.Duration // 0: it took no time, or was not measured
	Created  time.Time
}

// How much of triggers a repository has.
const (
	MaxTriggers       = 100
	maxTriggerResults = 100 // of each
)

type triggerRow struct {
	ID                                          int64
	Name                                        string
	Enabled                                     bool
	Condition, Pattern                          string
	Mode, ClusterID, ClusterName                string
	Namespace, Workload, Application, Container string
	Pin                                         bool
	Creator, CreatorName                        string
	Created, Updated                            int64
}

const triggerColumns = `id, name, enabled, condition, pattern, mode, cluster_id, cluster_name, namespace, workload, application, container, pin,
	creator, creator_name, created, updated`

func (t triggerRow) trigger() Trigger {
	return Trigger{ID: t.ID, Name: t.Name, Enabled: t.Enabled, Condition: Condition(t.Condition), Pattern: t.Pattern,
		Mode: ClusterMode(t.Mode), ClusterID: t.ClusterID, ClusterName: t.ClusterName,
		Namespace: t.Namespace, Workload: Workload(t.Workload), Application: t.Application, Container: t.Container, Pin: t.Pin,
		Creator: t.Creator, CreatorName: t.CreatorName, Created: fromMicros(t.Created), Updated: fromMicros(t.Updated)}
}

func triggerUnknown(name oci.Name, trigger string) error {
	return fault.New(fault.RuleUnknown, "The repository %s has no trigger %s.", name, shown(trigger))
}

// CreateTrigger stores a trigger for a cluster that the account has registered.
// What it names in the cluster is looked up when it acts.
// Errors: Missing, Invalid, Exists, RepoUnknown, Denied, Unauthorized.
func (r *Registry) CreateTrigger(ctx context.Context, who iam.Caller, name oci.Name, t Trigger) error {
	if t.Mode == "" {
		t.Mode = ByName
	}
	if t.Mode == Marked {
		t.ClusterID, t.ClusterName = "", ""
	}
	if err := t.check(); err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		return r.onRules(tx, who, name, iam.CreateTrigger, " trigger "+t.Name, func(rp repoRow) error {
			n, err := db.One[int](tx.Context(), tx, `SELECT count(*) FROM repo_trigger WHERE repository = $1`, rp.ID)
			if err != nil {
				return err
			}
			if n >= MaxTriggers {
				return tooMany(name, n, "triggers")
			}
			if err := checkCluster(tx, rp.Account, t); err != nil {
				return err
			}
			_, err = db.One[int64](tx.Context(), tx, `INSERT INTO repo_trigger (repository, name, enabled, condition, pattern, mode, cluster_id, cluster_name,
					namespace, workload, application, container, pin, creator, creator_name, created, updated)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16) ON CONFLICT (repository, name) DO NOTHING RETURNING id`,
				rp.ID, t.Name, t.Enabled, string(t.Condition), t.Pattern, string(t.Mode), t.ClusterID, t.ClusterName,
				t.Namespace, string(t.Workload), t.Application, t.Container, t.Pin, who.User, creatorName(who), tx.Micros())
			if errors.Is(err, db.ErrNone) {
				return fault.New(fault.Exists, "The repository %s has a trigger %s already.", name, t.Name)
			}
			return err
		})
	})
}

// Triggers lists a repository's triggers, the oldest first.
// Errors: RepoUnknown, Denied, Unauthorized.
func (r *Registry) Triggers(ctx context.Context, who iam.Caller, name oci.Name) ([]Trigger, error) {
	rp, err := r.lookup(ctx, who, name, iam.ListTriggers)
	if err != nil {
		return nil, err
	}
	rows, err := db.All[triggerRow](ctx, r.db, `SELECT `+triggerColumns+` FROM repo_trigger WHERE repository = $1 ORDER BY id LIMIT $2`, rp.ID, MaxPage)
	if err != nil {
		return nil, err
	}
	list := make([]Trigger, len(rows))
	for i, t := range rows {
		list[i] = t.trigger()
	}
	return list, nil
}

// Trigger shows one trigger and what it did, the newest first.
// Errors: RuleUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) Trigger(ctx context.Context, who iam.Caller, name oci.Name, trigger string) (Trigger, []TriggerResult, error) {
	rp, err := r.lookup(ctx, who, name, iam.ShowTrigger)
	if err != nil {
		return Trigger{}, nil, err
	}
	if !isRuleName(trigger) {
		return Trigger{}, nil, triggerUnknown(name, trigger)
	}
	t, err := ruleOf[triggerRow](ctx, r.db, triggerUnknown(name, trigger),
		`SELECT `+triggerColumns+` FROM repo_trigger WHERE repository = $1 AND name = $2`, rp.ID, trigger)
	if err != nil {
		return Trigger{}, nil, err
	}
	type row struct {
		ID                          int64
		Tag, Digest, Result, Detail string
		Attempts, Duration, Created int64
	}
	rows, err := db.All[row](ctx, r.db, `SELECT id, tag, digest, result, detail, attempts, duration, created FROM trigger_history
		WHERE repository = $1 AND rule = $2 ORDER BY id DESC LIMIT $3`, rp.ID, t.ID, maxTriggerResults)
	if err != nil {
		return Trigger{}, nil, err
	}
	results := make([]TriggerResult, len(rows))
	for i, h := range rows {
		results[i] = TriggerResult{h.ID, h.Tag, h.Digest, h.Result, h.Detail, int(h.Attempts), time.Duration(h.Duration) * time.Microsecond, fromMicros(h.Created)}
	}
	return t.trigger(), results, nil
}

// EnableTrigger makes a trigger act, or not.
// Errors: RuleUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) EnableTrigger(ctx context.Context, who iam.Caller, name oci.Name, trigger string, enabled bool) error {
	return r.onTrigger(ctx, who, name, iam.UpdateTrigger, trigger, func(tx *db.Tx, rp repoRow) (int64, error) {
		return tx.Exec(`UPDATE repo_trigger SET enabled = $3, updated = $4 WHERE repository = $1 AND name = $2`, rp.ID, trigger, enabled, tx.Micros())
	})
}

// DeleteTrigger removes a trigger and what it did.
// Errors: RuleUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) DeleteTrigger(ctx context.Context, who iam.Caller, name oci.Name, trigger string) error {
	return r.onTrigger(ctx, who, name, iam.DeleteTrigger, trigger, func(tx *db.Tx, rp repoRow) (int64, error) {
		id, err := db.One[int64](tx.Context(), tx, `DELETE FROM repo_trigger WHERE repository = $1 AND name = $2 RETURNING id`, rp.ID, trigger)
		if err != nil {
			return 0, ignoreNone(err)
		}
		if err := job.Withdraw(tx, TriggerKind, triggerKey(id)); err != nil {
			return 0, err
		}
		if _, err := tx.Exec(`DELETE FROM trigger_history WHERE repository = $1 AND rule = $2`, rp.ID, id); err != nil {
			return 0, err
		}
		return 1, nil
	})
}

// onTrigger changes one trigger; change tells how many rows it found.
func (r *Registry) onTrigger(ctx context.Context, who iam.Caller, name oci.Name, do iam.Action, trigger string, change func(tx *db.Tx, rp repoRow) (int64, error)) error {
	return r.update(ctx, func(tx *db.Tx) error {
		return r.onRules(tx, who, name, do, " trigger "+trigger, func(rp repoRow) error {
			if !isRuleName(trigger) {
				return triggerUnknown(name, trigger)
			}
			n, err := change(tx, rp)
			if err == nil && n == 0 {
				err = triggerUnknown(name, trigger)
			}
			return err
		})
	})
}
