package registry

import (
	"context"
	"sync"

	"berth.dev/berth/internal/fault"
)

// errTakenOver is the cause of the context of a request whose upload another
// request has taken over.
var errTakenOver = fault.New(fault.UploadInvalid, "Another request took this upload over.")

// leases makes sure that one request at a time works on an upload. A client
// that lost its connection comes back before we have noticed; the newer
// request wins, and waits until the older one has left.
type leases struct {
	mu sync.Mutex
	m  map[string]*lease
}

type lease struct {
	of     *leases
	id     string
	cancel context.CancelCauseFunc
	left   chan struct{}
}

func newLeases() *leases { return &leases{m: map[string]*lease{}} }

// take returns a context that ends when someone else takes the lease.
func (ls *leases) take(ctx context.Context, id string) (context.Context, *lease, error) {
	for {
		ls.mu.Lock()
		old := ls.m[id]
		if old == nil {
			c, cancel := context.WithCancelCause(ctx)
			l := &lease{of: ls, id: id, cancel: cancel, left: make(chan struct{})}
			ls.m[id] = l
			ls.mu.Unlock()
			return c, l, nil
		}
		ls.mu.Unlock()
		old.cancel(errTakenOver)
		select {
		case <-old.left:
		case <-ctx.Done():
			return ctx, nil, fault.Wrap(fault.Unavailable, context.Cause(ctx), "The upload is in use; try again.")
		}
	}
}

func (l *lease) release() {
	l.of.mu.Lock()
	delete(l.of.m, l.id)
	l.of.mu.Unlock()
	l.cancel(nil)
	close(l.left)
}

// busy tells whether a request works on the upload.
func (ls *leases) busy(id string) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.m[id] != nil
}

// held is the number of uploads being worked on.
func (ls *leases) held() int {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return len(ls.m)
}
