package webhook_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/webhook"
)

func itoa(n int) string { return strconv.Itoa(n) }

const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"

// The example of the Standard Webhooks specification.
func TestSignature(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := webhook.Signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Error(got)
	}
}

// What arrives is the event, signed such that the shell line of the
// documentation finds it right, once.
func TestDelivered(t *testing.T) {
	w, r := open(t, webhook.Options{}, false), receive(t, nil)
	id := w.hook("ci", r.URL+"/hook?token=x", secret, "")
	w.push("v1")
	d := w.until(id, "it is delivered", is(registry.Delivered))
	got := r.all()
	if len(got) != 1 || d.Attempts != 1 || d.Status != 204 || d.Error != "" {
		t.Fatalf("%d requests, %+v", len(got), d)
	}
	h, body := got[0].header, got[0].body
	if h.Get("Content-Type") != "application/cloudevents+json; charset=utf-8" || h.Get("Webhook-Id") != d.ID || string(body) != d.Body {
		t.Errorf("%v\n%s", h, body)
	}
	if at, err := strconv.ParseInt(h.Get("Webhook-Timestamp"), 10, 64); err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Minute {
		t.Errorf("the time is %q", h.Get("Webhook-Timestamp"))
	}
	var told struct{ Type, Subject string }
	if err := json.Unmarshal(body, &told); err != nil || told.Type != "dev.berth.image.pushed" || told.Subject != "v1" {
		t.Errorf("%v: %s", err, body)
	}
	if strings.Contains(d.Request, "MDEy") || strings.Contains(d.Request, "0123456789abcdef") {
		t.Error("the log has the secret")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is needed to check the signature by another program: ", err)
	}
	cmd := exec.CommandContext(t.Context(), openssl, "dgst", "-sha256", "-mac", "HMAC", "-macopt", fmt.Sprintf("hexkey:%x", key), "-binary")
	cmd.Stdin = strings.NewReader(h.Get("Webhook-Id") + "." + h.Get("Webhook-Timestamp") + "." + string(body))
	sum, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "v1," + base64.StdEncoding.EncodeToString(sum); h.Get("Webhook-Signature") != want {
		t.Errorf("signed %s, want %s", h.Get("Webhook-Signature"), want)
	}
}

// What is not taken is sent again, with the same id and bytes and a signature
// of its own, and what was answered is kept.
func TestAgain(t *testing.T) {
	w := open(t, webhook.Options{}, false)
	r := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Try", itoa(n))
		switch n {
		case 1:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "closed ", strings.Repeat("x", 20_000), "\x00\xff")
		case 2:
			w.Header().Set("Location", "http://example.com/")
			w.WriteHeader(http.StatusFound)
		case 3:
			panic(http.ErrAbortHandler)
		}
	})
	id := w.hook("ci", r.URL, secret, "")
	begin := time.Now()
	w.push("v1")
	d := w.until(id, "the first answer is kept", func(d registry.Delivery) bool { return d.Attempts == 1 })
	if d.State != registry.DeliveryWaiting || d.Status != 503 || !strings.Contains(d.Error, "503") || !strings.Contains(d.Response, "closed xxx") || len(d.Response) > 9000 || !strings.Contains(d.Response, "X-Try") {
		t.Errorf("%+v", d)
	}
	d = w.until(id, "it is delivered", is(registry.Delivered))
	got := r.all()
	if len(got) != 4 || d.Attempts != 4 || time.Since(begin) < time.Second {
		t.Fatalf("%d requests in %s, %+v", len(got), time.Since(begin), d)
	}
	for _, g := range got[1:] {
		if g.header.Get("Webhook-Id") != d.ID || !bytes.Equal(g.body, got[0].body) {
			t.Errorf("%v\n%s", g.header, g.body)
		}
	}
	if got[0].header.Get("Webhook-Signature") == got[1].header.Get("Webhook-Signature") {
		t.Error("a later attempt has the signature of an earlier one")
	}

	// Once more, because somebody asks for it.
	w.must(w.Redeliver(t.Context(), w.admin, place, id, d.ID))
	w.until(id, "it is delivered again", func(d registry.Delivery) bool { return d.State == registry.Delivered && len(r.all()) == 5 })
	if last := r.all()[4]; last.header.Get("Webhook-Id") != d.ID || !bytes.Equal(last.body, got[0].body) {
		t.Errorf("%v", last.header)
	}
	ping, err := w.TestWebhook(t.Context(), w.admin, place, id)
	w.must(err)
	w.until(id, "the ping is delivered", func(d registry.Delivery) bool { return d.ID == ping && d.State == registry.Delivered })
}

