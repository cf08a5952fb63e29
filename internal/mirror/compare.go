package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// Bounds of comparisons.
const (
	tagsAtOnce  = 200 // of which one step of a comparison is made
	looksAtOnce = 8   // tags that are asked for at the same time
	maxTagPages = 1000
	maxRemote   = 200_000 // tags over there that are looked at
	roomNeeded  = 500     // tags that may still wait, before more are queued
	roomPause   = 3 * time.Second
)

// compare is the work of a job of the kind sync-compare: it goes through the
// tags on both sides, a step at a time, and goes on after a crash where the
// last step ended.
func (m *Mirror) compare(ctx context.Context, j *job.Job) error {
	w, err := m.reg.BeginCompare(ctx, me, j)
	if errors.Is(err, registry.ErrSyncOver) {
		return nil
	}
	if err != nil {
		return err
	}
	t, err := m.target(ctx, w.Region)
	if fault.Is(err, fault.RuleUnknown) {
		return m.reg.FailCompare(ctx, me, j, w, "The region is not registered any more.")
	}
	if err != nil {
		return err
	}
	c := &comparison{m: m, t: t, j: j, w: w, copier: m.copier(t, w.Repo, w.Organization, w.Override)}
	if err = t.answers(ctx); err == nil {
		err = c.run(t.scoped(ctx, c.path))
	}
	switch {
	case err == nil || errors.Is(err, registry.ErrSyncOver):
		return nil
	case errors.Is(err, errNoRoom):
		return job.Snooze(roomPause, "the tags that wait come first")
	case ctx.Err() != nil || errors.Is(err, job.ErrLost):
		return err
	case w.Behind && isRemote(err):
		// Whatever is wrong over there: it is caught up when that is over.
		if err := m.reg.CompareWaits(ctx, me, w, reason(err)); err != nil {
			return err
		}
		return job.Snooze(m.o.Pause(catchUp), reason(err))
	case isRemote(err):
		return m.reg.FailCompare(ctx, me, j, w, reason(err))
	}
	return err
}

// catchUp is the attempt whose pause there is between two looks for a target
// that is away.
const catchUp = 6

// errNoRoom stands for too many tags that wait already.
var errNoRoom = errors.New("mirror: there is no room for more tags that wait")

type comparison struct {
	m *Mirror
	t *target
	j *job.Job
	w registry.CompareWork
	*copier
	there map[string]bool // tags over there that were not met here
}

func (c *comparison) run(ctx context.Context) error {
	// Before the other side is asked for its tags: that is many requests.
	if err := c.room(ctx); err != nil {
		return err
	}
	if err := c.listThere(ctx); err != nil {
		return err
	}
	for after, done := "", false; !done; {
		page, err := c.m.reg.TagDigests(ctx, me, c.w.Repo, after, tagsAtOnce)
		if err != nil {
			return err
		}
		tags := page.Items
		done = !page.More
		if len(tags) > 0 {
			after = tags[len(tags)-1].Tag
		}
		// What was compared before a crash is not compared again.
		seen := slices.IndexFunc(tags, func(t registry.TagDigest) bool { return t.Tag > c.w.After })
		if seen < 0 {
			seen = len(tags)
		}
		for _, t := range tags[:seen] {
			delete(c.there, t.Tag)
		}
		if seen == len(tags) {
			continue
		}
		if err := c.step(ctx, tags[seen:], after); err != nil {
			return err
		}
	}
	return c.extra(ctx)
}

// room makes sure that what differs may be queued.
func (c *comparison) room(ctx context.Context) error {
	if !c.w.Reconcile {
		return nil
	}
	room, err := c.m.reg.SyncRoom(ctx, me, c.w.Repo)
	if err == nil && room < roomNeeded {
		err = errNoRoom
	}
	return err
}

// listThere reads the tags of the other side.
func (c *comparison) listThere(ctx context.Context) error {
	c.there = map[string]bool{}
	err := c.repo.Tags(ctx, "", func(tags []string) error {
		for _, tag := range tags {
			if _, err := oci.ParseTag(tag); err == nil { // what is none could be of any size
				c.there[tag] = true
			}
		}
		if len(c.there) > maxRemote {
			return fmt.Errorf("it has more than %d tags", maxRemote)
		}
		return nil
	})
	if r, ok := refusalOf(err); ok && r.status == http.StatusNotFound {
		return nil // there is no such repository yet
	}
	return err
}

// step compares some tags, and queues those that are to be copied.
func (c *comparison) step(ctx context.Context, tags []registry.TagDigest, after string) error {
	if err := c.room(ctx); err != nil {
		return err
	}
	out := registry.Compared{After: after}
	remote := make([]string, len(tags))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(looksAtOnce)
	for i, t := range tags {
		if c.there[t.Tag] {
			g.Go(func() error {
				d, err := c.resolve(gctx, t.Tag)
				remote[i] = string(d)
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, t := range tags {
		delete(c.there, t.Tag)
		switch remote[i] {
		case t.Digest:
			out.Equal++
			continue
		case "":
			out.Differences = append(out.Differences, registry.Difference{Tag: t.Tag, Kind: registry.TagMissing, Digest: t.Digest})
		default:
			out.Differences = append(out.Differences, registry.Difference{Tag: t.Tag, Kind: registry.TagDifferent, Digest: t.Digest, Remote: remote[i]})
		}
		if c.w.Reconcile && (remote[i] == "" || c.w.Override) {
			out.Copy = append(out.Copy, t.Tag)
		}
	}
	return c.note(ctx, out)
}

func (c *comparison) note(ctx context.Context, out registry.Compared) error {
	if err := c.m.reg.Compare(ctx, me, c.j, c.w, out); err != nil {
		return err
	}
	c.w.After, c.w.Listed = out.After, c.w.Listed+len(out.Differences)
	return nil
}

// byTagSchema is a list of referrers that clients keep where the registry
// keeps none. It belongs to no tag here.
var byTagSchema = regexp.MustCompile(`^sha(256|512)-[0-9a-f]{64,128}$`)

// extra notes what is over there alone, and ends the comparison.
func (c *comparison) extra(ctx context.Context) error {
	maps.DeleteFunc(c.there, func(tag string, _ bool) bool { return byTagSchema.MatchString(tag) })
	out := registry.Compared{After: c.w.After, End: true}
	for _, tag := range slices.Sorted(maps.Keys(c.there)) {
		out.Differences = append(out.Differences, registry.Difference{Tag: tag, Kind: registry.TagExtra})
	}
	return c.note(ctx, out)
}
