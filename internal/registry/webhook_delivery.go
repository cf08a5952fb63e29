package registry

import (
	"context"
	"strconv"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// A Delivery is one event on its way to one webhook.
type Delivery struct {
	ID       string // what the receiver sees, the same in every attempt
	Webhook  int64
	Kind     string // of the event, or ping
	Path     string // of the repository
	Tag      string
	Body     string
	State    DeliveryState
	Attempts int
	Next     time.Time // of one that waits
	DeliveryResult
	Created time.Time
	Updated time.Time
}

// A DeliveryState is how far a delivery is.
type DeliveryState string

// The states.
const (
	DeliveryWaiting DeliveryState = "waiting"
	Delivered       DeliveryState = "delivered"
	DeliveryFailed  DeliveryState = "failed"
)

// A DeliveryResult is what came of the last attempt.
type DeliveryResult struct {
	Request  string // headers, JSON object; empty: there was no attempt yet
	Response string // headers and the beginning of the body, JSON object; empty: there was no answer
	Status   int    // of the answer; 0: there was none
	Error    string // why it failed; empty: it did not
	Duration time.Duration
}

type deliveryRow struct {
	ID                    string
	Seq, Webhook          int64
	Kind, Path, Tag, Body string
	State                 string
	Attempts, Next        int64
	Request               string
	Status                int64
	Response, Error       string
	Duration              int64
	Created, Updated      int64
}

const deliveryColumns = `d.id, d.seq, d.webhook, d.kind, d.path, d.tag, d.body, d.state, d.attempts, d.next, d.request, d.status, d.response, d.error, d.duration, d.created, d.updated`

// listedColumns leave out what of a thousand deliveries would be tens of megabytes.
const listedColumns = `d.id, d.seq, d.webhook, d.kind, d.path, d.tag, '' AS body, d.state, d.attempts, d.next, '' AS request, d.status, '' AS response, d.error, d.duration, d.created, d.updated`

func (d deliveryRow) delivery() Delivery {
	if d.Next == onRequest {
		d.Next = d.Updated
	}
	return Delivery{ID: d.ID, Webhook: d.Webhook, Kind: d.Kind, Path: d.Path, Tag: d.Tag, Body: d.Body, State: DeliveryState(d.State), Attempts: int(d.Attempts), Next: fromMicros(d.Next),
		DeliveryResult: DeliveryResult{d.Request, d.Response, int(d.Status), d.Error, time.Duration(d.Duration) * time.Microsecond}, Created: fromMicros(d.Created), Updated: fromMicros(d.Updated)}
}

func deliveryUnknown(id string) error {
	return fault.New(fault.RuleUnknown, "The webhook has no delivery %s.", shown(id))
}

// Deliveries lists what was and is to be sent to a webhook, the newest first,
// without the texts of both sides, behind a marker ("": from the newest), and the marker of the next page, ""
// where there is none. Errors: PageInvalid, RuleUnknown, OrgUnknown,
// RepoUnknown, Denied, Unauthorized.
func (r *Registry) Deliveries(ctx context.Context, who iam.Caller, p HookPlace, webhook int64, marker string, n int) (list []Delivery, next string, err error) {
	if _, err := r.Webhook(ctx, who, p, webhook); err != nil {
		return nil, "", err
	}
	seq, id := int64(1<<62), ""
	if marker != "" {
		var ok bool
		var text string
		if text, id, ok = strings.Cut(marker, "."); ok {
			seq, err = strconv.ParseInt(text, 10, 64)
		}
		if !ok || err != nil || !isLine(id, maxRuleName) {
			return nil, "", fault.New(fault.PageInvalid, "marker is the next_marker of a page.")
		}
	}
	n = min(max(n, 1), keepDeliveries)
	rows, err := db.All[deliveryRow](ctx, r.db, `SELECT `+listedColumns+` FROM webhook_delivery d WHERE d.webhook = $1 AND (d.seq, d.id) < ($2, $3)
		ORDER BY d.seq DESC, d.id DESC LIMIT $4`, webhook, seq, id, n+1)
	if err != nil {
		return nil, "", err
	}
	for _, d := range rows[:min(len(rows), n)] {
		list = append(list, d.delivery())
	}
	if len(rows) > n {
		next = strconv.FormatInt(rows[n-1].Seq, 10) + "." + rows[n-1].ID
	}
	return list, next, nil
}

// Delivery shows one delivery with what was sent and answered.
// Errors: RuleUnknown, OrgUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) Delivery(ctx context.Context, who iam.Caller, p HookPlace, webhook int64, id string) (Delivery, error) {
	if _, err := r.Webhook(ctx, who, p, webhook); err != nil {
		return Delivery{}, err
	}
	if !isLine(id, maxRuleName) {
		return Delivery{}, deliveryUnknown(id)
	}
	d, err := ruleOf[deliveryRow](ctx, r.db, deliveryUnknown(id), `SELECT `+deliveryColumns+` FROM webhook_delivery d WHERE d.id = $1 AND d.webhook = $2`, id, webhook)
	return d.delivery(), err
}

