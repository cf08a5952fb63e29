package registry

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// A HookPlace is what webhooks belong to: a repository, or with an empty Repo
// an organization and all its repositories.
type HookPlace struct {
	Org  string
	Repo oci.Name
}

func (p HookPlace) String() string {
	if p.Repo != "" {
		return "repository " + string(p.Repo)
	}
	return "organization " + p.Org
}

// about is how a job names a webhook of the place.
func (p HookPlace) about(name string) string {
	if p.Repo != "" {
		return string(p.Repo) + " webhook " + name
	}
	return p.Org + " webhook " + name
}

// A Webhook tells an address of others what happens in a place.
type Webhook struct {
	ID          int64
	Name        string
	URL         string
	CA          string     // PEM of authorities beside those of the system; empty: none
	Events      event.Kind // a set
	Pattern     string     // RE2, unanchored: only events of such tags; empty: all events
	Enabled     bool
	CreatorName string
	Created     time.Time
	Updated     time.Time
	HookState
}

// HookState is how a webhook fares.
type HookState struct {
	Waiting  int64     // deliveries that are to be sent
	Dropped  int64     // deliveries that were given up because too many waited
	Failures int64     // times that there was no answer, since there was one
	Resting  time.Time // until when nothing is sent; zero: something may be
}

// WebhookPatch changes the members that are not nil.
type WebhookPatch struct {
	URL, CA, Pattern, Secret *string
	Events                   *event.Kind
	Enabled                  *bool
}

// Bounds of webhooks.
const (
	MaxWebhooks  = 20 // of one place
	minSecret    = 16 // bytes
	maxSecret    = 256
	maxHookCA    = 64 << 10
	secretPrefix = "whsec_" // of a secret whose rest is base64, by the Standard Webhooks specification
)

type webhookRow struct {
	ID                     int64
	Name, URL, CA, Pattern string
	Events                 int64
	Enabled                bool
	CreatorName            string
	Created, Updated       int64
	Waiting, Dropped       int64
	Failures, Resting      int64
}

const webhookColumns = `id, name, url, ca, pattern, events, enabled, creator_name, created, updated, waiting, dropped, failures, resting`

func (w webhookRow) webhook() Webhook {
	state := HookState{Waiting: w.Waiting, Dropped: w.Dropped, Failures: w.Failures}
	if w.Resting > 0 {
		state.Resting = fromMicros(w.Resting)
	}
	return Webhook{w.ID, w.Name, w.URL, w.CA, event.Kind(w.Events), w.Pattern, w.Enabled, w.CreatorName, fromMicros(w.Created), fromMicros(w.Updated), state}
}

// hookScope is a place as rows know it.
type hookScope struct {
	account string
	org     int64
	repo    *int64 // nil: the organization
	key     string // what a webhook's name is unique in
}

func scopeOfOrg(o orgRow) hookScope {
	return hookScope{o.Account, o.ID, nil, "o" + strconv.FormatInt(o.ID, 10)}
}

func scopeOfRepo(rp repoRow) hookScope {
	return hookScope{rp.Account, rp.Organization, &rp.ID, "r" + strconv.FormatInt(rp.ID, 10)}
}

func hookUnknown(p HookPlace, id int64) error {
	return fault.New(fault.RuleUnknown, "The %s has no webhook %d.", p, id)
}

// onHooks is the frame of everything that changes webhooks.
func (r *Registry) onHooks(tx *db.Tx, who iam.Caller, p HookPlace, do iam.Action, target string, change func(hookScope) error) error {
	if p.Repo != "" {
		return r.onRules(tx, who, p.Repo, do, " webhook "+target, func(rp repoRow) error { return change(scopeOfRepo(rp)) })
	}
	o, err := orgByName(tx.Context(), tx, p.Org)
	if err != nil {
		return err
	}
	if err := r.iam.Allow(tx, who, do, o.resource()); err != nil {
		return err
	}
	if err := lockOrg(tx, o); err != nil {
		return err
	}
	if err := change(scopeOfOrg(o)); err != nil {
		return err
	}
	if err := rewatchOrg(tx, o); err != nil {
		return err
	}
	return r.iam.Audit(tx, who, do, o.Name+" webhook "+target, "ok")
}

// hooksAt finds a place for those who read.
func (r *Registry) hooksAt(ctx context.Context, who iam.Caller, p HookPlace, do iam.Action) (hookScope, error) {
	if p.Repo != "" {
		rp, err := r.lookup(ctx, who, p.Repo, do)
		return scopeOfRepo(rp), err
	}
	o, err := r.org(ctx, p.Org)
	if err != nil {
		return hookScope{}, err
	}
	return scopeOfOrg(o), r.iam.Check(ctx, who, do, o.resource())
}

// hookSum reads for which events the webhooks of a scope wait.
func hookSum(tx *db.Tx, key string) (event.Kind, error) {
	sets, err := db.All[int64](tx.Context(), tx, `SELECT events FROM webhook WHERE scope = $1 AND enabled LIMIT $2`, key, MaxPage)
	all := event.Kind(0)
	for _, s := range sets {
		all |= event.Kind(s)
	}
	return all, err
}

