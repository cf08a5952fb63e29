// Package chart makes a chart group of the registry what Helm knows as a chart
// repository: an index of all versions, kept up to date change by change, and
// uploads of archives with their provenance. Charts themselves are images of
// the registry like all others.
package chart

import (
	"cmp"
	"log/slog"
	"sync"

	"golang.org/x/sync/semaphore"

	"berth.dev/berth/internal/dial"
	"berth.dev/berth/internal/registry"
)

// Options are the rules an operator can change.
type Options struct {
	CacheBytes int64        // memory for the indexes of groups; default 64 MiB
	Dialer     *dial.Dialer // to chart repositories elsewhere; nil: none are imported from
	Log        *slog.Logger
}

// Charts is safe for use by many goroutines.
type Charts struct {
	reg    *registry.Registry
	log    *slog.Logger
	dialer *dial.Dialer
	limit  int64
	memory *semaphore.Weighted // of archives that are being uploaded, bytes

	reading sync.Mutex // an index of others

	mu     sync.Mutex
	groups map[key]*group
	bytes  int64 // of all groups together
	clock  int64 // counts uses, to know which is the oldest
}

// uploadsAtOnce is how many archives of the greatest size are in memory at once.
const uploadsAtOnce = 4

// New assembles it. Nothing is read before somebody asks.
func New(r *registry.Registry, o Options) *Charts {
	return &Charts{
		reg: r, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), dialer: o.Dialer, limit: cmp.Or(o.CacheBytes, 64<<20),
		memory: semaphore.NewWeighted(uploadsAtOnce * r.MaxChart()),
		groups: map[key]*group{},
	}
}
