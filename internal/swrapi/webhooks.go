package swrapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

// Webhooks are Berth's own: those of the cloud service are of another edition.

// webhookRoutes are the same operations for an organization and for one of its
// repositories.
func webhookRoutes() (all []route) {
	for _, of := range []struct{ name, base string }{
		{"Namespace", "/v2/manage/namespaces/{namespace}/webhooks"},
		{"Repo", "/v2/manage/namespaces/{namespace}/repos/{repository}/webhooks"},
	} {
		one := of.base + "/{webhook_id}"
		delivery := one + "/deliveries/{delivery_id}"
		all = append(all, []route{
			{method: http.MethodPost, pattern: of.base, name: "Create" + of.name + "Webhook", do: iam.CreateWebhook, handle: (*API).createWebhook},
			{method: http.MethodGet, pattern: of.base, name: "List" + of.name + "Webhooks", do: iam.ListWebhooks, handle: (*API).listWebhooks},
			{method: http.MethodGet, pattern: one, name: "Show" + of.name + "Webhook", do: iam.ShowWebhook, handle: (*API).showWebhook},
			{method: http.MethodPatch, pattern: one, name: "Update" + of.name + "Webhook", do: iam.UpdateWebhook, handle: (*API).updateWebhook},
			{method: http.MethodDelete, pattern: one, name: "Delete" + of.name + "Webhook", do: iam.DeleteWebhook, handle: (*API).deleteWebhook},
			{method: http.MethodPost, pattern: one + "/test", name: "Test" + of.name + "Webhook", do: iam.UpdateWebhook, handle: (*API).testWebhook},
			{method: http.MethodGet, pattern: one + "/deliveries", name: "List" + of.name + "WebhookDeliveries", do: iam.ShowWebhook, handle: (*API).listDeliveries},
			{method: http.MethodGet, pattern: delivery, name: "Show" + of.name + "WebhookDelivery", do: iam.ShowWebhook, handle: (*API).showDelivery},
			{method: http.MethodPost, pattern: delivery + "/redeliver", name: "Redeliver" + of.name + "Webhook", do: iam.UpdateWebhook, handle: (*API).redeliver},
		}...)
	}
	return all
}

// webhookItem is a webhook as it is shown. The secret is told once.
type webhookItem struct {
	ID          int64    `json:"id"`
	Name        string   `json:"name"`
	URL         string   `json:"url"`
	Events      []string `json:"events"`
	TagPattern  string   `json:"tag_pattern"`
	CA          string   `json:"ca"`
	Enabled     bool     `json:"enabled"`
	CreatorName string   `json:"creator_name"`
	Created     stamp    `json:"created"`
	Updated     stamp    `json:"updated"`
	Waiting     int64    `json:"waiting"`
	Dropped     int64    `json:"dropped"`
	Failures    int64    `json:"failures"`
	Resting     *stamp   `json:"resting_until"`
	Secret      string   `json:"secret,omitempty"`
}

func webhookOf(w registry.Webhook) webhookItem {
	out := webhookItem{ID: w.ID, Name: w.Name, URL: w.URL, Events: kindNames(w.Events), TagPattern: w.Pattern, CA: w.CA, Enabled: w.Enabled,
		CreatorName: w.CreatorName, Created: stamp(w.Created), Updated: stamp(w.Updated),
		Waiting: w.Waiting, Dropped: w.Dropped, Failures: w.Failures}
	if time.Now().Before(w.Resting) {
		until := stamp(w.Resting)
		out.Resting = &until
	}
	return out
}

func kindNames(set event.Kind) []string {
	names := []string{}
	for k := event.Push; k <= event.All; k <<= 1 {
		if set&k != 0 {
			names = append(names, k.String())
		}
	}
	return names
}

func kindSet(names []string) (set event.Kind, err error) {
	for _, name := range names {
		k, ok := event.ParseKind(name)
		if !ok {
			return 0, fault.New(fault.Invalid, "events names one or more of push, delete, pull, retention, sync and trigger.")
		}
		set |= k
	}
	return set, nil
}

// place is what the webhooks of the request belong to.
func (c *call) place() registry.HookPlace { return registry.HookPlace{Org: c.org, Repo: c.repo} }

// webhookID reads the id in the path. What is no id is that of no webhook.
func (c *call) webhookID() (int64, error) {
	id, err := strconv.ParseUint(c.path["webhook_id"], 10, 63)
	if err != nil {
		return 0, fault.New(fault.RuleUnknown, "The %s has no such webhook.", c.place())
	}
	return int64(id), nil
}

// givenWebhook is a body; what is missing stays as it is.
type givenWebhook struct {
	Name       string    `json:"name"`
	URL        *string   `json:"url"`
	Events     *[]string `json:"events"`
	TagPattern *string   `json:"tag_pattern"`
	CA         *string   `json:"ca"`
	Enabled    *bool     `json:"enabled"`
	Secret     *string   `json:"secret"`
}

func (a *API) createWebhook(c *call) error {
	var in givenWebhook
	if err := c.decode(&in); err != nil {
		return err
	}
	switch {
	case in.URL == nil:
		return missing("url")
	case in.Events == nil:
		return missing("events")
	}
	w := registry.Webhook{Name: in.Name, URL: *in.URL, Enabled: in.Enabled == nil || *in.Enabled}
	var err error
	if w.Events, err = kindSet(*in.Events); err != nil {
		return err
	}
	if in.TagPattern != nil {
		w.Pattern = *in.TagPattern
	}
	if in.CA != nil {
		w.CA = *in.CA
	}
	secret := ""
	if in.Secret != nil {
		secret = *in.Secret
	}
	made, secret, err := a.reg.CreateWebhook(c.r.Context(), c.who, c.place(), w, secret)
	if err != nil {
		return err
	}
	out := webhookOf(made)
	out.Secret = secret
	return c.created(out)
}

