package registry

import (
	"context"
	"errors"
	"strconv"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
)

// What the package webhook needs to do the jobs of WebhookKind.

// A WebhookTarget is where deliveries go.
type WebhookTarget struct {
	URL      string
	Key      []byte // to sign with
	CA       string
	Enabled  bool
	Failures int64     // times that there was no answer, since there was one
	Resting  time.Time // until when nothing is to be sent; zero: something may be
}

// HookWork is what there is to do for a webhook.
type HookWork struct {
	To   WebhookTarget
	Due  []Delivery
	Next time.Time // where nothing is due: when something will be; zero: nothing waits
}

// A DeliveryAttempt is an attempt as it is written down.
type DeliveryAttempt struct {
	Delivery string // its id
	DeliveryResult
	State DeliveryState
	Next  time.Time // of one that waits
}

// onlySystem keeps people from what only jobs do.
func onlySystem(who iam.Caller) error {
	if !who.System() {
		return fault.New(fault.Denied, "Only the registry itself may do this.")
	}
	return nil
}

// HookWork reads what is due for a webhook, n deliveries at most.
// Errors: RuleUnknown where the webhook is gone; Denied.
func (r *Registry) HookWork(ctx context.Context, who iam.Caller, hook int64, n int) (HookWork, error) {
	if err := onlySystem(who); err != nil {
		return HookWork{}, err
	}
	type target struct {
		URL, CA           string
		Secret            []byte
		Enabled           bool
		Scope, Name       string
		Failures, Resting int64
	}
	type work struct {
		to   target
		due  []deliveryRow
		next *int64
	}
	v, err := db.View(ctx, r.db, func(tx *db.Tx) (v work, err error) {
		if v.to, err = db.One[target](tx.Context(), tx, `SELECT url, ca, secret, enabled, scope, name, failures, resting FROM webhook WHERE id = $1`, hook); err != nil {
			return v, err
		}
		if v.due, err = db.All[deliveryRow](tx.Context(), tx, `SELECT `+deliveryColumns+` FROM webhook_delivery d WHERE d.webhook = $1 AND d.state = 'waiting' AND d.next <= $2
			ORDER BY d.next LIMIT $3`, hook, tx.Micros(), n); err != nil || len(v.due) > 0 {
			return v, err
		}
		v.next, err = db.One[*int64](tx.Context(), tx, `SELECT min(next) FROM webhook_delivery WHERE webhook = $1 AND state = 'waiting'`, hook)
		return v, err
	})
	if errors.Is(err, db.ErrNone) {
		return HookWork{}, fault.New(fault.RuleUnknown, "There is no webhook %d.", hook)
	}
	if err != nil {
		return HookWork{}, err
	}
	key, err := r.iam.Unseal(sealedFor(v.to.Scope, v.to.Name), v.to.Secret)
	out := HookWork{To: WebhookTarget{v.to.URL, key, v.to.CA, v.to.Enabled, v.to.Failures, time.Time{}}}
	if v.to.Resting > 0 {
		out.To.Resting = fromMicros(v.to.Resting)
	}
	for _, d := range v.due {
		out.Due = append(out.Due, d.delivery())
	}
	if v.next != nil {
		out.Next = fromMicros(*v.next)
	}
	return out, err
}

// RecordAttempts writes down what came of some attempts, how often there was
// no answer before one came, and until when the receiver is left alone (zero:
// it is not). Errors: Denied, job.ErrLost.
func (r *Registry) RecordAttempts(ctx context.Context, who iam.Caller, j *job.Job, hook int64, list []DeliveryAttempt, failures int64, resting time.Time) error {
	if err := onlySystem(who); err != nil {
		return err
	}
	until := int64(0)
	if !resting.IsZero() {
		until = resting.UnixMicro()
	}
	return r.update(ctx, func(tx *db.Tx) error {
		if err := j.Hold(tx); err != nil {
			return err
		}
		// The row of the webhook comes first: whoever changes deliveries locks it.
		n, err := tx.Exec(`UPDATE webhook SET failures = $2, resting = $3 WHERE id = $1`, hook, failures, until)
		if err != nil || n == 0 {
			return err // it is gone, and its deliveries will be
		}
		over := int64(0)
		for _, a := range list {
			next := int64(0)
			if a.State == DeliveryWaiting {
				next = a.Next.UnixMicro()
			}
			n, err := tx.Exec(`UPDATE webhook_delivery SET state = $2, attempts = attempts + 1, next = $3, request = $4, status = $5, response = $6, error = $7, duration = $8, updated = $9
				WHERE id = $1 AND state = 'waiting'`, a.Delivery, string(a.State), next, a.Request, a.Status, a.Response, a.Error, a.Duration.Microseconds(), tx.Micros())
			if err != nil {
				return err
			}
			if a.State != DeliveryWaiting {
				over += n
			}
		}
		_, err = tx.Exec(`UPDATE webhook SET waiting = waiting - $2 WHERE id = $1`, hook, over)
		return err
	})
}

