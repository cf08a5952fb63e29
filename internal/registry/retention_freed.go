package registry

import (
	"context"
	"maps"
	"slices"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/oci"
)

// Freed is what the collector would remove when the undelete window of tags is
// over, and nothing else happens until then.
type Freed struct {
	Manifests int64
	Blobs     int64
	Bytes     int64 // of both
	Complete  bool  // false: there was no time to look at everything; it is this much at least
}

// content is what is known of a manifest.
type content struct {
	digest  oci.Digest
	subject string
	size    int64
	deleted bool
	tags    int // that point to it
	stay    int // of them would stay
}

// A freeing works out what goes with some tags, as the collector would: a
// manifest goes when no tag, no index and no subject needs it, a blob when its
// last manifest and all its links are gone.
type freeing struct {
	db    *db.DB
	repo  int64
	known map[int64]content
	gone  map[int64]bool
	blobs map[string]int64 // how many references from manifests that go
}

// whatIsFreed reads the images of all tags, and works out what would be freed.
func (r *Registry) whatIsFreed(ctx context.Context, repo int64, s *Simulation) error {
	f := freeing{db: r.db, repo: repo, known: map[int64]content{}, gone: map[int64]bool{}, blobs: map[string]int64{}}
	for _, t := range s.tags {
		c := f.known[t.Manifest]
		c.tags++
		if !t.verdict.Delete {
			c.stay++
		}
		f.known[t.Manifest] = c
	}
	s.contents = f.known
	if err := f.read(ctx, slices.Collect(maps.Keys(f.known))); err != nil {
		return err
	}
	s.Freed.Complete = true
	if r.o.KeepUntagged {
		return nil
	}
	var lost []int64
	for id, c := range f.known {
		if c.stay == 0 {
			lost = append(lost, id)
		}
	}
	slices.Sort(lost)
	limited, cancel := context.WithTimeout(ctx, freedTime)
	defer cancel()
	err := f.manifests(limited, lost, &s.Freed)
	if err == nil {
		err = f.removeBlobs(limited, &s.Freed)
	}
	if limited.Err() != nil && ctx.Err() == nil {
		s.Freed.Complete = false
		return nil
	}
	return err
}

// read fills in what is known of manifests.
func (f *freeing) read(ctx context.Context, ids []int64) error {
	type row struct {
		ID              int64
		Digest, Subject string
		Size            int64
		Deleted         *int64
	}
	for chunk := range slices.Chunk(ids, chunkSize) {
		rows, err := db.All[row](ctx, f.db, `SELECT id, digest, subject, size, deleted FROM manifest WHERE id IN (`+placeholders(1, len(chunk))+`)`, list(chunk)...)
		if err != nil {
			return err
		}
		for _, m := range rows {
			c := f.known[m.ID]
			c.digest, c.subject, c.size, c.deleted = oci.Digest(m.Digest), m.Subject, m.Size, m.Deleted != nil
			f.known[m.ID] = c
		}
	}
	return nil
}

// list is a list as arguments of a statement, behind others.
func list[T any](values []T, before ...any) []any {
	args := slices.Clone(before)
	for _, v := range values {
		args = append(args, v)
	}
	return args
}

// manifests works out which manifests go when those that are given lose their
// last tag. What one held is looked at again when it goes.
func (f *freeing) manifests(ctx context.Context, look []int64, out *Freed) error {
	for len(look) > 0 {
		chunk := look[:min(len(look), chunkSize)]
		look = look[len(chunk):]
		held, err := f.held(ctx, chunk)
		if err != nil {
			return err
		}
		var leave []int64
		for _, id := range chunk {
			if c, ok := f.known[id]; ok && !f.gone[id] && c.digest != "" && c.stay == 0 && !held[id] {
				f.gone[id] = true
				leave = append(leave, id)
				out.Manifests++
				out.Bytes += c.size
			}
		}
		more, err := f.released(ctx, leave)
		if err != nil {
			return err
		}
		look = append(look, more...)
	}
	return nil
}

