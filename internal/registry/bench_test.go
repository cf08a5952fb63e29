package registry_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

func benchWorld(b *testing.B) (*registry.Registry, iam.Caller) {
	b.Helper()
	_, r, who := benchDB(b)
	return r, who
}

func benchDB(b *testing.B) (*db.DB, *registry.Registry, iam.Caller) {
	b.Helper()
	ctx := b.Context()
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	d, err := db.Open(ctx, "sqlite:"+filepath.Join(b.TempDir(), "berth.db"), db.Options{})
	check(err)
	b.Cleanup(func() { d.Close() })
	a, err := iam.New(ctx, d, iam.Options{Master: bytes.Repeat([]byte{7}, 32)})
	check(err)
	b.Cleanup(func() { a.Close() })
	_, _, err = a.Bootstrap(ctx, "admin-password")
	check(err)
	who, err := a.Password(ctx, "admin", "admin-password", "127.0.0.1")
	check(err)
	driver, err := fsblob.Open(filepath.Join(b.TempDir(), "blobs"), fsblob.Options{})
	check(err)
	r := registry.New(d, a, blob.New(driver, blob.Options{}), registry.Options{})
	_, err = r.CreateOrg(ctx, who, "acme")
	check(err)
	return d, r, who
}

// A small image as clients push it: two small blobs and a manifest, each in a
// repository of its own, by 16 clients.
func BenchmarkPushSmallImage(b *testing.B) {
	r, who := benchWorld(b)
	var n atomic.Int64
	b.SetParallelism(8)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			name := oci.Name(fmt.Sprintf("acme/r%d", i))
			config, layer := []byte(fmt.Sprintf(`{"n":%d}`, i)), bytes.Repeat([]byte(fmt.Sprint(i)), 500)
			for _, c := range [][]byte{config, layer} {
				id, err := r.StartUpload(b.Context(), who, name, "")
				if err == nil {
					_, err = r.FinishUpload(b.Context(), who, name, id, -1, int64(len(c)), bytes.NewReader(c), digestOf(c))
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
			body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"a/b","digest":%q,"size":%d},"layers":[{"mediaType":"c/d","digest":%q,"size":%d}]}`,
				imageType, digestOf(config), len(config), digestOf(layer), len(layer))
			if _, err := r.PutManifest(b.Context(), who, name, tagRef("latest"), nil, imageType, body); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkManifestByTag(b *testing.B) {
	r, who := benchWorld(b)
	index := []byte(`{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[]}`)
	if _, err := r.PutManifest(b.Context(), who, app, tagRef("v"), nil, indexType, index); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Manifest(b.Context(), who, app, tagRef("v"), true); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
