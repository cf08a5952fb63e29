package registry

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
)

// Rules act outside of what they wait for: a push writes one event, if anybody
// waits for it, and events become jobs afterwards. An event and what becomes
// of it are one transaction.

// An expander turns an event into what its rules want, and tells how many rows
// it touched.
type expander func(r *Registry, tx *db.Tx, e event.Event) (rows int, err error)

// expanders are all who look at events.
func expanders() []expander {
	return []expander{
		retainAfterPush,
		expandTriggers,
		expandSync,
		expandWebhooks,
	}
}

// A watcher tells for which kinds of events the rules of a repository wait.
type watcher func(tx *db.Tx, repo int64) (event.Kind, error)

// onPush is a watcher for pushes, where the query finds a rule.
func onPush(query string) watcher {
	return func(tx *db.Tx, repo int64) (event.Kind, error) {
		there, err := exists(tx, query, repo)
		if !there || err != nil {
			return 0, err
		}
		return event.Push, nil
	}
}

// watchers are all kinds of rules.
func watchers() []watcher {
	return []watcher{
		onPush(`SELECT 1 FROM repo_retention WHERE repository = $1 LIMIT 1`),
		onPush(`SELECT 1 FROM repo_trigger WHERE repository = $1 AND enabled LIMIT 1`),
		onPush(`SELECT 1 FROM repo_sync WHERE repository = $1 AND auto LIMIT 1`),
		watchHooks,
	}
}

// rewatch writes down what the rules of a repository wait for, after they have
// changed. The row is locked first: of two changes the second sees both.
func (r *Registry) rewatch(tx *db.Tx, rp repoRow) error {
	if err := lockRepo(tx, rp.ID, oci.Name(rp.Path), tx.ForNoKeyUpdate()); err != nil {
		return err
	}
	all := event.Kind(0)
	for _, w := range watchers() {
		k, err := w(tx, rp.ID)
		if err != nil {
			return err
		}
		all |= k
	}
	n, err := tx.Exec(`UPDATE repository SET watched = $2 WHERE id = $1 AND watched <> $2`, rp.ID, int64(all))
	if n > 0 {
		tx.Invalidate(repoKey(rp.Path))
	}
	return err
}

// Kinds are the jobs that the registry does itself.
func (r *Registry) Kinds() []job.Kind {
	return r.retentionKinds()
}

// outbox is what those who write events share with the one who takes them.
type outbox struct {
	wake  chan struct{}
	stuck map[int64]time.Time // events that could not be expanded, and when they are tried again
}

// emit writes an event where somebody waits for its kind.
func (r *Registry) emit(tx *db.Tx, rp repoRow, e event.Event) error {
	if rp.Watched&e.Kind == 0 {
		return nil
	}
	e.Account, e.Organization, e.Repository, e.Path = rp.Account, rp.Organization, rp.ID, rp.Path
	tx.AfterCommit(r.wakeOutbox)
	return event.Emit(tx, e)
}

func (r *Registry) wakeOutbox() {
	select {
	case r.outbox.wake <- struct{}{}:
	default:
	}
}

// TagChange is the detail of events Push and Delete.
type TagChange struct {
	Cause    string `json:"cause"`              // push, retag, delete, manifest_delete, retention, …
	Previous string `json:"previous,omitempty"` // digest that the tag had before
}

// emitTag tells that a tag, or with tag "" an image, came (digest is set) or
// went.
func (r *Registry) emitTag(tx *db.Tx, rp repoRow, tag, digest, previous string, who iam.Caller, cause string) error {
	e := event.Event{Kind: event.Push, Tag: tag, Digest: digest, Actor: who.String()}
	if digest == "" {
		e.Kind, e.Digest = event.Delete, previous
	}
	if rp.Watched&e.Kind == 0 {
		return nil
	}
	detail, err := json.Marshal(TagChange{cause, previous})
	if err != nil {
		return err
	}
	e.Detail = string(detail)
	return r.emit(tx, rp, e)
}

// How events are taken.
const (
	eventsPerBatch = 50
	gather         = 200 * time.Millisecond // from an event to the look at it
	eventPoll      = time.Second            // between two looks for what other nodes wrote
)

// runEvents turns events into jobs until the context ends.
func (r *Registry) runEvents(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.outbox.wake:
			// One commit takes the events of many: each of its own would hold up the pushes.
			select {
			case <-ctx.Done():
				return
			case <-time.After(gather):
			}
		}
		failed := false
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = r.expandEvents(ctx); err != nil {
				more, failed = false, true
				if ctx.Err() == nil {
					r.log.WarnContext(ctx, "events were not expanded; it is tried again", "err", err)
				}
			}
		}
		wait := eventPoll
		if r.db.Exact() && len(r.outbox.stuck) == 0 && !failed {
			wait = r.o.SweepEvery
		}
		timer.Reset(wait)
	}
}

// ExpandEvents turns all events that there are into jobs.
func (r *Registry) ExpandEvents(ctx context.Context) error {
	for more := true; more; {
		var err error
		if more, err = r.expandEvents(ctx); err != nil {
			return err
		}
	}
	return nil
}

// PendingEvents counts the events that are not jobs yet, up to 100,000.
func (r *Registry) PendingEvents(ctx context.Context) (int64, error) {
	return db.One[int64](ctx, r.db, `SELECT count(*) FROM (SELECT 1 FROM event LIMIT 100000) q`)
}

// expandEvents turns some events into jobs and tells whether there may be more.
func (r *Registry) expandEvents(ctx context.Context) (more bool, err error) {
	if _, err := db.One[int64](ctx, r.db, `SELECT id FROM event LIMIT 1`); err != nil {
		return false, ignoreNone(err)
	}
	more, err = r.expandBatch(ctx, eventsPerBatch)
	if err == nil {
		return more, nil
	}
	// One of them may be the cause: each alone, so that it does not hold up the others.
	return r.expandBatch(ctx, 1)
}

func (r *Registry) expandBatch(ctx context.Context, n int) (more bool, err error) {
	now := time.Now()
	failing := int64(0)
	type outcome struct{ done, seen int }
	out, err := db.Update(ctx, r.db, func(tx *db.Tx) (outcome, error) {
		var o outcome
		// Events that are written by others of this commit are not seen yet;
		// whoever wrote them wakes us.
		events, err := event.Pending(tx, n+len(r.outbox.stuck))
		if err != nil {
			return o, err
		}
		o.seen = len(events)
		for rows := 0; len(events) > 0 && rows < refsPerReview && o.done < n; events = events[1:] {
			e := events[0]
			if now.Before(r.outbox.stuck[e.ID]) {
				continue
			}
			failing = e.ID
			touched, err := r.expand(tx, e)
			if err != nil {
				return o, err
			}
			rows += touched + 1
			o.done++
		}
		return o, nil
	})
	if err != nil && n == 1 && failing != 0 && ctx.Err() == nil {
		const most = 1000
		if r.outbox.stuck == nil {
			r.outbox.stuck = map[int64]time.Time{}
		}
		if len(r.outbox.stuck) < most {
			r.outbox.stuck[failing] = now.Add(putOff)
		}
		return true, errors.Join(errStuck, err)
	}
	if out.seen == 0 {
		clear(r.outbox.stuck)
	}
	return out.done > 0, err
}

var errStuck = errors.New("registry: an event is put off")

func (r *Registry) expand(tx *db.Tx, e event.Event) (rows int, err error) {
	for _, x := range expanders() {
		n, err := x(r, tx, e)
		if err != nil {
			return rows, err
		}
		rows += n
	}
	return rows, event.Forget(tx, e.ID)
}
