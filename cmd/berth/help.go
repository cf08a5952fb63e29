package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"

	"berth.dev/berth/internal/server"
)

// helpOr shows help where err asks for it, to stdout, since it is the answer.
func (c *call) helpOr(err error, see string, help func() string) error {
	if errors.Is(err, errHelp) {
		fmt.Fprint(c.out, help())
		return nil
	}
	return &usageError{err.Error(), see}
}

// help answers `berth help [command]`.
func (c *call) help(words []string) error {
	if len(words) == 0 {
		fmt.Fprint(c.out, overview())
		return nil
	}
	cmd, used, err := find(words)
	switch {
	case err == nil:
		fmt.Fprint(c.out, c.commandHelp(cmd))
	case used == 1 && len(words) == 1:
		fmt.Fprint(c.out, groupHelp(words[0]))
	default:
		return err
	}
	return nil
}

func overview() string {
	var b strings.Builder
	b.WriteString(`Berth is a container registry.

Usage: berth COMMAND [ARGUMENTS] [FLAGS]

Start one, and push to it as it tells you:
  berth serve

Commands:
`)
	b.WriteString(list(func(command) bool { return true }))
	b.WriteString(`
Everywhere:
  --data DIR        the registry's directory (default: data)
  --config FILE     configuration in YAML; BERTH_* and flags come over it
  --output FORMAT   table or json

Commands work on the registry in DIR through its running server, or without one.
More about one of them: berth COMMAND --help
`)
	return b.String()
}

func groupHelp(group string) string {
	of := func(cmd command) bool { return strings.HasPrefix(cmd.name, group+" ") }
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: berth %s COMMAND\n\n%s\nExamples:\n", group, list(of))
	for _, cmd := range commands() {
		if of(cmd) {
			b.WriteString(examples(cmd))
		}
	}
	return b.String()
}

// list shows each command with a sentence.
func list(want func(command) bool) string {
	var rows [][2]string
	for _, cmd := range commands() {
		if want(cmd) {
			rows = append(rows, [2]string{strings.TrimSpace(cmd.name + " " + cmd.args), cmd.short})
		}
	}
	return columns(rows)
}

// screen is how wide help is at most, but for examples: these are for pasting.
const screen = 80

// columns shows names beside what they mean.
func columns(rows [][2]string) string {
	widest := 0
	for _, r := range rows {
		widest = max(widest, len(r[0]))
	}
	indent := 2 + widest + 3
	var b strings.Builder
	for _, r := range rows {
		lines := wrap(r[1], screen-indent)
		fmt.Fprintf(&b, "  %-*s   %s\n", widest, r[0], lines[0])
		for _, line := range lines[1:] {
			fmt.Fprintf(&b, "%*s%s\n", indent, "", line)
		}
	}
	return b.String()
}

// wrap parts text between words into lines of a width, one at least.
func wrap(text string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// paragraphs wraps a text whose paragraphs are parted by empty lines.
func paragraphs(text string) string {
	var parts []string
	for p := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		parts = append(parts, strings.Join(wrap(p, screen), "\n"))
	}
	return strings.Join(parts, "\n\n")
}

func (c *call) commandHelp(cmd command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage: berth %s [FLAGS]\n", cmd.short, strings.TrimSpace(cmd.name+" "+cmd.args))
	if cmd.long != "" {
		fmt.Fprintf(&b, "\n%s\n", paragraphs(cmd.long))
	}
	if cmd.examples != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s", examples(cmd))
	}
	b.WriteString("\nFlags:\n")
	var rows [][2]string
	defaults := map[string]string{}
	configuration := server.Default()
	for _, k := range configuration.Keys() {
		defaults[k.Flag()] = k.Value.String()
	}
	c.flagSet(cmd).VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		if d := defaults[f.Name]; d != "" && d != "false" {
			usage += " (default " + d + ")"
		}
		rows = append(rows, [2]string{"--" + strings.TrimSpace(f.Name+" "+strings.ToUpper(value)), usage})
	})
	b.WriteString(columns(rows))
	return b.String()
}

func examples(cmd command) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(cmd.examples)) {
		fmt.Fprintf(&b, "  %s\n", strings.TrimSpace(line))
	}
	return b.String()
}