func (a *API) listWebhooks(c *call) error {
	list, err := a.reg.Webhooks(c.r.Context(), c.who, c.place())
	if err != nil {
		return err
	}
	out := make([]webhookItem, len(list))
	for i, w := range list {
		out[i] = webhookOf(w)
	}
	return c.ok(struct {
		Webhooks []webhookItem `json:"webhooks"`
	}{out})
}

func (a *API) showWebhook(c *call) error {
	id, err := c.webhookID()
	if err != nil {
		return err
	}
	w, err := a.reg.Webhook(c.r.Context(), c.who, c.place(), id)
	if err != nil {
		return err
	}
	return c.ok(webhookOf(w))
}

// updateWebhook leaves what is not in the body as it is.
func (a *API) updateWebhook(c *call) error {
	var in givenWebhook
	if err := c.decode(&in); err != nil {
		return err
	}
	id, err := c.webhookID()
	if err != nil {
		return err
	}
	p := registry.WebhookPatch{URL: in.URL, CA: in.CA, Pattern: in.TagPattern, Secret: in.Secret, Enabled: in.Enabled}
	if in.Events != nil {
		set, err := kindSet(*in.Events)
		if err != nil {
			return err
		}
		p.Events = &set
	}
	if err := a.reg.UpdateWebhook(c.r.Context(), c.who, c.place(), id, p); err != nil {
		return err
	}
	return c.ok(empty{})
}

func (a *API) deleteWebhook(c *call) error {
	id, err := c.webhookID()
	if err != nil {
		return err
	}
	if err := a.reg.DeleteWebhook(c.r.Context(), c.who, c.place(), id); err != nil {
		return err
	}
	return c.noContent()
}

func (a *API) testWebhook(c *call) error {
	id, err := c.webhookID()
	if err != nil {
		return err
	}
	delivery, err := a.reg.TestWebhook(c.r.Context(), c.who, c.place(), id)
	if err != nil {
		return err
	}
	return c.answer(http.StatusAccepted, struct {
		ID string `json:"delivery_id"`
	}{delivery})
}

// deliveryItem is a delivery as it is listed.
type deliveryItem struct {
	ID         string `json:"id"`
	Event      string `json:"event"`
	Repository string `json:"repository"` // with its organization
	Tag        string `json:"tag"`
	State      string `json:"state"`
	Attempts   int    `json:"attempts"`
	NextTry    *stamp `json:"next_try"`
	Status     int    `json:"status"`
	Error      string `json:"error"`
	Duration   int64  `json:"duration_ms"`
	Created    stamp  `json:"created"`
	Updated    stamp  `json:"updated"`
}

func deliveryOf(d registry.Delivery) deliveryItem {
	out := deliveryItem{ID: d.ID, Event: d.Kind, Repository: d.Path, Tag: d.Tag, State: string(d.State), Attempts: d.Attempts, Status: d.Status, Error: d.Error,
		Duration: d.Duration.Milliseconds(), Created: stamp(d.Created), Updated: stamp(d.Updated)}
	if d.State == registry.DeliveryWaiting {
		next := stamp(d.Next)
		out.NextTry = &next
	}
	return out
}

func (a *API) listDeliveries(c *call) error {
	id, err := c.webhookID()
	if err != nil {
		return err
	}
	n, err := digits("limit", c.query.Get("limit"))
	if err != nil {
		return err
	}
	if n == 0 {
		n = unpaged
	}
	list, next, err := a.reg.Deliveries(c.r.Context(), c.who, c.place(), id, c.query.Get("marker"), n)
	if err != nil {
		return err
	}
	out := struct {
		Deliveries []deliveryItem `json:"deliveries"`
		NextMarker string         `json:"next_marker"`
	}{make([]deliveryItem, len(list)), next}
	for i, d := range list {
		out.Deliveries[i] = deliveryOf(d)
	}
	return c.ok(out)
}

// deliveryShown is a delivery with all that was sent and answered.
type deliveryShown struct {
	deliveryItem
	Request struct {
		Headers json.RawMessage `json:"headers"`
		Body    json.RawMessage `json:"body"`
	} `json:"request"`
	Response *json.RawMessage `json:"response"` // null: there was no answer
}

func (a *API) showDelivery(c *call) error {
	id, err := c.webhookID()
	if err != nil {
		return err
	}
	d, err := a.reg.Delivery(c.r.Context(), c.who, c.place(), id, c.path["delivery_id"])
	if err != nil {
		return err
	}
	out := deliveryShown{deliveryItem: deliveryOf(d)}
	out.Request.Body = json.RawMessage(d.Body)
	out.Request.Headers = json.RawMessage("{}")
	if d.Request != "" {
		var sent struct{ Headers json.RawMessage }
		if err := json.Unmarshal([]byte(d.Request), &sent); err != nil {
			return err
		}
		out.Request.Headers = sent.Headers
	}
	if d.Response != "" {
		answer := json.RawMessage(d.Response)
		out.Response = &answer
	}
	return c.ok(out)
}

func (a *API) redeliver(c *call) error {
	id, err := c.webhookID()
	if err != nil {
		return err
	}
	if err := a.reg.Redeliver(c.r.Context(), c.who, c.place(), id, c.path["delivery_id"]); err != nil {
		return err
	}
	return c.answer(http.StatusAccepted, empty{})
}
