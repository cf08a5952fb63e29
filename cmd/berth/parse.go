package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"
)

// errHelp is returned where -h or --help stands.
var errHelp = errors.New("help")

// parse sets flags wherever they stand and returns the positional arguments:
// everything else, and everything behind "--". The flag package alone would
// stop at the first positional argument, and has no suggestion for a slip.
func parse(fs *flag.FlagSet, args []string) (positional []string, err error) {
	for len(args) > 0 {
		if args[0] == "--" {
			return append(positional, args[1:]...), nil
		}
		if !isFlag(args[0]) {
			positional = append(positional, args[0])
			args = args[1:]
			continue
		}
		if args, err = setFlag(fs, args); err != nil {
			return nil, err
		}
	}
	return positional, nil
}

// leading sets the flags before the command's words, which it returns apart
// from what follows them.
func leading(fs *flag.FlagSet, args []string) (words, rest []string, err error) {
	for len(args) > 0 && isFlag(args[0]) {
		if args[0] == "--" {
			return nil, args[1:], nil
		}
		if args, err = setFlag(fs, args); err != nil {
			return nil, nil, err
		}
	}
	n := 0
	for n < len(args) && !isFlag(args[n]) {
		n++
	}
	return args[:n:n], args[n:], nil
}

// isFlag says that an argument is a flag; "-" alone is not.
func isFlag(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

// setFlag sets the flag that args begin with and returns what follows it.
func setFlag(fs *flag.FlagSet, args []string) ([]string, error) {
	name, value, given := strings.Cut(strings.TrimPrefix(args[0][1:], "-"), "=")
	if name == "h" || name == "help" {
		return nil, errHelp
	}
	f := fs.Lookup(name)
	if f == nil {
		var known []string
		fs.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
		return nil, fmt.Errorf("there is no flag --%s%s", name, didYouMean("--", name, known))
	}
	args = args[1:]
	if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
		if !given {
			value = "true"
		}
	} else if !given {
		if len(args) == 0 {
			return nil, fmt.Errorf("--%s needs a value", name)
		}
		value, args = args[0], args[1:]
	}
	if err := fs.Set(name, value); err != nil {
		return nil, fmt.Errorf("--%s: %w", name, err)
	}
	return args, nil
}

// wantsHelp says that help is asked for among flags and words.
func wantsHelp(lists ...[]string) bool {
	for _, args := range lists {
		for _, a := range args {
			if a == "-h" || a == "-help" || a == "--help" || a == "help" {
				return true
			}
		}
	}
	return false
}
