package registry

import (
	"context"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// History lists what happened to a tag (tag "": to all tags), the newest
// first, events behind the one with the id before (0: from the newest).
// Errors: RepoUnknown, Denied, Unauthorized.
func (r *Registry) History(ctx context.Context, who iam.Caller, name oci.Name, tag string, before int64, n int) (Page[TagEvent], error) {
	rp, err := r.lookup(ctx, who, name, iam.ListTags)
	if err != nil {
		return Page[TagEvent]{}, err
	}
	n = clampPage(n)
	// Of several who move one tag on PostgreSQL the later may have begun
	// earlier: the ids are in the order of what they did.
	args := []any{rp.ID, n + 1}
	where, order := ` WHERE e.repository = $1`, ` ORDER BY e.created DESC, e.id DESC`
	if tag != "" {
		args = append(args, tag)
		where, order = where+` AND e.tag = $3`, ` ORDER BY e.id DESC`
	}
	if before > 0 {
		at := len(args)
		args = append(args, before)
		if tag != "" {
			where += ` AND e.id < ` + placeholders(at+1, 1)
		} else {
			where += ` AND (e.created, e.id) < (SELECT b.created, b.id FROM tag_event b WHERE b.id = ` + placeholders(at+1, 1) + `)`
		}
	}
	type row struct {
		ID                                          int64
		Tag, Digest, Previous, Actor, Cause, Detail string
		Created                                     int64
		There                                       bool
	}
	rows, err := db.All[row](ctx, r.db, `SELECT e.id, e.tag, e.digest, e.previous, e.actor, e.cause, e.detail, e.created, coalesce(m.deleted, 1) <> 0 AND m.id IS NOT NULL
		FROM (SELECT e.* FROM tag_event e`+where+order+` LIMIT $2) e
		LEFT JOIN manifest m ON m.repository = e.repository AND m.digest = CASE WHEN e.digest = '' THEN e.previous ELSE e.digest END`+order, args...)
	if err != nil {
		return Page[TagEvent]{}, err
	}
	events := make([]TagEvent, len(rows))
	for i, e := range rows {
		events[i] = TagEvent{e.ID, e.Tag, e.Digest, e.Previous, e.Actor, e.Cause, e.Detail, fromMicros(e.Created), e.There}
	}
	return page(events, n), nil
}
