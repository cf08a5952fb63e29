package registry

import (
	"context"
	"errors"
	"iter"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/retention"
)

// What bounds a simulation.
const (
	maxSimulated    = 1_000_000        // tags
	simulateTime    = 10 * time.Second // for regular expressions
	freedTime       = 20 * time.Second // for what would be freed
	maxSiblings     = 10               // that are named
	simulatesAtOnce = 2                // on this node
)

// A Simulation is what a policy would do to a repository if it acted now.
type Simulation struct {
	ID      int64 // of the stored policy, 0: a draft
	Policy  retention.Policy
	Time    time.Time
	Tags    int // looked at
	Deleted int // of them would go
	Freed   Freed

	tags     []doomed // all of them, from the newest on
	same     map[int64][]int32
	contents map[int64]content
}

// A SimulatedTag is what a policy would do to one tag.
type SimulatedTag struct {
	Name    string
	Digest  oci.Digest
	Updated time.Time
	Age     time.Duration // since the last push
	retention.Verdict
	Siblings []string // other tags of the same image, 10 at most, the newest first
	Others   int      // how many there are
}

// SimulateRetention tells what a policy would do: the draft, or where that is
// nil the stored one with the id, or with the id 0 the one that the repository
// has. Nothing is changed.
// Errors: RuleUnknown, Missing, Invalid, TooLarge, RepoUnknown, Denied, Unauthorized.
func (r *Registry) SimulateRetention(ctx context.Context, who iam.Caller, name oci.Name, draft *retention.Policy, id int64) (*Simulation, error) {
	rp, err := r.lookup(ctx, who, name, iam.TryRetention)
	if err != nil {
		return nil, err
	}
	s := &Simulation{same: map[int64][]int32{}}
	if draft != nil {
		s.Policy, err = *draft, draft.Validate(r.o.Retention)
	} else {
		s.ID, s.Policy, err = r.storedPolicy(ctx, rp.ID, name, id)
	}
	if err != nil {
		return nil, err
	}
	select {
	case r.simulating <- struct{}{}:
		defer func() { <-r.simulating }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s.Time, err = db.View(ctx, r.db, func(tx *db.Tx) (time.Time, error) { return tx.Now(), nil }); err != nil {
		return nil, err
	}
	if err := r.simulate(ctx, rp.ID, s); err != nil {
		return nil, err
	}
	return s, r.whatIsFreed(ctx, rp.ID, s)
}

func (r *Registry) storedPolicy(ctx context.Context, repo int64, name oci.Name, id int64) (int64, retention.Policy, error) {
	query, args := `SELECT `+retentionColumns+` FROM repo_retention WHERE repository = $1`, []any{repo}
	if id != 0 {
		query, args = query+` AND id = $2`, append(args, id)
	}
	row, err := db.One[retentionRow](ctx, r.db, query, args...)
	if errors.Is(err, db.ErrNone) {
		if id != 0 {
			return 0, retention.Policy{}, retentionUnknown(name, id)
		}
		return 0, retention.Policy{}, fault.New(fault.RuleUnknown, "The repository %s has no retention policy: give rules to try.", name)
	}
	if err != nil {
		return 0, retention.Policy{}, err
	}
	v, err := row.retention()
	return v.ID, v.Policy, err
}

// simulate judges every tag.
func (r *Registry) simulate(ctx context.Context, repo int64, s *Simulation) error {
	limit := simulateTime
	if t := r.o.Retention.Time; t > 0 {
		limit = min(limit, t)
	}
	j, err := retention.NewJudge(s.Policy, s.Time, limit)
	if err != nil {
		return err
	}
	err = r.walk(ctx, repo, always, func(t walkedTag) error {
		if len(s.tags) == maxSimulated {
			return fault.New(fault.TooLarge, "The repository has more than %d tags; a policy is tried on at most so many.", maxSimulated)
		}
		v, err := j.Judge(t.tag())
		if v.Delete {
			s.Deleted++
		}
		if same := s.same[t.Manifest]; len(same) <= maxSiblings {
			s.same[t.Manifest] = append(same, int32(len(s.tags)))
		}
		s.tags = append(s.tags, doomed{t, v})
		return err
	}, func(time.Duration) error { return j.Pause() })
	if errors.Is(err, retention.ErrTooLong) {
		return fault.Wrap(fault.Invalid, err, "rules: comparing the regular expressions with %d of the tags took longer than %s; such a policy would remove nothing.", len(s.tags), limit)
	}
	s.Tags = len(s.tags)
	return err
}

// All gives every tag, from the newest to the oldest.
func (s *Simulation) All() iter.Seq[SimulatedTag] {
	return func(yield func(SimulatedTag) bool) {
		for i, t := range s.tags {
			updated := fromMicros(t.Updated)
			c := s.contents[t.Manifest]
			out := SimulatedTag{Name: t.Name, Digest: c.digest, Updated: updated, Age: s.Time.Sub(updated), Verdict: t.verdict, Siblings: []string{}, Others: c.tags - 1}
			for _, k := range s.same[t.Manifest] {
				if int(k) != i && len(out.Siblings) < maxSiblings {
					out.Siblings = append(out.Siblings, s.tags[k].Name)
				}
			}
			if !yield(out) {
				return
			}
		}
	}
}
