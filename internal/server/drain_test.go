package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/web"
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

// What is closed after the drain is in use until the last handler has left.
func TestDrainWaitsForHandlersThatWereCutOff(t *testing.T) {
	entered, cut, leave := make(chan struct{}), make(chan struct{}), make(chan struct{})
	public := web.New(web.Options{}, web.Mount{Path: "/", Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(cut)
		<-leave
	})})
	s := &surfaces{public: public.HTTP(), drained: public.Drained, inside: web.NewGate()}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.public.Serve(l)
	go func() {
		if res, err := http.Get("http://" + l.Addr().String()); err == nil {
			res.Body.Close()
		}
	}()
	<-entered
	drained := make(chan error, 1)
	go func() { drained <- s.drain(time.Millisecond) }()
	<-cut
	select {
	case err := <-drained:
		t.Errorf("drained around a handler: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(leave)
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestSocketWaitsForOperationsThatWereCutOff(t *testing.T) {
	cfg := onFile(t)
	log := slog.New(slog.DiscardHandler)
	if err := makeData(cfg.Data); err != nil {
		t.Fatal(err)
	}
	c, err := openCore(t.Context(), &cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	stop, err := serveSocket(cfg.Data, c, log)
	if err != nil {
		t.Fatal(err)
	}
	l := local(t, &cfg, false)

	// The operation waits behind a transaction that takes long.
	inside, leave, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := db.Update(context.Background(), c.db, func(*db.Tx) (int, error) {
			close(inside)
			<-leave
			return 0, nil
		})
		ended <- err
	}()
	<-inside
	called := make(chan error, 1)
	go func() {
		_, err := Call(context.Background(), l, CreateAccount, Named{Name: "acme"})
		called <- err
	}()
	for deadline := time.Now().Add(10 * time.Second); c.db.Stats().Queue == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the operation does not begin")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := <-called; err == nil || fault.CodeOf(err) != fault.Internal {
		t.Errorf("an operation that was cut off: %v", err)
	}
	close(leave)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
