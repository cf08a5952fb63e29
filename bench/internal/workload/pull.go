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

func pull(s *Session) error {
	repo := s.repo("pull")
	large := content.NewBlob(s.id("pull"), s.mebibytes(1024))
	layer := content.NewBlob(s.id("layer"), 10<<20)
	c := s.New()
	defer c.Close()
	for _, b := range []content.Blob{large, layer} {
		if err := pushBlob(c, repo, b); err != nil {
			return err
		}
	}
	if err := s.Bare.Serve(large); err != nil {
		return err
	}
	b := s.Bare.New()
	defer b.Close()
	timed := func(name string, c *raw.Client, r *raw.Request) competitor {
		return competitor{name, func() (float64, error) {
			begin := time.Now()
			err := get(c, r, large.Size)
			return float64(large.Size) / (1 << 20) / time.Since(begin).Seconds(), err
		}}
	}
	blobOf := func(b content.Blob) *raw.Request {
		return &raw.Request{Method: "GET", Path: "/v2/" + repo + "/blobs/" + b.Digest, Scope: toPull(repo)}
	}
	rates, err := interleave(2*s.Rounds, false, timed("1 GiB", c, blobOf(large)),
		timed("1 GiB, bare", b, &raw.Request{Method: "GET", Path: bare.PathFile}))
	if err != nil {
		return err
	}
	s.record("1 GiB", "MiB/s", rates[0], result.Higher)
	s.record("1 GiB, bare", "MiB/s", rates[1], result.Info)

	const name = "64 x 10 MiB"
	pid := s.Target.PID()
	reset := pid > 0 && proc.ResetPeak(pid)
	o := loop(s.Endpoint, 64, time.Minute, max(64, s.count(1280)), func(c *raw.Client, _ int) error {
		return get(c, blobOf(layer), layer.Size)
	})
	if o.err != nil {
		return o.err
	}
	s.record(name, "MiB/s", o.rate()*10, result.Higher)
	s.record(name+": p99", "ms", o.ms(.99), result.Lower)
	if reset {
		s.record(name+": memory", "MiB", proc.PeakRSS(pid), result.Lower)
	}
	return nil
}

// get reads a blob to its end and checks that nothing is missing.
func get(c *raw.Client, r *raw.Request, size int64) error {
	resp, err := expect(c, r, 200)
	if err == nil && resp.Received != size {
		err = fmt.Errorf("GET %s: %d bytes of %d", r.Path, resp.Received, size)
	}
	return err
}
