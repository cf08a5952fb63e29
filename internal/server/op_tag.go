package server

import (
	"context"
	"strconv"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// TagName is the argument of operations on a tag.
type TagName struct {
	Repo  string `json:"repository"`
	Tag   string `json:"tag"` // of TagHistory: empty for all
	After string `json:"after"`
}

// TagEvent is a line of a tag's history.
type TagEvent struct {
	Tag      string    `json:"tag"`
	Digest   string    `json:"digest"`   // empty: the tag was removed
	Previous string    `json:"previous"` // empty: the tag was new
	Actor    string    `json:"actor"`
	Cause    string    `json:"cause"`
	Time     time.Time `json:"time"`
	There    bool      `json:"restorable"` // the image of Digest, else of Previous, can still be had
	Detail   string    `json:"detail"`     // what only this cause has, a JSON object; empty: nothing
}

// Tag is a tag as the command shows it.
type Tag struct {
	Name    string    `json:"name"`
	Digest  string    `json:"digest"`
	Size    int64     `json:"size"` // config and layers; of an index, of all its images
	Updated time.Time `json:"updated"`
}

// ListTags pages through the tags of the repository List.In by name.
var ListTags = Op[List, Page[Tag]]{"tag.list", func(ctx context.Context, c *core, in List) (Page[Tag], error) {
	name, err := oci.ParseName(in.In)
	if err != nil {
		return Page[Tag]{}, err
	}
	tags, next, err := c.registry.TagsAfter(ctx, iam.Operator(), name, registry.TagQuery{Order: registry.Order{By: registry.SortName}}, in.After, pageSize)
	p := Page[Tag]{Items: []Tag{}, More: next != "", Next: next}
	for _, t := range tags {
		p.Items = append(p.Items, Tag{t.Name, string(t.Digest), t.Size, t.Updated})
	}
	return p, err
}}

// TagHistory pages through what happened to a tag, the newest first.
var TagHistory = Op[TagName, Page[TagEvent]]{"tag.history", func(ctx context.Context, c *core, in TagName) (Page[TagEvent], error) {
	name, err := oci.ParseName(in.Repo)
	if err != nil {
		return Page[TagEvent]{}, err
	}
	var before int64
	if in.After != "" {
		if before, err = strconv.ParseInt(in.After, 10, 64); err != nil {
			return Page[TagEvent]{}, fault.New(fault.PageInvalid, "%q is no page of a history.", in.After)
		}
	}
	p, err := c.registry.History(ctx, iam.Operator(), name, in.Tag, before, pageSize)
	return pageOf(p.Items, p.More, tagEvent, func(e registry.TagEvent) string { return strconv.FormatInt(e.ID, 10) }), err
}}

// DeleteTag removes a tag and only that.
var DeleteTag = Op[TagName, None]{"tag.delete", func(ctx context.Context, c *core, in TagName) (None, error) {
	name, err := oci.ParseName(in.Repo)
	if err != nil {
		return None{}, err
	}
	return None{}, c.registry.DeleteTag(ctx, iam.Operator(), name, in.Tag)
}}

func tagEvent(e registry.TagEvent) TagEvent {
	return TagEvent{Tag: e.Tag, Digest: e.Digest, Previous: e.Previous, Actor: e.Actor, Cause: e.Cause, Time: e.Time, There: e.There, Detail: e.Detail}
}
