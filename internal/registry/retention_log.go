package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/retention"
)

// A Retained is a tag that retention removed, with the rule that said so as it
// was then.
type Retained struct {
	ID     int64
	Policy int64 // id, of a policy that may be gone
	Index  int   // of the rule in the policy; not stored here
	Rule   retention.Rule
	Tag    string
	Digest string
	Time   time.Time
}

// maxRetained bounds a repository's log.
const maxRetained = 10000

// logRetained writes down that rules removed tags, in the transaction that
// removed them.
func logRetained(tx *db.Tx, repo int64, list []Retained) error {
	for _, x := range list {
		rule, err := encode(x.Rule)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO retention_log (repository, policy, rule, tag, digest, created) VALUES ($1, $2, $3, $4, $5, $6)`,
			repo, x.Policy, string(rule), x.Tag, x.Digest, tx.Micros()); err != nil {
			return err
		}
	}
	return keepNewest(tx, "retention_log", "", repo, maxRetained)
}

// Retained lists what retention removed from a repository, the newest first:
// at most n entries behind the first offset, and how many there are in all.
// Errors: RepoUnknown, Denied, Unauthorized.
func (r *Registry) Retained(ctx context.Context, who iam.Caller, name oci.Name, offset, n int) ([]Retained, int64, error) {
	rp, err := r.lookup(ctx, who, name, iam.ListRetained)
	if err != nil {
		return nil, 0, err
	}
	type row struct {
		ID, Policy        int64
		Rule, Tag, Digest string
		Created           int64
	}
	rows, total, err := listed[row](ctx, r, "retention_log", `id, policy, rule, tag, digest, created`, rp.ID, offset, n)
	if err != nil {
		return nil, 0, err
	}
	list := make([]Retained, len(rows))
	for i, v := range rows {
		list[i] = Retained{ID: v.ID, Policy: v.Policy, Tag: v.Tag, Digest: v.Digest, Time: fromMicros(v.Created)}
		if err := json.Unmarshal([]byte(v.Rule), &list[i].Rule); err != nil {
			return nil, 0, fmt.Errorf("the entry %d of the retention log has something else for a rule: %w", v.ID, err)
		}
	}
	return list, total, nil
}
