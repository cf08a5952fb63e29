package registry_test

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// Two images take turns under a tag, so that each push moves it, by 16 clients.
func BenchmarkOverwriteTag(b *testing.B) {
	r, who := benchWorld(b)
	var n atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		tag := fmt.Sprintf("t%d", n.Add(1))
		for i := 0; pb.Next(); i++ {
			index := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"%s","manifests":[],"annotations":{"n":"%s-%d"}}`, indexType, tag, i%2)
			if _, err := r.PutManifest(b.Context(), who, app, tagRef(tag), nil, indexType, index); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
