package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"berth.dev/berth/bench/internal/bare"
	"berth.dev/berth/bench/internal/proc"
	"berth.dev/berth/bench/internal/result"
	"berth.dev/berth/bench/internal/target"
	"berth.dev/berth/bench/internal/workload"
)

// plan is a run as asked for on the command line.
type plan struct {
	targets   []*target.Target
	workloads []workload.Workload
	reps      int
	options   workload.Options
	bareAddr  string
	bareDir   string
	emit      func(result.Metric)
}

func run(args []string, out io.Writer) error {
	fs := flag.NewFlagSet("run", flag.ContinueOnError)
	file := fs.String("targets", "", "JSON file of the registries to start and stop")
	names := fs.String("names", "", "only these of the file, comma-separated")
	bin := fs.String("bin", "bin", "directory that {{BIN}} of the file stands for")
	only := fs.String("w", "", "only these workloads, comma-separated")
	reps := fs.Int("reps", 3, "repetitions, each with fresh registries")
	factor := fs.Float64("factor", 1, "of counts, sizes and durations; 0.02 is a smoke test")
	seed := fs.Duration("seed-limit", 4*time.Minute, "limit of one filling step")
	addr := fs.String("bare", "127.0.0.1:5199", "address for the bare server")
	dir := fs.String("bare-dir", "/var/tmp/bench-bare", "directory of the bare server, on the disk of the registries; wiped")
	output := fs.String("out", "", "append the metrics as JSON lines to this file")
	var running []string
	fs.Func("target", "a registry that already runs: name=http://127.0.0.1:5000[,user:password] (repeatable)",
		func(s string) error { running = append(running, s); return nil })
	if err := fs.Parse(args); err != nil {
		return err
	}
	p := plan{reps: *reps, bareAddr: *addr, bareDir: *dir,
		options: workload.Options{Factor: *factor, Seed: *seed, Rounds: 3}}
	if *factor < 0.1 {
		p.options.Rounds = 1
	}
	var err error
	if p.targets, err = choose(*file, *names, *bin, running); err != nil {
		return err
	}
	if p.workloads, err = selected(*only); err != nil {
		return err
	}
	var all []result.Metric
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
	p.emit = func(m result.Metric) {
		all = append(all, m)
		_ = lines.Encode(m)
		progress(m)
	}
	if err := p.run(); err != nil {
		return err
	}
	result.Report(out, all, p.targets[0].Name, false)
	return nil
}

// run keeps the registries of a repetition up together and takes the workloads in turns,
// so that those compared with each other see the machine within the same minute.
func (p *plan) run() error {
	debug.SetGCPercent(400) // memory is cheaper here than processor time
	program, err := os.Executable()
	if err != nil {
		return err
	}
	b, err := bare.Start(program, p.bareAddr, p.bareDir)
	if err != nil {
		return err
	}
	defer b.Stop()
	defer p.stopOnSignal(b)()
	p.emit(result.Metric{Target: result.Roof, Workload: result.Environment, Name: result.Machine,
		Note: time.Now().Format("2006-01-02") + ": " + proc.Machine()})
	for rep := 1; rep <= p.reps; rep++ {
		if err := p.repetition(rep, b); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) repetition(rep int, b *bare.Process) error {
	var sessions []*workload.Session
	for _, t := range p.targets {
		defer func() {
			t.Stop()
			_ = t.Wipe()
		}()
		if err := t.Fresh(); err != nil {
			return err
		}
		s, err := workload.NewSession(t, b, rep, p.options, p.emit)
		if err != nil {
			return err
		}
		sessions = append(sessions, s)
	}
	for _, w := range p.workloads {
		for _, s := range sessions {
			syscall.Sync() // nobody pays for what another left to be written
			s.Do(w)
		}
	}
	p.emit(result.Metric{Target: result.Roof, Workload: result.Environment, Name: "load after a repetition", Value: proc.Load(), Rep: rep})
	return nil
}

// stopOnSignal ends all processes on an interrupt; the returned function undoes it.
func (p *plan) stopOnSignal(b *bare.Process) func() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-c; !ok {
			return
		}
		b.Stop()
		os.Exit(1) // the registries die with their parent
	}()
	return func() { signal.Stop(c); close(c) }
}

func choose(file, names, bin string, running []string) ([]*target.Target, error) {
	var ts []*target.Target
	if file != "" {
		abs, err := filepath.Abs(bin)
		if err != nil {
			return nil, err
		}
		if ts, err = target.Load(file, names, abs); err != nil {
			return nil, err
		}
	}
	for _, s := range running {
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("-target %q is not name=URL", s)
		}
		t := &target.Target{Name: name}
		var login string
		t.URL, login, _ = strings.Cut(rest, ",")
		t.User, t.Password, _ = strings.Cut(login, ":")
		ts = append(ts, t)
	}
	if len(ts) == 0 {
		return nil, errors.New("no target: give -targets or -target")
	}
	return ts, nil
}

func selected(only string) ([]workload.Workload, error) {
	all := workload.All()
	if only == "" {
		return all, nil
	}
	wanted := strings.Split(only, ",")
	kept := slices.DeleteFunc(slices.Clone(all), func(w workload.Workload) bool { return !slices.Contains(wanted, w.ID) })
	if len(kept) != len(wanted) {
		return nil, fmt.Errorf("-w %s names a workload that is not there; see bench list", only)
	}
	return kept, nil
}

func progress(m result.Metric) {
	value := fmt.Sprintf("%12.4g %s", m.Value, m.Unit)
	if m.Failed || m.Note != "" {
		value = m.Note
	}
	if m.Failed {
		value = "FAILED: " + value
	}
	fmt.Fprintf(os.Stderr, "%s rep %d %-18s %-18s %-45s %s\n", time.Now().Format("15:04:05"), m.Rep, m.Target, m.Workload, m.Name, value)
}
