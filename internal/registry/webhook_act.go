package registry

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
)

// WebhookKind names the jobs that deliver, which the package webhook does. Each
// works on all that waits for one webhook; its key is the webhook's id.
const WebhookKind = "webhook"

// A WebhookJob is the payload of such a job.
type WebhookJob struct {
	Webhook int64 `json:"webhook"`
}

// The types of events as CloudEvents name them.
var eventTypes = map[event.Kind]string{
	event.Push:      "dev.berth.image.pushed",
	event.Delete:    "dev.berth.image.deleted",
	event.Pull:      "dev.berth.image.pulled",
	event.Retention: "dev.berth.retention.ran",
	event.Sync:      "dev.berth.sync.finished",
	event.Trigger:   "dev.berth.trigger.finished",
}

// pingKind and pingType are those of an event that only tests a webhook.
const (
	pingKind = "ping"
	pingType = "dev.berth.ping"
)

// cloudEvent is an event as receivers read it (CloudEvents 1.0, structured
// mode in JSON).
type cloudEvent struct {
	SpecVersion     string         `json:"specversion"`
	ID              string         `json:"id"`
	Source          string         `json:"source"`
	Type            string         `json:"type"`
	Subject         string         `json:"subject,omitempty"`
	Time            string         `json:"time"`
	DataContentType string         `json:"datacontenttype"`
	Data            map[string]any `json:"data"`
}

// expandWebhooks makes a delivery for each webhook of the repository and of its
// organization that waits for the event.
func expandWebhooks(r *Registry, tx *db.Tx, e event.Event) (rows int, err error) {
	org, repo := "o"+strconv.FormatInt(e.Organization, 10), "r"+strconv.FormatInt(e.Repository, 10)
	type hook struct {
		ID, Events           int64
		Name, Pattern, Scope string
	}
	hooks, err := db.All[hook](tx.Context(), tx, `SELECT id, events, name, pattern, scope FROM webhook WHERE scope IN ($1, $2) AND enabled ORDER BY id LIMIT $3`,
		org, repo, 2*MaxWebhooks)
	if err != nil {
		return 0, err
	}
	for _, h := range hooks {
		if event.Kind(h.Events)&e.Kind == 0 || !hookWants(h.Pattern, e.Tag) {
			continue
		}
		place := HookPlace{Org: oci.Name(e.Path).Organization()}
		if h.Scope == repo {
			place.Repo = oci.Name(e.Path)
		}
		if _, err := r.addDelivery(tx, h.ID, e.Kind.String(), eventTypes[e.Kind], place.about(h.Name), e); err != nil {
			return rows, err
		}
		rows += 3
	}
	return rows, nil
}

// hookWants tells whether a webhook with a pattern is meant by a tag. An event
// without a tag is for those without a pattern.
func hookWants(pattern, tag string) bool {
	if pattern == "" {
		return true
	}
	re, err := oci.ParsePattern(pattern)
	return err == nil && tag != "" && re.MatchString(tag)
}

// onRequest is the time at which a delivery is due that somebody asked for: it
// comes before all that are due by events.
const onRequest = 1

// addDelivery stores an event for a webhook and queues it. Every attempt sends
// the same bytes. about names the webhook for people.
func (r *Registry) addDelivery(tx *db.Tx, hook int64, kind, kindType, about string, e event.Event) (id string, err error) {
	id = "dlv_" + rand.Text()
	body, err := eventBody(id, kindType, e)
	if err != nil {
		return "", err
	}
	type state struct{ Waiting, Resting int64 }
	now, err := db.One[state](tx.Context(), tx, `UPDATE webhook SET waiting = waiting + 1 WHERE id = $1 RETURNING waiting, resting`, hook)
	if err != nil {
		return "", err
	}
	due, next := max(now.Resting, tx.Micros()), tx.Micros()
	if kind == pingKind {
		due, next = tx.Micros(), onRequest
	}
	if _, err := tx.Exec(`INSERT INTO webhook_delivery (id, seq, webhook, kind, path, tag, body, state, attempts, next, request, status, response, error, duration, created, updated)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', 0, $8, '', 0, '', '', 0, $9, $9)`,
		id, e.Created, hook, kind, e.Path, e.Tag, body, next, tx.Micros()); err != nil {
		return "", err
	}
	if over := now.Waiting - int64(r.o.MaxDeliveries); over > 0 {
		if err := dropOldest(tx, hook, over); err != nil {
			return "", err
		}
	}
	return id, r.addHookJob(tx, e.Account, hook, about, due)
}

// dropOldest gives up deliveries that wait, of those that are due the longest.
func dropOldest(tx *db.Tx, hook, n int64) error {
	const atOnce = 20
	gone, err := tx.Exec(`DELETE FROM webhook_delivery WHERE id IN (SELECT id FROM webhook_delivery WHERE webhook = $1 AND state = 'waiting' AND next > $2
		ORDER BY next LIMIT $3)`, hook, onRequest, min(n, atOnce))
	if err != nil || gone == 0 {
		return err
	}
	_, err = tx.Exec(`UPDATE webhook SET waiting = waiting - $2, dropped = dropped + $2 WHERE id = $1`, hook, gone)
	return err
}

// addHookJob has the deliveries of a webhook looked at, not later than due.
func (r *Registry) addHookJob(tx *db.Tx, account string, hook int64, about string, due int64) error {
	_, err := r.jobs.Add(tx, job.New{Kind: WebhookKind, Account: account, Key: strconv.FormatInt(hook, 10), About: about, Payload: WebhookJob{hook},
		Due: fromMicros(due), Replace: true, Sooner: true})
	return err
}

// eventBody is what is sent.
func eventBody(id, kindType string, e event.Event) (string, error) {
	data := map[string]any{}
	if e.Detail != "" {
		if err := json.Unmarshal([]byte(e.Detail), &data); err != nil {
			return "", fmt.Errorf("registry: the detail of the event %d: %w", e.ID, err)
		}
	}
	org, repo, _ := strings.Cut(e.Path, "/")
	maps.Copy(data, map[string]any{"organization": org, "repository": repo, "tag": e.Tag, "digest": e.Digest, "actor": e.Actor})
	subject := e.Tag
	if subject == "" {
		subject = e.Digest
	}
	text, err := json.Marshal(cloudEvent{SpecVersion: "1.0", ID: id, Source: "/" + e.Path, Type: kindType, Subject: subject,
		Time: fromMicros(e.Created).Format(time.RFC3339Nano), DataContentType: "application/json", Data: data})
	return string(text), err
}
