package workload

import (
	"fmt"
	"time"

	"berth.dev/berth/bench/internal/bare"
	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/proc"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
)

func idle(s *Session) error {
	if pid := s.Target.PID(); pid > 0 {
		time.Sleep(s.span(time.Second))
		s.record("memory", "MiB", proc.RSS(pid), result.Lower)
	}
	return nil
}

func small(s *Session) error {
	for _, clients := range []int{1, 8, 32} {
		name := fmt.Sprintf("push c=%d", clients)
		s.measured(name, "image", func() (float64, error) {
			o := loop(s.Endpoint, clients, s.span(8*time.Second), unlimited, func(c *raw.Client, i int) error {
				im := content.Small(s.id("small%d-%d", clients, i))
				return pushImage(c, s.repo(fmt.Sprintf("small%d-%d", clients, i%clients)), tagName(i), im)
			})
			if o.err != nil {
				return 0, o.err
			}
			s.record(name, "images/s", o.rate(), result.Higher)
			s.record(name+": p99", "ms", o.ms(.99), result.Lower)
			return float64(o.n), nil
		})
	}
	return nil
}

func layers(s *Session) error {
	const clients, layers = 8, 10
	images := make([]*content.Image, clients*max(1, s.count(6*clients)/clients))
	for i := range images {
		images[i] = content.NewImage(s.id("layers%d", i), layers, 1<<20)
	}
	const name = "push c=8"
	s.measured(name, "image", func() (float64, error) {
		o := loop(s.Endpoint, clients, 2*time.Minute, len(images), func(c *raw.Client, i int) error {
			return pushImage(c, s.repo(fmt.Sprintf("layers%d", i%clients)), tagName(i), images[i])
		})
		if o.err != nil {
			return 0, o.err
		}
		s.record(name, "MiB/s", o.rate()*layers, result.Higher)
		s.record(name+": p50", "ms", o.ms(.5), result.Lower)
		return float64(o.n), nil
	})
	return nil
}

func push(s *Session) error {
	size := s.mebibytes(1024)
	repo := s.repo("large")
	c := s.New()
	defer c.Close()
	b := s.Bare.New()
	defer b.Close()
	n := 0
	fresh := func() content.Blob { // a registry that knows the bytes may spare itself the work
		n++
		return content.NewBlob(s.id("push%d", n), size)
	}
	timed := func(name string, f func(content.Blob) error) competitor {
		return competitor{name, func() (float64, error) {
			blob := fresh()
			begin := time.Now()
			err := f(blob)
			return float64(size) / (1 << 20) / time.Since(begin).Seconds(), err
		}}
	}
	receive := func(path string) func(content.Blob) error {
		return func(blob content.Blob) error {
			_, err := expect(b, &raw.Request{Method: "PATCH", Path: path, Stream: blob.Stream(), Chunked: true}, 201)
			return err
		}
	}
	competitors := []competitor{
		timed("streamed", func(blob content.Blob) error { return pushStreamed(c, repo, blob) }),
		timed("bare, step by step", receive(bare.PathStep)),
		timed("bare, pipelined", receive(bare.PathPipelined)),
		timed("POST+PUT", func(blob content.Blob) error { return pushBlob(c, repo, blob) }),
		timed("chunks of 64 MiB", func(blob content.Blob) error { return pushChunks(c, repo, blob, min(64<<20, size)) }),
	}
	rates, err := interleave(s.Rounds, true, competitors...)
	if err != nil {
		return err
	}
	if _, err := b.Do(&raw.Request{Method: "DELETE", Path: bare.PathStep}); err != nil {
		return err
	}
	for i, c := range competitors {
		better := result.Higher
		if i == 1 || i == 2 {
			better = result.Info
		}
		s.record(c.name, "MiB/s", rates[i], better)
	}
	return nil
}
