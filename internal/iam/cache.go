package iam

import "sync"

// A cache holds at most twice size entries in two generations: when the young
// one is full it becomes the old one, and the old one goes. What is asked for
// moves to the young one. Looking up allocates nothing. It is safe for
// concurrent use; whether an entry is still true is the caller's business.
type cache[K comparable, V any] struct {
	size int

	mu         sync.RWMutex
	young, old map[K]V
}

func newCache[K comparable, V any](size int) *cache[K, V] {
	return &cache[K, V]{size: size, young: make(map[K]V)}
}

func (c *cache[K, V]) get(k K) (V, bool) {
	c.mu.RLock()
	v, ok := c.young[k]
	if ok {
		c.mu.RUnlock()
		return v, true
	}
	v, ok = c.old[k]
	c.mu.RUnlock()
	if ok {
		c.keep(k)
	}
	return v, ok
}

// keep moves an entry to the young generation, unless it was replaced or
// dropped since it was seen.
func (c *cache[K, V]) keep(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.young[k]; ok {
		return
	}
	if v, ok := c.old[k]; ok {
		delete(c.old, k)
		c.add(k, v)
	}
}

func (c *cache[K, V]) put(k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.old, k)
	c.add(k, v)
}

func (c *cache[K, V]) add(k K, v V) {
	if _, ok := c.young[k]; !ok && len(c.young) >= c.size {
		c.old, c.young = c.young, make(map[K]V)
	}
	c.young[k] = v
}

func (c *cache[K, V]) drop(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.young, k)
	delete(c.old, k)
}

// len counts the entries.
func (c *cache[K, V]) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.young) + len(c.old)
}
