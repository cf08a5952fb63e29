package main

import (
	"strings"

	"berth.dev/berth/internal/server"
)

func tagCommands() []command {
	return []command{
		{name: "tag list", args: "ORG/REPO", short: "List the tags of a repository", examples: `berth tag list demo/alpine`, run: listTags},
		{
			name: "tag history", args: "ORG/REPO[:TAG]",
			short: "Show what happened to a tag, or to all tags of a repository, the newest first",
			examples: `berth tag history demo/alpine:latest
				berth tag history demo/alpine --output json`,
			run: tagHistory,
		},
		{name: "tag delete", args: "ORG/REPO:TAG", short: "Delete a tag; the image stays where other tags name it", examples: `berth tag delete demo/alpine:old`, run: deleteTag},
	}
}

// tagName splits ORG/REPO:TAG.
func (c *call) tagName() server.TagName {
	repo, tag, _ := strings.Cut(c.args[0], ":")
	return server.TagName{Repo: repo, Tag: tag}
}

func listTags(c *call) (result, error) {
	tags, err := with(c, func(l *server.Local) ([]server.Tag, error) { return all(c, l, server.ListTags, c.args[0]) })
	return result{value: tags, table: rows([]string{"TAG", "SIZE", "UPDATED", "DIGEST"}, tags, func(t server.Tag) []string {
		return []string{t.Name, size(t.Size), when(t.Updated), t.Digest}
	})}, err
}

func tagHistory(c *call) (result, error) {
	events, err := with(c, func(l *server.Local) ([]server.TagEvent, error) {
		events := []server.TagEvent{}
		for q := c.tagName(); ; {
			p, err := server.Call(c.ctx, l, server.TagHistory, q)
			if err != nil {
				return nil, err
			}
			events = append(events, p.Items...)
			if !p.More {
				return events, nil
			}
			q.After = p.Next
		}
	})
	return result{value: events, table: rows([]string{"TIME", "TAG", "DIGEST", "CAUSE", "BY"}, events, func(e server.TagEvent) []string {
		digest := e.Digest
		if digest == "" {
			digest = "(removed)"
		}
		return []string{when(e.Time), e.Tag, digest, e.Cause, e.Actor}
	})}, err
}

func deleteTag(c *call) (result, error) {
	name := c.tagName()
	if name.Tag == "" {
		return result{}, &usageError{"which tag? Name it as " + name.Repo + ":TAG", "berth tag delete"}
	}
	_, err := with(c, func(l *server.Local) (server.None, error) { return server.Call(c.ctx, l, server.DeleteTag, name) })
	return done(c.args[0], "Tag %s deleted.", c.args[0]), err
}
