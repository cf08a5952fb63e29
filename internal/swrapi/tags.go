package swrapi

import (
	"net/http"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

var tagRoutes = []route{
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/tags", name: "ListRepositoryTags", do: iam.ListTags, about: aTag, handle: (*API).listTags},
	{method: http.MethodPost, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/tags", name: "CreateRepoTag", do: iam.CreateTag, about: aTag, handle: (*API).createTag},
	{method: http.MethodGet, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/tags/{tag}", name: "ShowRepoTag", do: iam.ListTags, about: aTag, handle: (*API).showTag},
	{method: http.MethodDelete, pattern: "/v2/manage/namespaces/{namespace}/repos/{repository}/tags/{tag}", name: "DeleteRepoTag", do: iam.DeleteTag, about: aTag, handle: (*API).deleteTag},
	{method: http.MethodGet, pattern: "/v3/manage/namespaces/{namespace}/repos/{repository}/tags", name: "ListRepositoryTag", do: iam.ListTags, about: aTag, handle: (*API).listTagsV3},
}

// tagFields is what all forms of a tag have.
type tagFields struct {
	ImageID      string `json:"image_id"` // of the config, without the algorithm
	Manifest     string `json:"manifest"` // its JSON
	Digest       string `json:"digest"`
	Schema       int    `json:"schema"`
	Path         string `json:"path"`
	InternalPath string `json:"internal_path"`
	Size         int64  `json:"size"`
	IsTrusted    bool   `json:"is_trusted"`
	Created      stamp  `json:"created"`
	Updated      stamp  `json:"updated"`
	DomainID     string `json:"domain_id"`
	TagType      int    `json:"tag_type"` // 0: a manifest, 1: a list of manifests
}

// tagItem is a tag in a list, where its name is written with a capital.
type tagItem struct {
	ID     int64  `json:"id"`
	RepoID int64  `json:"repo_id"`
	Tag    string `json:"Tag"`
	tagFields
	Deleted *string `json:"deleted"` // null: what is listed is there
	Scanned bool    `json:"scanned"`
}

// tagShown is a tag by itself, and in lists of the third version.
type tagShown struct {
	ID     int64  `json:"id"`
	RepoID int64  `json:"repo_id"`
	Tag    string `json:"tag"`
	tagFields
}

func (a *API) tagFieldsOf(c *call, t registry.TagItem) tagFields {
	image := t.Config
	if image == "" {
		image = t.Digest
	}
	f := tagFields{
		ImageID: image.Hex(), Manifest: string(t.Manifest), Digest: string(t.Digest), Schema: 2,
		Path: a.imagePath(c, string(c.repo)) + ":" + t.Name, Size: t.Size,
		Created: stamp(t.Created), Updated: stamp(t.Updated), DomainID: t.Account,
	}
	f.InternalPath = f.Path
	if t.List() {
		f.TagType = 1
	}
	return f
}

// tagColumns are what lists of tags may be sorted by.
var tagColumns = map[string]registry.Column{
	"updated_at": registry.SortUpdated, "updated_time": registry.SortUpdated, "tag": registry.SortName, "name": registry.SortName,
}

var tagOrder = columns{"updated_at", "updated_time", "tag", "name"}

// listTags answers all tags, or a window of them. A long list leaves as it is
// read; the number that Content-Range announces is that of its beginning.
func (a *API) listTags(c *call) error {
	l, err := c.list(tagOrder, "tag")
	if err != nil {
		return err
	}
	w := l.page(0)
	tags, err := a.reg.ListTags(c.r.Context(), c.who, c.repo, registry.TagQuery{Tag: l.values["tag"], Order: l.order(tagColumns), Manifests: true, Window: w})
	if err != nil {
		return err
	}
	items := max(tags.Total-int64(w.Offset), 0)
	if w.Limit > 0 {
		items = min(items, int64(w.Limit))
	}
	c.contentRange(w.Offset, int(items), tags.Total)
	out := c.array()
	for t, err := range tags.Items {
		if err == nil {
			err = out.add(tagItem{ID: t.ID, RepoID: t.Repo, Tag: t.Name, tagFields: a.tagFieldsOf(c, t)})
		}
		if err != nil {
			return out.end(err)
		}
	}
	return out.end(nil)
}

func (a *API) showTag(c *call) error {
	tag, err := c.tag()
	if err != nil {
		return err
	}
	t, err := a.reg.Tag(c.r.Context(), c.who, c.repo, tag)
	if err != nil {
		return err
	}
	return c.ok(tagShown{t.ID, t.Repo, t.Name, a.tagFieldsOf(c, t)})
}

// tag reads the tag of the path.
func (c *call) tag() (string, error) { return oci.ParseTag(c.path["tag"]) }

func (a *API) createTag(c *call) error {
	var in struct {
		Source      *string `json:"source_tag"`
		Destination *string `json:"destination_tag"`
		Override    bool    `json:"override"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	switch {
	case in.Source == nil:
		return missing("source_tag")
	case in.Destination == nil:
		return missing("destination_tag")
	}
	if _, err := oci.ParseTag(*in.Source); err != nil {
		return err
	}
	if err := a.reg.Retag(c.r.Context(), c.who, c.repo, *in.Source, *in.Destination, in.Override); err != nil {
		return err
	}
	return c.created(empty{})
}

func (a *API) deleteTag(c *call) error {
	tag, err := c.tag()
	if err != nil {
		return err
	}
	if err := a.reg.DeleteTag(c.r.Context(), c.who, c.repo, tag); err != nil {
		return err
	}
	return c.noContent()
}
