// Command berth is the registry: `berth serve` runs it, and the other
// subcommands manage it from the same machine, whether it runs or not.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/server"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the thing asked for was not done, or fsck found damage
	exitUsage  = 2 // the command line says nothing that can be done
)

func main() {
	unix.Umask(0o077) // whatever is made here is its owner's alone
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}, os.Environ()))
}

// streams are the three standard ones.
type streams struct {
	in       *os.File
	out, err io.Writer
}

// run does what args say and returns the exit code.
func run(ctx context.Context, args []string, std streams, environ []string) int {
	c := &call{ctx: ctx, streams: std, environ: environ, output: "table"}
	err := c.dispatch(args)
	var wrong *usageError
	var code exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &wrong):
		fmt.Fprintf(std.err, "berth: %s\n", wrong.text)
		if wrong.see != "" {
			fmt.Fprintf(std.err, "See: %s --help\n", wrong.see)
		}
		return exitUsage
	}
	fmt.Fprintf(std.err, "berth: %s\n", server.Explain(err))
	return exitFailed
}

// exitCode ends the program without another word.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is a command line that cannot be followed.
type usageError struct {
	text string
	see  string // the command whose help would help
}

func (e *usageError) Error() string { return e.text }
