package fsblob

import (
	"container/list"
	"errors"
	"os"
	"sync"
)

// files keeps the files of unfinished uploads open between requests, the most
// recently used ones. The point is less to save an open than to have the
// descriptor that wrote the bytes at hand for fsync: it is told of every error
// that happened since.
type files struct {
	mu     sync.Mutex
	max    int
	closed bool
	order  list.List // of *idle, most recent first
	byKey  map[string]*list.Element
}

type idle struct {
	key string
	f   *os.File
}

func newFiles(n int) *files { return &files{max: n, byKey: map[string]*list.Element{}} }

// take hands out the open file of key, nil if there is none. It is the
// caller's until put back.
func (c *files) take(key string) *os.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.remove(c.byKey[key])
}

// put keeps f, or closes it if it has been deleted. Errors of closing are of no
// interest: nothing is durable before an fsync, and that is on an open file.
func (c *files) put(key string, f *os.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.byKey[key] != nil || unlinked(f) {
		f.Close()
		return
	}
	c.byKey[key] = c.order.PushFront(&idle{key, f})
	if c.order.Len() > c.max {
		c.remove(c.order.Back()).Close()
	}
}

// drop closes the file of key, so that its space is given back.
func (c *files) drop(key string) {
	if f := c.take(key); f != nil {
		f.Close()
	}
}

func (c *files) remove(e *list.Element) *os.File {
	if e == nil {
		return nil
	}
	i := c.order.Remove(e).(*idle)
	delete(c.byKey, i.key)
	return i.f
}

func (c *files) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var errs []error
	for c.order.Len() > 0 {
		errs = append(errs, c.remove(c.order.Back()).Close())
	}
	return errors.Join(errs...)
}
