package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/retention"
)

// A Retention is the policy of a repository. A repository has one at most.
type Retention struct {
	ID          int64
	Policy      retention.Policy
	Creator     string
	CreatorName string
	Created     time.Time
	Updated     time.Time

	// Waits: its first run would remove most of the repository, and it waits for
	// ConfirmRetention. WouldDelete of WouldSee tags would go.
	Waits                 bool
	WouldDelete, WouldSee int64
}

// What stands in the state of a policy; else it is empty.
const (
	waitsForConfirmation = "waiting"
	isConfirmed          = "confirmed"
)

type retentionRow struct {
	ID                   int64
	Rules                string
	Creator, CreatorName string
	Created, Updated     int64
	State                string
	WouldDelete          int64
	WouldSee             int64
}

const retentionColumns = `id, rules, creator, creator_name, created, updated, state, would_delete, would_see`

func (v retentionRow) retention() (Retention, error) {
	out := Retention{ID: v.ID, Creator: v.Creator, CreatorName: v.CreatorName, Created: fromMicros(v.Created), Updated: fromMicros(v.Updated)}
	if v.State == waitsForConfirmation {
		out.Waits, out.WouldDelete, out.WouldSee = true, v.WouldDelete, v.WouldSee
	}
	if err := json.Unmarshal([]byte(v.Rules), &out.Policy.Rules); err != nil {
		return out, fmt.Errorf("the policy %d is stored as something else: %w", v.ID, err)
	}
	return out, nil
}

func retentionUnknown(name oci.Name, id int64) error {
	return fault.New(fault.RuleUnknown, "The repository %s has no retention policy %d.", name, id)
}

// rulesText is the policy as it is stored.
func (r *Registry) rulesText(p retention.Policy) (string, error) {
	if err := p.Validate(r.o.Retention); err != nil {
		return "", err
	}
	text, err := encode(p.Rules)
	return string(text), err
}

// CreateRetention gives a repository its policy, which acts at once, and
// returns the policy's id.
// Errors: Missing, Invalid, Exists, RepoUnknown, Denied, Unauthorized.
func (r *Registry) CreateRetention(ctx context.Context, who iam.Caller, name oci.Name, p retention.Policy) (int64, error) {
	text, err := r.rulesText(p)
	if err != nil {
		return 0, err
	}
	return db.Update(ctx, r.db, func(tx *db.Tx) (id int64, err error) {
		err = r.onRules(tx, who, name, iam.CreateRetention, "", func(rp repoRow) error {
			id, err = db.One[int64](tx.Context(), tx, `INSERT INTO repo_retention (repository, rules, creator, creator_name, created, updated)
				VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (repository) DO NOTHING RETURNING id`,
				rp.ID, text, who.User, creatorName(who), tx.Micros())
			if errors.Is(err, db.ErrNone) {
				return fault.New(fault.Exists, "The repository %s has a retention policy already; change that one, or delete it first.", name)
			}
			if err != nil {
				return err
			}
			return r.queueRetention(tx, rp.ID, rp.Account, rp.Path, retentionWork{Full: true, Why: whyCreated})
		})
		return id, err
	})
}

// Retentions lists the policies of a repository: one, or none.
// Errors: RepoUnknown, Denied, Unauthorized.
func (r *Registry) Retentions(ctx context.Context, who iam.Caller, name oci.Name) ([]Retention, error) {
	rp, err := r.lookup(ctx, who, name, iam.ListRetentions)
	if err != nil {
		return nil, err
	}
	row, err := db.One[retentionRow](ctx, r.db, `SELECT `+retentionColumns+` FROM repo_retention WHERE repository = $1`, rp.ID)
	if errors.Is(err, db.ErrNone) {
		return []Retention{}, nil
	}
	if err != nil {
		return nil, err
	}
	v, err := row.retention()
	return []Retention{v}, err
}

// Retention shows a policy. Errors: RuleUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) Retention(ctx context.Context, who iam.Caller, name oci.Name, id int64) (Retention, error) {
	rp, err := r.lookup(ctx, who, name, iam.ShowRetention)
	if err != nil {
		return Retention{}, err
	}
	row, err := ruleOf[retentionRow](ctx, r.db, retentionUnknown(name, id),
		`SELECT `+retentionColumns+` FROM repo_retention WHERE repository = $1 AND id = $2`, rp.ID, id)
	if err != nil {
		return Retention{}, err
	}
	return row.retention()
}

// UpdateRetention puts another policy in the place of the one with the id. It
// acts at once, and its first run is a first run.
// Errors: RuleUnknown, and those of CreateRetention but Exists.
func (r *Registry) UpdateRetention(ctx context.Context, who iam.Caller, name oci.Name, id int64, p retention.Policy) error {
	text, err := r.rulesText(p)
	if err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		return r.onRules(tx, who, name, iam.UpdateRetention, "", func(rp repoRow) error {
			n, err := tx.Exec(`UPDATE repo_retention SET rules = $3, updated = $4, version = version + 1, state = '', looked = 0, swept = 0, low = 0, error = ''
				WHERE repository = $1 AND id = $2`, rp.ID, id, text, tx.Micros())
			if err == nil && n == 0 {
				err = retentionUnknown(name, id)
			}
			if err != nil {
				return err
			}
			return r.queueRetention(tx, rp.ID, rp.Account, rp.Path, retentionWork{Full: true, Why: whyUpdated})
		})
	})
}

// DeleteRetention ends a policy. What it did stays in the log.
// Errors: RuleUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) DeleteRetention(ctx context.Context, who iam.Caller, name oci.Name, id int64) error {
	return r.update(ctx, func(tx *db.Tx) error {
		return r.onRules(tx, who, name, iam.DeleteRetention, "", func(rp repoRow) error {
			n, err := tx.Exec(`DELETE FROM repo_retention WHERE repository = $1 AND id = $2`, rp.ID, id)
			if err == nil && n == 0 {
				err = retentionUnknown(name, id)
			}
			if err != nil {
				return err
			}
			return job.Withdraw(tx, KindRetention, retentionKey(rp.ID))
		})
	})
}
