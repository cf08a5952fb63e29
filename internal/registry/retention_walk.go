package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/retention"
)

// How a run reads and deletes.
const (
	walkPage  = 1000    // tags that are read at a time
	maxDoomed = 100_000 // tags that are held in memory to be deleted
	// walkSlack is for transactions that give a tag the time of their begin and
	// commit after a run has passed that time.
	walkSlack = 10 * time.Minute
)

// A walkedTag is a tag as a run reads it.
type walkedTag struct {
	ID       int64
	Name     string
	Updated  int64
	Manifest int64
}

func (t walkedTag) tag() retention.Tag {
	return retention.Tag{ID: t.ID, Name: t.Name, Updated: t.Updated}
}

// A doomed tag is one that a policy lets go.
type doomed struct {
	walkedTag
	verdict retention.Verdict
}

// An era is a range of last pushes: from <= updated < to, in microseconds.
type era struct{ from, to int64 }

// always is everything.
var always = []era{{math.MinInt64, math.MaxInt64}}

// A retentionRun is one run of a policy over a repository. What it is about was
// read in the beginning; every transaction that deletes asks whether it still
// holds.
type retentionRun struct {
	runRow
	policy retention.Policy
	now    time.Time
	full   bool // looks at every tag
	why    string
}

type runRow struct {
	ID            int64 // of the policy
	Rules         string
	Version       int64
	State         string
	Looked, Low   int64
	Failed        string
	Repository    int64
	Account, Path string
	Tags          int64 // of the repository
	Guard         bool  // of the account
}

// loadRun reads what a run is about; ok is false where there is nothing to run.
func (r *Registry) loadRun(ctx context.Context, repo int64) (run retentionRun, ok bool, err error) {
	run, err = db.View(ctx, r.db, func(tx *db.Tx) (retentionRun, error) {
		run, err := runOf(tx, repo)
		run.now = tx.Now()
		return run, err
	})
	if errors.Is(err, db.ErrNone) {
		return run, false, nil
	}
	return run, err == nil, err
}

// runOf reads the policy of a repository with what its runs go by.
func runOf(tx *db.Tx, repo int64) (run retentionRun, err error) {
	run.runRow, err = db.One[runRow](tx.Context(), tx, `SELECT p.id, p.rules, p.version, p.state, p.looked, p.low, p.error, r.id, r.account, r.path, r.tags, a.retention_guard
		FROM repo_retention p JOIN repository r ON r.id = p.repository JOIN account a ON a.id = r.account WHERE p.repository = $1 AND r.organization <> 0`, repo)
	if err != nil {
		return run, err
	}
	if err := json.Unmarshal([]byte(run.Rules), &run.policy.Rules); err != nil {
		return run, fmt.Errorf("the policy %d is stored as something else: %w", run.ID, err)
	}
	return run, nil
}

// eras are the tags that a run has to look at, from the newest on. A run after
// a push need not look at what the last complete run knew not to go, whatever
// is pushed: below the policy's floor there are exceptions of its rules by
// number only, and of the others only those have come of age that are as old
// now as the rule says and were younger then. numbers: all tags above the floor
// are among them.
func (run *retentionRun) eras() (out []era, numbers bool) {
	if run.full || run.Looked == 0 {
		return always, true
	}
	for _, rule := range run.policy.Rules {
		switch {
		case rule.Template == retention.ByAge:
			n := int64(rule.N) * retention.Day.Microseconds()
			out = append(out, era{run.Looked - n, run.now.UnixMicro() - n})
		case run.Tags > int64(rule.N):
			numbers = true
			out = append(out, era{run.Low, math.MaxInt64})
		}
	}
	return merged(out), numbers
}

// merged sorts eras from the newest on and joins those that meet.
func merged(eras []era) []era {
	slices.SortFunc(eras, func(a, b era) int { return cmp.Or(cmp.Compare(b.to, a.to), cmp.Compare(a.from, b.from)) })
	var out []era
	for _, e := range eras {
		switch last := len(out) - 1; {
		case e.from >= e.to:
		case last >= 0 && out[last].from <= e.to:
			out[last].from = min(out[last].from, e.from)
		default:
			out = append(out, e)
		}
	}
	return out
}

// walk gives the tags of a repository to each, from the newest to the oldest.
// They are read in pages, each on its own: no snapshot is held while
// expressions are compared. A tag that is pushed meanwhile is not met again, so
// that no other has a greater rank than it had in the beginning. rest is called
// between two pages with the time that the last one took.
func (r *Registry) walk(ctx context.Context, repo int64, eras []era, each func(walkedTag) error, rest func(time.Duration) error) error {
	for _, e := range eras {
		updated, id := e.to, int64(0) // below (to, 0) is what is older than to
		for {
			begun := time.Now()
			tags, err := db.All[walkedTag](ctx, r.db, `SELECT id, name, updated, manifest FROM tag WHERE repository = $1 AND updated >= $2 AND (updated, id) < ($3, $4)
				ORDER BY updated DESC, id DESC LIMIT $5`, repo, e.from, updated, id, walkPage)
			if err != nil {
				return err
			}
			for _, t := range tags {
				if err := each(t); err != nil {
					return err
				}
			}
			if err := rest(time.Since(begun)); err != nil {
				return err
			}
			if len(tags) < walkPage {
				break
			}
			updated, id = tags[len(tags)-1].Updated, tags[len(tags)-1].ID
		}
	}
	return nil
}

// A found is what a walk came to.
type found struct {
	doomed []doomed // the oldest of them, from the newest on
	all    int      // how many go
	seen   int
	low    int64 // see retentionRun.eras
}

// find judges the tags that the run has to look at.
func (r *Registry) find(ctx context.Context, run *retentionRun) (found, error) {
	f := found{low: run.Low}
	eras, numbers := run.eras()
	if len(eras) == 0 {
		return f, nil
	}
	j, err := retention.NewJudge(run.policy, run.now, r.o.Retention.Time)
	if err != nil {
		return f, err
	}
	err = r.walk(ctx, run.Repository, eras, func(t walkedTag) error {
		v, err := j.Judge(t.tag())
		f.seen++
		if err == nil && v.Delete {
			f.all++
			if len(f.doomed) == 2*maxDoomed {
				f.doomed = append(f.doomed[:0], f.doomed[maxDoomed:]...)
			}
			f.doomed = append(f.doomed, doomed{t, v})
		}
		return err
	}, func(took time.Duration) error {
		if err := j.Pause(); err != nil {
			return err
		}
		return pause(ctx, took)
	})
	if over := len(f.doomed) - maxDoomed; over > 0 {
		f.doomed = f.doomed[over:]
	}
	if numbers {
		f.low = min(j.Floor(), run.now.Add(-walkSlack).UnixMicro())
	}
	return f, err
}

// pause leaves the machine to others for as long as was just worked.
func pause(ctx context.Context, took time.Duration) error {
	const most = 50 * time.Millisecond
	t := time.NewTimer(min(took, most))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
