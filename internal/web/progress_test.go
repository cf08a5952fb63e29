package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/fault"
)

const progress = 150 * time.Millisecond

// start serves h with a short progress limit on a real connection.
func start(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := New(Options{Progress: progress}, Mount{"/", h}).HTTP()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return l.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func bigFile(t *testing.T, size int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "big"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return f
}

func sendFile(f *os.File, size int64, done chan<- error) http.Handler {
	return handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, err := io.CopyN(w, f, size)
		done <- err
	})
}

func TestSlowDownloadThatMoves(t *testing.T) {
	const size = 48 << 20
	done := make(chan error, 1)
	addr := start(t, sendFile(bigFile(t, size), size, done))
	c := dial(t, addr)
	began := time.Now()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got := int64(0)
	for {
		n, err := io.CopyN(io.Discard, resp.Body, 2<<20)
		got += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(progress / 4) // the client is slow: this is the case under test
	}
	if err := <-done; err != nil || got != size || time.Since(began) < 3*progress {
		t.Errorf("%d bytes in %v: %v", got, time.Since(began), err)
	}
}

func TestDownloadThatStands(t *testing.T) {
	const size = 256 << 20 // more than the sockets' buffers hold
	for name, h := range map[string]func(done chan<- error) http.Handler{
		"sendfile": func(done chan<- error) http.Handler { return sendFile(bigFile(t, size), size, done) },
		"write": func(done chan<- error) http.Handler {
			return handle(func(w http.ResponseWriter, _ *http.Request) {
				_, err := w.Write(make([]byte, size))
				done <- err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan error, 1)
			c := dial(t, start(t, h(done)))
			fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			select {
			case err := <-done:
				if !isTimeout(err) {
					t.Errorf("ended with %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("nobody reads, and the server still waits")
			}
		})
	}
}

// receive reports what a handler saw of its request's body, and then works on
// for longer than the progress limit.
func receive(seen chan<- error) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if failed := Of(w).BodyFailed(); fault.CodeOf(failed) != fault.CodeOf(err) {
			err = errors.Join(errors.New("the body failed otherwise"), failed)
		}
		if err == nil {
			select {
			case <-r.Context().Done():
				err = errors.New("the request was taken for cancelled")
			case <-time.After(3 * progress):
			}
		}
		seen <- err
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, n)
	})
}

func TestSlowUploadThatMoves(t *testing.T) {
	seen := make(chan error, 1)
	c := dial(t, start(t, receive(seen)))
	fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	br := bufio.NewReader(c)
	if line, err := br.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = br.ReadString('\n')
	for range 10 {
		time.Sleep(progress / 3)
		fmt.Fprint(c, "x")
	}
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 201 {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
	if err := <-seen; err != nil {
		t.Error(err)
	}
}

func TestUploadThatStands(t *testing.T) {
	seen := make(chan error, 1)
	c := dial(t, start(t, receive(seen)))
	fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nxx")
	if err := <-seen; !fault.Is(err, fault.Timeout) {
		t.Errorf("a client that stands still: %v", err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("the connection was not closed: %v", err)
	}
}

func TestUploadCutOff(t *testing.T) {
	seen := make(chan error, 1)
	c := dial(t, start(t, receive(seen)))
	fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nxx")
	_ = c.Close()
	if err := <-seen; !fault.Is(err, fault.SizeInvalid) {
		t.Errorf("a client that left: %v", err)
	}
}

func TestInterruptedUpload(t *testing.T) {
	seen := make(chan error, 1)
	reading := make(chan interface{ Interrupt() }, 1)
	addr := start(t, handle(func(w http.ResponseWriter, r *http.Request) {
		reading <- r.Body.(interface{ Interrupt() })
		_, err := io.Copy(io.Discard, r.Body)
		_, again := r.Body.Read(make([]byte, 1))
		seen <- errors.Join(err, again)
		w.WriteHeader(http.StatusBadRequest)
	}))
	c := dial(t, addr)
	fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nxx")
	(<-reading).Interrupt()
	if err := <-seen; !fault.Is(err, fault.UploadInvalid) {
		t.Errorf("%v", err)
	}
}

func TestProgressOverHTTP2(t *testing.T) {
	seen := make(chan error, 1)
	s := New(Options{Progress: progress}, Mount{"/", receive(seen)})
	srv := httptest.NewUnstartedServer(s)
	srv.Config = s.HTTP()
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	pr, pw := io.Pipe()
	go func() {
		for range 10 {
			time.Sleep(progress / 3)
			_, _ = io.WriteString(pw, "x")
		}
		_ = pw.Close()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPut, srv.URL, pr)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err := <-seen; err != nil {
		t.Error(err)
	}
	if err != nil || resp.ProtoMajor != 2 || string(b) != "10" {
		t.Errorf("HTTP/%d: %q, %v", resp.ProtoMajor, b, err)
	}
}