// How much of what was delivered is kept.
const (
	keepDeliveries = 1000 // of one webhook that are over
	keepFor        = 30 * 24 * time.Hour
)

// TrimDeliveries removes some of what is not kept of a webhook's deliveries, all
// of them where it is gone, and tells whether there may be more.
// Errors: Denied, job.ErrLost.
func (r *Registry) TrimDeliveries(ctx context.Context, who iam.Caller, j *job.Job, hook int64) (more bool, err error) {
	if err := onlySystem(who); err != nil {
		return false, err
	}
	const drop = `DELETE FROM webhook_delivery WHERE id IN (SELECT id FROM webhook_delivery WHERE webhook = $1 `
	return db.Update(ctx, r.db, func(tx *db.Tx) (bool, error) {
		if err := j.Hold(tx); err != nil {
			return false, err
		}
		there, err := exists(tx, `SELECT 1 FROM webhook WHERE id = $1`, hook)
		if err != nil {
			return false, err
		}
		if !there {
			n, err := tx.Exec(drop+`LIMIT $2)`, hook, rowsPerBatch)
			return n == rowsPerBatch, err
		}
		old, err := tx.Exec(drop+`AND state <> 'waiting' AND seq < $2 ORDER BY seq LIMIT $3)`, hook, tx.Micros()-keepFor.Microseconds(), rowsPerBatch)
		if err != nil {
			return false, err
		}
		surplus, err := tx.Exec(drop+`AND state <> 'waiting' ORDER BY seq DESC LIMIT $2 OFFSET $3)`, hook, rowsPerBatch, keepDeliveries)
		return old == rowsPerBatch || surplus == rowsPerBatch, err
	})
}

// EndDeliveries fails some of what waits for a webhook since before a moment,
// and tells whether there may be more. Errors: Denied, job.ErrLost.
func (r *Registry) EndDeliveries(ctx context.Context, who iam.Caller, j *job.Job, hook int64, before time.Time, why string) (more bool, err error) {
	if err := onlySystem(who); err != nil {
		return false, err
	}
	return db.Update(ctx, r.db, func(tx *db.Tx) (bool, error) {
		if err := j.Hold(tx); err != nil {
			return false, err
		}
		return endDeliveries(tx, hook, before.UnixMicro(), why)
	})
}

func endDeliveries(tx *db.Tx, hook, before int64, why string) (more bool, err error) {
	if lock := tx.ForUpdate(); lock != "" { // first, as everywhere
		if _, err := exists(tx, `SELECT 1 FROM webhook WHERE id = $1`+lock, hook); err != nil {
			return false, err
		}
	}
	n, err := tx.Exec(`UPDATE webhook_delivery SET state = 'failed', next = 0, updated = $2, error = $3
		WHERE id IN (SELECT id FROM webhook_delivery WHERE webhook = $1 AND state = 'waiting' AND created <= $5 ORDER BY next LIMIT $4)`,
		hook, tx.Micros(), why, rowsPerBatch, before)
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(`UPDATE webhook SET waiting = waiting - $2 WHERE id = $1`, hook, n)
	return n == rowsPerBatch, err
}

// HookChanged follows a job of WebhookKind that was cancelled: what waits fails.
// Of very much the rest has a job again.
func (r *Registry) HookChanged(tx *db.Tx, j *job.Job, s job.State) error {
	if s != job.Cancelled {
		return nil
	}
	hook, err := strconv.ParseInt(j.Key, 10, 64)
	if err != nil {
		return err
	}
	more, err := endDeliveries(tx, hook, tx.Micros(), "cancelled")
	if err != nil || !more {
		return err
	}
	return r.addHookJob(tx, j.Account, hook, j.About, tx.Micros())
}
