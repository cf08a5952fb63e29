package registry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
)

// TriggerKind names the jobs of triggers, which the package trigger does. Their
// key is the trigger's id: of the pushes that wait for a trigger only the newest
// is of use.
const TriggerKind = "trigger"

// Pushes that follow each other at once are one rollout, of the newest.
const (
	settleTime = time.Second // from a push to the change of the workload, at least
	maxLater   = 500         // pushes that are looked at for a newer one
)

// A TriggerJob is one push on its way to a workload.
type TriggerJob struct {
	Trigger  int64  `json:"trigger"`
	Delivery string `json:"delivery"` // names it among those of the trigger: its result is written down once
	Tag      string `json:"tag"`
	Digest   string `json:"digest"`
	Actor    string `json:"actor"`
	Asked    bool   `json:"asked,omitempty"` // somebody asked for it: also where the trigger is off
}

// matches tells whether a trigger acts on a tag.
func (t triggerRow) matches(tag string) bool {
	switch Condition(t.Condition) {
	case EveryTag:
		return true
	case SomeTags:
		return slices.Contains(strings.Split(t.Pattern, ";"), tag)
	case Matching:
		re, err := oci.ParsePattern(t.Pattern)
		return err == nil && re.MatchString(tag)
	}
	return false
}

// expandTriggers makes a job for each trigger that waits for a pushed tag.
func expandTriggers(r *Registry, tx *db.Tx, e event.Event) (rows int, err error) {
	if e.Kind != event.Push || e.Tag == "" {
		return 0, nil
	}
	list, err := db.All[triggerRow](tx.Context(), tx, `SELECT `+triggerColumns+` FROM repo_trigger WHERE repository = $1 AND enabled ORDER BY id LIMIT $2`,
		e.Repository, MaxTriggers)
	if err != nil {
		return 0, err
	}
	var later []string // tags of pushes that wait to be looked at behind this one
	if len(list) > 0 {
		if later, err = event.Later(tx, e, maxLater); err != nil {
			return 0, err
		}
	}
	for _, t := range list {
		if !t.matches(e.Tag) || slices.ContainsFunc(later, t.matches) {
			continue
		}
		rows++
		if err := r.addTriggerJob(tx, e.Account, e.Path, t, TriggerJob{Delivery: strconv.FormatInt(e.ID, 10), Tag: e.Tag, Digest: e.Digest, Actor: e.Actor}); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

func (r *Registry) addTriggerJob(tx *db.Tx, account, path string, t triggerRow, j TriggerJob) error {
	j.Trigger = t.ID
	_, err := r.jobs.Add(tx, job.New{Kind: TriggerKind, Account: account, Key: triggerKey(t.ID), About: path + ":" + j.Tag + " by trigger " + t.Name,
		Payload: j, Replace: true, Due: tx.Now().Add(settleTime), Sooner: true})
	return err
}

func triggerKey(id int64) string { return strconv.FormatInt(id, 10) }

// RunTrigger has a trigger act on a tag that is there, whether it waits for
// that tag or not, and whether it is enabled or not.
// Errors: RuleUnknown, TagUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) RunTrigger(ctx context.Context, who iam.Caller, name oci.Name, trigger, tag string) error {
	return r.onTrigger(ctx, who, name, iam.RunTrigger, trigger, func(tx *db.Tx, rp repoRow) (int64, error) {
		t, err := db.One[triggerRow](tx.Context(), tx, `SELECT `+triggerColumns+` FROM repo_trigger WHERE repository = $1 AND name = $2`, rp.ID, trigger)
		if errors.Is(err, db.ErrNone) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		digest, err := db.One[string](tx.Context(), tx, `SELECT m.digest FROM tag t JOIN manifest m ON m.id = t.manifest WHERE t.repository = $1 AND t.name = $2`, rp.ID, tag)
		if errors.Is(err, db.ErrNone) {
			return 0, fault.New(fault.TagUnknown, "The repository %s has no tag %s.", name, shown(tag))
		}
		if err != nil {
			return 0, err
		}
		return 1, r.addTriggerJob(tx, rp.Account, rp.Path, t, TriggerJob{Delivery: "asked-" + rand.Text(), Tag: tag, Digest: digest, Actor: who.String(), Asked: true})
	})
}

// TriggerByID is for those who do the jobs of triggers: a trigger, and the
// repository and the account that it belongs to.
// Errors: RuleUnknown, Denied.
func (r *Registry) TriggerByID(ctx context.Context, who iam.Caller, id int64) (t Trigger, name oci.Name, account string, err error) {
	type found struct {
		t  triggerRow
		rp repoRow
	}
	unknown := fault.New(fault.RuleUnknown, "There is no trigger %d any more.", id)
	f, err := db.View(ctx, r.db, func(tx *db.Tx) (f found, err error) {
		if f.t, err = ruleOf[triggerRow](tx.Context(), tx, unknown, `SELECT `+triggerColumns+` FROM repo_trigger WHERE id = $1`, id); err != nil {
			return f, err
		}
		if f.rp, err = ruleOf[repoRow](tx.Context(), tx, unknown, `SELECT `+repoColumns+` FROM repository WHERE organization <> 0
			AND id = (SELECT repository FROM repo_trigger WHERE id = $1)`, id); err != nil {
			return f, err
		}
		return f, r.iam.Allow(tx, who, iam.ShowTrigger, resource(&f.rp))
	})
	return f.t.trigger(), oci.Name(f.rp.Path), f.rp.Account, err
}

// A TriggerOutcome is how one delivery ended.
type TriggerOutcome struct {
	Job      TriggerJob
	OK       bool
	Detail   string // the true reason, for people
	Attempts int
	Duration time.Duration
}

// maxOutcome bounds the text of a result, in bytes.
const maxOutcome = 4000

// FinishTrigger writes down how a delivery ended, once, and tells those who
// wait for such events. Where the trigger is gone there is nothing to say.
func (r *Registry) FinishTrigger(tx *db.Tx, o TriggerOutcome) error {
	t, err := db.One[triggerRow](tx.Context(), tx, `SELECT `+triggerColumns+` FROM repo_trigger WHERE id = $1`, o.Job.Trigger)
	if err != nil {
		return ignoreNone(err)
	}
	rp, err := db.One[repoRow](tx.Context(), tx, `SELECT `+repoColumns+` FROM repository WHERE organization <> 0 AND id = (SELECT repository FROM repo_trigger WHERE id = $1)`, t.ID)
	if err != nil {
		return ignoreNone(err)
	}
	result := "failed"
	if o.OK {
		result = "success"
	}
	detail := strings.ToValidUTF8(o.Detail[:min(len(o.Detail), maxOutcome)], "")
	n, err := tx.Exec(`INSERT INTO trigger_history (repository, rule, tag, digest, result, detail, created, delivery, attempts, duration)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (rule, delivery) WHERE delivery <> '' DO NOTHING`,
		rp.ID, t.ID, o.Job.Tag, o.Job.Digest, result, detail, tx.Micros(), o.Job.Delivery, o.Attempts, o.Duration.Microseconds())
	if err != nil || n == 0 {
		return err
	}
	if err := keepNewest(tx, "trigger_history", " AND rule = "+triggerKey(t.ID), rp.ID, maxTriggerResults); err != nil {
		return err
	}
	told, err := json.Marshal(map[string]any{"trigger": t.Name, "result": result, "detail": detail, "cluster_id": t.ClusterID, "cluster_name": t.ClusterName,
		"cluster_ns": t.Namespace, "app_type": t.Workload, "application": t.Application, "delivery": o.Job.Delivery, "duration_ms": o.Duration.Milliseconds()})
	if err != nil {
		return err
	}
	return r.emit(tx, rp, event.Event{Kind: event.Trigger, Tag: o.Job.Tag, Digest: o.Job.Digest, Actor: o.Job.Actor, Detail: string(told)})
}

// RetryTrigger lets a delivery that was given up have another result beside the
// one that says so.
func (r *Registry) RetryTrigger(tx *db.Tx, j TriggerJob) error {
	_, err := tx.Exec(`UPDATE trigger_history SET delivery = '' WHERE rule = $1 AND delivery = $2`, j.Trigger, j.Delivery)
	return err
}
