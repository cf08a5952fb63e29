// Command bench measures container registries side by side: it starts each registry of a
// targets file, runs the same workloads on all of them in turns, and prints medians with
// the ratio against a reference, or the table of what Berth has to reach.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"berth.dev/berth/bench/internal/bare"
	"berth.dev/berth/bench/internal/result"
	"berth.dev/berth/bench/internal/workload"
)

const usage = `bench run    [-targets FILE] [-names a,b] [-target name=URL[,user:password]] [-w small,push] [-reps 3] [-factor 1] [-out FILE]
bench table  [-target berth] [-ref distribution] FILE...   the goals as Markdown
bench report [-ref distribution] [-all] FILE...            every metric as Markdown
bench list                                                 the workloads`

func main() {
	if err := command(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func command(args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch name, args := args[0], args[1:]; name {
	case "run":
		return run(args, out)
	case "table":
		return table(args, out)
	case "report":
		return report(args, out)
	case "list":
		for _, w := range workload.All() {
			fmt.Fprintf(out, "%-18s %s\n", w.ID, w.What)
		}
		return nil
	case "bare": // started by run
		if len(args) != 2 {
			return errors.New("bench bare ADDR DIR")
		}
		return bare.Serve(args[0], args[1])
	}
	return errors.New(usage)
}

func table(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("table", flag.ContinueOnError)
	target := fs.String("target", "berth", "the registry that is judged")
	ref := fs.String("ref", "distribution", "the registry it is compared with")
	if err := fs.Parse(args); err != nil {
		return err
	}
	all, err := result.Read(fs.Args())
	if err != nil {
		return err
	}
	if missed := result.Table(out, all, *target, *ref); missed > 0 {
		fmt.Fprintf(os.Stderr, "%d goals are missed or not measured\n", missed)
	}
	return nil
}

func report(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("report", flag.ContinueOnError)
	ref := fs.String("ref", "distribution", "the registry that the ratios are against")
	all := fs.Bool("all", false, "also metrics that only inform")
	if err := fs.Parse(args); err != nil {
		return err
	}
	metrics, err := result.Read(fs.Args())
	if err != nil {
		return err
	}
	result.Report(out, metrics, *ref, *all)
	return nil
}
