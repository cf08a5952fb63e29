package registry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// A Rollback says how the tags of a repository are to be as they were.
type Rollback struct {
	Time        time.Time
	Pattern     string // a regular expression that finds the tags that are meant; empty: all
	DryRun      bool   // only tell what would be done
	SkipMissing bool   // leave tags as they are whose image can not be had any more
}

// What one rollback may take.
const (
	MaxRollback     = 200    // tags that it changes
	maxPastTags     = 2000   // tags that changed since and match
	maxChangedTags  = 100000 // tags that changed since
	maxNamedMissing = 20     // of the tags whose image is gone
)

// RollbackRepo makes the tags of a repository what they were at a time, all or
// none: what was not there then is removed, what was points to what it pointed
// to. It returns what was done, by the names of tags; where SkipMissing or
// DryRun is set, tags whose image is gone are in it, too.
//
// Errors: Invalid (too many tags or images, no such time), ManifestUnknown (images
// are gone), Quota, TooLarge, RepoUnknown, Denied, Unauthorized.
func (r *Registry) RollbackRepo(ctx context.Context, who iam.Caller, name oci.Name, b Rollback) ([]TagMove, error) {
	var pattern *regexp.Regexp
	if b.Pattern != "" {
		var err error
		if pattern, err = oci.ParsePattern(b.Pattern); err != nil {
			return nil, err
		}
	}
	rp, err := r.lookup(ctx, who, name, iam.RollbackRepo)
	if err != nil {
		return nil, err
	}
	if err := r.checkMoment(ctx, rp, b.Time); err != nil {
		return nil, err
	}
	past, err := r.tagsAt(ctx, rp, b.Time, pattern)
	if err != nil {
		return nil, err
	}
	if b.DryRun {
		return db.View(ctx, r.db, func(tx *db.Tx) ([]TagMove, error) { return rollbackPlan(tx, rp, past) })
	}
	return db.Update(ctx, r.db, func(tx *db.Tx) ([]TagMove, error) {
		now, err := r.sameRepo(tx, who, name, rp.ID, iam.RollbackRepo)
		if err != nil {
			return nil, err
		}
		return r.rollBack(tx, who, now, past, b)
	})
}

// tagsAt returns what those tags were at a time that have changed since. The
// past does not change: it is read outside of the transaction that writes.
func (r *Registry) tagsAt(ctx context.Context, rp repoRow, at time.Time, pattern *regexp.Regexp) ([]TagMove, error) {
	changed, err := db.All[string](ctx, r.db, `SELECT DISTINCT tag FROM tag_event WHERE repository = $1 AND created > $2 ORDER BY tag LIMIT $3`,
		rp.ID, at.UnixMicro(), maxChangedTags+1)
	if err != nil {
		return nil, err
	}
	if len(changed) > maxChangedTags {
		return nil, fault.New(fault.Invalid, "More than %d tags of the repository %s have changed since that time; choose a later one.", maxChangedTags, rp.Path)
	}
	if pattern != nil {
		changed = slices.DeleteFunc(changed, func(tag string) bool { return !pattern.MatchString(tag) })
	}
	if len(changed) > maxPastTags {
		return nil, tooManyMoves(rp, len(changed), maxPastTags, "have changed since that time")
	}
	past := make([]TagMove, len(changed))
	for i, tag := range changed {
		d, err := r.tagAt(ctx, rp, tag, at)
		if err != nil {
			return nil, err
		}
		past[i] = TagMove{Tag: tag, Digest: d}
	}
	return past, nil
}

func tooManyMoves(rp repoRow, n, most int, what string) error {
	return fault.New(fault.Invalid, "%d tags of the repository %s %s, and at most %d can be rolled back at once; narrow the pattern.", n, rp.Path, what, most)
}

