package mirror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/registry"
)

// copyTag is the work of a job of the kind sync.
func (m *Mirror) copyTag(ctx context.Context, j *job.Job) error {
	w, err := m.reg.BeginSync(ctx, me, j)
	if errors.Is(err, registry.ErrSyncOver) {
		return nil
	}
	if err != nil {
		return err
	}
	t, err := m.target(ctx, w.Region)
	if fault.Is(err, fault.RuleUnknown) {
		return m.reg.EndSync(ctx, me, j, registry.SyncFailed, "The region is not registered any more.", "")
	}
	if err != nil {
		return err
	}
	if pause, why := t.away(); pause > 0 {
		if err := m.reg.RetrySync(ctx, me, j, why); err != nil {
			return err
		}
		return job.Snooze(pause+time.Duration(j.ID%1000)*time.Millisecond, "the region "+w.Region+" is left alone: "+why)
	}
	if err := t.answers(ctx); err != nil {
		return m.failed(ctx, j, w, t, err)
	}
	o, err := m.copier(t, w.Repo, w.Organization, w.Override).tag(ctx, w.Tag)
	if err == nil {
		t.reached(nil)
		return m.reg.EndSync(ctx, me, j, o.status, o.detail, string(o.digest))
	}
	return m.failed(ctx, j, w, t, err)
}

// failed decides what follows a failure: to try again, or not.
func (m *Mirror) failed(ctx context.Context, j *job.Job, w registry.SyncWork, t *target, err error) error {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return err // the process ends, or the job is not ours any more
	}
	if fault.Is(err, fault.ManifestUnknown) || fault.Is(err, fault.RepoUnknown) {
		return m.reg.EndSync(ctx, me, j, registry.SyncCancelled, "The tag is not there any more.", "")
	}
	ctx = context.WithoutCancel(ctx) // the attempt may have taken all of its time
	r, refused := refusalOf(err)
	if refused {
		t.reached(nil)
		// What somebody asked for by hand is told at once; for a rule, a login or
		// an organization may be put right within days.
		if final(r.status) || w.Rule == 0 && r.status < 500 && r.status != http.StatusTooManyRequests {
			return m.reg.EndSync(ctx, me, j, registry.SyncFailed, reason(err), "")
		}
	} else if unreachable(err) {
		t.reached(err)
	}
	why := "Something failed on this side."
	if isRemote(err) {
		why = reason(err)
		err = fmt.Errorf("mirror: the region %s: %s", w.Region, why) // its own text names addresses that an upload goes on at
	}
	if e := m.reg.RetrySync(ctx, me, j, why); e != nil {
		return e
	}
	return err
}

// final reports an answer that another attempt gets as well.
func final(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnsupportedMediaType || status == http.StatusMethodNotAllowed
}

// unreachable tells a failure of the way to the other side from one of ours.
func unreachable(err error) bool {
	var u *url.Error
	return errors.As(err, &u) && !errors.Is(err, context.Canceled)
}

// isRemote tells what the other side, or the way there, is to blame for from
// what is ours.
func isRemote(err error) bool {
	_, refused := refusalOf(err)
	return refused || unreachable(err)
}
