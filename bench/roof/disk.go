package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"berth.dev/berth/bench/internal/content"
)

func disk(dir string, step time.Duration, record recorder) error {
	blob := content.NewBlob("roof", 1<<30)
	for _, c := range []struct {
		name       string
		hash, sync bool
	}{{"write 1 GiB", false, false}, {"write 1 GiB and sync", false, true}, {"write and hash 1 GiB, and sync", true, true}} {
		v, err := median(3, func() (float64, error) { return writeLarge(dir, blob, c.hash, c.sync) })
		if err != nil {
			return err
		}
		record(c.name, "MiB/s", v)
	}
	for _, clients := range []int{1, 8, 32} {
		v, err := median(3, func() (float64, error) { return writeSmall(dir, clients, step) })
		if err != nil {
			return err
		}
		record(fmt.Sprintf("durable files of 1 KiB (file and directory synced), %d at once", clients), "files/s", v)
	}
	return nil
}

func writeLarge(dir string, blob content.Blob, hash, sync bool) (float64, error) {
	name := filepath.Join(dir, "large")
	defer os.Remove(name)
	begin := time.Now()
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var w io.Writer = f
	if hash {
		w = io.MultiWriter(f, sha256.New())
	}
	s := blob.Stream()
	for b := s.Next(); b != nil; b = s.Next() {
		if _, err := b.WriteTo(w); err != nil {
			return 0, err
		}
	}
	if sync {
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(blob.Size>>20) / time.Since(begin).Seconds(), nil
}

func writeSmall(dir string, clients int, step time.Duration) (float64, error) {
	dir, err := os.MkdirTemp(dir, "small-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	b := make([]byte, 1<<10)
	var n atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, clients)
	begin := time.Now()
	for range clients {
		wg.Go(func() {
			for time.Since(begin) < step {
				if err := durable(dir, fmt.Sprint(n.Add(1)), b); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return float64(n.Load()) / time.Since(begin).Seconds(), <-errs
}

func durable(dir, name string, b []byte) error {
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
