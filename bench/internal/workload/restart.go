package workload

import (
	"fmt"
	"time"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/proc"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
)

// start times the start of the server with the data of the workloads before it.
func start(s *Session) error {
	n := s.wanted(someRepositories, s.Target.Scale.Repositories)
	if !s.Target.Owned() || n == 0 {
		return nil
	}
	if err := s.fillRepositories(n, false); err != nil {
		return err
	}
	if _, err := s.pushBase(); err != nil {
		return err
	}
	r := raw.Request{Method: "HEAD", Path: "/v2/" + s.repo("base") + "/manifests/" + tagName(5), Accept: content.Accept, Scope: toPull(s.repo("base"))}
	var answers, heads []float64
	for range 2*s.Rounds - 1 {
		s.Target.Stop()
		begin := time.Now()
		up, err := s.Target.Run(s.Target.Start)
		if err != nil {
			return err
		}
		c := s.New()
		_, err = expect(c, &r, 200)
		heads = append(heads, float64(time.Since(begin))/float64(time.Millisecond))
		c.Close()
		if err != nil {
			return err
		}
		answers = append(answers, float64(up)/float64(time.Millisecond))
	}
	s.record("first answer", "ms", result.Median(answers), result.Lower)
	s.record("first manifest", "ms", result.Median(heads), result.Lower)
	time.Sleep(s.span(2 * time.Second))
	s.record("memory", "MiB", proc.RSS(s.Target.PID()), result.Lower)
	return nil
}

const (
	reclaimLimit = 5 * time.Minute
	reclaimPoll  = 50 * time.Millisecond
	mostOf       = 0.95 // of the space has to come back; the pushes meanwhile may take some
)

// reclaim deletes 200 MiB of images and waits until the disk has them back, while small
// images go on being pushed.
func reclaim(s *Session) error {
	n := s.wanted(someRepositories, s.Target.Scale.Repositories)
	how := s.Target.Collect
	if !s.Target.Owned() || n == 0 || how.Offline == nil && how.Eager == nil {
		return nil
	}
	if err := s.fillRepositories(n, false); err != nil {
		return err
	}
	if how.Eager != nil {
		s.Target.Stop()
		if _, err := s.Target.Run(how.Eager); err != nil {
			return err
		}
		defer s.restart()
	}
	repo := s.repo("reclaim")
	images := make([]*content.Image, s.count(100))
	for i := range images {
		images[i] = content.NewImage(s.id("reclaim%d", i), 2, 1<<20)
	}
	empty, _ := proc.DiskUse(s.Target.Storage)
	o := loop(s.Endpoint, 4, s.Seed, len(images), func(c *raw.Client, i int) error { return pushImage(c, repo, tagName(i), images[i]) })
	if o.err != nil {
		return o.err
	}
	full, _ := proc.DiskUse(s.Target.Storage)
	back := func() bool {
		now, _ := proc.DiskUse(s.Target.Storage)
		return full-now >= (full-empty)*mostOf
	}
	stop := make(chan struct{})
	pushes := make(chan *outcome, 1)
	go func() { pushes <- s.pushSlowly(stop) }()
	o = loop(s.Endpoint, 4, s.Seed, len(images), func(c *raw.Client, i int) error {
		_, err := expect(c, &raw.Request{Method: "DELETE", Path: "/v2/" + repo + "/manifests/" + images[i].Digest, Scope: toDelete(repo)}, 202)
		return err
	})
	if o.err != nil {
		close(stop)
		<-pushes
		return o.err
	}
	after, err := s.waitBack(how.Offline, time.Duration(how.Due*float64(time.Second)), back)
	close(stop)
	p := <-pushes
	if err != nil {
		return err
	}
	s.record("after due", "s", after.Seconds(), result.Lower)
	s.record("failed pushes", "", float64(p.errors), result.Lower)
	s.record("pushes meanwhile", "", float64(p.n), result.Info)
	return nil
}

// waitBack runs the offline collection, if that is how the registry does it, and waits
// for the space. It returns the time since the space was due.
func (s *Session) waitBack(offline []string, due time.Duration, back func() bool) (time.Duration, error) {
	begin := time.Now()
	if offline != nil {
		s.Target.Stop()
		if err := s.Target.Command(offline, reclaimLimit); err != nil {
			return 0, err
		}
		if _, err := s.Target.Run(s.Target.Start); err != nil {
			return 0, err
		}
	}
	for time.Since(begin) < reclaimLimit {
		if back() {
			return max(0, time.Since(begin)-due), nil
		}
		time.Sleep(reclaimPoll)
	}
	return 0, fmt.Errorf("the space did not come back within %s", reclaimLimit)
}

// pushSlowly pushes small images from two clients, ten a second each, until stop.
func (s *Session) pushSlowly(stop <-chan struct{}) *outcome {
	return loopUntil(stop, s.Endpoint, 2, reclaimLimit, unlimited, func(c *raw.Client, i int) error {
		time.Sleep(100 * time.Millisecond)
		return pushImage(c, s.repo("meanwhile"), tagName(i), content.Small(s.id("meanwhile%d", i)))
	})
}

func (s *Session) restart() {
	s.Target.Stop()
	if _, err := s.Target.Run(s.Target.Start); err != nil {
		s.failed("restart", err)
	}
}