// held tells which manifests an index that stays names, or refer to a subject
// that stays.
func (f *freeing) held(ctx context.Context, ids []int64) (map[int64]bool, error) {
	held := map[int64]bool{}
	byDigest, bySubject := map[string]int64{}, map[string][]int64{}
	for _, id := range ids {
		c := f.known[id]
		byDigest[string(c.digest)] = id
		if c.subject != "" && !c.deleted {
			bySubject[c.subject] = append(bySubject[c.subject], id)
		}
	}
	type parent struct {
		Child    string
		Manifest int64
	}
	digests := slices.Collect(maps.Keys(byDigest))
	rows, err := db.All[parent](ctx, f.db, `SELECT child, manifest FROM ref WHERE repository = $1 AND kind = 'm' AND child IN (`+placeholders(2, len(digests))+`)`, list(digests, f.repo)...)
	if err != nil {
		return nil, err
	}
	for _, p := range rows {
		if !f.gone[p.Manifest] {
			held[byDigest[p.Child]] = true
		}
	}
	if len(bySubject) == 0 {
		return held, nil
	}
	type subject struct {
		ID     int64
		Digest string
	}
	subjects := slices.Collect(maps.Keys(bySubject))
	there, err := db.All[subject](ctx, f.db, `SELECT id, digest FROM manifest WHERE repository = $1 AND digest IN (`+placeholders(2, len(subjects))+`)`, list(subjects, f.repo)...)
	if err != nil {
		return nil, err
	}
	for _, x := range there {
		if !f.gone[x.ID] {
			for _, id := range bySubject[x.Digest] {
				held[id] = true
			}
		}
	}
	return held, nil
}

// released returns what manifests held that go: their children, and those that
// refer to them. Their blobs are noted.
func (f *freeing) released(ctx context.Context, ids []int64) ([]int64, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	type ref struct{ Child, Kind string }
	refs, err := db.All[ref](ctx, f.db, `SELECT child, kind FROM ref WHERE kind <> 's' AND manifest IN (`+placeholders(1, len(ids))+`)`, list(ids)...)
	if err != nil {
		return nil, err
	}
	digests := map[string]bool{}
	for _, x := range refs {
		if x.Kind == kindBlob {
			f.blobs[x.Child]++
		} else {
			digests[x.Child] = true
		}
	}
	more, err := f.find(ctx, "digest", slices.Collect(maps.Keys(digests)))
	if err != nil {
		return nil, err
	}
	own := make([]string, len(ids))
	for i, id := range ids {
		own[i] = string(f.known[id].digest)
	}
	referrers, err := f.find(ctx, "subject", own)
	return append(more, referrers...), err
}

// find returns the manifests of the repository by their digest or subject.
func (f *freeing) find(ctx context.Context, column string, values []string) ([]int64, error) {
	var out []int64
	for chunk := range slices.Chunk(values, chunkSize) {
		ids, err := db.All[int64](ctx, f.db, `SELECT id FROM manifest WHERE repository = $1 AND `+column+` <> '' AND `+column+` IN (`+placeholders(2, len(chunk))+`)`, list(chunk, f.repo)...)
		if err != nil {
			return nil, err
		}
		var unknown []int64
		for _, id := range ids {
			if f.known[id].digest == "" {
				unknown = append(unknown, id)
			}
		}
		if err := f.read(ctx, unknown); err != nil {
			return nil, err
		}
		out = append(out, ids...)
	}
	return out, nil
}

// removeBlobs counts the blobs that no manifest and no other repository needs.
func (f *freeing) removeBlobs(ctx context.Context, out *Freed) error {
	type refs struct {
		Digest string
		N      int64
	}
	type blob struct{ N, Size int64 }
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(f.blobs)), chunkSize) {
		rows, err := db.All[refs](ctx, f.db, `SELECT child, count(*) FROM ref WHERE repository = $1 AND kind = 'b' AND child IN (`+placeholders(2, len(chunk))+`) GROUP BY child`, list(chunk, f.repo)...)
		if err != nil {
			return err
		}
		var free []string
		for _, x := range rows {
			if x.N <= f.blobs[x.Digest] {
				free = append(free, x.Digest)
			}
		}
		if len(free) == 0 {
			continue
		}
		b, err := db.One[blob](ctx, f.db, `SELECT count(*), CAST(coalesce(sum(b.size), 0) AS BIGINT) FROM blob b WHERE b.digest IN (`+placeholders(2, len(free))+`)
			AND NOT EXISTS (SELECT 1 FROM link l WHERE l.digest = b.digest AND l.repository <> $1)`, list(free, f.repo)...)
		if err != nil {
			return err
		}
		out.Blobs += b.N
		out.Bytes += b.Size
	}
	return nil
}
