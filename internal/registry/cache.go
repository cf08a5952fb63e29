package registry

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/oci"
)

// The keys of the cache. A transaction that changes what stands behind a key
// invalidates it.
type (
	orgKey      string
	repoKey     oci.Name
	manifestKey struct {
		repo int64
		ref  string // a tag or a digest
	}
	blobKey struct {
		repo   int64
		digest oci.Digest
	}
	referrersKey struct {
		repo    int64
		subject oci.Digest
	}
	bodyKey int64    // a manifest's body, by id: it never changes
	allKeys struct{} // a change after which no entry is what it was
)

// A cache holds what was read from the database. It is exact where this
// process is the only writer: a value read before a change is never stored
// after it, because the reader notes the generation of its shard first and the
// change raises that generation before anyone is told of it.
type cache struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard
}

const cacheShards = 16

type cacheShard struct {
	mu      sync.RWMutex
	gen     uint64
	limit   int
	bytes   int
	entries map[any]cacheEntry

	hits, misses atomic.Int64
}

type cacheEntry struct {
	value any
	bytes int
}

func newCache(limit int64) *cache {
	c := &cache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].limit = int(limit / cacheShards)
		c.shards[i].entries = map[any]cacheEntry{}
	}
	return c
}

func shardOf[K comparable](c *cache, k K) *cacheShard {
	return &c.shards[maphash.Comparable(c.seed, k)%cacheShards]
}

// cached returns the value of the key, reading it where it is not there. read
// also says how many bytes the value takes. Errors are not remembered.
func cached[T any, K comparable](c *cache, k K, read func() (T, int, error)) (T, error) {
	s := shardOf(c, k)
	s.mu.RLock()
	e, ok := s.entries[k]
	gen := s.gen
	s.mu.RUnlock()
	if ok {
		s.hits.Add(1)
		return e.value.(T), nil
	}
	s.misses.Add(1)
	v, n, err := read()
	if err != nil {
		return v, err
	}
	s.put(k, v, n, gen)
	return v, nil
}

// peek returns the value of the key if it is there.
func peek[T any, K comparable](c *cache, k K) (T, bool) {
	s := shardOf(c, k)
	s.mu.RLock()
	e, ok := s.entries[k]
	s.mu.RUnlock()
	v, _ := e.value.(T)
	return v, ok
}

// largest is how many bytes one value may take, so that it does not drive all
// others out of its shard.
func (c *cache) largest() int { return c.shards[0].limit / 4 }

// peekIn is peek inside a transaction: it finds only what the transaction would
// read as well.
func peekIn[T any, K comparable](tx *db.Tx, c *cache, k K) (T, bool) {
	if !tx.Settled(func(changed any) bool { return changed == any(k) || changed == any(allKeys{}) }) {
		var none T
		return none, false
	}
	return peek[T](c, k)
}

func (s *cacheShard) put(k, v any, n int, gen uint64) {
	if n > s.limit/4 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen != gen {
		return
	}
	if old, ok := s.entries[k]; ok {
		delete(s.entries, k)
		s.bytes -= old.bytes
	}
	// Go walks a map from a random place: what goes is random, which is
	// good enough and needs no order kept on every read.
	for other, e := range s.entries {
		if s.bytes+n <= s.limit {
			break
		}
		delete(s.entries, other)
		s.bytes -= e.bytes
	}
	s.entries[k] = cacheEntry{v, n}
	s.bytes += n
}

// invalidate drops the keys; nil drops everything.
func (c *cache) invalidate(keys []any) {
	if keys == nil {
		for i := range c.shards {
			s := &c.shards[i]
			s.mu.Lock()
			s.gen++
			clear(s.entries)
			s.bytes = 0
			s.mu.Unlock()
		}
		return
	}
	for _, k := range keys {
		switch k := k.(type) {
		case allKeys:
			c.invalidate(nil)
		case orgKey:
			drop(c, k)
		case repoKey:
			drop(c, k)
		case manifestKey:
			drop(c, k)
		case blobKey:
			drop(c, k)
		case referrersKey:
			drop(c, k)
		}
	}
}

func drop[K comparable](c *cache, k K) {
	s := shardOf(c, k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen++
	if e, ok := s.entries[k]; ok {
		delete(s.entries, k)
		s.bytes -= e.bytes
	}
}

// stats returns the figures for metrics.
func (c *cache) stats() (sum Stats) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		sum.CacheEntries += len(s.entries)
		sum.CacheBytes += s.bytes
		s.mu.RUnlock()
		sum.CacheHits += s.hits.Load()
		sum.CacheMisses += s.misses.Load()
	}
	return sum
}