// rollbackPlan finds out which tags are not what they were, and whether their
// images are still there.
func rollbackPlan(tx *db.Tx, rp repoRow, past []TagMove) ([]TagMove, error) {
	var plan []TagMove
	type row struct {
		Name   string
		Digest oci.Digest
	}
	for chunk := range slices.Chunk(past, chunkSize) {
		args := []any{rp.ID}
		for _, p := range chunk {
			args = append(args, p.Tag)
		}
		rows, err := db.All[row](tx.Context(), tx, `SELECT t.name, m.digest FROM tag t JOIN manifest m ON m.id = t.manifest
			WHERE t.repository = $1 AND t.name IN (`+placeholders(2, len(chunk))+`)`, args...)
		if err != nil {
			return nil, err
		}
		now := map[string]oci.Digest{}
		for _, v := range rows {
			now[v.Name] = v.Digest
		}
		for _, p := range chunk {
			if p.Previous = now[p.Tag]; p.Previous != p.Digest {
				plan = append(plan, p)
			}
		}
	}
	if len(plan) > MaxRollback {
		return nil, tooManyMoves(rp, len(plan), MaxRollback, "are not what they were")
	}
	there := map[oci.Digest]bool{}
	for chunk := range slices.Chunk(digestsOf(plan), chunkSize) {
		args := []any{rp.ID, apart}
		for _, d := range chunk {
			args = append(args, string(d))
		}
		found, err := db.All[string](tx.Context(), tx, `SELECT digest FROM manifest
			WHERE repository = $1 AND (deleted IS NULL OR deleted <> $2) AND digest IN (`+placeholders(3, len(chunk))+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			there[oci.Digest(d)] = true
		}
	}
	for i, p := range plan {
		plan[i].Missing = p.Digest != "" && !there[p.Digest]
	}
	return plan, nil
}

// digestsOf returns the images that a plan needs, sorted, each once.
func digestsOf(plan []TagMove) []oci.Digest {
	var digests []oci.Digest
	for _, p := range plan {
		if p.Digest != "" {
			digests = append(digests, p.Digest)
		}
	}
	slices.Sort(digests)
	return slices.Compact(digests)
}

// rollBack does a rollback. Images come first and tags after them, each in one
// order, as pushes have it.
func (r *Registry) rollBack(tx *db.Tx, who iam.Caller, rp repoRow, past []TagMove, b Rollback) ([]TagMove, error) {
	if err := lockRepo(tx, rp.ID, oci.Name(rp.Path), tx.ForKeyShare()); err != nil {
		return nil, err
	}
	plan, err := rollbackPlan(tx, rp, past)
	if err != nil {
		return nil, err
	}
	if err := missingImages(rp, plan, b); err != nil {
		return nil, err
	}
	ids := map[oci.Digest]int64{}
	back := revival{r: r, tx: tx, rp: rp}
	for _, d := range digestsOf(plan) {
		id, err := back.bring(d)
		if err != nil && !errors.Is(err, db.ErrNone) {
			return nil, err
		}
		ids[d] = id
	}
	// The collector may have come in between.
	for i, p := range plan {
		plan[i].Missing = p.Digest != "" && ids[p.Digest] == 0
	}
	if err := missingImages(rp, plan, b); err != nil {
		return nil, err
	}
	var moves tagMoves
	for _, p := range plan {
		switch {
		case p.Missing:
		case p.Digest == "":
			_, err = r.dropTag(tx, who, rp, p.Tag, "rollback", "", &moves)
		default:
			_, err = r.setTag(tx, who, rp, p.Tag, ids[p.Digest], p.Digest, "rollback", false, &moves)
		}
		if err != nil {
			return nil, err
		}
	}
	at := rp.Path + " to " + b.Time.UTC().Format(time.RFC3339Nano)
	if b.Pattern != "" {
		at += " tags " + b.Pattern
	}
	if err := r.iam.Audit(tx, who, iam.RollbackRepo, fmt.Sprintf("%s: %d tags", at, len(plan)), "ok"); err != nil {
		return nil, err
	}
	return plan, r.settle(tx, rp, &moves, len(plan) > 0)
}

// missingImages is the error for a plan that needs images which are gone.
func missingImages(rp repoRow, plan []TagMove, b Rollback) error {
	var tags []string
	for _, p := range plan {
		if p.Missing {
			tags = append(tags, p.Tag)
		}
	}
	if len(tags) == 0 || b.SkipMissing {
		return nil
	}
	more := ""
	if n := len(tags) - maxNamedMissing; n > 0 {
		tags, more = tags[:maxNamedMissing], fmt.Sprintf(" and %d others", n)
	}
	return fault.New(fault.ManifestUnknown, "The images that these tags of the repository %s had are not there any more: %s%s. Nothing was changed; skip_missing leaves them as they are.",
		rp.Path, strings.Join(tags, ", "), more)
}
