package workload

import (
	"fmt"
	"strings"
	"time"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/proc"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
)

// syscalls counts what makes a push durable and a pull cheap. Tracing slows the server
// down, so that nothing here is a time.
func syscalls(s *Session) error {
	if s.Target.PID() == 0 {
		return nil
	}
	steps := []struct {
		what    string
		clients int
		n       int
		fn      func(c *raw.Client, i int) error
	}{
		{"small image", 1, s.count(20), func(c *raw.Client, i int) error {
			return pushImage(c, s.repo("traced"), tagName(i), content.Small(s.id("traced%d", i)))
		}},
		{"small image, 8 at once", 8, s.count(100), func(c *raw.Client, i int) error {
			return pushImage(c, s.repo("traced"), tagName(i), content.Small(s.id("traced8-%d", i)))
		}},
		{"large blob", 1, s.count(10), func(c *raw.Client, i int) error {
			return pushBlob(c, s.repo("traced"), content.NewBlob(s.id("traced%d", i), 8<<20))
		}},
		{"pulled blob", 1, s.count(10), func(c *raw.Client, i int) error {
			b := content.NewBlob(s.id("traced%d", i), 8<<20)
			return get(c, &raw.Request{Method: "GET", Path: "/v2/" + s.repo("traced") + "/blobs/" + b.Digest, Scope: toPull(s.repo("traced"))}, b.Size)
		}},
	}
	log := false // the server writes a write-ahead log
	for _, step := range steps {
		trace, err := proc.StartTrace(s.Target.PID(), s.Target.Root)
		if err != nil {
			return err
		}
		o := loop(s.Endpoint, step.clients, time.Minute, step.n, step.fn)
		calls, err := trace.Stop()
		if err != nil {
			return err
		}
		if o.err != nil {
			return fmt.Errorf("%s: %w", step.what, o.err)
		}
		n := count(calls)
		log = log || n.commits > 0
		record := func(name string, calls int) {
			s.record(name+" per "+step.what, "", float64(calls)/float64(o.n), result.Info)
		}
		record("other syncs", n.others)
		record("sendfile calls", n.sendfile)
		if log { // else the database, if there is one, is another process
			record("commits", n.commits)
			record("checkpoint syncs", n.checkpoints)
		}
	}
	return nil
}

// counted calls: syncs of a write-ahead log are commits, those of a database file its
// checkpoints, all others are of blobs, manifests and directories.
type counted struct{ commits, checkpoints, others, sendfile int }

func count(calls []proc.Call) (n counted) {
	for _, c := range calls {
		switch {
		case c.Name == "sendfile" || c.Name == "splice":
			n.sendfile++
		case c.Name == "sync_file_range": // starts writing, waits for nothing
		case strings.HasSuffix(c.Path, "-wal"):
			n.commits++
		case strings.HasSuffix(c.Path, ".db"):
			n.checkpoints++
		default:
			n.others++
		}
	}
	return n
}
