package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"

	"berth.dev/berth/internal/server"
)

// A command is one row of the command table.
type command struct {
	name     string // "org create"
	args     string // "NAME", "[ORG]": one word for each positional argument
	short    string
	long     string // more than the short line, if there is more to say
	examples string // one a line, without "berth"
	flags    func(*flag.FlagSet, *options)
	run      func(*call) (result, error)
}

// commands is everything berth can do, in the order in which help shows it.
func commands() []command {
	return slices.Concat(
		serveCommands(), orgCommands(), repoCommands(), tagCommands(), undoCommands(), retentionCommands(), chartCommands(), userCommands(), keyCommands(), credentialCommands(), guideCommands(), grantCommands(), accountCommands(),
		clusterCommands(), signingCommands(), regionCommands(), syncCommands(), webhookCommands(), jobCommands(), otherCommands(),
	)
}

// options are the flags that single commands have.
type options struct {
	account       string
	user          string
	description   string
	kind, state   string // of jobs
	keep, days    string // of a rule of retention to try; except too
	except        string
	admin         bool
	remove        bool
	public, force bool
	private       bool
	deep          bool
	passwordStdin bool
	drop          bool
	override      bool
	refresh       bool
	cluster       clusterFlags
	set           settable
	region        regionFlags
	undo          undoing
	credential    credentialFlags
	lang          string
}

// settable are the texts that the commands called set change; nil: left out.
type settable struct {
	name, description, email, areaCode, phone, accessMode *string
	orgID, orgPath, undelete, guard                       *string
}

// none is what a set command says that was given nothing to set.
func (c *call) none() error {
	if c.set != (settable{}) {
		return nil
	}
	return &usageError{"nothing to change was given", "berth " + c.cmd.name}
}

// A call is one command line on its way.
type call struct {
	streams
	options
	ctx     context.Context
	environ []string
	cmd     command
	args    []string // positional

	output   string
	file     string
	settings map[string]string // key -> text, of the configuration's flags
}

// dispatch finds the command, reads its flags, runs it and shows the result.
func (c *call) dispatch(args []string) error {
	c.settings = map[string]string{}
	if len(args) == 1 && (args[0] == "--version" || args[0] == "-v") {
		args = []string{"version"}
	}
	root := flag.NewFlagSet("berth", flag.ContinueOnError)
	c.commonFlags(root)
	words, rest, err := leading(root, args)
	if err != nil {
		return c.helpOr(err, "berth", overview)
	}
	if len(words) == 0 {
		fmt.Fprint(c.err, overview())
		return exitCode(exitUsage)
	}
	if words[0] == "help" {
		return c.help(words[1:])
	}
	cmd, used, err := find(words)
	if err != nil {
		if used == 1 && wantsHelp(rest, words[1:]) {
			fmt.Fprint(c.out, groupHelp(words[0]))
			return nil
		}
		return err
	}
	c.cmd = cmd
	flags := c.flagSet(cmd)
	if c.args, err = parse(flags, append(words[used:], rest...)); err != nil {
		return c.helpOr(err, "berth "+cmd.name, func() string { return c.commandHelp(cmd) })
	}
	if err := c.checkCount(); err != nil {
		return err
	}
	if c.output != "table" && c.output != "json" {
		return &usageError{fmt.Sprintf("--output is table or json, not %q", c.output), "berth " + cmd.name}
	}
	res, err := cmd.run(c)
	if err != nil {
		return err
	}
	return c.show(res)
}

// flagSet has the common flags and those of the command.
func (c *call) flagSet(cmd command) *flag.FlagSet {
	fs := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	c.commonFlags(fs)
	if cmd.flags != nil {
		cmd.flags(fs, &c.options)
	}
	if cmd.name == "serve" || cmd.name == "config print" {
		c.settingFlags(fs, func(server.Key) bool { return true })
	}
	return fs
}

// commonFlags are understood everywhere, before the command too.
func (c *call) commonFlags(fs *flag.FlagSet) {
	fs.StringVar(&c.file, "config", c.file, "configuration `file` in YAML")
	fs.StringVar(&c.output, "output", c.output, "`format` of the result: table or json")
	c.settingFlags(fs, func(k server.Key) bool { return k.Name == "data" || k.Name == "database" })
}

// settingFlags adds flags for keys of the configuration. They are only noted:
// defaults, file and environment come first.
func (c *call) settingFlags(fs *flag.FlagSet, want func(server.Key) bool) {
	defaults := server.Default()
	for _, k := range defaults.Keys() {
		if !want(k) || fs.Lookup(k.Flag()) != nil {
			continue
		}
		note := func(text string) error {
			if err := k.Value.Set(text); err != nil {
				return err
			}
			c.settings[k.Name] = text
			return nil
		}
		if b, ok := k.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
			fs.BoolFunc(k.Flag(), k.Usage, note)
		} else {
			fs.Func(k.Flag(), k.Usage, note)
		}
	}
}

// config is the configuration this command line works with.
func (c *call) config() (server.Config, error) {
	return server.Load(server.Sources{File: c.file, Environ: c.environ, Flags: c.settings})
}

// checkCount compares the positional arguments with what the command takes.
func (c *call) checkCount() error {
	names := strings.Fields(c.cmd.args)
	required := 0
	for _, n := range names {
		if n[0] != '[' {
			required++
		}
	}
	see := "berth " + c.cmd.name
	if len(c.args) < required {
		return &usageError{fmt.Sprintf("%s is missing: berth %s %s", names[len(c.args)], c.cmd.name, c.cmd.args), see}
	}
	if len(c.args) > len(names) {
		return &usageError{fmt.Sprintf("%q is one argument too many: berth %s", c.args[len(names)], strings.TrimSpace(c.cmd.name+" "+c.cmd.args)), see}
	}
	return nil
}

// find looks the command up by its first one or two words. used is how many
// it took; of an unknown command, how many were known.
func find(words []string) (cmd command, used int, err error) {
	var groups, inGroup []string
	for _, cmd := range commands() {
		group, name, two := strings.Cut(cmd.name, " ")
		groups = append(groups, group)
		if group != words[0] {
			continue
		}
		if !two {
			return cmd, 1, nil
		}
		inGroup = append(inGroup, name)
		if len(words) > 1 && words[1] == name {
			return cmd, 2, nil
		}
	}
	if len(inGroup) == 0 {
		return cmd, 0, &usageError{fmt.Sprintf("%q is no command%s", words[0], didYouMean("", words[0], append(groups, "help"))), "berth"}
	}
	see := "berth " + words[0]
	if len(words) == 1 {
		return cmd, 1, &usageError{fmt.Sprintf("berth %s what? One of %s", words[0], strings.Join(inGroup, ", ")), see}
	}
	return cmd, 1, &usageError{fmt.Sprintf("%q is no command of berth %s%s", words[1], words[0], didYouMean("", words[1], inGroup)), see}
}

// didYouMean suggests a near word, or nothing.
func didYouMean(prefix, word string, known []string) string {
	if near := server.Nearest(word, known); near != "" {
		return fmt.Sprintf(" (did you mean %s%s?)", prefix, near)
	}
	return ""
}