// It ends: where the receiver says so, and after the days for which it is tried.
func TestGivenUp(t *testing.T) {
	w := open(t, webhook.Options{GiveUp: 2 * time.Second, Pause: func(int) time.Duration { return 100 * time.Millisecond }}, false)
	gone := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	broken := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	one, two := w.hook("gone", gone.URL, "", ""), w.hook("broken", broken.URL, "", "")
	w.push("v1")
	if d := w.until(one, "it is given up", is(registry.DeliveryFailed)); d.Attempts != 1 || d.Status != 410 {
		t.Errorf("%+v", d)
	}
	if d := w.until(two, "it is given up", is(registry.DeliveryFailed)); d.Attempts < 2 || !strings.Contains(d.Error, "Given up after 2s") || !strings.Contains(d.Error, "418") {
		t.Errorf("%+v", d)
	}
}

// What is switched off or gone gets nothing more.
func TestSwitchedOff(t *testing.T) {
	w := open(t, webhook.Options{Pause: func(int) time.Duration { return 300 * time.Millisecond }}, false)
	r := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	one, two := w.hook("one", r.URL, "", ""), w.hook("two", r.URL, "", "")
	w.push("v1")
	for _, id := range []int64{one, two} {
		w.until(id, "the first attempt", func(d registry.Delivery) bool { return d.Attempts == 1 })
	}
	off := false
	w.must(w.UpdateWebhook(t.Context(), w.admin, place, one, registry.WebhookPatch{Enabled: &off}))
	w.must(w.DeleteWebhook(t.Context(), w.admin, place, two))
	before := len(r.all())
	if d := w.until(one, "it is over", is(registry.DeliveryFailed)); !strings.Contains(d.Error, "switched off") {
		t.Errorf("%+v", d)
	}
	time.Sleep(400 * time.Millisecond)
	if after := len(r.all()); after > before {
		t.Errorf("%d requests more", after-before)
	}
}

// A receiver with a certificate of its own authority is trusted with that
// authority alone.
func TestAuthority(t *testing.T) {
	w := open(t, webhook.Options{}, false)
	r := &receiver{}
	r.Server = httptest.NewTLSServer(r)
	t.Cleanup(r.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}))
	good, bad := w.hook("good", r.URL, "", ca), w.hook("bad", r.URL, "", "")
	w.push("v1")
	w.until(good, "it is delivered", is(registry.Delivered))
	if d := w.until(bad, "an attempt fails", func(d registry.Delivery) bool { return d.Attempts > 0 }); !strings.Contains(d.Error, "certificate") || d.State == registry.Delivered {
		t.Errorf("%+v", d)
	}
}

