package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"berth.dev/berth/bench/internal/bare"
	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
)

const address = "127.0.0.1:5198"

func network(dir string, step time.Duration, record recorder) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	server, err := bare.Start(program, address, filepath.Join(dir, "bare"))
	if err != nil {
		return err
	}
	defer server.Stop()
	c := server.New()
	defer c.Close()
	blob := content.NewBlob("roof", 1<<30)
	if err := server.Serve(blob); err != nil {
		return err
	}
	timed := func(name string, r func() *raw.Request) error {
		v, err := median(3, func() (float64, error) {
			begin := time.Now()
			err := do(c, r())
			return float64(blob.Size>>20) / time.Since(begin).Seconds(), err
		})
		if err == nil {
			record(name, "MiB/s", v)
		}
		return err
	}
	patch := func(path string) func() *raw.Request {
		return func() *raw.Request {
			return &raw.Request{Method: "PATCH", Path: path, Stream: blob.Stream(), Chunked: true}
		}
	}
	for _, t := range []struct {
		name string
		r    func() *raw.Request
	}{
		{"net/http: send 1 GiB by sendfile", func() *raw.Request { return &raw.Request{Method: "GET", Path: bare.PathFile} }},
		{"net/http: receive, hash, write 1 GiB, and sync", patch(bare.PathStep)},
		{"net/http: the same, overlapped", patch(bare.PathPipelined)},
	} {
		if err := timed(t.name, t.r); err != nil {
			return err
		}
	}
	return requests(server, step, record)
}

// requests counts how often a second a manifest in memory can be read.
func requests(server *bare.Process, step time.Duration, record recorder) error {
	c := server.New()
	defer c.Close()
	im := content.NewImage("roof", 10, 1<<10)
	if err := do(c, &raw.Request{Method: "PUT", Path: bare.PathManifest, ContentType: content.TypeManifest, Body: im.Manifest}); err != nil {
		return err
	}
	for _, method := range []string{"GET", "HEAD"} {
		for _, clients := range []int{1, 16, 64} {
			v, err := median(3, func() (float64, error) { return rate(server, method, clients, step) })
			if err != nil {
				return err
			}
			record(fmt.Sprintf("net/http: %s of a manifest in memory, %d clients", method, clients), "req/s", v)
		}
	}
	return nil
}

func rate(server *bare.Process, method string, clients int, step time.Duration) (float64, error) {
	r := raw.Request{Method: method, Path: "/v2/bench/roof/manifests/latest", Accept: content.Accept}
	var n atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, clients)
	begin := time.Now()
	for range clients {
		wg.Go(func() {
			c := server.New()
			defer c.Close()
			for time.Since(begin) < step {
				if err := do(c, &r); err != nil {
					errs <- err
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	close(errs)
	return float64(n.Load()) / time.Since(begin).Seconds(), <-errs
}

func do(c *raw.Client, r *raw.Request) error {
	resp, err := c.Do(r)
	if err == nil && resp.Status >= 300 {
		err = fmt.Errorf("%s %s: status %d", r.Method, r.Path, resp.Status)
	}
	return err
}
