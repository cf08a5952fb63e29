package workload

import (
	"fmt"
	"time"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
)

// mount copies the base image's blobs into new repositories. A client that logs in
// fetches a token for each of them, as it has to.
func mount(s *Session) error {
	im, err := s.pushBase()
	if err != nil {
		return err
	}
	const name = "mount c=8"
	s.measured(name, "mount", func() (float64, error) {
		o := loop(s.Endpoint, 8, s.span(5*time.Second), unlimited, func(c *raw.Client, i int) error {
			return mountBlob(c, s.repo(fmt.Sprintf("mount%d", i/baseLayers)), s.repo("base"), im.Layers[i%baseLayers].Digest)
		})
		if o.err != nil {
			return 0, o.err
		}
		s.record(name, "mounts/s", o.rate(), result.Higher)
		return float64(o.n), nil
	})
	return nil
}

// again pushes the base image over and over: HEAD of 11 blobs and PUT of the manifest.
func again(s *Session) error {
	im, err := s.pushBase()
	if err != nil {
		return err
	}
	for _, clients := range []int{1, 8} {
		name := fmt.Sprintf("push c=%d", clients)
		s.measured(name, "image", func() (float64, error) {
			o := loop(s.Endpoint, clients, s.span(5*time.Second), unlimited, func(c *raw.Client, _ int) error {
				return pushImage(c, s.repo("base"), tagName(0), im)
			})
			if o.err != nil {
				return 0, o.err
			}
			s.record(name, "images/s", o.rate(), result.Higher)
			return float64(o.n), nil
		})
	}
	return nil
}

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
