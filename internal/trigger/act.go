package trigger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/kube"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// A delivery is one push on its way into one workload.
type delivery struct {
	t     *Triggers
	job   *job.Job
	what  registry.TriggerJob
	rule  registry.Trigger
	repo  oci.Name
	kube  *kube.Client
	ref   kube.Ref
	begun time.Time
}

// A verdict is how a delivery ends. The zero value is none yet.
type verdict struct {
	ended  bool
	ok     bool
	detail string
}

func done(format string, args ...any) verdict {
	return verdict{ended: true, ok: true, detail: fmt.Sprintf(format, args...)}
}

func failed(format string, args ...any) verdict {
	return verdict{ended: true, detail: fmt.Sprintf(format, args...)}
}

// run does one job: it brings the image into the workload and watches the
// rollout. An error is for the queue, which tries again: the cluster was not to
// be reached. Everything else ends the delivery with a result.
func (t *Triggers) run(ctx context.Context, j *job.Job) error {
	d := &delivery{t: t, job: j, begun: time.Now()}
	if err := j.Decode(&d.what); err != nil {
		return job.Permanent(err)
	}
	var account string
	var err error
	d.rule, d.repo, account, err = t.reg.TriggerByID(ctx, iam.System("trigger"), d.what.Trigger)
	switch {
	case fault.Is(err, fault.RuleUnknown):
		return nil
	case err != nil:
		return err
	case !d.rule.Enabled && !d.what.Asked:
		return nil
	}
	d.ref = kube.Ref{Kind: string(d.rule.Workload), Namespace: d.rule.Namespace, Name: d.rule.Application}
	v, err := d.inCluster(ctx, account)
	if err != nil {
		return err
	}
	return d.finish(ctx, v)
}

// inCluster finds the cluster and acts in it, and keeps what went wrong beside
// the cluster as well.
func (d *delivery) inCluster(ctx context.Context, account string) (verdict, error) {
	key, err := registry.FindCluster(ctx, d.t.db, account, d.rule, "")
	var f *fault.Error
	if errors.As(err, &f) && f.Code == fault.Invalid {
		return failed("The cluster of the trigger is gone. %s", f.Msg), nil
	}
	if err != nil {
		return verdict{}, err
	}
	// The trigger may be older than what the cluster is for now.
	if !key.Has(d.rule.Namespace) {
		return failed("The cluster %s is not registered for the namespace %s any more.", key.Name, d.rule.Namespace), nil
	}
	c, err := clusterByID(ctx, d.t.db, account, key.ID, "")
	if err != nil {
		return verdict{}, err
	}
	a, err := d.t.unseal(c)
	if err != nil {
		return verdict{}, err
	}
	if d.kube, err = kube.New(a, d.t.o.Dialer); err != nil {
		return verdict{}, err
	}
	defer d.kube.Close()
	v, err := d.act(ctx)
	if ctx.Err() == nil {
		var away *awayError
		if errors.As(err, &away) {
			d.t.note(ctx, c, away.Error())
		} else if err == nil {
			d.t.note(ctx, c, "")
		}
	}
	return v, err
}

// note keeps how the last use of a cluster went.
func (t *Triggers) note(ctx context.Context, c clusterRow, problem string) {
	if c.Error == problem {
		return
	}
	if err := t.update(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE cluster SET error = $3, checked = $4 WHERE account = $1 AND id = $2`, c.Account, c.ID, problem, tx.Micros())
		return err
	}); err != nil {
		t.log.WarnContext(ctx, "the state of a cluster was not written down", "cluster", c.ID, "err", err)
	}
}

// An awayError is a cluster that may be there later.
type awayError struct{ error }

func (e *awayError) Unwrap() error { return e.error }

// away sorts an error of the API server: into one to try again for, or into the
// end of the delivery.
func (d *delivery) away(err error) (verdict, error) {
	var s *kube.StatusError
	var c *kube.ConnectError
	switch {
	case errors.As(err, &s) && s.Temporary():
		return verdict{}, &awayError{errors.New(sentence(err))}
	case errors.As(err, &s) && s.Code == 404:
		return failed("There is no %s.", d.ref), nil
	case errors.As(err, &s) && s.Code == 403:
		return failed("Denied: %s.", cmp.Or(s.Message, "the credentials of the cluster do not allow it")), nil
	case errors.As(err, &s):
		return failed("%s", sentence(err)), nil
	case errors.As(err, &c) && c.Part == kube.PartRefused:
		return failed("%s", sentence(err)), nil
	case errors.As(err, &c):
		return verdict{}, &awayError{errors.New(sentence(err))}
	}
	return verdict{}, err
}

// act changes the workload where it is not changed yet, and watches it.
func (d *delivery) act(ctx context.Context) (verdict, error) {
	w, v, err := d.change(ctx)
	if err != nil || v.ended {
		return v, err
	}
	return d.watch(ctx, w)
}

// conflicts is how often somebody else may be faster with a change.
const conflicts = 8

// change puts the image into the template of the workload's pods. One that has
// it already, because this is not the first attempt, stays as it is.
func (d *delivery) change(ctx context.Context) (*kube.Workload, verdict, error) {
	for range conflicts {
		w, err := d.kube.Get(ctx, d.ref)
		if err != nil {
			v, err := d.away(err)
			return nil, v, err
		}
		uses, problem := d.containers(w)
		if problem != "" {
			return nil, failed("%s", problem), nil
		}
		if d.there(w, uses) {
			if d.job.Attempts > 1 {
				d.begun = d.job.Created // the change was made by an attempt before this one
			}
			return w, verdict{}, nil
		}
		// Whoever is not the one any more who does this changes nothing.
		if err := d.t.update(ctx, d.job.Hold); err != nil {
			return nil, verdict{}, err
		}
		w, err = d.kube.Patch(ctx, d.ref, d.patch(w, uses))
		if kube.IsCode(err, 409) {
			continue
		}
		if err != nil {
			v, err := d.away(err)
			return nil, v, err
		}
		return w, verdict{}, nil
	}
	return nil, verdict{}, &awayError{fmt.Errorf("%s changes all the time: somebody else was faster %d times", d.ref, conflicts)}
}

// finish writes down how it ended, together with the end of the job.
func (d *delivery) finish(ctx context.Context, v verdict) error {
	o := registry.TriggerOutcome{Job: d.what, OK: v.ok, Detail: v.detail, Attempts: d.job.Attempts, Duration: time.Since(d.begun)}
	return d.t.update(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if err := d.t.reg.FinishTrigger(tx, o); err != nil {
			return err
		}
		return d.job.Done(tx)
	})
}

// changed writes down the end of what was given up or cancelled; what is tried once
// more after that will have another.
func (t *Triggers) changed(tx *db.Tx, j *job.Job, s job.State) error {
	var what registry.TriggerJob
	if err := j.Decode(&what); err != nil {
		return nil // it names nothing that could have a result
	}
	if s == job.Waiting {
		return t.reg.RetryTrigger(tx, what)
	}
	if s != job.Dead && s != job.Cancelled {
		return nil
	}
	detail := "It was cancelled."
	if s == job.Dead {
		detail = fmt.Sprintf("It was given up after %d attempts. %s", j.Attempts, j.Error)
	}
	return t.reg.FinishTrigger(tx, registry.TriggerOutcome{Job: what, Detail: detail, Attempts: j.Attempts, Duration: tx.Now().Sub(j.Created)})
}
