// Package webhook delivers events to the addresses that webhooks name, signed,
// and again until they are taken or three days have passed.
package webhook

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/registry"
)

// Options are what a Sender shares with the rest of the server.
type Options struct {
	// Transport makes the connections to a receiver. It refuses addresses that
	// nobody may connect to. nil: to any.
	Transport func(*tls.Config) *http.Transport
	Log       *slog.Logger
	Pause     func(attempt int) time.Duration // before an event is sent again; default 5 s to 1 h
	GiveUp    time.Duration                   // default 3 days
	Timeout   time.Duration                   // of one attempt; default 10 s
}

// How jobs are run, and what is kept of an answer.
const (
	workers    = 16 // webhooks that are worked on at once by this node
	perAccount = 4
	batch      = 16               // deliveries of a webhook that are written down together
	together   = 4                // requests to a receiver at once
	turn       = 20 * time.Second // for which a webhook is worked on before others have their turn
	longPause  = time.Hour        // also for a receiver that asks for a longer one
	longRest   = 5 * time.Minute  // between two looks whether a receiver answers again
	maxBody    = 8 << 10          // bytes of an answer
	maxHeaders = 4 << 10
)

// me is who reads the deliveries.
var me = iam.System("webhook")

// A Sender is safe for use by many goroutines.
type Sender struct {
	reg *registry.Registry
	o   Options

	mu      sync.Mutex
	clients map[string]*http.Client // by the authorities they trust
}

// New assembles a sender. Its kinds of jobs are to be registered.
func New(r *registry.Registry, o Options) *Sender {
	if o.Transport == nil {
		o.Transport = func(c *tls.Config) *http.Transport { return &http.Transport{TLSClientConfig: c} }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Pause == nil {
		o.Pause = job.Backoff(5*time.Second, longPause)
	}
	o.GiveUp = cmp.Or(o.GiveUp, 72*time.Hour)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	return &Sender{reg: r, o: o, clients: map[string]*http.Client{}}
}

// Kinds are the jobs that deliver.
func (s *Sender) Kinds() []job.Kind {
	return []job.Kind{{Name: registry.WebhookKind, Workers: workers, PerAccount: perAccount, Timeout: turn + 2*s.o.Timeout + 10*time.Second,
		Pause: s.o.Pause, Run: s.deliver, Changed: s.reg.HookChanged}}
}

// heard is an answer as it is kept.
type heard struct {
	Headers http.Header `json:"headers"`
	Body    string      `json:"body,omitempty"`
}

// send posts a delivery. again is how long the receiver wants to be left alone.
func (s *Sender) send(ctx context.Context, d registry.Delivery, to registry.WebhookTarget) (out registry.DeliveryResult, again time.Duration) {
	begin := time.Now()
	defer func() { out.Duration = time.Since(begin) }()
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	client, err := s.client(to.CA)
	if err != nil {
		out.Error = err.Error()
		return out, 0
	}
	r, err := request(ctx, d, to, begin)
	if err != nil {
		out.Error = reason(err)
		return out, 0
	}
	out.Request = encode(heard{Headers: r.Header})
	resp, err := client.Do(r)
	if err != nil {
		out.Error = reason(err)
		return out, 0
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	out.Status = resp.StatusCode
	out.Response = encode(heard{some(resp.Header), text(body)})
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		out.Error = "The receiver answered " + resp.Status + "."
	case err != nil && ctx.Err() != nil:
		out.Error = reason(ctx.Err())
	}
	return out, retryAfter(resp.Header.Get("Retry-After"), time.Now())
}

// encode is JSON of what always encodes.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// client finds the client for a set of authorities.
func (s *Sender) client(ca string) (*http.Client, error) {
	const most = 256
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[ca]; c != nil {
		return c, nil
	}
	roots, err := pool(ca)
	if err != nil {
		return nil, err
	}
	if len(s.clients) >= most {
		for _, c := range s.clients {
			c.CloseIdleConnections()
		}
		clear(s.clients)
	}
	c := &http.Client{
		Transport:     s.o.Transport(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.clients[ca] = c
	return c, nil
}

// reason is why there was no answer, without the address, which may hold a
// secret of the receiver's.
func reason(err error) string {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "The receiver did not answer in time."
	}
	return err.Error()
}