// watchHooks is the watcher of a repository's webhooks.
func watchHooks(tx *db.Tx, repo int64) (event.Kind, error) {
	return hookSum(tx, "r"+strconv.FormatInt(repo, 10))
}

// rewatchOrg writes down what the webhooks of an organization wait for. The
// row is locked first: of two changes the second sees both.
func rewatchOrg(tx *db.Tx, o orgRow) error {
	if lock := tx.ForNoKeyUpdate(); lock != "" {
		if _, err := db.One[int64](tx.Context(), tx, `SELECT id FROM organization WHERE id = $1`+lock, o.ID); err != nil {
			return err
		}
	}
	all, err := hookSum(tx, scopeOfOrg(o).key)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE organization SET watched = $2 WHERE id = $1 AND watched <> $2`, o.ID, int64(all))
	if n > 0 {
		tx.Invalidate(allKeys{}) // every repository of it has it
	}
	return err
}

// check tells whether a webhook makes sense. A fault names the member as
// clients write it. Errors: Missing, Invalid.
func (r *Registry) checkHook(w Webhook) error {
	switch {
	case w.Name == "":
		return fault.New(fault.Missing, "The member name is missing.")
	case !isRuleName(w.Name):
		return fault.New(fault.Invalid, "name has 1 to %d letters, digits, dots, hyphens and underscores, with a letter or digit at both ends.", maxRuleName)
	case w.URL == "":
		return fault.New(fault.Missing, "The member url is missing.")
	case w.Events == 0 || w.Events&^event.All != 0:
		return fault.New(fault.Invalid, "events names one or more of push, delete, pull, retention, sync and trigger.")
	case len(w.CA) > maxHookCA:
		return fault.New(fault.Invalid, "ca has at most %d bytes.", maxHookCA)
	case w.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(w.CA)):
		return fault.New(fault.Invalid, "ca is one or more certificates in PEM.")
	}
	if r.o.CheckURL != nil {
		if err := r.o.CheckURL(w.URL); err != nil {
			return named("url", err)
		}
	}
	if w.Pattern != "" {
		if _, err := oci.ParsePattern(w.Pattern); err != nil {
			return named("tag_pattern", err)
		}
	}
	return nil
}

// named puts the member's name before a fault's sentence.
func named(member string, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return fault.Wrap(fault.Invalid, err, "%s: %s", member, f.Msg)
	}
	return err
}

// newHookSecret makes a secret.
func newHookSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // does not fail
	return secretPrefix + base64.StdEncoding.EncodeToString(b)
}

// hookKey is what a secret signs with. Errors: Invalid.
func hookKey(secret string) ([]byte, error) {
	key := []byte(secret)
	if rest, ok := strings.CutPrefix(secret, secretPrefix); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(rest); err != nil {
			return nil, fault.New(fault.Invalid, "secret begins with %s and is not base64 behind it.", secretPrefix)
		}
	}
	if len(key) < minSecret || len(key) > maxSecret {
		return nil, fault.New(fault.Invalid, "secret has %d to %d bytes.", minSecret, maxSecret)
	}
	return key, nil
}

// sealedFor names the row that a webhook's secret belongs to.
func sealedFor(scope, name string) string { return "webhook:" + scope + "/" + name }

// CreateWebhook stores a webhook and returns it with its secret, which is told
// this once. An empty secret has one made.
// Errors: Missing, Invalid, Exists, OrgUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) CreateWebhook(ctx context.Context, who iam.Caller, p HookPlace, w Webhook, secret string) (Webhook, string, error) {
	if err := r.checkHook(w); err != nil {
		return Webhook{}, "", err
	}
	if secret == "" {
		secret = newHookSecret()
	}
	key, err := hookKey(secret)
	if err != nil {
		return Webhook{}, "", err
	}
	made, err := db.Update(ctx, r.db, func(tx *db.Tx) (row webhookRow, err error) {
		err = r.onHooks(tx, who, p, iam.CreateWebhook, w.Name, func(s hookScope) error {
			n, err := db.One[int](tx.Context(), tx, `SELECT count(*) FROM webhook WHERE scope = $1`, s.key)
			if err != nil {
				return err
			}
			if n >= MaxWebhooks {
				return fault.New(fault.Invalid, "The %s has %d webhooks, which is as many as it may have; delete one first.", p, n)
			}
			row, err = db.One[webhookRow](tx.Context(), tx, `INSERT INTO webhook (account, organization, repository, scope, name, url, secret, ca, events, pattern, enabled,
					creator, creator_name, created, updated)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14) ON CONFLICT (scope, name) DO NOTHING RETURNING `+webhookColumns,
				s.account, s.org, s.repo, s.key, w.Name, w.URL, r.iam.Seal(sealedFor(s.key, w.Name), key), w.CA, int64(w.Events), w.Pattern, w.Enabled,
				who.User, creatorName(who), tx.Micros())
			if errors.Is(err, db.ErrNone) {
				return fault.New(fault.Exists, "The %s has a webhook %s already.", p, w.Name)
			}
			return err
		})
		return row, err
	})
	if err != nil {
		return Webhook{}, "", err
	}
	return made.webhook(), secret, nil
}

// Webhooks lists the webhooks of a place, the oldest first.
// Errors: OrgUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) Webhooks(ctx context.Context, who iam.Caller, p HookPlace) ([]Webhook, error) {
	s, err := r.hooksAt(ctx, who, p, iam.ListWebhooks)
	if err != nil {
		return nil, err
	}
	rows, err := db.All[webhookRow](ctx, r.db, `SELECT `+webhookColumns+` FROM webhook WHERE scope = $1 LIMIT $2`, s.key, MaxPage)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b webhookRow) int { return int(a.ID - b.ID) })
	list := make([]Webhook, len(rows))
	for i, w := range rows {
		list[i] = w.webhook()
	}
	return list, nil
}

// Webhook shows one webhook, without its secret.
// Errors: RuleUnknown, OrgUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) Webhook(ctx context.Context, who iam.Caller, p HookPlace, id int64) (Webhook, error) {
	s, err := r.hooksAt(ctx, who, p, iam.ShowWebhook)
	if err != nil {
		return Webhook{}, err
	}
	row, err := ruleOf[webhookRow](ctx, r.db, hookUnknown(p, id), `SELECT `+webhookColumns+` FROM webhook WHERE id = $1 AND scope = $2`, id, s.key)
	return row.webhook(), err
}

// UpdateWebhook changes a webhook. Its name stays.
// Errors: RuleUnknown, and those of CreateWebhook but Exists.
func (r *Registry) UpdateWebhook(ctx context.Context, who iam.Caller, p HookPlace, id int64, c WebhookPatch) error {
	var key []byte
	if c.Secret != nil {
		var err error
		if key, err = hookKey(*c.Secret); err != nil {
			return err
		}
	}
	return r.update(ctx, func(tx *db.Tx) error {
		return r.onHooks(tx, who, p, iam.UpdateWebhook, strconv.FormatInt(id, 10), func(s hookScope) error {
			row, err := ruleOf[webhookRow](tx.Context(), tx, hookUnknown(p, id), `SELECT `+webhookColumns+` FROM webhook WHERE id = $1 AND scope = $2`+tx.ForUpdate(), id, s.key)
			if err != nil {
				return err
			}
			w := row.webhook()
			set(&w.URL, c.URL)
			set(&w.CA, c.CA)
			set(&w.Pattern, c.Pattern)
			set(&w.Events, c.Events)
			set(&w.Enabled, c.Enabled)
			if err := r.checkHook(w); err != nil {
				return err
			}
			if key != nil {
				if _, err := tx.Exec(`UPDATE webhook SET secret = $2 WHERE id = $1`, id, r.iam.Seal(sealedFor(s.key, w.Name), key)); err != nil {
					return err
				}
			}
			// What is different may be what the receiver failed for.
			if _, err := tx.Exec(`UPDATE webhook SET url = $2, ca = $3, pattern = $4, events = $5, enabled = $6, updated = $7, failures = 0, resting = 0 WHERE id = $1`,
				id, w.URL, w.CA, w.Pattern, int64(w.Events), w.Enabled, tx.Micros()); err != nil || row.Waiting == 0 {
				return err
			}
			return r.addHookJob(tx, s.account, id, p.about(w.Name), tx.Micros())
		})
	})
}

// set changes to where there is something to change it to.
func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// DeleteWebhook removes a webhook. What was delivered to it, and what waits to
// be, is not sent or shown any more, and goes a little later.
// Errors: RuleUnknown, OrgUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) DeleteWebhook(ctx context.Context, who iam.Caller, p HookPlace, id int64) error {
	return r.update(ctx, func(tx *db.Tx) error {
		return r.onHooks(tx, who, p, iam.DeleteWebhook, strconv.FormatInt(id, 10), func(s hookScope) error {
			name, err := ruleOf[string](tx.Context(), tx, hookUnknown(p, id), `DELETE FROM webhook WHERE id = $1 AND scope = $2 RETURNING name`, id, s.key)
			if err != nil {
				return err
			}
			return r.addHookJob(tx, s.account, id, p.about(name), tx.Micros())
		})
	})
}

// dropHooks removes the webhooks of a place that is being deleted.
func (r *Registry) dropHooks(tx *db.Tx, s hookScope, place string) error {
	type row struct {
		ID   int64
		Name string
	}
	hooks, err := db.All[row](tx.Context(), tx, `DELETE FROM webhook WHERE scope = $1 RETURNING id, name`, s.key)
	if err != nil {
		return err
	}
	for _, h := range hooks {
		if err := r.addHookJob(tx, s.account, h.ID, place+" webhook "+h.Name, tx.Micros()); err != nil {
			return err
		}
	}
	return nil
}
