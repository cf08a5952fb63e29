package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A receiver takes what webhooks send.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	ids    []string
	header http.Header // of the last delivery
	body   []byte
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids = append(r.ids, q.Header.Get("Webhook-Id"))
	r.header, r.body = q.Header, body
	w.Header().Set("X-Receiver", "script")
	_, _ = io.WriteString(w, "thanks")
}

func cmdReceive(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: receive NAME")
	}
	r := &receiver{}
	r.Server = httptest.NewServer(r)
	scriptOf(ts).receivers[args[0]] = r
	ts.Setenv("RECEIVER", r.URL)
}

func receiverOf(ts *testscript.TestScript, name string) *receiver {
	r := scriptOf(ts).receivers[name]
	if r == nil {
		ts.Fatalf("there is no receiver %s", name)
	}
	return r
}

// came tells how many deliveries there are, and of how many ids.
func (r *receiver) came() (n, ids int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	different := map[string]bool{}
	for _, id := range r.ids {
		different[id] = true
	}
	return len(r.ids), len(different)
}

func cmdReceived(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: received NAME N IDS")
	}
	r := receiverOf(ts, args[0])
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	wantIDs, err := strconv.Atoi(args[2])
	ts.Check(err)
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		n, ids := r.came()
		if n == want && ids == wantIDs {
			return
		}
		if n > want || time.Now().After(end) {
			ts.Fatalf("%d deliveries of %d ids, want %d of %d", n, ids, want, wantIDs)
		}
	}
}

// cmdVerify runs the shell lines of the documentation: with the secret they
// must give the signature that came.
func cmdVerify(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: verify NAME SECRET")
	}
	doc, err := os.ReadFile("../../docs/webhooks.md")
	ts.Check(err)
	_, lines, ok := strings.Cut(string(doc), "```sh\nkey=")
	lines, _, end := strings.Cut(lines, "```")
	if !ok || !end {
		ts.Fatalf("docs/webhooks.md does not say how to verify")
	}
	r := receiverOf(ts, args[0])
	r.mu.Lock()
	defer r.mu.Unlock()
	ts.Check(os.WriteFile(ts.MkAbs("body"), r.body, 0o600))
	cmd := exec.Command("sh", "-c", "key="+lines)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "secret="+args[1], "id="+r.header.Get("Webhook-Id"), "timestamp="+r.header.Get("Webhook-Timestamp"))
	out, err := cmd.Output()
	ts.Check(err)
	if got := r.header.Get("Webhook-Signature"); (got == "v1,"+strings.TrimSpace(string(out))) == neg {
		ts.Fatalf("the signature is %s, openssl says %s", got, out)
	}
}
