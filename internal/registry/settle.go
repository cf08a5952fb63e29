package registry

import (
	"errors"
	"slices"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

const (
	// maxContent is the most that one manifest counts for. Indexes that name
	// each other could else double the sum with each step.
	maxContent = 16 << 40
	// maxSize bounds the size of a repository, so that no sum overflows and
	// clients which read numbers as doubles read it right.
	maxSize = 1 << 53
)

// tagMoves is what a transaction did to the tags of one repository.
type tagMoves struct {
	tags   int64           // more than before
	gained map[int64]int64 // tags that point to a manifest and did not before
	lost   map[int64]bool  // manifests that a tag does not point to any more

	made     int64 // a manifest that the transaction stored, 0: none; no other tag can point to it
	madeSize int64

	names map[string]int64 // what each changed tag points to now, 0: it is gone

	look []string // digests of manifests that are to be reviewed for having lost a tag
}

// name notes what a tag points to now, 0 where it is gone.
func (m *tagMoves) name(tag string, manifest int64) {
	if m.names == nil {
		m.names = map[string]int64{}
	}
	m.names[tag] = manifest
}

func (m *tagMoves) gain(manifest int64) {
	if m.gained == nil {
		m.gained = map[int64]int64{}
	}
	m.gained[manifest]++
}

func (m *tagMoves) lose(manifest int64) {
	if m.lost == nil {
		m.lost = map[int64]bool{}
	}
	m.lost[manifest] = true
}

// settle brings the sums of repository and account up to what was done to the
// repository's tags, and with push notes the time. It is the last thing that a
// transaction does. Errors: Quota, with the detail "tag".
func (r *Registry) settle(tx *db.Tx, rp repoRow, m *tagMoves, push bool) error {
	if len(m.gained) == 0 && len(m.lost) == 0 {
		if push {
			return r.touch(tx, rp.ID)
		}
		return nil
	}
	// Tags of one image share its note: whoever waited for a tag with the note in
	// hand could be waited for by the one who has the tag.
	slices.Sort(m.look)
	for _, d := range slices.Compact(m.look) {
		if err := r.review(tx, rp.ID, oci.Digest(d), kindManifest, r.undelete(rp)); err != nil {
			return err
		}
	}
	// Whoever changes tags holds the repository's row when it looks which
	// manifests have any: it sees all that was changed before.
	if err := lockRepo(tx, rp.ID, oci.Name(rp.Path), tx.ForNoKeyUpdate()); err != nil {
		return err
	}
	if rp.Chart {
		if err := noteChartTags(tx, rp, m); err != nil {
			return err
		}
	}
	size, err := m.size(tx)
	if err != nil {
		return err
	}
	if m.tags == 0 && size == 0 {
		if push {
			return r.touch(tx, rp.ID)
		}
		return nil
	}
	query, args := `UPDATE repository SET tags = tags + $2, size = size + $3 WHERE id = $1 AND size <= $4 RETURNING tags`, []any{rp.ID, m.tags, size, maxSize - max(size, 0)}
	if push && r.touchDue(tx, rp.ID) {
		query = `UPDATE repository SET tags = tags + $2, size = size + $3, updated = $5 WHERE id = $1 AND size <= $4 RETURNING tags`
		args = append(args, tx.Micros())
		r.touching(tx, rp.ID)
	}
	tags, err := db.One[int64](tx.Context(), tx, query, args...)
	if errors.Is(err, db.ErrNone) {
		return fault.New(fault.TooLarge, "The images of the repository %s are larger together than can be counted.", rp.Path)
	}
	if err != nil {
		return err
	}
	if limit := int64(r.o.TagsPerRepo); limit > 0 && m.tags > 0 && tags > limit {
		return fault.New(fault.Quota, "The repository %s may have %d tags, which is its quota: delete some first.", rp.Path, limit).With("tag")
	}
	return r.addUsage(tx, rp.Account, change{images: m.tags, stored: size})
}

// size returns by how much the content changed that tags point to. The
// repository's row is locked.
func (m *tagMoves) size(tx *db.Tx) (sum int64, err error) {
	type row struct{ Size, Tags int64 }
	for id, n := range m.gained {
		if id == m.made && !m.lost[id] {
			sum += m.madeSize
			continue
		}
		if m.lost[id] {
			continue // it has a tag now and had one before
		}
		now, err := db.One[row](tx.Context(), tx, taggedQuery, id, n+1)
		if err != nil {
			return 0, err
		}
		if now.Tags == n {
			sum += now.Size
		}
	}
	for id := range m.lost {
		if m.gained[id] > 0 {
			continue
		}
		now, err := db.One[row](tx.Context(), tx, taggedQuery, id, 1)
		if err != nil {
			return 0, err
		}
		if now.Tags == 0 {
			sum -= now.Size
		}
	}
	return sum, nil
}

// taggedQuery reads a manifest's content and how many tags it has, $2 at most.
const taggedQuery = `SELECT m.content_size, (SELECT count(*) FROM (SELECT 1 FROM tag t WHERE t.manifest = m.id LIMIT $2) q) FROM manifest m WHERE m.id = $1`
