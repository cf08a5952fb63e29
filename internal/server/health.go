package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/web"
)

const (
	readyWithin = 2 * time.Second // what the whole check may take
	readyFor    = time.Second     // how long its result is good for
)

// health answers whether the process lives, and whether it can work.
type health struct {
	core *core
	data string

	mu      sync.Mutex
	checked time.Time
	result  error
}

func newHealth(c *core, data string) *health { return &health{core: c, data: data} }

// alive answers as long as anything does.
func (h *health) alive(w http.ResponseWriter, _ *http.Request) {
	web.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// ready answers 200 where the database answers and storage can be written
// above its reserve, else 503 with the reason.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	if err := h.check(r.Context()); err != nil {
		web.Of(w).Failed(err)
		web.WriteJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "unavailable", "reason": reason(err)})
		return
	}
	web.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// check looks at most once in readyFor, whoever asks: the address has no
// login.
func (h *health) check(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.checked) < readyFor {
		return h.result
	}
	// Without the cancellation of who happened to ask.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWithin)
	defer cancel()
	h.result = h.look(ctx)
	h.checked = time.Now()
	return h.result
}

var (
	errDatabase = errors.New("the database does not answer")
	errStorage  = errors.New("the data directory cannot be written")
)

func (h *health) look(ctx context.Context) error {
	if _, err := db.One[int64](ctx, h.core.db, `SELECT count(*) FROM account WHERE seq = $1`, 1); err != nil {
		return fmt.Errorf("%w: %w", errDatabase, err)
	}
	if err := h.core.blobs.Free(ctx); err != nil {
		return err
	}
	f, err := os.CreateTemp(h.data, ".ready-*")
	if err != nil {
		return fmt.Errorf("%w: %w", errStorage, err)
	}
	_, err = f.Write([]byte("ready?"))
	if err := errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
		return fmt.Errorf("%w: %w", errStorage, err)
	}
	return nil
}

// reason is the part of an error that everyone may see.
func reason(err error) string {
	var f *fault.Error
	switch {
	case errors.Is(err, errDatabase):
		return errDatabase.Error()
	case errors.Is(err, errStorage):
		return errStorage.Error()
	case errors.As(err, &f):
		return f.Msg
	}
	return "unknown"
}
