package main

import (
	"fmt"
	"strings"
	"time"

	"berth.dev/berth/internal/server"
)

func syncCommands() []command {
	return []command{
		{name: "sync list", args: "ORG/REPO", short: "List where what is pushed to a repository is copied to", examples: `berth sync list demo/alpine`, run: listSyncs},
		{
			name: "sync run", args: "ORG/REPO[:TAG] REGION/ORG",
			short: "Copy a tag now; without one, compare a synchronization and copy what differs",
			long:  "It is done by the running server; `berth jobs list --kind sync` shows how far it is.",
			examples: `berth sync run demo/alpine:latest north/group
				berth sync run demo/alpine north/group`,
			flags: boolFlag("override", "replace a different image that has the tag over there", func(o *options) *bool { return &o.override }),
			run:   runSync,
		},
		{
			name: "sync diff", args: "ORG/REPO REGION/ORG",
			short: "Show what the newest comparison of a synchronization found",
			long:  "Where there is none the running server makes one, which takes a while. With --refresh it makes another.",
			examples: `berth sync diff demo/alpine north/group
				berth sync diff demo/alpine north/group --refresh`,
			flags: boolFlag("refresh", "compare anew", func(o *options) *bool { return &o.refresh }),
			run:   diffSync,
		},
	}
}

func listSyncs(c *call) (result, error) {
	list, err := with(c, func(l *server.Local) ([]server.Sync, error) {
		return server.Call(c.ctx, l, server.ListSyncs, server.List{In: c.args[0]})
	})
	return result{value: list, table: rows([]string{"REGION", "ORGANIZATION", "AUTO", "OVERRIDE", "BEHIND", "SINCE", "BY"}, list, func(s server.Sync) []string {
		return []string{s.Region, s.Organization, yes(s.Auto), yes(s.Override), yes(s.Behind), when(s.Created), s.Creator}
	})}, err
}

// syncTarget reads the two arguments of the commands.
func (c *call) syncTarget() (server.SyncTarget, error) {
	repo, tag, _ := strings.Cut(c.args[0], ":")
	region, org, ok := strings.Cut(c.args[1], "/")
	t := server.SyncTarget{Repo: repo, Region: region, Organization: org, Override: c.override, Refresh: c.refresh}
	if tag != "" {
		t.Tags = []string{tag}
	}
	if !ok {
		return t, &usageError{fmt.Sprintf("%q is not REGION/ORG", c.args[1]), "berth " + c.cmd.name}
	}
	return t, nil
}

func runSync(c *call) (result, error) {
	t, err := c.syncTarget()
	if err != nil {
		return result{}, err
	}
	jobs, err := with(c, func(l *server.Local) ([]int64, error) { return server.Call(c.ctx, l, server.RunSync, t) })
	text := "What differs will be copied."
	if len(t.Tags) > 0 {
		text = c.args[0] + " will be copied."
	}
	return result{value: jobs, text: text}, err
}

func diffSync(c *call) (result, error) {
	t, err := c.syncTarget()
	if err != nil {
		return result{}, err
	}
	d, err := with(c, func(l *server.Local) (server.SyncDiff, error) {
		all, err := server.Call(c.ctx, l, server.DiffSync, t)
		for t.Refresh = false; err == nil && int64(len(all.Differences)) < all.Listed; {
			t.Offset = len(all.Differences)
			var p server.SyncDiff
			if p, err = server.Call(c.ctx, l, server.DiffSync, t); len(p.Differences) == 0 {
				break
			}
			all.Differences = append(all.Differences, p.Differences...)
		}
		return all, err
	})
	state := d.State
	if d.Updated != nil {
		state += " at " + d.Updated.Local().Format(time.DateTime)
	}
	text := fmt.Sprintf("%s: %d equal, %d missing, %d different, %d extra", state, d.Equal, d.Missing, d.Different, d.Extra)
	if d.Detail != "" {
		text += "\n" + d.Detail
	}
	res := result{value: d, text: text}
	if len(d.Differences) > 0 {
		res.table = rows([]string{"TAG", "DIFFERENCE", "HERE", "THERE"}, d.Differences, func(x server.TagDiff) []string { return []string{x.Tag, x.Kind, x.Digest, x.Remote} })
	}
	return res, err
}
