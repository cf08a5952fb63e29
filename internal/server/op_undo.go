package server

import (
	"context"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// DeletedTags is the argument of ListDeletedTags.
type DeletedTags struct {
	Repo  string `json:"repository"`
	Tag   string `json:"tag"` // a part of the names; empty: all
	After string `json:"after"`
}

// DeletedTag is an image that a tag had and can have again.
type DeletedTag struct {
	Tag     string    `json:"tag"`
	Digest  string    `json:"digest"`
	Deleted time.Time `json:"deleted"`
	Actor   string    `json:"actor"`
	Cause   string    `json:"cause"`
	Until   time.Time `json:"until"`
	Now     string    `json:"now"` // digest; empty: the tag is not there
}

// Undo is the argument of RestoreTag, RollbackTag and RollbackRepo.
type Undo struct {
	TagName
	Digest      string     `json:"digest"`
	Time        *time.Time `json:"time"`
	Override    bool       `json:"override"`     // of RestoreTag
	Pattern     string     `json:"pattern"`      // of RollbackRepo, like what follows
	DryRun      bool       `json:"dry_run"`      //
	SkipMissing bool       `json:"skip_missing"` //
}

// TagMove is what became of a tag.
type TagMove struct {
	Tag      string `json:"tag"`
	Digest   string `json:"digest"`   // empty: removed
	Previous string `json:"previous"` // empty: it was not there
	Missing  bool   `json:"missing"`
}

func tagMove(m registry.TagMove) TagMove {
	return TagMove{m.Tag, string(m.Digest), string(m.Previous), m.Missing}
}

// names reads what an operation is about.
func (u Undo) names() (name oci.Name, d oci.Digest, err error) {
	if name, err = oci.ParseName(u.Repo); err != nil || u.Digest == "" {
		return name, "", err
	}
	d, err = oci.ParseDigest(u.Digest)
	return name, d, err
}

// ListDeletedTags pages through the deleted tags that can come back.
var ListDeletedTags = Op[DeletedTags, Page[DeletedTag]]{"tag.deleted", func(ctx context.Context, c *core, in DeletedTags) (Page[DeletedTag], error) {
	name, err := oci.ParseName(in.Repo)
	if err != nil {
		return Page[DeletedTag]{}, err
	}
	list, next, err := c.registry.DeletedTags(ctx, iam.Operator(), name, registry.DeletedQuery{Contains: in.Tag, After: in.After}, pageSize)
	return pageOf(list, next != "", func(d registry.DeletedTag) DeletedTag {
		return DeletedTag{d.Tag, string(d.Digest), d.Deleted, d.Actor, d.Cause, d.Until, string(d.Now)}
	}, func(registry.DeletedTag) string { return next }), err
}}

// RestoreTag gives a deleted or moved tag its image back.
var RestoreTag = Op[Undo, TagMove]{"tag.restore", func(ctx context.Context, c *core, in Undo) (TagMove, error) {
	name, d, err := in.names()
	if err != nil {
		return TagMove{}, err
	}
	m, err := c.registry.RestoreTag(ctx, iam.Operator(), name, in.Tag, d, in.Override)
	return tagMove(m), err
}}

// RollbackTag points a tag to an image that it had earlier.
var RollbackTag = Op[Undo, TagMove]{"tag.rollback", func(ctx context.Context, c *core, in Undo) (TagMove, error) {
	name, d, err := in.names()
	switch {
	case err != nil:
		return TagMove{}, err
	case (d == "") == (in.Time == nil):
		return TagMove{}, fault.New(fault.Invalid, "A digest or a time says what to roll back to.")
	}
	to := registry.Moment{Digest: d}
	if in.Time != nil {
		to.Time = *in.Time
	}
	m, err := c.registry.RollbackTag(ctx, iam.Operator(), name, in.Tag, to)
	return tagMove(m), err
}}

// RollbackRepo makes the tags of a repository what they were at a time.
var RollbackRepo = Op[Undo, []TagMove]{"repo.rollback", func(ctx context.Context, c *core, in Undo) ([]TagMove, error) {
	name, _, err := in.names()
	switch {
	case err != nil:
		return nil, err
	case in.Time == nil:
		return nil, fault.New(fault.Missing, "A time says what to roll back to.")
	}
	moves, err := c.registry.RollbackRepo(ctx, iam.Operator(), name, registry.Rollback{Time: *in.Time, Pattern: in.Pattern, DryRun: in.DryRun, SkipMissing: in.SkipMissing})
	out := make([]TagMove, len(moves))
	for i, m := range moves {
		out[i] = tagMove(m)
	}
	return out, err
}}