// Redeliver sends a delivery again, with the same id and the same bytes.
// Errors: RuleUnknown, OrgUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) Redeliver(ctx context.Context, who iam.Caller, p HookPlace, webhook int64, id string) error {
	return r.update(ctx, func(tx *db.Tx) error {
		return r.onHooks(tx, who, p, iam.UpdateWebhook, strconv.FormatInt(webhook, 10)+" delivery "+id, func(s hookScope) error {
			if !isLine(id, maxRuleName) {
				return deliveryUnknown(id)
			}
			name, err := ruleOf[string](tx.Context(), tx, hookUnknown(p, webhook), `SELECT name FROM webhook WHERE id = $1 AND scope = $2`+tx.ForUpdate(), webhook, s.key)
			if err != nil {
				return err
			}
			before, err := ruleOf[string](tx.Context(), tx, deliveryUnknown(id), `SELECT state FROM webhook_delivery WHERE id = $1 AND webhook = $2`+tx.ForUpdate(), id, webhook)
			if err != nil {
				return err
			}
			more := 1
			if DeliveryState(before) == DeliveryWaiting {
				more = 0
			}
			// Who asks for it may know that the receiver answers again.
			if _, err := tx.Exec(`UPDATE webhook SET waiting = waiting + $2, failures = 0, resting = 0 WHERE id = $1`, webhook, more); err != nil {
				return err
			}
			// The days for which it is tried begin anew.
			if _, err := tx.Exec(`UPDATE webhook_delivery SET state = 'waiting', attempts = 0, next = $2, created = $3, updated = $3 WHERE id = $1`, id, onRequest, tx.Micros()); err != nil {
				return err
			}
			return r.addHookJob(tx, s.account, webhook, p.about(name), tx.Micros())
		})
	})
}

// TestWebhook sends an event of the kind ping to a webhook, and returns the
// delivery's id. Errors: RuleUnknown, OrgUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) TestWebhook(ctx context.Context, who iam.Caller, p HookPlace, webhook int64) (string, error) {
	return db.Update(ctx, r.db, func(tx *db.Tx) (id string, err error) {
		err = r.onHooks(tx, who, p, iam.UpdateWebhook, strconv.FormatInt(webhook, 10)+" test", func(s hookScope) error {
			name, err := ruleOf[string](tx.Context(), tx, hookUnknown(p, webhook), `UPDATE webhook SET failures = 0, resting = 0 WHERE id = $1 AND scope = $2 RETURNING name`, webhook, s.key)
			if err != nil {
				return err
			}
			path := p.Org
			if p.Repo != "" {
				path = string(p.Repo)
			}
			id, err = r.addDelivery(tx, webhook, pingKind, pingType, p.about(name), event.Event{Account: s.account, Path: path, Actor: who.String(), Created: tx.Micros()})
			return err
		})
		return id, err
	})
}
