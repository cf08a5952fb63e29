package mirror

import (
	"sync"
	"time"
)

// known is what a target was seen to have, for a while: an hour at most, since
// the other side collects what it does not need. Who relies on it is told by
// the other side where it was wrong, and asks again without it.
type known struct {
	mu   sync.Mutex
	has  map[place]time.Time
	home map[string]string // digest -> a repository that has it
}

// A place is content in a repository.
type place struct{ path, digest string }

const (
	knownLife = 10 * time.Minute
	knownMost = 100_000
)

func newKnown() *known { return &known{has: map[place]time.Time{}, home: map[string]string{}} }

func (k *known) add(path, digest string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.has) >= knownMost {
		clear(k.has)
		clear(k.home)
	}
	k.has[place{path, digest}] = time.Now()
	k.home[digest] = path
}

func (k *known) there(path, digest string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.has[place{path, digest}]
	return ok && time.Since(at) < knownLife
}

// sibling returns another repository that has the content, "" for none.
func (k *known) sibling(path, digest string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if home := k.home[digest]; home != path && time.Since(k.has[place{home, digest}]) < knownLife {
		return home
	}
	return ""
}

// forget drops what is known of a repository.
func (k *known) forget(path string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for p := range k.has {
		if p.path == path {
			delete(k.has, p)
		}
	}
}
