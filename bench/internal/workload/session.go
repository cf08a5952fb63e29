// Package workload holds what is done to a registry and how it is timed. A workload
// speaks the distribution protocol as a client would, several clients at once, bounded
// in count and in time.
package workload

import (
	"fmt"
	"time"

	"berth.dev/berth/bench/internal/bare"
	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/proc"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
	"berth.dev/berth/bench/internal/target"
)

// Workload is one entry of the list; it records its metrics in the session.
type Workload struct {
	ID, What string
	Run      func(*Session) error
}

// All workloads, in the order in which one run does them: those that need an empty
// registry first, those that need a full one last.
func All() []Workload {
	return []Workload{
		{"idle", "memory of the fresh server", idle},
		{"small", "push of small images, a repository for each client", small},
		{"layers", "8 clients push images of 10 x 1 MiB", layers},
		{"push", "push of 1 GiB, beside a bare program", push},
		{"pull", "pull of 1 GiB beside bare sendfile; 64 pulls of one 10 MiB layer", pull},
		{"manifest", "manifest GET and HEAD by tag beside a bare handler", manifest},
		{"mount", "cross-repository mount", mount},
		{"again", "push of an image that is already there", again},
		{"mixed", "HEAD while others push into the same repository", mixed},
		{"referrers", "1,000 referrers of one subject by 8 clients", referrers},
		{"syscalls", "syncs and sendfile counted by strace", syscalls},
		{"tags", "10,000 tags in one repository", tags},
		{"delete", "delete of manifests of that repository", remove},
		{"catalog", "5,000 repositories", catalog},
		{"start", "start with them", start},
		{"reclaim", "200 MiB come back after a delete, pushes going on", reclaim},
		{"many-tags", "100,000 tags beside 10", manyTags},
		{"many-repositories", "100,000 repositories", manyRepositories},
		{"triggers", "push of small images with 10 matching triggers beside none", triggers},
		{"sync", "copies of one large and of 1,000 small images to another server, beside crane and regctl", synchronize},
		{"management", "lists of the management API, of 100,000 repositories beside 100", management},
		{"charts", "index and pushes of a chart group of 7,000 versions, beside manifest HEADs and an empty group", charts},
		{"retention-sweep", "policies of 1,000 repositories look at 1,000,000 tags while small images are pushed", retentionSweep},
	}
}

// Options bound a run.
type Options struct {
	Factor float64       // of all counts, sizes and durations; 1 is the real thing
	Seed   time.Duration // limit of one filling step
	Rounds int           // slices of each competitor in an interleaved comparison
}

// Session is one target in one repetition: what has been pushed so far, and where the
// metrics go.
type Session struct {
	*raw.Endpoint
	Target *target.Target
	Bare   *bare.Process
	Emit   func(result.Metric)
	Options

	rep      int
	run      string // makes names and content of this repetition distinct
	workload string
	filler   *raw.Endpoint
	base     *content.Image // see pushBase
	filled   map[string]int // tags by repository
	repos    int            // made by fillRepositories
}

// NewSession is for a target that runs.
func NewSession(t *target.Target, b *bare.Process, rep int, o Options, emit func(result.Metric)) (*Session, error) {
	e, err := t.Endpoint()
	if err != nil {
		return nil, err
	}
	// Filling a registry is not what is measured: it saves the fetching of tokens.
	filler, err := t.Endpoint()
	if err != nil {
		return nil, err
	}
	filler.Basic = true
	return &Session{Endpoint: e, Target: t, Bare: b, Emit: emit, Options: o, rep: rep,
		run: fmt.Sprintf("r%d-%s", rep, time.Now().Format("150405")), filler: filler, filled: map[string]int{}}, nil
}

// Do runs one workload. What fails is recorded as a metric that failed.
func (s *Session) Do(w Workload) {
	s.workload = w.ID
	if err := w.Run(s); err != nil {
		s.failed("", err)
	}
}

func (s *Session) record(name, unit string, v float64, better result.Better) {
	s.Emit(result.Metric{Target: s.Target.Name, Workload: s.workload, Name: name, Unit: unit, Value: v, Better: better, Rep: s.rep})
}

func (s *Session) failed(name string, err error) {
	s.Emit(result.Metric{Target: s.Target.Name, Workload: s.workload, Name: name, Failed: true, Note: err.Error(), Rep: s.rep})
}

// measured runs fn, which returns how many operations it did, and records the server's
// processor time for each and its highest memory. A failure is recorded under name and
// does not end the workload.
func (s *Session) measured(name, operation string, fn func() (float64, error)) {
	pid := s.Target.PID()
	reset := pid > 0 && proc.ResetPeak(pid)
	before := proc.CPU(pid)
	n, err := fn()
	if err != nil {
		s.failed(name, err)
		return
	}
	if pid == 0 || n <= 0 {
		return
	}
	s.record(name+": CPU", "ms/"+operation, (proc.CPU(pid)-before)*1000/n, result.Info)
	if reset {
		s.record(name+": memory", "MiB", proc.PeakRSS(pid), result.Info)
	}
}

// count scales a number of things, but never below a handful.
func (s *Session) count(n int) int { return max(int(float64(n)*s.Factor), min(n, 8)) }

// span scales a duration, but never below what gives one sample.
func (s *Session) span(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)*s.Factor), 50*time.Millisecond)
}

// mebibytes scales a size.
func (s *Session) mebibytes(n int) int64 { return int64(s.count(n)) << 20 }

// repo names a repository of this repetition, in the organization bench.
func (s *Session) repo(name string) string { return "bench/" + s.run + "/" + name }

func (s *Session) id(format string, args ...any) string {
	return s.run + "-" + fmt.Sprintf(format, args...)
}

func tagName(i int) string { return fmt.Sprintf("v%06d", i) }
