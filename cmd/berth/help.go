package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"

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
  --config FILE     configuration in YAML; BERTH_* variables and flags come over it
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

// list shows one line for each command.
func list(want func(command) bool) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, cmd := range commands() {
		if want(cmd) {
			fmt.Fprintf(w, "  %s\t%s\n", strings.TrimSpace(cmd.name+" "+cmd.args), cmd.short)
		}
	}
	_ = w.Flush() // into memory
	return b.String()
}

func (c *call) commandHelp(cmd command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nUsage: berth %s [FLAGS]\n", cmd.short, strings.TrimSpace(cmd.name+" "+cmd.args))
	if cmd.long != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(cmd.long))
	}
	if cmd.examples != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s", examples(cmd))
	}
	b.WriteString("\nFlags:\n")
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
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
		fmt.Fprintf(w, "  --%s\t%s\n", strings.TrimSpace(f.Name+" "+strings.ToUpper(value)), usage)
	})
	_ = w.Flush() // into memory
	return b.String()
}

func examples(cmd command) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(cmd.examples)) {
		fmt.Fprintf(&b, "  %s\n", strings.TrimSpace(line))
	}
	return b.String()
}
