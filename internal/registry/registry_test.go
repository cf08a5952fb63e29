package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// world is a registry with one account, its administrator, a user without
// rights, and the organization acme.
type world struct {
	*registry.Registry
	t      *testing.T
	ctx    context.Context
	db     *db.DB
	url    string // of the database
	iam    *iam.Authority
	dir    string
	admin  iam.Caller
	nobody iam.Caller
}

// at once: what is not needed is due for collection immediately.
var atOnce = registry.Options{Grace: time.Microsecond, Undelete: time.Microsecond}

func open(t *testing.T, o registry.Options) *world {
	t.Helper()
	return openWith(t, o, func(d blob.Driver) blob.Driver { return d })
}

func openWith(t *testing.T, o registry.Options, wrap func(blob.Driver) blob.Driver) *world {
	t.Helper()
	w := build(t, o, wrap)
	t.Cleanup(func() { w.fsck() })
	return w
}

// build makes a world that may end damaged.
func build(t *testing.T, o registry.Options, wrap func(blob.Driver) blob.Driver, set ...func(*db.Options)) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), dir: filepath.Join(t.TempDir(), "blobs")}
	w.url = dbtest.URL(t)
	w.db = dbtest.OpenURL(t, w.url, set...)
	var err error
	w.iam, err = iam.New(w.ctx, w.db, iam.Options{Master: bytes.Repeat([]byte{7}, 32), Argon: iam.Argon{Memory: 64, Passes: 1}})
	w.must(err)
	t.Cleanup(func() { w.iam.Close() })
	driver, err := fsblob.Open(w.dir, fsblob.Options{})
	w.must(err)
	w.Registry = registry.New(w.db, w.iam, blob.New(wrap(driver), blob.Options{}), o)
	_, _, err = w.iam.Bootstrap(w.ctx, "admin-password")
	w.must(err)
	_, err = w.iam.CreateUser(w.ctx, iam.Operator(), "admin", "nobody", "nobody-password", false)
	w.must(err)
	w.admin = w.login("admin", "admin-password")
	w.nobody = w.login("nobody", "nobody-password")
	_, err = w.CreateOrg(w.ctx, w.admin, "acme")
	w.must(err)
	return w
}

func (w *world) login(user, password string) iam.Caller {
	w.t.Helper()
	who, err := w.iam.Password(w.ctx, user, password, "127.0.0.1")
	w.must(err)
	return who
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) want(err error, c fault.Code) {
	w.t.Helper()
	if fault.CodeOf(err) != c {
		w.t.Fatalf("got error %v, want code %s", err, c)
	}
}

// fsck proves the invariants; every test ends with it.
func (w *world) fsck() registry.FsckSummary {
	w.t.Helper()
	s, err := w.Fsck(context.Background(), iam.Operator(), true, func(f registry.Finding) {
		w.t.Errorf("fsck: %s: %s: %s", f.Check, f.Subject, f.Detail)
	})
	if err != nil {
		w.t.Errorf("fsck: %v", err)
	}
	return s
}

func (w *world) collect() {
	w.t.Helper()
	// What one pass removes makes more due, at the earliest a microsecond later.
	for range 4 {
		w.must(w.Collect(context.Background()))
		time.Sleep(time.Millisecond)
	}
}

func digestOf(b []byte) oci.Digest { return oci.SHA256.FromBytes(b) }

// pushBlob stores content and returns its digest.
func (w *world) pushBlob(name oci.Name, content []byte) oci.Digest {
	w.t.Helper()
	d := digestOf(content)
	_, err := w.PutBlob(w.ctx, w.admin, name, int64(len(content)), bytes.NewReader(content), d)
	w.must(err)
	return d
}

func bytesOf(seed string, n int) []byte {
	return []byte(strings.Repeat(seed+"\n", n/(len(seed)+1)+1))[:n]
}

type desc struct {
	MediaType string     `json:"mediaType"`
	Digest    oci.Digest `json:"digest"`
	Size      int        `json:"size"`
}

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

// image pushes a config and layers and returns the manifest that names them.
func (w *world) image(name oci.Name, seed string, layerSizes ...int) []byte {
	w.t.Helper()
	config := bytesOf(`{"seed":"`+seed+`"}`, 100)
	m := map[string]any{"schemaVersion": 2, "mediaType": imageType,
		"config": desc{"application/vnd.oci.image.config.v1+json", w.pushBlob(name, config), len(config)}}
	layers := []desc{}
	for i, n := range layerSizes {
		layer := bytesOf(fmt.Sprintf("%s-%d", seed, i), n)
		layers = append(layers, desc{"application/vnd.oci.image.layer.v1.tar", w.pushBlob(name, layer), n})
	}
	m["layers"] = layers
	return w.json(m)
}

func (w *world) json(v any) []byte {
	w.t.Helper()
	b, err := json.Marshal(v)
	w.must(err)
	return b
}

func tagRef(s string) oci.Reference        { return oci.Reference{Tag: s} }
func digestRef(d oci.Digest) oci.Reference { return oci.Reference{Digest: d} }
func (w *world) push(name oci.Name, tag string, body []byte) oci.Digest {
	w.t.Helper()
	r, err := w.PutManifest(w.ctx, w.admin, name, tagRef(tag), nil, imageType, body)
	w.must(err)
	return r.Digest
}

// driver opens the world's storage once more.
func (w *world) driver() *fsblob.Driver {
	w.t.Helper()
	d, err := fsblob.Open(w.dir, fsblob.Options{})
	w.must(err)
	return d
}
