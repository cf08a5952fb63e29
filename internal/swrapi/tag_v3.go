package swrapi

import "berth.dev/berth/internal/registry"

// tagsV3 is a page of tags. Clients differ in the spelling of the marker, and
// end at an empty one.
type tagsV3 struct {
	Tags        []tagShown `json:"tags"`
	NextMarker  string     `json:"nextMarker"`
	NextMarker2 string     `json:"next_marker"`
	HasMore     bool       `json:"has_more"`
}

// defaultTagsV3 is a page of tags where no limit is given.
const defaultTagsV3 = 100

func (a *API) listTagsV3(c *call) error {
	l, err := c.list(tagOrder, "tag", "with_manifest", "limit", "marker")
	if err != nil {
		return err
	}
	n, err := l.limitAlone(defaultTagsV3)
	if err != nil {
		return err
	}
	with, err := l.readBool("with_manifest")
	if err != nil {
		return err
	}
	q := registry.TagQuery{Tag: l.values["tag"], Order: l.order(tagColumns), Manifests: with != nil && *with}
	items, next, err := a.reg.TagsAfter(c.r.Context(), c.who, c.repo, q, l.values["marker"], n)
	if err != nil {
		return err
	}
	out := tagsV3{Tags: make([]tagShown, len(items)), NextMarker: next, NextMarker2: next, HasMore: next != ""}
	for i, t := range items {
		out.Tags[i] = tagShown{t.ID, t.Repo, t.Name, a.tagFieldsOf(c, t)}
	}
	return c.ok(out)
}
