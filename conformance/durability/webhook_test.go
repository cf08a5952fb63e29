package durability

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
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

// hookSecret is the 24 bytes that whsec_ is put before, and what it signs with.
const hookSecret = "0123456789abcdef01234567"

// told is what a receiver heard: how often it heard of each delivery, and the
// tags.
type told struct {
	mu     sync.Mutex
	ids    map[string]string // delivery -> tag
	tags   map[string]string // tag -> delivery
	failed map[string]int    // delivery -> how often it was refused
	n      int
	bad    []string
}

func (r *told) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	if err != nil {
		return // the server was killed
	}
	var e struct {
		ID   string
		Data struct{ Tag string }
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	id := req.Header.Get("Webhook-Id")
	m := hmac.New(sha256.New, []byte(hookSecret))
	fmt.Fprintf(m, "%s.%s.%s", id, req.Header.Get("Webhook-Timestamp"), body)
	if want := "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil)); req.Header.Get("Webhook-Signature") != want {
		r.bad = append(r.bad, "a wrong signature of "+id)
	}
	if err := json.Unmarshal(body, &e); err != nil || e.ID != id {
		r.bad = append(r.bad, fmt.Sprintf("%v: %s", err, body))
	}
	if tag, ok := r.ids[id]; ok && tag != e.Data.Tag {
		r.bad = append(r.bad, "one id for "+tag+" and "+e.Data.Tag)
	}
	if other, ok := r.tags[e.Data.Tag]; ok && other != id {
		r.bad = append(r.bad, "two ids for "+e.Data.Tag)
	}
	r.ids[id], r.tags[e.Data.Tag] = e.Data.Tag, id
	// Some fail, none so often that its pauses are longer than the test.
	const failures = 2
	if r.failed[id] < failures && rand.IntN(4) == 0 {
		r.failed[id]++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *told) has(tag string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.tags[tag]
	return ok
}

// A server that dies again and again between pushes and deliveries tells of
// every push that it acknowledged, of each under one id.
func TestWebhooksSurviveKill(t *testing.T) {
	t.Parallel() // deliveries wait for their next attempt, mostly
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		hooksSurvive(t, berthtest.Options{}, 12)
	})
	// There the next process waits until the claims of the dead one end.
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		hooksSurvive(t, berthtest.Options{Postgres: true}, 3)
	})
}

func hooksSurvive(t *testing.T, o berthtest.Options, kills int) {
	const tags = 60
	o.Settings = append(o.Settings, "--outbound-allow", "127.0.0.0/8")
	s := berthtest.Start(t, o)
	heard := &told{ids: map[string]string{}, tags: map[string]string{}, failed: map[string]int{}}
	receiver := httptest.NewServer(heard)
	t.Cleanup(receiver.Close)
	org := s.Org(t, "told")
	admin := s.Admin()
	a := &manager{t: t, s: s}
	a.call("POST", "/v2/manage/namespaces/"+org+"/webhooks", fmt.Sprintf(`{"name":"ci","url":"%s","events":["push"],"secret":"whsec_%s"}`,
		receiver.URL, base64.StdEncoding.EncodeToString([]byte(hookSecret))), 201, nil)
	m := images.New(t.Name()).Image(1, 1000)
	pushed := map[string]bool{}
	for i := range tags {
		c, err := wire.New(s.URL(), s.Client(), wire.Basic, admin.User, admin.Password)
		if err != nil {
			t.Fatal(err)
		}
		tag := fmt.Sprintf("t%02d", i)
		if err := c.Push(t.Context(), org+"/app", tag, m); err != nil {
			t.Fatal(err)
		}
		pushed[tag] = true
		if i%(tags/kills) == 0 {
			time.Sleep(time.Duration(rand.Int64N(int64(400 * time.Millisecond))))
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := s.Run(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var jobs struct{ Jobs []json.RawMessage }
		a.call("GET", "/v2/manage/jobs?kind=webhook", "", 200, &jobs)
		missing := 0
		for tag := range pushed {
			if !heard.has(tag) {
				missing++
			}
		}
		if missing == 0 && len(jobs.Jobs) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d pushes were not told of, %d jobs are left: %s", missing, len(jobs.Jobs), jobs.Jobs)
		}
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	if len(heard.bad) > 0 || len(heard.ids) != tags {
		t.Errorf("%d deliveries of %d pushes: %v", len(heard.ids), tags, heard.bad)
	}
	t.Logf("%d requests for %d pushes over %d kills", heard.n, tags, kills)
	if log := s.LogTail(); strings.Contains(log, hookSecret) || strings.Contains(log, base64.StdEncoding.EncodeToString([]byte(hookSecret))) {
		t.Error("the log has the secret")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Fsck(); err != nil {
		t.Error(err)
	}
}
