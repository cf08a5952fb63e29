package swrapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

var undoRoutes = []route{
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/deleted-tags", name: "ListDeletedTags", do: iam.ListTags, about: aTag, handle: (*API).listDeletedTags},
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/history", name: "ListRepoHistory", do: iam.ListTags, about: aTag, handle: (*API).listRepoHistory},
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/tags/{tag}/history", name: "ListTagHistory", do: iam.ListTags, about: aTag, handle: (*API).listTagHistory},
	{method: http.MethodPost, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/tags/{tag}/restore", name: "RestoreRepoTag", do: iam.RestoreTag, about: aTag, handle: (*API).restoreTag},
	{method: http.MethodPost, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/tags/{tag}/rollback", name: "RollbackRepoTag", do: iam.RollbackTag, about: aTag, handle: (*API).rollbackTag},
	{method: http.MethodPost, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/rollback", name: "RollbackRepo", do: iam.RollbackRepo, about: aTag, handle: (*API).rollbackRepo},
}

// defaultUndo is a page of these lists where no limit is given.
const defaultUndo = 100

// deletedTag is an image that a tag had and can have again.
type deletedTag struct {
	Tag       string `json:"tag"`
	Digest    string `json:"digest"`
	DeletedAt stamp  `json:"deleted_at"`
	DeletedBy string `json:"deleted_by"`
	Cause     string `json:"cause"`
	Until     stamp  `json:"restorable_until"`
	Current   string `json:"current_digest"` // empty: the tag is not there
}

func (a *API) listDeletedTags(c *call) error {
	l, err := c.filters("tag", "limit", "marker")
	if err != nil {
		return err
	}
	n, err := l.limitAlone(defaultUndo)
	if err != nil {
		return err
	}
	q := registry.DeletedQuery{Contains: l.values["tag"], After: l.values["marker"]}
	list, next, err := a.reg.DeletedTags(c.r.Context(), c.who, c.repo, q, n)
	if err != nil {
		return err
	}
	out := struct {
		Tags []deletedTag `json:"deleted_tags"`
		More bool         `json:"has_more"`
		Next string       `json:"next_marker"`
	}{make([]deletedTag, len(list)), next != "", next}
	for i, d := range list {
		out.Tags[i] = deletedTag{d.Tag, string(d.Digest), stamp(d.Deleted), d.Actor, d.Cause, stamp(d.Until), string(d.Now)}
	}
	return c.ok(out)
}

// tagEvent is a line of a history.
type tagEvent struct {
	ID         int64           `json:"id"`
	Tag        string          `json:"tag"`
	Digest     string          `json:"digest"`          // empty: the tag was removed
	Previous   string          `json:"previous_digest"` // empty: the tag was new
	Actor      string          `json:"actor"`
	Cause      string          `json:"cause"`
	Time       stamp           `json:"time"`
	Restorable bool            `json:"restorable"` // the image of digest, else of previous_digest, is still there
	Detail     json.RawMessage `json:"detail"`     // null: there is none
}

func (a *API) listRepoHistory(c *call) error { return a.history(c, "") }

func (a *API) listTagHistory(c *call) error {
	tag, err := c.tag()
	if err != nil {
		return err
	}
	return a.history(c, tag)
}

func (a *API) history(c *call, tag string) error {
	l, err := c.filters("limit", "marker")
	if err != nil {
		return err
	}
	n, err := l.limitAlone(defaultUndo)
	if err != nil {
		return err
	}
	before, err := l.intMarker()
	if err != nil {
		return err
	}
	p, err := a.reg.History(c.r.Context(), c.who, c.repo, tag, before, n)
	if err != nil {
		return err
	}
	out := struct {
		Events []tagEvent `json:"events"`
		More   bool       `json:"has_more"`
		Next   string     `json:"next_marker"`
	}{Events: make([]tagEvent, len(p.Items)), More: p.More}
	for i, e := range p.Items {
		out.Events[i] = tagEvent{e.ID, e.Tag, e.Digest, e.Previous, e.Actor, e.Cause, stamp(e.Time), e.There, json.RawMessage("null")}
		if e.Detail != "" {
			out.Events[i].Detail = json.RawMessage(e.Detail)
		}
	}
	if p.More {
		out.Next = strconv.FormatInt(p.Items[len(p.Items)-1].ID, 10)
	}
	return c.ok(out)
}

// tagMove is what became of one tag.
type tagMove struct {
	Tag      string `json:"tag"`
	Digest   string `json:"digest"`          // empty: it is removed
	Previous string `json:"previous_digest"` // empty: it was not there
	Missing  bool   `json:"missing"`         // the image of digest is gone; the tag stays as it is
}

func tagMoveOf(m registry.TagMove) tagMove {
	return tagMove{m.Tag, string(m.Digest), string(m.Previous), m.Missing}
}

// restoreTag takes an empty body for one without members: most have nothing to
// say.
func (a *API) restoreTag(c *call) error {
	var in struct {
		Digest   *string `json:"digest"`
		Override bool    `json:"override"`
	}
	if len(c.body) > 0 {
		if err := c.decode(&in); err != nil {
			return err
		}
	}
	tag, err := c.tag()
	if err != nil {
		return err
	}
	d, err := digestMember(in.Digest)
	if err != nil {
		return err
	}
	move, err := a.reg.RestoreTag(c.r.Context(), c.who, c.repo, tag, d, in.Override)
	if err != nil {
		return err
	}
	return c.ok(tagMoveOf(move))
}

// digestMember reads the member digest, which may be left out.
func digestMember(s *string) (oci.Digest, error) {
	if s == nil {
		return "", nil
	}
	d, err := oci.ParseDigest(*s)
	if err != nil {
		return "", fault.New(fault.Invalid, "digest is no digest.")
	}
	return d, nil
}

// timeMember reads the member time.
func timeMember(s string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return at, fault.New(fault.Invalid, "time is a time as of RFC 3339, such as 2026-11-26T09:00:00Z.")
	}
	return at, nil
}

func (a *API) rollbackTag(c *call) error {
	var in struct {
		Digest *string `json:"digest"`
		Time   *string `json:"time"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	switch {
	case in.Digest == nil && in.Time == nil:
		return fault.New(fault.Missing, "digest or time is missing; one of them says what to roll back to.")
	case in.Digest != nil && in.Time != nil:
		return fault.New(fault.Invalid, "digest and time exclude each other.")
	}
	tag, err := c.tag()
	if err != nil {
		return err
	}
	var to registry.Moment
	if to.Digest, err = digestMember(in.Digest); err != nil {
		return err
	}
	if in.Time != nil {
		if to.Time, err = timeMember(*in.Time); err != nil {
			return err
		}
	}
	move, err := a.reg.RollbackTag(c.r.Context(), c.who, c.repo, tag, to)
	if err != nil {
		return err
	}
	return c.ok(tagMoveOf(move))
}

func (a *API) rollbackRepo(c *call) error {
	var in struct {
		Time        *string `json:"time"`
		Pattern     *string `json:"pattern"`
		DryRun      bool    `json:"dry_run"`
		SkipMissing bool    `json:"skip_missing"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Time == nil {
		return missing("time")
	}
	b := registry.Rollback{DryRun: in.DryRun, SkipMissing: in.SkipMissing}
	var err error
	if b.Time, err = timeMember(*in.Time); err != nil {
		return err
	}
	if in.Pattern != nil {
		if _, err := oci.ParsePattern(*in.Pattern); err != nil {
			return fault.Wrap(fault.Invalid, err, "pattern is a regular expression of RE2, of at most %d bytes and not too much repetition; this one is not.", oci.MaxPattern)
		}
		b.Pattern = *in.Pattern
	}
	moves, err := a.reg.RollbackRepo(c.r.Context(), c.who, c.repo, b)
	if err != nil {
		return err
	}
	out := struct {
		DryRun bool      `json:"dry_run"`
		Tags   []tagMove `json:"tags"`
	}{in.DryRun, make([]tagMove, len(moves))}
	for i, m := range moves {
		out.Tags[i] = tagMoveOf(m)
	}
	return c.ok(out)
}
