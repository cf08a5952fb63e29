package webhook

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/registry"
)

// deliver sends what is due for a webhook, for a while. One job works on a
// webhook at a time, so that a receiver that hangs holds up nobody else's.
func (s *Sender) deliver(ctx context.Context, j *job.Job) error {
	var of registry.WebhookJob
	if err := j.Decode(&of); err != nil {
		return job.Permanent(err)
	}
	for end := time.Now().Add(turn); ; {
		w, err := s.reg.HookWork(ctx, me, of.Webhook, batch)
		if fault.Is(err, fault.RuleUnknown) {
			return s.trim(ctx, j, of.Webhook)
		}
		if err != nil {
			return err
		}
		if !w.To.Enabled {
			err := each(func() (bool, error) {
				return s.reg.EndDeliveries(ctx, me, j, of.Webhook, time.Now(), "The webhook is switched off.")
			})
			if err != nil {
				return err
			}
			return s.trim(ctx, j, of.Webhook)
		}
		if left := time.Until(w.To.Resting); left > 0 {
			return job.Snooze(left, "the receiver is left alone for a while")
		}
		if len(w.Due) == 0 {
			if err := s.trim(ctx, j, of.Webhook); err != nil || w.Next.IsZero() {
				return err
			}
			return job.Snooze(max(time.Until(w.Next), 0), "what failed is sent again")
		}
		if err := s.some(ctx, j, of.Webhook, w); err != nil {
			return err
		}
		if time.Now().After(end) {
			return job.Snooze(0, "others have their turn")
		}
	}
}

// trim removes what is not kept.
func (s *Sender) trim(ctx context.Context, j *job.Job, hook int64) error {
	return each(func() (bool, error) { return s.reg.TrimDeliveries(ctx, me, j, hook) })
}

// each repeats a step until there is no more to do.
func each(step func() (more bool, err error)) error {
	for {
		if more, err := step(); err != nil || !more {
			return err
		}
	}
}

// some sends deliveries and writes down what came of it.
func (s *Sender) some(ctx context.Context, j *job.Job, hook int64, w registry.HookWork) error {
	if w.To.Failures > 0 {
		w.Due = w.Due[:1] // to see whether there is an answer again
	}
	list, ask := s.attempt(ctx, w)
	if len(list) == 0 {
		return ctx.Err()
	}
	failures := w.To.Failures + 1
	for _, a := range list {
		if a.Status != 0 {
			failures = 0
		}
	}
	rest := ask
	if failures > 0 {
		rest = max(rest, min(s.o.Pause(int(min(failures, 100))), longRest))
	}
	until := time.Time{}
	if rest > 0 {
		until = time.Now().Add(rest)
	}
	// What was sent is written down also where the process ends.
	const quick = 5 * time.Second
	written, cancel := context.WithTimeout(context.WithoutCancel(ctx), quick)
	defer cancel()
	if err := s.reg.RecordAttempts(written, me, j, hook, list, failures, until); err != nil || failures == 0 {
		return err
	}
	// The others do not wait for their turn to be too old.
	return each(func() (bool, error) {
		return s.reg.EndDeliveries(ctx, me, j, hook, time.Now().Add(-s.o.GiveUp), fmt.Sprintf("Given up after %s, in which the receiver did not answer.", s.o.GiveUp))
	})
}

// attempt sends deliveries, some at once, until one is not answered. It returns
// those that were tried, and for how long the receiver asks to be left alone.
func (s *Sender) attempt(ctx context.Context, w registry.HookWork) (list []registry.DeliveryAttempt, ask time.Duration) {
	var (
		mu     sync.Mutex
		silent atomic.Bool
		work   sync.WaitGroup
	)
	room := make(chan struct{}, together)
	for _, d := range w.Due {
		room <- struct{}{}
		if silent.Load() || ctx.Err() != nil {
			break
		}
		work.Go(func() {
			defer func() { <-room }()
			a, again := s.once(ctx, d, w.To)
			if ctx.Err() != nil && a.Status == 0 {
				return // the process ends: it was no attempt
			}
			if a.Status == 0 {
				silent.Store(true)
			}
			mu.Lock()
			defer mu.Unlock()
			list, ask = append(list, a), max(ask, again)
		})
	}
	work.Wait()
	return list, ask
}

// once makes one attempt. ask is how long the receiver wants to be left alone.
func (s *Sender) once(ctx context.Context, d registry.Delivery, to registry.WebhookTarget) (a registry.DeliveryAttempt, ask time.Duration) {
	a = registry.DeliveryAttempt{Delivery: d.ID, State: registry.DeliveryFailed}
	a.DeliveryResult, ask = s.send(ctx, d, to)
	switch now := time.Now(); {
	case a.Error == "":
		a.State = registry.Delivered
	case a.Status == http.StatusGone:
	case now.Sub(d.Created) >= s.o.GiveUp:
		a.Error = "Given up after " + s.o.GiveUp.String() + ": " + a.Error
	default:
		a.State, a.Next = registry.DeliveryWaiting, now.Add(max(ask, s.o.Pause(d.Attempts+1)))
	}
	return a, ask
}
