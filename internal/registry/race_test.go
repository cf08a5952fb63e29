package registry_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// Pushes, mounts, deletes and collection all at once, with no grace at all:
// whatever is acknowledged holds together.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{Grace: time.Microsecond, Undelete: time.Microsecond})
	const workers, rounds = 8, 25
	names := []oci.Name{"acme/a", "acme/b"}
	layers := [][]byte{bytesOf("first", 20<<10), bytesOf("second", 100), bytesOf("third", 40<<10)}
	may := func(err error, codes ...fault.Code) {
		for _, c := range codes {
			if fault.Is(err, c) {
				return
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
	stop := make(chan struct{})
	var collecting sync.WaitGroup
	for range 2 {
		collecting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					may(w.Collect(w.ctx), fault.Unavailable)
				}
			}
		})
	}
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(n), 1))
			for range rounds {
				name, layer := names[rnd.IntN(len(names))], layers[rnd.IntN(len(layers))]
				tag := fmt.Sprintf("t%d", rnd.IntN(3))
				config := []byte(fmt.Sprintf(`{"n":%d}`, rnd.IntN(4)))
				body := w.json(map[string]any{"schemaVersion": 2, "mediaType": imageType,
					"config": desc{"application/vnd.oci.image.config.v1+json", digestOf(config), len(config)},
					"layers": []desc{{"application/vnd.oci.image.layer.v1.tar", digestOf(layer), len(layer)}}})
				switch rnd.IntN(4) {
				case 0:
					may(w.DeleteManifest(w.ctx, w.admin, name, digestOf(body)), fault.ManifestUnknown, fault.RepoUnknown, fault.Unavailable)
				case 1:
					may(w.DeleteTag(w.ctx, w.admin, name, tag), fault.TagUnknown, fault.RepoUnknown, fault.Unavailable)
				default:
					_, mounted, err := w.Mount(w.ctx, w.admin, name, digestOf(layer), "", nil)
					may(err, fault.Unavailable)
					if !mounted {
						_, err := w.PutBlob(w.ctx, w.admin, name, int64(len(layer)), bytes.NewReader(layer), digestOf(layer))
						may(err, fault.Unavailable)
					}
					_, err = w.PutBlob(w.ctx, w.admin, name, int64(len(config)), bytes.NewReader(config), digestOf(config))
					may(err, fault.Unavailable)
					_, err = w.PutManifest(w.ctx, w.admin, name, tagRef(tag), nil, imageType, body)
					may(err, fault.ReferenceUnknown, fault.Unavailable) // collected in between: no grace here
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	collecting.Wait()
	w.collect()
	w.fsck()
}
