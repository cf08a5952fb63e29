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

// WebhookKind names the jobs that deliver, which the package webhook does. Their
// key is the delivery's id.
const WebhookKind = "webhook"

// A WebhookJob is the payload of such a job.
type WebhookJob struct {
	Delivery string `json:"delivery"`
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
	type hook struct {
		ID, Events    int64
		Name, Pattern string
	}
	hooks, err := db.All[hook](tx.Context(), tx, `SELECT id, events, name, pattern FROM webhook WHERE scope IN ($1, $2) AND enabled LIMIT $3`,
		"o"+strconv.FormatInt(e.Organization, 10), "r"+strconv.FormatInt(e.Repository, 10), 2*MaxWebhooks)
	if err != nil {
		return 0, err
	}
	for _, h := range hooks {
		if event.Kind(h.Events)&e.Kind == 0 || !hookWants(h.Pattern, e.Tag) {
			continue
		}
		if _, err := r.addDelivery(tx, h.ID, e.Kind.String(), eventTypes[e.Kind], h.Name, e); err != nil {
			return rows, err
		}
		rows += 2
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

// How much of what was delivered is kept.
const (
	keepDeliveries = 1000 // of one webhook that are over
	keepWaiting    = 2000 // with those that wait: beyond it the oldest are given up
	keepFor        = 30 * 24 * time.Hour
	dropAtOnce     = 20
)

// addDelivery stores an event for a webhook and queues it. Every attempt sends
// the same bytes.
func (r *Registry) addDelivery(tx *db.Tx, hook int64, kind, kindType, name string, e event.Event) (id string, err error) {
	id = "dlv_" + rand.Text()
	body, err := eventBody(id, kindType, e)
	if err != nil {
		return "", err
	}
	if _, err := tx.Exec(`INSERT INTO webhook_delivery (id, seq, webhook, kind, path, tag, body, state, attempts, next, request, status, response, error, duration, created, updated)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', 0, $8, '', 0, '', '', 0, $8, $8)`,
		id, e.Created, hook, kind, e.Path, e.Tag, body, tx.Micros()); err != nil {
		return "", err
	}
	const drop = `DELETE FROM webhook_delivery WHERE id IN (SELECT id FROM webhook_delivery WHERE webhook = $1 `
	for _, old := range []struct {
		which string
		arg   any
	}{
		{`AND state <> 'waiting' ORDER BY seq DESC LIMIT $2 OFFSET $3)`, keepDeliveries},
		{`ORDER BY seq DESC LIMIT $2 OFFSET $3)`, keepWaiting},
		{`AND seq < $3 ORDER BY seq LIMIT $2)`, tx.Micros() - keepFor.Microseconds()},
	} {
		if _, err := tx.Exec(drop+old.which, hook, dropAtOnce, old.arg); err != nil {
			return "", err
		}
	}
	_, err = r.jobs.Add(tx, deliveryJob(e.Account, e.Path, kind, name, id))
	return id, err
}

func deliveryJob(account, path, kind, name, id string) job.New {
	return job.New{Kind: WebhookKind, Account: account, Key: id, About: path + " " + kind + " to webhook " + name, Payload: WebhookJob{id}, Replace: true}
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
