package registry_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

var (
	acmeHooks = registry.HookPlace{Org: "acme"}
	appHooks  = registry.HookPlace{Org: "acme", Repo: "acme/app"}
)

func hook(name string, events event.Kind) registry.Webhook {
	return registry.Webhook{Name: name, URL: "https://ci.example.com/hook", Events: events, Enabled: true}
}

func (w *world) hook(p registry.HookPlace, h registry.Webhook) registry.Webhook {
	w.t.Helper()
	made, secret, err := w.CreateWebhook(w.ctx, w.admin, p, h, "")
	w.must(err)
	if !strings.HasPrefix(secret, "whsec_") || len(secret) < 40 {
		w.t.Fatalf("the secret is %q", secret)
	}
	return made
}

// deliveries lists what there is for a webhook, as "event tag".
func (w *world) deliveries(p registry.HookPlace, id int64) (out []string) {
	w.t.Helper()
	w.must(w.ExpandEvents(w.ctx))
	list, _, err := w.Deliveries(w.ctx, w.admin, p, id, "", 100)
	w.must(err)
	for _, d := range list {
		out = append(out, strings.TrimSpace(d.Kind+" "+d.Tag))
	}
	return out
}

func (w *world) tagImage(name oci.Name, tag, seed string) {
	w.t.Helper()
	_, err := w.PutManifest(w.ctx, w.admin, name, oci.Reference{Tag: tag}, nil, imageType, w.image(name, seed, 100))
	w.must(err)
}

// A webhook of an organization hears of all its repositories, also of those
// that come later; one of a repository of that one. Each is told once, and only
// what it waits for.
func TestWebhooksHear(t *testing.T) {
	w := open(t, registry.Options{})
	w.tagImage("acme/app", "v0", "zero")
	all := w.hook(acmeHooks, hook("all", event.Push|event.Delete))
	one := w.hook(appHooks, hook("one", event.Delete))
	some := hook("some", event.Push)
	some.Pattern = "^v1"
	picky := w.hook(appHooks, some)

	w.tagImage("acme/app", "v1", "one")
	w.tagImage("acme/new", "v2", "two")
	w.must(w.DeleteTag(w.ctx, w.admin, "acme/app", "v0"))
	for p, want := range map[int64]string{all.ID: "[delete v0 push v2 push v1]", one.ID: "[delete v0]", picky.ID: "[push v1]"} {
		place := appHooks
		if p == all.ID {
			place = acmeHooks
		}
		if got := fmt.Sprint(w.deliveries(place, p)); got != want {
			t.Errorf("webhook %d: %s, want %s", p, got, want)
		}
	}

	list, _, err := w.Deliveries(w.ctx, w.admin, acmeHooks, all.ID, "", 100)
	w.must(err)
	var told struct {
		SpecVersion, ID, Source, Type, Subject, Time, DataContentType string
		Data                                                          map[string]string
	}
	if list[2].Body != "" {
		t.Error("a list has the texts of all that was sent")
	}
	pushed, err := w.Delivery(w.ctx, w.admin, acmeHooks, all.ID, list[2].ID)
	w.must(err)
	w.must(json.Unmarshal([]byte(pushed.Body), &told))
	if told.SpecVersion != "1.0" || told.ID != list[2].ID || told.Source != "/acme/app" || told.Type != "dev.berth.image.pushed" || told.Subject != "v1" ||
		told.DataContentType != "application/json" || told.Data["organization"] != "acme" || told.Data["repository"] != "app" || told.Data["tag"] != "v1" ||
		!strings.HasPrefix(told.Data["digest"], "sha256:") || told.Data["actor"] != "admin/admin" || told.Data["cause"] != "push" {
		t.Errorf("%s", pushed.Body)
	}

	// Pages follow each other.
	first, next, err := w.Deliveries(w.ctx, w.admin, acmeHooks, all.ID, "", 2)
	w.must(err)
	rest, end, err := w.Deliveries(w.ctx, w.admin, acmeHooks, all.ID, next, 2)
	w.must(err)
	if len(first) != 2 || len(rest) != 1 || next == "" || end != "" || rest[0].ID != list[2].ID {
		t.Errorf("pages of %d and %d, markers %q and %q", len(first), len(rest), next, end)
	}

	// Nobody listens any more: nothing is written.
	off := false
	w.must(w.UpdateWebhook(w.ctx, w.admin, acmeHooks, all.ID, registry.WebhookPatch{Enabled: &off}))
	w.must(w.DeleteWebhook(w.ctx, w.admin, appHooks, one.ID))
	w.must(w.DeleteWebhook(w.ctx, w.admin, appHooks, picky.ID))
	w.tagImage("acme/app", "v1", "three")
	w.tagImage("acme/new", "v2", "four")
	if n := w.events(); n != 0 {
		t.Errorf("%d events, and nobody listens", n)
	}
	// And once more, for what is pushed from then on.
	on := true
	w.must(w.UpdateWebhook(w.ctx, w.admin, acmeHooks, all.ID, registry.WebhookPatch{Enabled: &on}))
	w.tagImage("acme/new", "v3", "five")
	if got := fmt.Sprint(w.deliveries(acmeHooks, all.ID)); got != "[push v3 delete v0 push v2 push v1]" {
		t.Error(got)
	}
}

