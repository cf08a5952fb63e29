package workload

import (
	"fmt"
	"time"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
)

// mixed reads a tag with 4 clients while others push into the same repository.
func mixed(s *Session) error {
	if _, err := s.pushBase(); err != nil {
		return err
	}
	repo := s.repo("base")
	s.beside("small images", func() error {
		o := loop(s.Endpoint, 4, s.span(5*time.Second), unlimited, func(c *raw.Client, i int) error {
			return pushImage(c, repo, fmt.Sprintf("mixed%d", i), content.Small(s.id("mixed%d", i)))
		})
		s.record("images pushed meanwhile", "images/s", o.rate(), result.Info)
		return o.err
	})
	var large []content.Blob
	for i := range 3 {
		large = append(large, content.NewBlob(s.id("mixed-large%d", i), s.mebibytes(1024)))
	}
	s.beside("1 GiB", func() error {
		o := loop(s.Endpoint, 1, time.Minute, len(large), func(c *raw.Client, i int) error { return pushBlob(c, repo, large[i]) })
		return o.err
	})
	return nil
}

// beside measures HEAD by tag for as long as disturb runs.
func (s *Session) beside(what string, disturb func() error) {
	repo := s.repo("base")
	stop := make(chan struct{})
	disturbed := make(chan error, 1)
	go func() {
		disturbed <- disturb()
		close(stop)
	}()
	r := raw.Request{Method: "HEAD", Path: "/v2/" + repo + "/manifests/" + tagName(5), Accept: content.Accept, Scope: toPull(repo)}
	o := loopUntil(stop, s.Endpoint, 4, 2*time.Minute, unlimited, func(c *raw.Client, _ int) error {
		_, err := expect(c, &r, 200)
		return err
	})
	err := <-disturbed
	if o.err != nil {
		err = o.err
	}
	if err != nil {
		s.failed("HEAD p99, "+what, err)
		return
	}
	s.record("HEAD p50, "+what, "ms", o.ms(.5), result.Lower)
	s.record("HEAD p99, "+what, "ms", o.ms(.99), result.Lower)
	s.record("HEAD rate, "+what, "req/s", o.rate(), result.Info)
}
