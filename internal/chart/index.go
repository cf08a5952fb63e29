package chart

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Masterminds/semver/v3"

	"berth.dev/berth/internal/helm"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

// A key names a group for as long as it is there: the id of one that was
// deleted may come again.
type key struct{ id, created int64 }

// A group is what is known of a chart group's index.
type group struct {
	mu     sync.Mutex // of whoever brings it up to date
	at     int64      // the last change it knows
	known  int64      // all changes up to this one were there when it had all, or began
	last   int64      // when that was, µs
	charts map[string]*versions
	place  map[place]*Version
	chunks map[*Version]*chunk // of the last index, by their first version

	now   atomic.Pointer[Index] // the last one that was made
	bytes int64                 // that the group takes; Charts.mu
	used  int64                 // Charts.mu
}

type place struct {
	repository int64
	tag        string
}

// versions of one chart, the newest first.
type versions struct {
	name   string
	list   []*Version
	sorted bool
}

// A Version of a chart. It is shared: read only.
type Version struct {
	registry.ChartVersion
	Version string
	Created time.Time // when the version came to be what it is
	order   *semver.Version
	at      place
}

// changesPerPage is how many changes are read by one statement.
const changesPerPage = 1000

// Index returns the index of a group as it is now. Whoever asks first after a
// change reads what has changed; others take what is there.
// Errors: OrgUnknown, Denied, Unauthorized.
func (c *Charts) Index(ctx context.Context, who iam.Caller, name string) (*Index, error) {
	s, err := c.reg.ChartGroupState(ctx, who, name)
	if err != nil {
		return nil, err
	}
	g := c.group(key{s.ID, s.Created})
	if x := g.now.Load(); x != nil && x.changes >= s.Changes {
		return x, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if x := g.now.Load(); x != nil && x.changes >= s.Changes {
		return x, nil
	}
	if err := c.follow(ctx, who, name, g); err != nil {
		return nil, err
	}
	x := g.render(key{s.ID, s.Created}, max(g.at, s.Changes))
	g.now.Store(x)
	c.account(key{s.ID, s.Created}, g, x)
	return x, nil
}

// group finds what is known of a group, and makes room for it.
func (c *Charts) group(k key) *group {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.groups[k]
	if g == nil {
		g = &group{}
		g.forget()
		c.groups[k] = g
	}
	c.clock++
	g.used = c.clock
	return g
}

// account notes how much memory a group takes, and forgets those that were not
// used for the longest time where all take too much.
func (c *Charts) account(k key, g *group, x *Index) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups[k] != g {
		return
	}
	c.bytes += x.bytes - g.bytes
	g.bytes = x.bytes
	for c.bytes > c.limit && len(c.groups) > 1 {
		oldest := k
		for other, o := range c.groups {
			if other != k && (oldest == k || o.used < c.groups[oldest].used) {
				oldest = other
			}
		}
		c.bytes -= c.groups[oldest].bytes
		delete(c.groups, oldest)
	}
}

func (g *group) forget() {
	g.at, g.known, g.last, g.charts, g.place = 0, 0, 0, map[string]*versions{}, map[place]*Version{}
}

// follow reads what has changed since. It may be cut off at any change.
func (c *Charts) follow(ctx context.Context, who iam.Caller, name string, g *group) error {
	for {
		p, err := c.reg.ChartChanges(ctx, who, name, g.at, g.known, changesPerPage)
		switch {
		case err != nil:
			return err
		case p.Whole:
			g.forget()
			continue
		}
		if g.at == 0 {
			g.known = p.Now
		}
		for _, x := range p.Items {
			g.apply(x)
		}
		if !p.More {
			g.known = max(g.known, p.Now)
			return nil
		}
	}
}

func (g *group) apply(x registry.ChartChange) {
	g.at, g.last = x.N, x.Changed
	p := place{x.Repository, x.Tag}
	if old := g.place[p]; old != nil {
		v := g.charts[old.Name]
		v.list = slices.DeleteFunc(slices.Clone(v.list), func(o *Version) bool { return o == old })
		if len(v.list) == 0 {
			delete(g.charts, old.Name)
		}
		delete(g.place, p)
	}
	if x.Version == nil {
		return
	}
	n := &Version{ChartVersion: *x.Version, Version: helm.VersionOf(x.Tag), Created: time.UnixMicro(x.Changed).UTC(), at: p}
	var err error
	if n.order, err = helm.ParseVersion(n.Version); err != nil {
		return // no tag of a chart is not a version
	}
	v := g.charts[n.Name]
	if v == nil {
		v = &versions{name: n.Name}
		g.charts[n.Name] = v
	}
	v.list, v.sorted = append(slices.Clip(v.list), n), false
	g.place[p] = n
}

// sorted returns the charts by name, and of each the newest version first.
func (g *group) sorted() []*versions {
	all := make([]*versions, 0, len(g.charts))
	for _, v := range g.charts {
		if !v.sorted {
			slices.SortFunc(v.list, func(a, b *Version) int {
				return cmp.Or(b.order.Compare(a.order), cmp.Compare(b.Version, a.Version))
			})
			v.sorted = true
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b *versions) int { return cmp.Compare(a.name, b.name) })
	return all
}

// Prerelease tells that the version comes before one that is meant for all.
func (n *Version) Prerelease() bool { return n.order.Prerelease() != "" }
