package main

import "flag"

// The flags that commands share, each as the flags member of a command.

type flags func(*flag.FlagSet, *options)

func boolFlag(name, usage string, to func(*options) *bool) flags {
	return func(fs *flag.FlagSet, o *options) { fs.BoolVar(to(o), name, false, usage) }
}

func textFlag(name, usage string, to func(*options) *string) flags {
	return func(fs *flag.FlagSet, o *options) { fs.StringVar(to(o), name, "", usage) }
}

// listFlag may be given several times.
func listFlag(name, usage string, to func(*options) *[]string) flags {
	return func(fs *flag.FlagSet, o *options) {
		fs.Func(name, usage, func(text string) error {
			*to(o) = append(*to(o), text)
			return nil
		})
	}
}

// givenFlag tells the empty text from a flag that was left out.
func givenFlag(name, usage string, to func(*options) **string) flags {
	return func(fs *flag.FlagSet, o *options) {
		fs.Func(name, usage, func(text string) error {
			*to(o) = &text
			return nil
		})
	}
}

func accountFlag() flags {
	return textFlag("account", "`name` of the account (default: the first)", func(o *options) *string { return &o.account })
}

func userFlag() flags {
	return textFlag("user", "`name` of the user whose keys these are", func(o *options) *string { return &o.user })
}

func stdinFlag() flags {
	return boolFlag("password-stdin", "read the password from stdin", func(o *options) *bool { return &o.passwordStdin })
}

func join(parts ...flags) flags {
	return func(fs *flag.FlagSet, o *options) {
		for _, part := range parts {
			part(fs, o)
		}
	}
}
