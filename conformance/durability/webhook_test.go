package durability

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

// Deliveries that are under way while the server dies again and again arrive:
// each push is told, by one id alone, however often it is sent.
func TestWebhooksSurviveKill(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { told(t, berthtest.Options{}, 8) })
	// There the next process waits until the claims of the dead one end, a minute later.
	t.Run("postgres", func(t *testing.T) { told(t, berthtest.Options{Postgres: true}, 2) })
}

// listener takes deliveries, slowly, and some of them only when they come again.
type listener struct {
	t        *testing.T
	mu       sync.Mutex
	tags     map[string]map[string]bool // by tag: ids
	requests int
	refused  map[string]bool // ids that were sent away once
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e struct {
		ID   string
		Data struct{ Tag string }
	}
	err := json.NewDecoder(r.Body).Decode(&e)
	time.Sleep(15 * time.Millisecond)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || e.ID == "" || e.ID != r.Header.Get("Webhook-Id") {
		l.t.Errorf("delivery %s with the id %s: %v", r.Header.Get("Webhook-Id"), e.ID, err)
		return
	}
	l.requests++
	if l.tags[e.Data.Tag] == nil {
		l.tags[e.Data.Tag] = map[string]bool{}
	}
	l.tags[e.Data.Tag][e.ID] = true
	if strings.HasSuffix(e.Data.Tag, "7") && !l.refused[e.ID] {
		l.refused[e.ID] = true
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// came counts requests.
func (l *listener) came() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests
}

func told(t *testing.T, o berthtest.Options, kills int) {
	const tags = 400
	l := &listener{t: t, tags: map[string]map[string]bool{}, refused: map[string]bool{}}
	receiver := httptest.NewServer(l)
	t.Cleanup(receiver.Close)
	o.Settings = append(o.Settings, "--outbound-allow", "127.0.0.0/8")
	s := berthtest.Start(t, o)
	org := s.Org(t, "told")
	a := &manager{t: t, s: s}
	hooks := "/v2/manage/namespaces/" + org + "/webhooks"
	var hook struct{ ID int64 }
	a.call("POST", hooks, fmt.Sprintf(`{"name":"all","url":%q,"events":["push"]}`, receiver.URL), 201, &hook)
	sent := 0
	push := func(c *wire.Client, m *images.Manifest, n int) {
		for end := sent + n; sent < end; {
			var query []string
			for ; sent < end && len(query) < 100; sent++ {
				query = append(query, fmt.Sprintf("tag=t%04d", sent))
			}
			if err := c.PushManifest(t.Context(), org+"/app", m.Digest.String()+"?"+strings.Join(query, "&"), m.Blob); err != nil {
				t.Fatal(err)
			}
		}
	}
	client := func() *wire.Client {
		c, err := wire.New(s.URL(), s.Client(), wire.Basic, s.Admin().User, s.Admin().Password)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	m := images.New(t.Name()).Image(1, 1000)
	if err := client().Push(t.Context(), org+"/app", "t0000", m); err != nil {
		t.Fatal(err)
	}
	sent++
	// Each kill comes right behind a push, or while what it made is on its way.
	for i := range kills {
		push(client(), m, tags/kills)
		if before := l.came(); i%3 > 0 {
			for end := time.Now().Add(90 * time.Second); l.came() < before+5*i && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(time.Duration(rand.Int64N(int64(20 * time.Millisecond))))
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
	}
	type delivery struct{ ID, Tag, State string }
	var log struct {
		Deliveries []delivery
	}
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		log.Deliveries = nil
		a.call("GET", fmt.Sprintf("%s/%d/deliveries?limit=1000", hooks, hook.ID), "", 200, &log)
		open := len(log.Deliveries) < sent
		for _, d := range log.Deliveries {
			open = open || d.State != "delivered"
		}
		if !open {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d deliveries, and not all are delivered: %+v", len(log.Deliveries), sent, log.Deliveries[:min(len(log.Deliveries), 5)])
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(log.Deliveries) != sent || len(l.tags) != sent {
		t.Errorf("%d pushes, %d deliveries, %d tags were told", sent, len(log.Deliveries), len(l.tags))
	}
	for _, d := range log.Deliveries {
		if ids := l.tags[d.Tag]; len(ids) != 1 || !ids[d.ID] {
			t.Errorf("%s was told as %v, and is %s in the log", d.Tag, ids, d.ID)
		}
	}
	if len(l.refused) != (sent+2)/10 {
		t.Errorf("%d deliveries were sent away once", len(l.refused))
	}
	t.Logf("%d pushes, %d kills, %d requests, %d of them answered 503", sent, kills, l.requests, len(l.refused))
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Fsck(); err != nil {
		t.Fatal(err)
	}
}
