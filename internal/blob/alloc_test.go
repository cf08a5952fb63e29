//go:build !race

package blob_test

import (
	"runtime"
	"runtime/debug"
	"testing"

	"berth.dev/berth/internal/blob"
)

// TestUploadsReuseBuffers: what an upload allocates does not grow with its size.
// (Under the race detector a sync.Pool forgets on purpose.)
func TestUploadsReuseBuffers(t *testing.T) {
	b := newBench(t, blob.Options{})
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	p := random(1, 4<<20)
	for _, c := range []struct{ size, most int }{{1000, 2000}, {100_000, blob.BufferSize / 4}, {4 << 20, blob.BufferSize / 4}} {
		upload := func() {
			if u := b.put(blob.Upload{}, p[:c.size]); u.Key != "" {
				if err := b.Abort(b.ctx, u); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 3 {
			upload()
		}
		const rounds = 20
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			upload()
		}
		runtime.ReadMemStats(&after)
		if n := int(after.TotalAlloc-before.TotalAlloc) / rounds; n > c.most {
			t.Errorf("an upload of %d bytes allocates %d bytes, want at most %d", c.size, n, c.most)
		}
	}
}
