package main

import (
	"time"

	"berth.dev/berth/internal/server"
)

func undoCommands() []command {
	digest := textFlag("digest", "`digest` of the image", func(o *options) *string { return &o.undo.digest })
	at := textFlag("time", "`moment`, such as 2026-11-26T09:00:00Z, or so long ago, such as 2h30m", func(o *options) *string { return &o.undo.time })
	return []command{
		{
			name: "tag deleted", args: "ORG/REPO[:TAG]",
			short: "List the deleted and overwritten tags that can come back",
			long:  "TAG is a part of their names.",
			examples: `berth tag deleted demo/alpine
				berth tag deleted demo/alpine:v1 --output json`,
			run: deletedTags,
		},
		{
			name: "tag restore", args: "ORG/REPO:TAG",
			short: "Give a deleted or overwritten tag its image back",
			long:  "Without --digest it is the image that the tag lost last.",
			examples: `berth tag restore demo/alpine:3.20
				berth tag restore demo/alpine:latest --override`,
			flags: join(digest, boolFlag("override", "move the tag where it points to another image now", func(o *options) *bool { return &o.undo.override })),
			run:   restoreTag,
		},
		{
			name: "tag rollback", args: "ORG/REPO:TAG",
			short: "Point a tag to an image that it had earlier: to --digest, or to what it was at a --time",
			examples: `berth tag rollback demo/alpine:latest --time 2h
				berth tag rollback demo/alpine:latest --digest sha256:57b6...`,
			flags: join(digest, at),
			run:   rollbackTag,
		},
		{
			name: "repo rollback", args: "ORG/REPO",
			short: "Make the tags of a repository what they were at a time, all or none",
			long:  "Tags that were not there then are removed.",
			examples: `berth repo rollback demo/alpine --time 2h --dry-run
				berth repo rollback demo/alpine --time 2026-11-26T09:00:00Z --pattern '^3\.'`,
			flags: join(at,
				textFlag("pattern", "`regexp` (RE2) that finds the tags that are meant (default: all)", func(o *options) *string { return &o.undo.pattern }),
				boolFlag("dry-run", "only show what would be done", func(o *options) *bool { return &o.undo.dryRun }),
				boolFlag("skip-missing", "leave tags as they are whose image is gone", func(o *options) *bool { return &o.undo.skipMissing })),
			run: rollbackRepo,
		},
	}
}

// undoing are the flags of these commands.
type undoing struct {
	digest, time, pattern         string
	override, dryRun, skipMissing bool
}

// undo makes the argument out of the command line. tag: it needs one.
func (c *call) undo(tag bool) (server.Undo, error) {
	u := server.Undo{TagName: c.tagName(), Digest: c.options.undo.digest, Override: c.options.undo.override,
		Pattern: c.options.undo.pattern, DryRun: c.options.undo.dryRun, SkipMissing: c.options.undo.skipMissing}
	if tag && u.Tag == "" {
		return u, &usageError{"which tag? Name it as " + u.Repo + ":TAG", "berth " + c.cmd.name}
	}
	if text := c.options.undo.time; text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			ago, err := time.ParseDuration(text)
			if err != nil || ago < 0 {
				return u, &usageError{text + " is no time such as 2026-11-26T09:00:00Z, and none before now such as 2h30m", "berth " + c.cmd.name}
			}
			at = time.Now().Add(-ago)
		}
		u.Time = &at
	}
	return u, nil
}

func deletedTags(c *call) (result, error) {
	name := c.tagName()
	tags, err := with(c, func(l *server.Local) ([]server.DeletedTag, error) {
		tags := []server.DeletedTag{}
		for q := (server.DeletedTags{Repo: name.Repo, Tag: name.Tag}); ; {
			p, err := server.Call(c.ctx, l, server.ListDeletedTags, q)
			if err != nil {
				return nil, err
			}
			tags = append(tags, p.Items...)
			if !p.More {
				return tags, nil
			}
			q.After = p.Next
		}
	})
	return result{value: tags, table: rows([]string{"DELETED", "TAG", "DIGEST", "CAUSE", "BY", "UNTIL", "NOW"}, tags, func(d server.DeletedTag) []string {
		return []string{when(d.Deleted), d.Tag, d.Digest, d.Cause, d.Actor, when(d.Until), shortDigest(d.Now)}
	})}, err
}

// shortDigest is enough of a digest to see that it is another one.
func shortDigest(d string) string {
	const most = 19 // sha256: and twelve digits
	if len(d) > most {
		return d[:most]
	}
	return d
}

func restoreTag(c *call) (result, error) { return moveTag(c, server.RestoreTag) }

func rollbackTag(c *call) (result, error) {
	if (c.options.undo.digest == "") == (c.options.undo.time == "") {
		return result{}, &usageError{"--digest or --time says what to roll back to", "berth tag rollback"}
	}
	return moveTag(c, server.RollbackTag)
}

func moveTag(c *call, op server.Op[server.Undo, server.TagMove]) (result, error) {
	u, err := c.undo(true)
	if err != nil {
		return result{}, err
	}
	m, err := with(c, func(l *server.Local) (server.TagMove, error) { return server.Call(c.ctx, l, op, u) })
	return result{value: m, text: "Tag " + c.args[0] + " points to " + m.Digest + "."}, err
}

func rollbackRepo(c *call) (result, error) {
	if c.options.undo.time == "" {
		return result{}, &usageError{"--time says what to roll back to", "berth repo rollback"}
	}
	u, err := c.undo(false)
	if err != nil {
		return result{}, err
	}
	if u.Tag != "" {
		return result{}, &usageError{"name the repository alone, and its tags by --pattern", "berth repo rollback"}
	}
	moves, err := with(c, func(l *server.Local) ([]server.TagMove, error) { return server.Call(c.ctx, l, server.RollbackRepo, u) })
	if err == nil && len(moves) == 0 {
		return result{value: []server.TagMove{}, text: "The tags are what they were."}, nil
	}
	return result{value: moves, table: rows([]string{"TAG", "FROM", "TO"}, moves, func(m server.TagMove) []string {
		from, to := m.Previous, m.Digest
		if from == "" {
			from = "(not there)"
		}
		switch {
		case m.Missing:
			to += " (gone)"
		case to == "":
			to = "(removed)"
		}
		return []string{m.Tag, from, to}
	})}, err
}
