package trigger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"berth.dev/berth/internal/kube"
)

// How a rollout is watched.
const (
	look     = time.Second      // between two looks at the clock, and for a newer push
	grace    = 15 * time.Second // beyond a workload's own deadline, for its controller to say so
	maxGone  = time.Minute      // that the API server may be away while a rollout is watched
	pauseGet = 2 * time.Second  // before it is asked again
)

// A sight is what a watch brings: a workload, or its end.
type sight struct {
	w       *kube.Workload
	deleted bool
	err     error // of the watch, which is over; nil with w nil: it ended by itself
}

// A watching is a rollout that is being watched.
type watching struct {
	*delivery
	w     *kube.Workload
	best  int64     // replicas that had the image, and those of them that were ready, at most
	since time.Time // when there were so many
	lost  time.Time // when the API server was last there; zero: it is
}

// watch follows a rollout to its end, or until its time is over, or until it is
// of no use any more.
func (d *delivery) watch(ctx context.Context, w *kube.Workload) (verdict, error) {
	x := &watching{delivery: d, w: w, since: time.Now()}
	begun := time.Now()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		v, err := x.round(ctx, begun, ticker.C)
		if err != nil || v.ended {
			return v, err
		}
	}
}

// round is one watch of the API server.
func (x *watching) round(ctx context.Context, begun time.Time, tick <-chan time.Time) (verdict, error) {
	if v := x.judge(ctx); v.ended {
		return v, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sights := make(chan sight)
	go func() {
		defer close(sights)
		send := func(s sight) bool {
			select {
			case sights <- s:
				return true
			case <-ctx.Done():
				return false
			}
		}
		err := x.kube.Watch(ctx, x.ref, x.w.Metadata.ResourceVersion, func(w *kube.Workload, deleted bool) bool { return send(sight{w: w, deleted: deleted}) })
		send(sight{err: err})
	}()
	for {
		select {
		case <-ctx.Done():
			return verdict{}, context.Cause(ctx)
		case <-tick:
			if v, err := x.late(ctx, begun); err != nil || v.ended {
				return v, err
			}
		case s := <-sights:
			switch {
			case s.w == nil:
				return x.again(ctx, s.err)
			case s.deleted:
				return failed("%s was deleted during the rollout.", x.ref), nil
			}
			x.lost = time.Time{}
			x.w = s.w
			if v := x.judge(ctx); v.ended {
				return v, nil
			}
		}
	}
}

// again reads the workload after a watch has ended, for the next one.
func (x *watching) again(ctx context.Context, err error) (verdict, error) {
	var away *awayError
	if err != nil && !errors.Is(err, kube.ErrGone) {
		v, err := x.away(err)
		if v.ended || err != nil && !errors.As(err, &away) {
			return v, err
		}
	}
	w, err := x.kube.Get(ctx, x.ref)
	if err == nil {
		x.w, x.lost = w, time.Time{}
		return verdict{}, nil
	}
	v, err := x.away(err)
	if v.ended || !errors.As(err, &away) {
		return v, err
	}
	if x.lost.IsZero() {
		x.lost = time.Now()
	}
	if time.Since(x.lost) > maxGone {
		return verdict{}, err // the queue goes on with it, later
	}
	select {
	case <-ctx.Done():
		return verdict{}, context.Cause(ctx)
	case <-time.After(pauseGet):
		return verdict{}, nil
	}
}

// judge looks at the workload as it is.
func (x *watching) judge(ctx context.Context) verdict {
	uses, _ := x.containers(x.w)
	if len(uses) == 0 || !x.there(x.w, uses) {
		return failed("It was superseded: the image or the annotation of %s was changed by somebody else during the rollout.", x.ref)
	}
	v := stands(x.ref.Kind, x.w)
	// What goes up and down, as pods do that crash, is no progress.
	if s := x.w.Status; s.ObservedGeneration >= x.w.Metadata.Generation && s.UpdatedReplicas+s.AvailableReplicas > x.best {
		x.best, x.since = s.UpdatedReplicas+s.AvailableReplicas, time.Now()
	}
	switch {
	case !v.ended:
		return v
	case v.ok:
		return done("%s has %s. %s", x.ref, x.images(uses), v.detail)
	}
	return x.broken(ctx, v.detail)
}

// images names what was set, for people.
func (x *watching) images(uses []use) string {
	text := uses[0].image + " (" + short(x.what.Digest) + ") in the container"
	if len(uses) > 1 {
		text += "s"
	}
	for i, u := range uses {
		if i > 0 {
			text += ","
		}
		text += " " + u.name
	}
	return text
}

func short(digest string) string {
	const n = len("sha256:") + 12
	return digest[:min(len(digest), n)]
}

// late ends a rollout that takes too long, or that a newer push made useless.
func (x *watching) late(ctx context.Context, begun time.Time) (verdict, error) {
	newer, err := x.job.Newer(ctx, x.t.db)
	if err != nil {
		return verdict{}, err
	}
	if newer {
		return failed("It was superseded by a newer push before the rollout had ended: %s.", stands(x.ref.Kind, x.w).detail), nil
	}
	limit := x.t.o.Deadline
	if p := x.w.Spec.ProgressDeadline; p != nil && *p > 0 && x.ref.Kind == "deployments" {
		limit = min(time.Duration(min(*p, int64(x.t.o.Longest/time.Second)))*time.Second+grace, x.t.o.Longest)
	}
	if time.Since(begun) <= x.t.o.Longest && time.Since(x.since) <= limit {
		return verdict{}, nil
	}
	// A watch may hang where its connection is dead: before the end it is asked.
	if w, err := x.kube.Get(ctx, x.ref); err == nil {
		x.w = w
		if v := x.judge(ctx); v.ended {
			return v, nil
		}
	}
	switch {
	case time.Since(begun) > x.t.o.Longest:
		return x.broken(ctx, fmt.Sprintf("It has not ended after %s, and is not watched any longer: %s.", x.t.o.Longest, stands(x.ref.Kind, x.w).detail)), nil
	case time.Since(x.since) > limit:
		return x.broken(ctx, fmt.Sprintf("There was no progress for %s: %s.", limit, stands(x.ref.Kind, x.w).detail)), nil
	}
	return verdict{}, nil
}

// broken is a rollout that failed, with the true reason in front.
func (x *watching) broken(ctx context.Context, detail string) verdict {
	if why := x.reason(ctx); why != "" {
		detail = why + " " + detail
	}
	return failed("%s did not roll out. %s", x.ref, detail)
}
