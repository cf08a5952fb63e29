package workload

import (
	"fmt"
	"time"

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
