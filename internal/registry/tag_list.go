package registry

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// A TagItem is a tag with what it points to.
type TagItem struct {
	ID        int64
	Repo      int64
	Account   string // the owner's id
	Name      string
	Digest    oci.Digest
	MediaType string
	Config    oci.Digest // empty: the manifest has none
	Size      int64      // config and layers; of an index, of all its children
	Created   time.Time
	Updated   time.Time // the last push; one that found it as it was is noted once an hour
	Manifest  []byte    // where it was asked for
}

// List reports whether the tag points to an index.
func (t TagItem) List() bool {
	return t.MediaType == oci.MediaIndex || t.MediaType == oci.MediaDockerList
}

// A TagQuery asks for tags of a repository.
type TagQuery struct {
	Tag       string // only this one; where there is none of that name, all whose names contain it
	Order     Order  // SortNewest, SortUpdated or SortName
	Manifests bool   // with the text of the manifests
	Window    Window // limit 0: all
}

// TagList is a page of tags that is read while it is used: Items ends with an
// error or when all were given out. Total is how many there are without the
// window, at the moment of the call.
type TagList struct {
	Total int64
	Items iter.Seq2[TagItem, error]
}

// tagPage is how many tags are read at a time, manifestBytes how much of their
// manifests.
const (
	tagPage       = 250
	manifestBytes = 4 << 20
)

// ListTags lists tags of a repository. Tags that come and go while a long list
// is read may be in it or not. Errors: RepoUnknown, Denied, Unauthorized.
func (r *Registry) ListTags(ctx context.Context, who iam.Caller, name oci.Name, q TagQuery) (TagList, error) {
	rp, err := r.lookup(ctx, who, name, iam.ListTags)
	if err != nil {
		return TagList{}, err
	}
	l := tagListing{r: r, repo: rp, q: q}
	if err := l.count(ctx); err != nil {
		return TagList{}, err
	}
	return TagList{l.total, l.all(ctx)}, nil
}

// TagsAfter lists at most n tags behind a marker of an earlier page ("": from
// the first on), and returns the marker of the next one ("": there is none).
// Errors: PageInvalid for a marker that is none, and those of ListTags.
func (r *Registry) TagsAfter(ctx context.Context, who iam.Caller, name oci.Name, q TagQuery, marker string, n int) ([]TagItem, string, error) {
	rp, err := r.lookup(ctx, who, name, iam.ListTags)
	if err != nil {
		return nil, "", err
	}
	l := tagListing{r: r, repo: rp, q: q}
	if err := l.count(ctx); err != nil {
		return nil, "", err
	}
	after, err := l.parseMarker(marker)
	if err != nil {
		return nil, "", err
	}
	n = min(max(n, 1), maxTagsAfter)
	rows, err := l.read(ctx, after, 0, n+1)
	if err != nil {
		return nil, "", err
	}
	if q.Manifests {
		size := int64(0)
		for i, t := range rows[:min(n, len(rows))] {
			if size += t.Size; size > maxTagsBytes && i > 0 {
				n = i
				break
			}
		}
	}
	next := ""
	if len(rows) > n {
		rows = rows[:n]
		next = l.marker(rows[n-1])
	}
	items := make([]TagItem, 0, len(rows))
	for item, err := range l.items(ctx, rows) {
		if err != nil {
			return nil, "", err
		}
		items = append(items, item)
	}
	return items, next, nil
}

// What bounds a page that is held in memory.
const (
	maxTagsAfter = 1000
	maxTagsBytes = 16 << 20 // of manifests
)