// Pulls are told together, some seconds later.
func TestWebhooksHearOfPulls(t *testing.T) {
	w := open(t, registry.Options{})
	w.tagImage("acme/app", "v1", "one")
	h := w.hook(appHooks, hook("pulls", event.Pull))
	for range 3 {
		_, err := w.Manifest(w.ctx, w.admin, "acme/app", oci.Reference{Tag: "v1"}, true)
		w.must(err)
	}
	w.must(w.FlushPulls(w.ctx))
	if got := fmt.Sprint(w.deliveries(appHooks, h.ID)); got != "[pull v1]" {
		t.Fatal(got)
	}
	list, _, err := w.Deliveries(w.ctx, w.admin, appHooks, h.ID, "", 10)
	w.must(err)
	d, err := w.Delivery(w.ctx, w.admin, appHooks, h.ID, list[0].ID)
	w.must(err)
	if !strings.Contains(d.Body, `"count":3`) || !strings.Contains(d.Body, `"actor":"admin/admin"`) {
		t.Error(d.Body)
	}
}

// What is wrong is refused by the member's name, and nothing is stored.
func TestWebhookIsChecked(t *testing.T) {
	w := open(t, registry.Options{CheckURL: func(raw string) error {
		if strings.Contains(raw, "127.0.0.1") {
			return fault.New(fault.Invalid, "not there")
		}
		return nil
	}})
	w.tagImage("acme/app", "v1", "one")
	for name, c := range map[string]struct {
		change func(*registry.Webhook)
		secret string
		code   fault.Code
		names  string
	}{
		"no name":       {func(h *registry.Webhook) { h.Name = "" }, "", fault.Missing, "name"},
		"odd name":      {func(h *registry.Webhook) { h.Name = "a b" }, "", fault.Invalid, "name"},
		"no address":    {func(h *registry.Webhook) { h.URL = "" }, "", fault.Missing, "url"},
		"bad address":   {func(h *registry.Webhook) { h.URL = "http://127.0.0.1/" }, "", fault.Invalid, "url"},
		"no event":      {func(h *registry.Webhook) { h.Events = 0 }, "", fault.Invalid, "events"},
		"unknown event": {func(h *registry.Webhook) { h.Events = 1 << 20 }, "", fault.Invalid, "events"},
		"bad pattern":   {func(h *registry.Webhook) { h.Pattern = "(" }, "", fault.Invalid, "tag_pattern"},
		"bad authority": {func(h *registry.Webhook) { h.CA = "x" }, "", fault.Invalid, "ca"},
		"short secret":  {func(*registry.Webhook) {}, "short", fault.Invalid, "secret"},
		"odd secret":    {func(*registry.Webhook) {}, "whsec_%%%%%%%%%%%%%%%%%%%%%%%%", fault.Invalid, "secret"},
	} {
		h := hook("h", event.Push)
		c.change(&h)
		for _, p := range []registry.HookPlace{acmeHooks, appHooks} {
			_, _, err := w.CreateWebhook(w.ctx, w.admin, p, h, c.secret)
			if fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.names) {
				t.Errorf("%s: %v", name, err)
			}
			if list, err := w.Webhooks(w.ctx, w.admin, p); err != nil || len(list) != 0 {
				t.Fatalf("%s: %d are stored, %v", name, len(list), err)
			}
		}
	}
	h := w.hook(acmeHooks, hook("h", event.Push))
	_, _, err := w.CreateWebhook(w.ctx, w.admin, acmeHooks, hook("h", event.Push), "")
	w.want(err, fault.Exists)
	w.hook(appHooks, hook("h", event.Push)) // another place
	for i := 1; i < registry.MaxWebhooks; i++ {
		w.hook(acmeHooks, hook(fmt.Sprint("h", i), event.Push))
	}
	_, _, err = w.CreateWebhook(w.ctx, w.admin, acmeHooks, hook("more", event.Push), "")
	w.want(err, fault.Invalid)
	if _, err := w.Webhook(w.ctx, w.admin, appHooks, h.ID); fault.CodeOf(err) != fault.RuleUnknown {
		t.Errorf("a webhook of the organization is shown as the repository's: %v", err)
	}
	for _, who := range []iam.Caller{w.nobody, {}} {
		if _, _, err := w.CreateWebhook(w.ctx, who, acmeHooks, hook("x", event.Push), ""); err == nil {
			t.Errorf("%s makes a webhook", who)
		}
		if _, err := w.Webhooks(w.ctx, who, appHooks); err == nil {
			t.Errorf("%s lists webhooks", who)
		}
		if _, err := w.HookWork(w.ctx, who, h.ID, 1); err == nil {
			t.Errorf("%s reads a secret", who)
		}
	}
}

