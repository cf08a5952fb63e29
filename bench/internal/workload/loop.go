package workload

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
)

// A loop that fails this often ends: its rate would mean nothing.
const maxErrors = 20

// outcome of a loop. err is the first of the failures.
type outcome struct {
	n, errors int
	elapsed   time.Duration
	latency   []time.Duration // sorted
	err       error
}

func (o *outcome) rate() float64 { return float64(o.n) / o.elapsed.Seconds() }

// ms is a percentile of the latency in milliseconds.
func (o *outcome) ms(p float64) float64 {
	if len(o.latency) == 0 {
		return 0
	}
	return float64(o.latency[int(p*float64(len(o.latency)-1))]) / float64(time.Millisecond)
}

// loop calls fn from as many clients, each with a connection of its own, until the time
// is over or n calls were made.
func loop(e *raw.Endpoint, clients int, d time.Duration, n int, fn func(c *raw.Client, i int) error) *outcome {
	return loopUntil(nil, e, clients, d, n, fn)
}

// loopUntil also ends when stop is closed.
func loopUntil(stop <-chan struct{}, e *raw.Endpoint, clients int, d time.Duration, n int, fn func(c *raw.Client, i int) error) *outcome {
	var next, failures atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := &outcome{}
	begin := time.Now()
	end := begin.Add(d)
	for range clients {
		wg.Go(func() {
			c := e.New()
			defer c.Close()
			latency := make([]time.Duration, 0, 1024)
			defer func() {
				mu.Lock()
				out.latency = append(out.latency, latency...)
				mu.Unlock()
			}()
			for {
				select {
				case <-stop:
					return
				default:
				}
				t := time.Now()
				i := int(next.Add(1)) - 1
				if t.After(end) || i >= n || failures.Load() > maxErrors {
					return
				}
				err := fn(c, i)
				if err == nil {
					latency = append(latency, time.Since(t))
					continue
				}
				failures.Add(1)
				mu.Lock()
				if out.err == nil {
					out.err = err
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	out.elapsed = time.Since(begin)
	out.n, out.errors = len(out.latency), int(failures.Load())
	slices.Sort(out.latency)
	if out.errors > 0 {
		out.err = fmt.Errorf("%d of %d failed, first: %w", out.errors, out.errors+out.n, out.err)
	}
	return out
}

// unlimited is more calls than a loop bounded by time can make.
const unlimited = 10_000_000

// competitor is one of several things compared with each other in the same minute.
type competitor struct {
	name string
	run  func() (float64, error)
}

// interleave gives each competitor a slice in turns, so that all see the same machine,
// and returns the medians in their order. Before each slice the disk comes to rest if
// the slices write.
func interleave(rounds int, writes bool, cs ...competitor) ([]float64, error) {
	got := make([][]float64, len(cs))
	for range rounds {
		for i, c := range cs {
			if writes {
				syscall.Sync()
			}
			v, err := c.run()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			got[i] = append(got[i], v)
		}
	}
	out := make([]float64, len(cs))
	for i := range got {
		out[i] = result.Median(got[i])
	}
	return out, nil
}

// latency is the median time of n calls in milliseconds, cut short after 10 s.
func latency(n int, fn func() error) (float64, error) {
	var all []float64
	begin := time.Now()
	for range n {
		t := time.Now()
		if err := fn(); err != nil {
			return 0, err
		}
		all = append(all, float64(time.Since(t))/float64(time.Millisecond))
		if time.Since(begin) > 10*time.Second {
			break
		}
	}
	return result.Median(all), nil
}
