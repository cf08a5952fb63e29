// Command roof measures what this machine can do at best for the things a registry does:
// hashing, durable files, small durable commits, and plain net/http over the loopback.
// Registries are judged against these figures, not against a wish.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"berth.dev/berth/bench/internal/bare"
	"berth.dev/berth/bench/internal/result"
)

// A part measures some limits in a directory on the disk of interest; each step of it
// takes about the given time.
type part struct {
	name string
	run  func(dir string, step time.Duration, record recorder) error
}

type recorder func(name, unit string, value float64)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "bare" { // the bare server runs in a process of its own
		fatal(bare.Serve(os.Args[2], os.Args[3]))
	}
	fatal(run(os.Args[1:], os.Stdout))
}

func run(args []string, out io.Writer) error {
	parts := []part{{"hash", hash}, {"disk", disk}, {"net", network}, {"database", database}}
	fs := flag.NewFlagSet("roof", flag.ContinueOnError)
	dir := fs.String("dir", "", "directory on the disk to measure")
	only := fs.String("only", "", "hash, disk, net, database: comma-separated")
	step := fs.Duration("step", 2*time.Second, "length of a step that is bounded by time")
	output := fs.String("out", "", "append the figures as JSON lines to this file, for bench table")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		return errors.New("-dir is needed: a directory on the disk that the registry will use")
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(*dir, "roof-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	var sink io.Writer = io.Discard
	if *output != "" {
		f, err := os.OpenFile(*output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		sink = f
	}
	lines := json.NewEncoder(sink)
	for _, p := range parts {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), p.name) {
			continue
		}
		record := func(name, unit string, value float64) {
			fmt.Fprintf(out, "| %s | %.4g %s |\n", name, value, unit)
			_ = lines.Encode(result.Metric{Target: result.Roof, Workload: p.name, Name: name, Unit: unit, Value: value})
		}
		if err := p.run(work, *step, record); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// median of n runs of fn.
func median(n int, fn func() (float64, error)) (float64, error) {
	var all []float64
	for range n {
		v, err := fn()
		if err != nil {
			return 0, err
		}
		all = append(all, v)
	}
	return result.Median(all), nil
}
