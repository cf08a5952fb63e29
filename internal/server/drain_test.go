package server

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// upload opens an upload and returns where it goes on.
func (s *started) upload(t *testing.T, name string) string {
	t.Helper()
	res, body := do(t, s.request(t, "POST", "/v2/"+name+"/blobs/uploads/", nil))
	if res.StatusCode != 202 {
		t.Fatalf("upload: %d %s", res.StatusCode, body)
	}
	return strings.TrimPrefix(res.Header.Get("Location"), s.url)
}

// slow is a body that ends when finish is called. When its first part is sent,
// the server reads it: patch asks for that before it sends anything.
func slow(first string) (body io.Reader, sent <-chan struct{}, finish func()) {
	r, w := io.Pipe()
	began := make(chan struct{})
	go func() {
		io.WriteString(w, first)
		close(began)
	}()
	return r, began, func() { w.Close() }
}

// patch sends a body and returns status and range, or the error.
func (s *started) patch(at string, body io.Reader) string {
	req, err := http.NewRequest("PATCH", s.url+at, body)
	if err != nil {
		return err.Error()
	}
	req.SetBasicAuth("admin", testPassword)
	req.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	res.Body.Close()
	return res.Status + " " + res.Header.Get("Range")
}

func TestDrainFinishesWhatIsInFlight(t *testing.T) {
	cfg := config(t)
	s := start(t, cfg)
	newOrg(t, &cfg, "demo")
	at := s.upload(t, "demo/app")
	body, sent, finish := slow(strings.Repeat("x", 100<<10))
	answered := make(chan string, 1)
	go func() { answered <- s.patch(at, body) }()
	<-sent
	ended := make(chan error, 1)
	go func() { ended <- s.stop() }()
	refused(t, strings.TrimPrefix(s.url, "http://"))
	select {
	case err := <-ended:
		t.Fatalf("ended with a request in flight: %v", err)
	default:
	}
	finish()
	if got := <-answered; got != "202 Accepted 0-102399" {
		t.Error(got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// refused waits until nobody listens at addr any more.
func refused(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		c.Close()
	}
	t.Fatalf("%s still accepts connections", addr)
}

func TestUploadCutOffByTheDrainGoesOn(t *testing.T) {
	cfg := config(t)
	cfg.Limits.Drain = 50 * time.Millisecond
	s := start(t, cfg)
	newOrg(t, &cfg, "demo")
	at := s.upload(t, "demo/app")
	if res, body := do(t, s.request(t, "PATCH", at, strings.NewReader(strings.Repeat("x", 100<<10)))); res.StatusCode != 202 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	body, sent, finish := slow(strings.Repeat("x", 100<<10))
	defer finish()
	cut := make(chan string, 1)
	go func() { cut <- s.patch(at, body) }()
	<-sent
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	finish()
	if got := <-cut; strings.HasPrefix(got, "202") {
		t.Errorf("a request that was not done in time was answered %s", got)
	}
	s = start(t, cfg)
	res, _ := do(t, s.request(t, "GET", at, nil))
	if got := res.Header.Get("Range"); res.StatusCode != 204 || !strings.HasPrefix(got, "0-") || got < "0-102399" && len(got) <= len("0-102399") {
		t.Errorf("%d, range %s", res.StatusCode, got)
	}
}