// Tag shows one tag. Errors: TagUnknown, RepoUnknown, Denied, Unauthorized.
func (r *Registry) Tag(ctx context.Context, who iam.Caller, name oci.Name, tag string) (TagItem, error) {
	rp, err := r.lookup(ctx, who, name, iam.ListTags)
	if err != nil {
		return TagItem{}, err
	}
	type row struct {
		tagRow
		Body []byte
	}
	t, err := db.One[row](ctx, r.db, `SELECT `+tagColumns+`, b.data FROM tag t JOIN manifest m ON m.id = t.manifest
		JOIN manifest_body b ON b.manifest = m.id WHERE t.repository = $1 AND t.name = $2`, rp.ID, tag)
	if errors.Is(err, db.ErrNone) {
		return TagItem{}, fault.New(fault.TagUnknown, "The repository %s has no tag %s.", name, tag)
	}
	return t.item(rp, t.Body), err
}

const tagColumns = `t.id, t.name, t.manifest, m.digest, m.media_type, m.config, m.content_size, m.size, t.created, t.updated`

type tagRow struct {
	ID               int64
	Name             string
	Manifest         int64
	Digest           oci.Digest
	MediaType        string
	Config           oci.Digest
	Content, Size    int64
	Created, Updated int64
}

func (t tagRow) item(rp repoRow, body []byte) TagItem {
	return TagItem{ID: t.ID, Repo: rp.ID, Account: rp.Account, Name: t.Name, Digest: t.Digest, MediaType: t.MediaType, Config: t.Config,
		Size: t.Content, Created: fromMicros(t.Created), Updated: fromMicros(t.Updated), Manifest: body}
}

type tagListing struct {
	r     *Registry
	repo  repoRow
	q     TagQuery
	total int64
	like  string // of the names; "": all
}

// count finds out how many tags there are under the filter, and what the
// filter means.
func (l *tagListing) count(ctx context.Context) (err error) {
	if l.q.Tag == "" {
		l.total, err = db.One[int64](ctx, l.r.db, `SELECT tags FROM repository WHERE id = $1`, l.repo.ID)
		return ignoreNone(err)
	}
	if len(l.q.Tag) > oci.MaxTag {
		return nil // in no name; and no pattern that SQLite takes
	}
	_, err = db.One[int64](ctx, l.r.db, `SELECT id FROM tag WHERE repository = $1 AND name = $2`, l.repo.ID, l.q.Tag)
	if err == nil {
		l.total = 1
		return nil
	}
	if !errors.Is(err, db.ErrNone) {
		return err
	}
	l.like = likePattern(l.q.Tag)
	l.total, err = db.One[int64](ctx, l.r.db, `SELECT count(*) FROM tag WHERE repository = $1 AND lower(name) LIKE $2 ESCAPE '\'`, l.repo.ID, l.like)
	return err
}

// likePattern is the pattern of LIKE for lower-case names that contain s. One of
// the engines does not heed case, so neither does.
func likePattern(s string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(s)) + "%"
}

// all gives out the window, a page of rows at a time. No more than there were
// when the list was begun.
func (l *tagListing) all(ctx context.Context) iter.Seq2[TagItem, error] {
	return func(yield func(TagItem, error) bool) {
		left, offset := l.total-int64(max(l.q.Window.Offset, 0)), max(l.q.Window.Offset, 0)
		if l.q.Window.Limit > 0 {
			left = min(left, int64(l.q.Window.Limit))
		}
		for after := (*tagRow)(nil); left > 0; offset = 0 {
			rows, err := l.read(ctx, after, offset, int(min(left, tagPage)))
			if err != nil {
				yield(TagItem{}, err)
				return
			}
			for item, err := range l.items(ctx, rows) {
				if !yield(item, err) || err != nil {
					return
				}
			}
			if len(rows) < tagPage {
				return
			}
			left -= int64(len(rows))
			after = &rows[len(rows)-1]
		}
	}
}

