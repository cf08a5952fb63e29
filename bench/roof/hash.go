package main

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func hash(_ string, step time.Duration, record recorder) error {
	b := make([]byte, 1<<20)
	for _, n := range []int{1, runtime.NumCPU()} {
		var total atomic.Int64
		var wg sync.WaitGroup
		begin := time.Now()
		for range n {
			wg.Go(func() {
				h := sha256.New()
				for time.Since(begin) < step {
					h.Write(b)
					total.Add(1)
				}
			})
		}
		wg.Wait()
		record(fmt.Sprintf("sha256, %d at once", n), "MiB/s", float64(total.Load())/time.Since(begin).Seconds())
	}
	return nil
}
