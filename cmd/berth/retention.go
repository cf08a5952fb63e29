package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"berth.dev/berth/internal/server"
)

func retentionCommands() []command {
	return []command{
		{
			name: "retention show", args: "ORG/REPO", short: "Show the retention policy of a repository and how it acts",
			examples: `berth retention show demo/alpine`, run: showRetention,
		},
		{
			name: "retention simulate", args: "ORG/REPO", short: "Show what retention would do to each tag, without doing it",
			long: "Without --keep and --days the stored policy is tried. With both, a tag goes when either says so.",
			examples: `berth retention simulate demo/alpine
				berth retention simulate demo/alpine --keep 10 --except ^release-
				berth retention simulate demo/alpine --days 30 --output json`,
			flags: join(textFlag("keep", "try a rule that keeps this `number` of the newest tags", func(o *options) *string { return &o.keep }),
				textFlag("days", "try a rule that lets tags go this `number` of days after their last push", func(o *options) *string { return &o.days }),
				textFlag("except", "tags in which this regular `expression` finds something stay, and are not counted", func(o *options) *string { return &o.except })),
			run: simulateRetention,
		},
		{
			name: "retention confirm", args: "ORG/REPO", short: "Let a policy act that waits because it would delete most of a repository",
			examples: `berth retention confirm demo/alpine`, run: confirmRetention,
		},
	}
}

func showRetention(c *call) (result, error) {
	p, err := with(c, func(l *server.Local) (server.RetentionState, error) {
		return server.Call(c.ctx, l, server.ShowRetention, server.RetentionOf{Repo: c.args[0]})
	})
	if err != nil {
		return result{}, err
	}
	lines := []string{"", "state:     " + p.State, "last run:  " + ifWhen(p.LastRun), "next run:  " + ifWhen(p.Next),
		fmt.Sprintf("deleted:   %d tags in all, %d by the last run that deleted any, at %s", p.DeletedAll, p.Deleted, ifWhen(p.LastDelete))}
	if p.Error != "" {
		lines = append(lines, "error:     "+p.Error)
	}
	if p.WouldSee > 0 {
		lines = append(lines, fmt.Sprintf("It would delete %d of %d tags and waits: berth retention confirm %s lets it.", p.WouldDelete, p.WouldSee, c.args[0]))
	}
	return result{value: p, text: strings.Join(lines, "\n"), table: rows([]string{"RULE", "EXCEPT"}, p.Rules, func(r server.RetentionRule) []string {
		return []string{r.Rule, strings.Join(r.Except, ", ")}
	})}, nil
}

func ifWhen(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return when(*t)
}

// draft reads the rules of the flags.
func (c *call) draft() (server.RetentionOf, error) {
	in := server.RetentionOf{Repo: c.args[0], Except: c.except}
	for _, f := range []struct {
		name, text string
		to         *int
	}{{"keep", c.keep, &in.Keep}, {"days", c.days, &in.Days}} {
		if f.text == "" {
			continue
		}
		n, err := strconv.Atoi(f.text)
		if err != nil || n < 1 {
			return in, &usageError{"--" + f.name + " is a whole number above 0", "berth " + c.cmd.name}
		}
		*f.to = n
	}
	if in.Except != "" && in.Keep == 0 && in.Days == 0 {
		return in, &usageError{"--except belongs to --keep or --days", "berth " + c.cmd.name}
	}
	return in, nil
}

func simulateRetention(c *call) (result, error) {
	draft, err := c.draft()
	if err != nil {
		return result{}, err
	}
	s, err := with(c, func(l *server.Local) (server.Simulated, error) {
		return server.Call(c.ctx, l, server.SimulateRetention, draft)
	})
	if err != nil {
		return result{}, err
	}
	table := rows([]string{"TAG", "ACTION", "RULE", "RANK", "AGE", "EXCEPTION", "SIBLINGS"}, s.Tags, func(t server.SimulatedTag) []string {
		action, rank := "keep", "-"
		if t.Delete {
			action = "delete"
		}
		if t.Rank > 0 {
			rank = strconv.Itoa(t.Rank)
		}
		return []string{t.Tag, action, t.Rule, rank, age(t.Age), t.Exception, strconv.Itoa(t.Others)}
	})
	text := fmt.Sprintf("\n%d of %d tags would be deleted. After the undelete window that frees %d bytes: %d blobs, %d manifests.",
		s.Deleted, s.Total, s.Bytes, s.Blobs, s.Manifests)
	return result{value: s, table: table, text: text}, nil
}

const day = 24 * time.Hour

// age is a time since a push for people.
func age(d time.Duration) string {
	if d >= day {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return d.Truncate(time.Second).String()
}

func confirmRetention(c *call) (result, error) {
	_, err := with(c, func(l *server.Local) (server.None, error) {
		return server.Call(c.ctx, l, server.ConfirmRetention, server.RetentionOf{Repo: c.args[0]})
	})
	return done(c.args[0], "The retention of %s acts.", c.args[0]), err
}
