package job_test

import (
	"context"
	"fmt"
	"testing"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/job"
)

// BenchmarkJobs is a job that does nothing, from its adding to its end.
func BenchmarkJobs(b *testing.B) {
	d := dbtest.Open(b, func(o *db.Options) { o.Twice = false })
	q := job.NewQueue(d, nil)
	done := make(chan struct{}, b.N)
	q.Register(job.Kind{Name: "k", Workers: 8, Run: func(context.Context, *job.Job) error { done <- struct{}{}; return nil }})
	for from := 0; from < b.N; from += 500 {
		_, err := db.Update(b.Context(), d, func(tx *db.Tx) (struct{}, error) {
			for i := from; i < min(from+500, b.N); i++ {
				if _, err := q.Add(tx, job.New{Kind: "k", Account: fmt.Sprint(i % 10), Key: fmt.Sprint(i)}); err != nil {
					return struct{}{}, err
				}
			}
			return struct{}{}, nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	b.ResetTimer()
	go func() { ended <- q.Run(ctx) }()
	for range b.N {
		<-done
	}
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