// Addresses of this machine are refused, whatever they are called.
func TestRefused(t *testing.T) {
	w := open(t, webhook.Options{}, true)
	r := receive(t, nil)
	port := r.URL[strings.LastIndexByte(r.URL, ':'):]
	for name, url := range map[string]string{"number": r.URL, "name": "http://localhost" + port, "metadata": "http://169.254.169.254/latest", "mapped": "http://[::ffff:127.0.0.1]" + port} {
		id := w.hook(name, url, "", "")
		w.push(name)
		if d := w.until(id, "an attempt fails", func(d registry.Delivery) bool { return d.Attempts > 0 }); !strings.Contains(d.Error, "do not allow") {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if n := len(r.all()); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

// A receiver that hangs is left after a while, and left alone for longer and
// longer. Others of the account and other accounts do not wait for it.
func TestHanging(t *testing.T) {
	rests := []time.Duration{time.Millisecond, 300 * time.Millisecond, time.Hour}
	w := open(t, webhook.Options{Timeout: 200 * time.Millisecond, Pause: func(n int) time.Duration { return rests[min(n, len(rests))-1] }}, false)
	let := make(chan struct{})
	hang := func(_ int, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-let:
		case <-r.Context().Done():
		}
	}
	defer close(let)
	var slow []int64
	receivers := []*receiver{receive(t, hang), receive(t, hang), receive(t, hang), receive(t, hang), receive(t, hang), receive(t, hang)}
	for i, r := range receivers { // more than are worked on at once
		slow = append(slow, w.hook(fmt.Sprint("slow-", i), r.URL, "", ""))
	}
	fast := receive(t, nil)
	quick := w.hook("fast", fast.URL, "", "")
	const pushes = 30
	for i := range pushes {
		w.push(fmt.Sprint("v", i))
	}
	for i := range pushes {
		w.until(quick, "all are delivered", func(registry.Delivery) bool { return len(fast.all()) > i })
	}
	for i, id := range slow {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			h, err := w.Webhook(t.Context(), w.admin, place, id)
			w.must(err)
			if left := time.Until(h.Resting); h.Failures == 3 && left > 4*time.Minute && left < 6*time.Minute {
				if h.Waiting != pushes || h.Dropped != 0 {
					t.Errorf("%+v", h.HookState)
				}
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%+v", h.HookState)
			}
		}
		// Four at first, of which none was answered, then one at a time.
		if n := len(receivers[i].all()); n > 6 {
			t.Errorf("%d requests to a receiver that hangs", n)
		}
		list, _, err := w.Deliveries(t.Context(), w.admin, place, id, "", 100)
		w.must(err)
		tried := 0
		for _, d := range list {
			tried += d.Attempts
			if d.Attempts > 0 && (!strings.Contains(d.Error, "in time") || d.Duration < 200*time.Millisecond) {
				t.Errorf("%+v", d)
			}
		}
		if tried != len(receivers[i].all()) {
			t.Errorf("%d attempts of %d requests", tried, len(receivers[i].all()))
		}
	}
	jobs, err := w.Jobs(t.Context(), w.admin, registry.WebhookKind, "", 0, 100)
	if w.must(err); len(jobs.Items) != len(slow) {
		t.Errorf("%d jobs", len(jobs.Items))
	}
}

// Somebody who says that the receiver is well again, by a ping, by asking for a
// delivery or by changing the webhook, does not wait until it has rested.
func TestRestEnds(t *testing.T) {
	w := open(t, webhook.Options{Timeout: 100 * time.Millisecond, Pause: func(int) time.Duration { return time.Hour }}, false)
	well := make(chan struct{})
	r := receive(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-well:
		case <-r.Context().Done():
		}
	})
	for name, say := range map[string]func(id int64, d registry.Delivery) error{
		"ping": func(id int64, _ registry.Delivery) error {
			_, err := w.TestWebhook(t.Context(), w.admin, place, id)
			return err
		},
		"redeliver": func(id int64, d registry.Delivery) error { return w.Redeliver(t.Context(), w.admin, place, id, d.ID) },
		"change": func(id int64, _ registry.Delivery) error {
			return w.UpdateWebhook(t.Context(), w.admin, place, id, registry.WebhookPatch{})
		},
	} {
		id := w.hook(name, r.URL, "", "")
		w.push("v1")
		d := w.until(id, "it is left", func(d registry.Delivery) bool { return d.Attempts == 1 })
		before := len(r.all())
		w.push("v2")
		time.Sleep(500 * time.Millisecond)
		if after := len(r.all()); after > before {
			t.Errorf("%s: %d requests while the receiver rests", name, after-before)
		}
		close(well)
		w.must(say(id, d))
		w.until(id, "what waits is sent", func(registry.Delivery) bool {
			h, err := w.Webhook(t.Context(), w.admin, place, id)
			w.must(err)
			if name == "ping" && h.Waiting == 1 { // that which failed waits for its own time
				return h.Failures == 0
			}
			return h.Waiting <= 1 && h.Failures == 0 && h.Resting.IsZero()
		})
		w.must(w.DeleteWebhook(t.Context(), w.admin, place, id))
		well = make(chan struct{})
	}
}

