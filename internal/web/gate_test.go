package web

import (
	"context"
	"errors"
	"net/http"
	"testing"
)

func TestGateClosesBehindTheLast(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	inside := handle(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	})
	s := New(Options{}, Mount{"/", inside})
	g := NewGate()
	for name, tt := range map[string]struct {
		h     http.Handler
		close func(context.Context) error
	}{
		"of a server":  {s, s.Drained},
		"of a handler": {g.Around(inside), g.Close},
	} {
		t.Run(name, func(t *testing.T) {
			entered, leave = make(chan struct{}), make(chan struct{})
			done := make(chan struct{})
			go func() {
				defer close(done)
				do(tt.h, "GET", "/", nil)
			}()
			<-entered
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := tt.close(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("closed around a request: %v", err)
			}
			if rec := do(tt.h, "GET", "/", nil); rec.Code != 503 {
				t.Errorf("a request through the closed gate: %d", rec.Code)
			}
			closed := make(chan error, 1)
			go func() { closed <- tt.close(t.Context()) }()
			close(leave)
			if err := <-closed; err != nil {
				t.Error(err)
			}
			<-done
			if err := tt.close(ended); err != nil {
				t.Errorf("nobody is inside: %v", err)
			}
		})
	}
}
