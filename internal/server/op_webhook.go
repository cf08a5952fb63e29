package server

import (
	"context"
	"strings"
	"time"

	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// WebhookOf is the argument of operations on webhooks.
type WebhookOf struct {
	In       string `json:"in"` // an organization, or one of its repositories
	ID       int64  `json:"id"`
	Delivery string `json:"delivery"` // of Redeliver
	After    string `json:"after"`    // of ListDeliveries
}

func (w WebhookOf) place() (registry.HookPlace, error) {
	if !onRepository(w.In) {
		return registry.HookPlace{Org: w.In}, nil
	}
	name, err := oci.ParseName(w.In)
	return registry.HookPlace{Org: name.Organization(), Repo: name}, err
}

// Webhook is a webhook as the command shows it.
type Webhook struct {
	ID      int64     `json:"id"`
	Name    string    `json:"name"`
	URL     string    `json:"url"`
	Events  []string  `json:"events"`
	Pattern string    `json:"tag_pattern"`
	Enabled bool      `json:"enabled"`
	Creator string    `json:"creator"`
	Created time.Time `json:"created"`
	Waiting int64     `json:"waiting"`
	Dropped int64     `json:"dropped"`
	// Of a receiver that does not answer: how often, and until when it is left
	// alone (nil: it is not).
	Failures int64      `json:"failures"`
	Resting  *time.Time `json:"resting_until"`
}

// Delivery is an event on its way to a webhook.
type Delivery struct {
	ID       string     `json:"id"`
	Event    string     `json:"event"`
	Repo     string     `json:"repository"`
	Tag      string     `json:"tag"`
	State    string     `json:"state"` // waiting, delivered, failed
	Attempts int        `json:"attempts"`
	Next     *time.Time `json:"next_try"` // nil: none
	Status   int        `json:"status"`   // of the last answer; 0: there was none
	Error    string     `json:"error"`
	Created  time.Time  `json:"created"`
}

// ListWebhooks lists the webhooks of an organization or of a repository.
var ListWebhooks = Op[WebhookOf, []Webhook]{"webhook.list", func(ctx context.Context, c *core, in WebhookOf) ([]Webhook, error) {
	at, err := in.place()
	if err != nil {
		return nil, err
	}
	list, err := c.registry.Webhooks(ctx, iam.Operator(), at)
	out := make([]Webhook, len(list))
	for i, w := range list {
		out[i] = Webhook{w.ID, w.Name, w.URL, eventNames(w.Events), w.Pattern, w.Enabled, w.CreatorName, w.Created, w.Waiting, w.Dropped, w.Failures, nil}
		if time.Now().Before(w.Resting) {
			out[i].Resting = &list[i].Resting
		}
	}
	return out, err
}}

func eventNames(set event.Kind) []string { return strings.Split(set.String(), "+") }

// ListDeliveries pages through what was and is to be sent to a webhook, the
// newest first.
var ListDeliveries = Op[WebhookOf, Page[Delivery]]{"webhook.deliveries", func(ctx context.Context, c *core, in WebhookOf) (Page[Delivery], error) {
	at, err := in.place()
	if err != nil {
		return Page[Delivery]{}, err
	}
	list, next, err := c.registry.Deliveries(ctx, iam.Operator(), at, in.ID, in.After, pageSize)
	return pageOf(list, next != "", deliveryShown, func(registry.Delivery) string { return next }), err
}}

func deliveryShown(d registry.Delivery) Delivery {
	out := Delivery{d.ID, d.Kind, d.Path, d.Tag, string(d.State), d.Attempts, nil, d.Status, d.Error, d.Created}
	if d.State == registry.DeliveryWaiting {
		out.Next = &d.Next
	}
	return out
}

// Redeliver sends a delivery again.
var Redeliver = Op[WebhookOf, None]{"webhook.redeliver", func(ctx context.Context, c *core, in WebhookOf) (None, error) {
	at, err := in.place()
	if err != nil {
		return None{}, err
	}
	return None{}, c.registry.Redeliver(ctx, iam.Operator(), at, in.ID, in.Delivery)
}}