// read returns n rows behind after (nil: from the first on), less the first
// offset of them.
func (l *tagListing) read(ctx context.Context, after *tagRow, offset, n int) ([]tagRow, error) {
	var s statement
	s.WriteString(`SELECT ` + tagColumns + ` FROM (SELECT t.id FROM tag t WHERE t.repository = ` + s.arg(l.repo.ID))
	switch {
	case l.like != "":
		s.WriteString(` AND lower(t.name) LIKE ` + s.arg(l.like) + ` ESCAPE '\'`)
	case l.q.Tag != "":
		s.WriteString(` AND t.name = ` + s.arg(l.q.Tag))
	}
	down := l.q.Order.By == SortNewest || l.q.Order.Descending
	than, direction := ` > `, ``
	if down {
		than, direction = ` < `, ` DESC`
	}
	order := ` ORDER BY t.updated` + direction + `, t.id` + direction
	if l.q.Order.By == SortName {
		order = ` ORDER BY t.name` + direction
	}
	switch {
	case after == nil:
	case l.q.Order.By == SortName:
		s.WriteString(` AND t.name` + than + s.arg(after.Name))
	default:
		s.WriteString(` AND (t.updated, t.id)` + than + `(` + s.arg(after.Updated) + `, ` + s.arg(after.ID) + `)`)
	}
	s.WriteString(order + ` LIMIT ` + s.arg(n) + ` OFFSET ` + s.arg(offset) + `) p
		CROSS JOIN tag t JOIN manifest m ON m.id = t.manifest WHERE t.id = p.id` + order)
	return db.All[tagRow](ctx, l.r.db, s.String(), s.args...)
}

// items adds the manifests to rows, some bytes at a time. A tag that was moved
// between the two looks, and whose manifest has gone, is left out.
func (l *tagListing) items(ctx context.Context, rows []tagRow) iter.Seq2[TagItem, error] {
	return func(yield func(TagItem, error) bool) {
		for len(rows) > 0 {
			n, size := 0, int64(0)
			for n < len(rows) && n < chunkSize && (n == 0 || size+rows[n].Size <= manifestBytes) {
				size += rows[n].Size
				n++
			}
			bodies, err := l.bodies(ctx, rows[:n])
			if err != nil {
				yield(TagItem{}, err)
				return
			}
			for _, t := range rows[:n] {
				body, ok := bodies[t.Manifest]
				if !ok && l.q.Manifests {
					continue
				}
				if !yield(t.item(l.repo, body), nil) {
					return
				}
			}
			rows = rows[n:]
		}
	}
}

func (l *tagListing) bodies(ctx context.Context, rows []tagRow) (map[int64][]byte, error) {
	if !l.q.Manifests {
		return nil, nil
	}
	ids := make([]int64, 0, len(rows))
	for _, t := range rows {
		ids = append(ids, t.Manifest)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	var st statement
	in := st.list(ids)
	type row struct {
		Manifest int64
		Data     []byte
	}
	found, err := db.All[row](ctx, l.r.db, `SELECT manifest, data FROM manifest_body WHERE manifest IN (`+in+`)`, st.args...)
	bodies := make(map[int64][]byte, len(found))
	for _, b := range found {
		bodies[b.Manifest] = b.Data
	}
	return bodies, err
}

// A marker names the last row of a page in a way that does not depend on the
// rows before it: by its name where the list is sorted by that, else by time
// and id.

func (l *tagListing) marker(t tagRow) string {
	if l.q.Order.By == SortName {
		return t.Name
	}
	return strconv.FormatInt(t.Updated, 10) + "." + strconv.FormatInt(t.ID, 10)
}

func (l *tagListing) parseMarker(s string) (*tagRow, error) {
	switch {
	case s == "":
		return nil, nil
	case l.q.Order.By == SortName:
		if _, err := oci.ParseTag(s); err != nil {
			return nil, fault.New(fault.PageInvalid, "The marker is none that this list gave out.")
		}
		return &tagRow{Name: s}, nil
	}
	updated, id, _ := strings.Cut(s, ".")
	u, err := strconv.ParseInt(updated, 10, 64)
	n, err2 := strconv.ParseInt(id, 10, 64)
	if err != nil || err2 != nil {
		return nil, fault.New(fault.PageInvalid, "The marker is none that this list gave out.")
	}
	return &tagRow{Updated: u, ID: n}, nil
}
