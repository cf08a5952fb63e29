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

// A receiver that hangs is left after a while, and does not keep others waiting.
func TestSlow(t *testing.T) {
	w := open(t, webhook.Options{Timeout: 200 * time.Millisecond, Pause: func(int) time.Duration { return time.Hour }}, false)
	let := make(chan struct{})
	slow := receive(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-let:
		case <-r.Context().Done():
		}
	})
	defer close(let)
	fast := receive(t, nil)
	one, two := w.hook("slow", slow.URL, "", ""), w.hook("fast", fast.URL, "", "")
	w.push("v1")
	w.until(two, "it is delivered", is(registry.Delivered))
	d := w.until(one, "it is left", func(d registry.Delivery) bool { return d.Attempts == 1 })
	if !strings.Contains(d.Error, "in time") || d.Duration < 200*time.Millisecond {
		t.Errorf("%+v", d)
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
