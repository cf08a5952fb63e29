package main

import (
	"fmt"
	"strings"

	"berth.dev/berth/internal/server"
)

func guideCommands() []command {
	flags := join(textFlag("user", "`name` to log in as (default: the first administrator)", func(o *options) *string { return &o.user }),
		textFlag("lang", "`language` of the guide: en or zh (default: that of the environment)", func(o *options) *string { return &o.lang }))
	return []command{
		{name: "guide login", args: "[ORG]", short: "Show how docker, podman, helm and others log in", examples: `berth guide login`, flags: flags, run: showGuide},
		{
			name: "guide push", args: "ORG", short: "Show how they push to an organization or a chart group",
			examples: "berth guide push demo\nberth guide push demo --lang zh --output json", flags: flags, run: showGuide,
		},
		{name: "guide pull", args: "ORG", short: "Show how they pull from it, Kubernetes too", examples: `berth guide pull demo`, flags: flags, run: showGuide},
	}
}

func showGuide(c *call) (result, error) {
	_, topic, _ := strings.Cut(c.cmd.name, " ")
	in := server.GuideOf{Topic: topic, User: c.user, Lang: c.lang}
	if len(c.args) > 0 {
		in.Org = c.args[0]
	}
	switch in.Lang {
	case "":
		in.Lang = environLang(c.environ)
	case "en", "zh":
	default:
		return result{}, &usageError{fmt.Sprintf("--lang is en or zh, not %q", in.Lang), "berth " + c.cmd.name}
	}
	g, err := with(c, func(l *server.Local) (server.Guide, error) { return server.Call(c.ctx, l, server.ShowGuide, in) })
	return result{value: g, text: guideText(g)}, err
}

// environLang is the language that the environment asks for.
func environLang(environ []string) string {
	for _, name := range []string{"LC_ALL=", "LC_MESSAGES=", "LANG="} {
		for _, v := range environ {
			if value, ok := strings.CutPrefix(v, name); ok && value != "" {
				if strings.HasPrefix(value, "zh") {
					return "zh"
				}
				return "en"
			}
		}
	}
	return "en"
}

// guideText is a guide for people. What is to be pasted is indented.
func guideText(g server.Guide) string {
	var b strings.Builder
	b.WriteString(g.Title + "\n")
	for _, s := range g.Steps {
		b.WriteString("\n" + s.Title + "\n")
		if s.Text != "" {
			for _, text := range wrap(s.Text, screen-2) {
				b.WriteString("  " + text + "\n")
			}
		}
		if s.File != "" {
			b.WriteString("  " + s.File + ":\n")
			for line := range strings.Lines(s.Content) {
				b.WriteString("      " + line)
			}
		}
		for _, command := range s.Commands {
			b.WriteString("    " + command + "\n")
		}
	}
	return b.String()
}