// Webhooks go with their repository and with their organization. What was
// delivered goes a little later, some at a time: each webhook leaves a job that
// sees to that.
func TestWebhooksGo(t *testing.T) {
	w := open(t, atOnce)
	w.tagImage("acme/app", "v1", "one")
	w.hook(appHooks, hook("h", event.Push|event.Delete))
	w.hook(acmeHooks, hook("o", event.Push))
	w.tagImage("acme/app", "v2", "two")
	w.must(w.ExpandEvents(w.ctx))
	w.must(w.DeleteTag(w.ctx, w.admin, "acme/app", "v1"))
	w.must(w.DeleteTag(w.ctx, w.admin, "acme/app", "v2"))
	w.must(w.DeleteRepo(w.ctx, w.admin, "acme/app"))
	w.must(w.ExpandEvents(w.ctx))
	w.collect()
	if hooks, jobs := w.count("webhook"), w.count("job"); hooks != 1 || jobs != 2 {
		t.Errorf("%d webhooks and %d jobs", hooks, jobs)
	}
	w.must(w.DeleteOrg(w.ctx, w.admin, "acme"))
	if n := w.count("webhook") + w.count("event"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if jobs := w.count("job"); jobs != 2 {
		t.Errorf("%d jobs", jobs)
	}
}

// Of very many that wait the oldest are given up, and that is counted. What
// somebody asks for is not among them.
func TestTooManyDeliveriesWait(t *testing.T) {
	w := open(t, registry.Options{MaxDeliveries: 3})
	h := w.hook(acmeHooks, hook("h", event.Push))
	ping, err := w.TestWebhook(w.ctx, w.admin, acmeHooks, h.ID)
	w.must(err)
	for i := range 5 {
		w.tagImage("acme/app", fmt.Sprint("v", i), "one")
	}
	if got := fmt.Sprint(w.deliveries(acmeHooks, h.ID)); got != "[push v4 push v3 ping]" {
		t.Error(got)
	}
	h, err = w.Webhook(w.ctx, w.admin, acmeHooks, h.ID)
	w.must(err)
	if h.Waiting != 3 || h.Dropped != 3 {
		t.Errorf("%+v", h.HookState)
	}
	work, err := w.HookWork(w.ctx, iam.System("webhook"), h.ID, 1)
	w.must(err)
	if len(work.Due) != 1 || work.Due[0].ID != ping {
		t.Errorf("first comes %+v", work.Due)
	}
	if n := w.count("job"); n != 1 {
		t.Errorf("%d jobs", n)
	}
}

func (w *world) count(table string) int {
	w.t.Helper()
	n, err := db.One[int](w.ctx, w.db, `SELECT count(*) FROM `+table)
	w.must(err)
	return n
}
