package db

import (
	"sync/atomic"
	"time"
)

// clock gives transactions their time, which never goes back.
type clock struct {
	source func() time.Time
	last   atomic.Int64 // microseconds
}

// now reads the source.
func (c *clock) now() int64 { return c.atLeast(c.source().UnixMicro()) }

// atLeast returns the later of t and the last time given out.
func (c *clock) atLeast(t int64) int64 {
	for {
		last := c.last.Load()
		if t <= last {
			return last
		}
		if c.last.CompareAndSwap(last, t) {
			return t
		}
	}
}