// What nobody answers for days fails, also what was not tried once.
func TestNeverAnswered(t *testing.T) {
	w := open(t, webhook.Options{GiveUp: time.Second, Pause: func(int) time.Duration { return 300 * time.Millisecond }}, false)
	id := w.hook("away", "http://127.0.0.1:1/", "", "")
	for i := range 10 {
		w.push(fmt.Sprint("v", i))
	}
	w.until(id, "all fail", func(registry.Delivery) bool {
		h, err := w.Webhook(t.Context(), w.admin, place, id)
		w.must(err)
		return h.Waiting == 0
	})
	list, _, err := w.Deliveries(t.Context(), w.admin, place, id, "", 100)
	w.must(err)
	untried := 0
	for _, d := range list {
		if d.State != registry.DeliveryFailed || !strings.Contains(d.Error, "Given up after 1s") {
			t.Errorf("%+v", d)
		}
		if d.Attempts == 0 {
			untried++
		}
	}
	if len(list) != 10 || untried == 0 {
		t.Errorf("%d deliveries, of which %d were not tried", len(list), untried)
	}
}

// What a webhook that is deleted leaves goes, whole.
func TestDeleted(t *testing.T) {
	w := open(t, webhook.Options{Pause: func(int) time.Duration { return time.Hour }}, false)
	id := w.hook("away", "http://127.0.0.1:1/", "", "")
	w.push("v1")
	w.until(id, "it is tried", func(d registry.Delivery) bool { return d.Attempts == 1 })
	if _, err := db.Update(t.Context(), w.db, func(tx *db.Tx) (int64, error) { // enough for several steps
		return tx.Exec(`INSERT INTO webhook_delivery (id, seq, webhook, kind, path, tag, body, state, attempts, next, request, status, response, error, duration, created, updated)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 950)
			SELECT 'x' || i, 1, $1, 'push', '', '', '', 'failed', 1, 0, '', 0, '', '', 0, 1, 1 FROM n`, id)
	}); err != nil {
		t.Fatal(err)
	}
	w.must(w.DeleteWebhook(t.Context(), w.admin, place, id))
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		n, err := db.One[int](t.Context(), w.db, `SELECT (SELECT count(*) FROM webhook_delivery) + (SELECT count(*) FROM job WHERE kind = $1)`, registry.WebhookKind)
		w.must(err)
		if n == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d rows are left", n)
		}
	}
}

// A process that ends in the middle of an attempt leaves it to the next one.
func TestEndsInTheMiddle(t *testing.T) {
	w := open(t, webhook.Options{}, false)
	begun := make(chan struct{}, 10)
	r := receive(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
	})
	id := w.hook("ci", r.URL, "", "")
	w.push("v1")
	<-begun
	w.stop()
	list, _, err := w.Deliveries(t.Context(), w.admin, place, id, "", 10)
	w.must(err)
	if len(list) != 1 || list[0].State != registry.DeliveryWaiting || list[0].Attempts != 0 {
		t.Errorf("%+v", list)
	}
	jobs, err := w.Jobs(t.Context(), w.admin, registry.WebhookKind, "", 0, 10)
	if w.must(err); len(jobs.Items) != 1 {
		t.Errorf("%+v", jobs)
	}
}
