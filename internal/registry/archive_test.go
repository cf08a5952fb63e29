package registry_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// entry is a file of a tar.
type entry struct {
	name    string
	content []byte
}

func tarOf(entries ...entry) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		if err := w.WriteHeader(&tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.content)), Typeflag: tar.TypeReg}); err != nil {
			panic(err)
		}
		if _, err := w.Write(e.content); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

func gzipped(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = w.Write(b)
	_ = w.Close()
	return buf.Bytes()
}

// saved is an archive of docker save with one image, and the image's id.
func saved(tags []string, layers ...[]byte) ([]byte, oci.Digest) {
	diffs, names := []oci.Digest{}, []string{}
	var entries []entry
	for i, l := range layers {
		diffs = append(diffs, digestOf(l))
		names = append(names, fmt.Sprintf("%d/layer.tar", i))
		entries = append(entries, entry{names[i], l})
	}
	config, _ := json.Marshal(map[string]any{"os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": diffs}})
	manifest, _ := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": tags, "Layers": names}})
	return tarOf(append(entries, entry{"config.json", config}, entry{"manifest.json", manifest})...), digestOf(config)
}

// running makes the registry work in the background, until the function that
// is returned has been called.
func (w *world) running() (stop func()) {
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

const patience = 20 * time.Second

func (w *world) startArchive(s registry.ArchiveSpec) string {
	w.t.Helper()
	if s.Size == 0 {
		s.Size = -1
	}
	a, err := w.StartArchive(w.ctx, w.admin, "acme", s)
	w.must(err)
	return a.ID
}

func (w *world) part(id string, off int64, b []byte) (registry.Archive, error) {
	return w.AppendArchive(w.ctx, w.admin, "acme", id, registry.ArchivePart{Offset: off, Length: int64(len(b)), Body: bytes.NewReader(b)})
}

// upload sends an archive in two parts and waits for what becomes of it.
func (w *world) upload(s registry.ArchiveSpec, b []byte) registry.Archive {
	w.t.Helper()
	id := w.startArchive(s)
	_, err := w.part(id, 0, b[:len(b)/2])
	w.must(err)
	_, err = w.part(id, -1, b[len(b)/2:])
	w.must(err)
	a, err := w.FinishArchive(w.ctx, w.admin, "acme", id, digestOf(b), patience)
	w.must(err)
	return a
}

func TestArchive(t *testing.T) {
	t.Parallel()
	for name, pack := range map[string]func([]byte) []byte{"plain": bytes.Clone, "gzip": gzipped} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, registry.Options{})
			w.running()
			plain, ready := bytesOf("layer", 300_000), gzipped(bytesOf("ready", 100_000))
			b, id := saved([]string{"acme/app:v1", "localhost/web:v2"}, plain, ready, bytesOf("small", 100))
			a := w.upload(registry.ArchiveSpec{}, pack(b))
			if a.State != registry.ArchiveDone || len(a.Images) != 2 || a.Images[0].Config != id || !cmp.Equal(a.Images[1].Tags, []string{"v2"}) {
				t.Fatalf("became %+v", a)
			}
			for _, ref := range []string{"acme/app:v1", "acme/web:v2"} {
				at := len(ref) - 3
				m, err := w.Manifest(w.ctx, w.admin, oci.Name(ref[:at]), tagRef(ref[at+1:]), false)
				w.must(err)
				parsed, err := oci.ParseManifest(m.MediaType, m.Body)
				w.must(err)
				if parsed.Config.Digest != id || len(parsed.Layers) != 3 || parsed.Layers[1].Digest != digestOf(ready) {
					t.Errorf("%s is %s", ref, m.Body)
				}
				if got := w.layer(oci.Name(ref[:at]), parsed.Layers[0]); !bytes.Equal(got, plain) {
					t.Errorf("the layer came back with %d bytes", len(got))
				}
			}
			// Once more, and nothing is new.
			before := w.rows()
			again := w.upload(registry.ArchiveSpec{}, pack(b))
			if !cmp.Equal(again.Images, a.Images) {
				t.Errorf("again it became %+v", again)
			}
			if after := w.rows(); !cmp.Equal(after, before) {
				t.Errorf("the same archive again changed the rows: %s", cmp.Diff(before, after))
			}
		})
	}
}

// layer reads a layer and undoes its compression, and checks its descriptor.
func (w *world) layer(name oci.Name, d oci.Descriptor) []byte {
	w.t.Helper()
	b, err := w.OpenBlob(w.ctx, w.admin, name, d.Digest)
	w.must(err)
	rc, err := b.Open(w.ctx, 0, -1)
	w.must(err)
	defer rc.Close()
	stored, err := io.ReadAll(rc)
	w.must(err)
	if int64(len(stored)) != d.Size || digestOf(stored) != d.Digest {
		w.t.Errorf("the layer %s has %d bytes of %d", d.Digest, len(stored), d.Size)
	}
	z, err := gzip.NewReader(bytes.NewReader(stored))
	w.must(err)
	content, err := io.ReadAll(z)
	w.must(err)
	return content
}

// rows is what of content the database holds.
func (w *world) rows() map[string]int64 {
	w.t.Helper()
	out := map[string]int64{}
	for _, table := range []string{"repository", "blob", "link", "manifest", "tag", "tag_event", "ref", "packed", "upload"} {
		n, err := db.One[int64](w.ctx, w.db, `SELECT count(*) FROM `+table)
		w.must(err)
		out[table] = n
	}
	return out
}

func TestArchiveSteps(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{ArchiveMax: 1 << 20})
	b, _ := saved(nil, bytesOf("layer", 100_000))
	size := int64(len(b))
	start := func(s registry.ArchiveSpec) error {
		_, err := w.StartArchive(w.ctx, w.admin, "acme", s)
		return err
	}
	w.want(start(registry.ArchiveSpec{Size: 1<<20 + 1}), fault.TooLarge)
	w.want(start(registry.ArchiveSpec{Size: 0}), fault.Invalid)
	w.want(start(registry.ArchiveSpec{Size: -1, Rename: true}), fault.Invalid)
	w.want(start(registry.ArchiveSpec{Size: -1, Repository: "App"}), fault.NameInvalid)
	w.want(start(registry.ArchiveSpec{Size: -1, Tag: "-"}), fault.TagInvalid)
	_, err := w.StartArchive(w.ctx, w.nobody, "acme", registry.ArchiveSpec{Size: -1})
	w.want(err, fault.Denied)
	_, err = w.StartArchive(w.ctx, w.admin, "none", registry.ArchiveSpec{Size: -1})
	w.want(err, fault.OrgUnknown)
	_, err = w.StartArchive(w.ctx, iam.Caller{}, "acme", registry.ArchiveSpec{Size: -1})
	w.want(err, fault.Foreign)

	id := w.startArchive(registry.ArchiveSpec{Repository: "app", Size: size})
	_, err = w.FinishArchive(w.ctx, w.admin, "acme", id, "", 0)
	w.want(err, fault.SizeInvalid)
	a, err := w.part(id, 0, b[:50_000])
	w.must(err)
	if a.Received != 50_000 || a.State != registry.ArchiveOpen {
		t.Errorf("it is %+v", a)
	}
	_, err = w.part(id, 10, b[10:20])
	w.want(err, fault.RangeInvalid)
	_, err = w.part(id, 50_000, make([]byte, size))
	w.want(err, fault.SizeInvalid)
	_, err = w.FinishArchive(w.ctx, w.admin, "acme", id, "", 0)
	w.want(err, fault.SizeInvalid)
	// A body that breaks off leaves what came, unless it counts as a whole only.
	broken := func(whole bool) int64 {
		_, err = w.AppendArchive(w.ctx, w.admin, "acme", id, registry.ArchivePart{Offset: -1, Length: 1000, Whole: whole, Body: bytes.NewReader(b[50_000:50_500])})
		w.want(err, fault.SizeInvalid)
		a, err := w.Archive(w.ctx, w.admin, "acme", id)
		w.must(err)
		return a.Received
	}
	if n := broken(true); n != 50_000 {
		t.Errorf("%d bytes", n)
	}
	if n := broken(false); n != 50_500 {
		t.Errorf("%d bytes", n)
	}
	_, err = w.part(id, 50_500, b[50_500:])
	w.must(err)
	_, err = w.FinishArchive(w.ctx, w.admin, "acme", id, digestOf(nil), 0)
	w.want(err, fault.DigestInvalid)
	_, err = w.Archive(w.ctx, w.nobody, "acme", id)
	w.want(err, fault.Denied)
	a, err = w.FinishArchive(w.ctx, w.admin, "acme", id, digestOf(b), 0)
	w.must(err)
	if a.State != registry.ArchiveUnpacking || a.Received != size {
		t.Errorf("it is %+v", a)
	}
	_, err = w.part(id, -1, []byte("x"))
	w.want(err, fault.UploadInvalid)
	w.running()
	a, err = w.FinishArchive(w.ctx, w.admin, "acme", id, digestOf(b), patience)
	w.must(err)
	if a.State != registry.ArchiveDone || a.Images[0].Repository != "app" || a.Images[0].Tags[0] != "latest" {
		t.Errorf("it is %+v", a)
	}
	w.must(w.CancelArchive(w.ctx, w.admin, "acme", id))
	_, err = w.Archive(w.ctx, w.admin, "acme", id)
	w.want(err, fault.UploadUnknown)
	w.want(w.CancelArchive(w.ctx, w.admin, "acme", id), fault.UploadUnknown)
	_, err = w.Manifest(w.ctx, w.admin, "acme/app", tagRef("latest"), false)
	w.must(err)
}

func TestArchiveFails(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	w.running()
	layer := bytesOf("layer", 50_000)
	good, _ := saved([]string{"app:v1"}, layer)
	wrong := bytes.Replace(good, layer[:1000], bytes.ToUpper(layer[:1000]), 1)
	elsewhere, _ := saved([]string{"other/app:v1"}, layer)
	for name, tt := range map[string]struct {
		archive []byte
		code    fault.Code
		defect  any
	}{
		"a damaged layer": {wrong, fault.DigestInvalid, nil},
		"text":            {bytesOf("text", 30_000), fault.ManifestInvalid, registry.ArchiveBadFormat},
		"elsewhere":       {elsewhere, fault.ManifestInvalid, registry.ArchiveNamesDiffer},
	} {
		a := w.upload(registry.ArchiveSpec{}, tt.archive)
		if a.State != registry.ArchiveFailed || a.Failure.Code != tt.code || a.Failure.Detail != tt.defect || a.Failure.Msg == "" {
			t.Errorf("%s: %+v, %+v", name, a, a.Failure)
		}
	}
	w.collect()
	if n := w.rows()["upload"]; n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// What is begun and left alone goes, and its space with it.
func TestArchiveExpires(t *testing.T) {
	t.Parallel()
	o := registry.Options{UploadLife: 2 * time.Second, Grace: 4 * time.Second, OpenUploads: 2}
	w := open(t, o)
	empty, id := w.startArchive(registry.ArchiveSpec{}), w.startArchive(registry.ArchiveSpec{})
	_, err := w.StartArchive(w.ctx, w.admin, "acme", registry.ArchiveSpec{Size: -1})
	w.want(err, fault.TooMany)
	for i := range 3 { // it lives as long as something comes
		time.Sleep(900 * time.Millisecond)
		_, err := w.part(id, int64(i)*50_000, bytesOf("part", 50_000))
		w.must(err)
		w.collect()
	}
	_, err = w.Archive(w.ctx, w.admin, "acme", empty)
	w.want(err, fault.UploadUnknown)
	list, err := w.Archives(w.ctx, w.admin, "acme", 10)
	w.must(err)
	if len(list.Items) != 1 || list.Items[0].Received != 150_000 {
		t.Errorf("there are %+v", list.Items)
	}
	time.Sleep(2200 * time.Millisecond)
	_, err = w.Archive(w.ctx, w.admin, "acme", id)
	w.want(err, fault.UploadUnknown)
	w.collect()
	if s := w.fsck(); s.Keys != 0 || w.rows()["upload"] != 0 {
		t.Errorf("left behind: %+v", s)
	}
	w.startArchive(registry.ArchiveSpec{})
}

// The registry is restarted between parts and in the middle of unpacking.
func TestArchiveRestart(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	restart := func() {
		w.Registry = registry.New(w.db, w.iam, blob.New(w.driver(), blob.Options{}), registry.Options{})
	}
	b, _ := saved([]string{"app:v1"}, bytesOf("layer", 400_000))
	id := w.startArchive(registry.ArchiveSpec{})
	_, err := w.part(id, 0, b[:200_000])
	w.must(err)
	restart()
	a, err := w.Archive(w.ctx, w.admin, "acme", id)
	w.must(err)
	if a.Received != 200_000 {
		t.Fatalf("%d bytes", a.Received)
	}
	_, err = w.part(id, 200_000, b[200_000:])
	w.must(err)
	restart()
	_, err = w.FinishArchive(w.ctx, w.admin, "acme", id, digestOf(b), 0)
	w.must(err)
	restart()
	a, err = w.Archive(w.ctx, w.admin, "acme", id)
	w.must(err)
	if !a.Expires.IsZero() {
		t.Errorf("what is to be unpacked expires at %s", a.Expires)
	}
	w.collect()
	// A process that died had claimed it.
	w.must(func() error {
		_, err := db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) {
			return tx.Exec(`UPDATE archive SET claim = 'dead', due = due WHERE id = $1`, id)
		})
		return err
	}())
	w.running()
	a, err = w.FinishArchive(w.ctx, w.admin, "acme", id, "", patience)
	w.must(err)
	if a.State != registry.ArchiveDone {
		t.Fatalf("it is %+v", a)
	}
}

// The process stops at every step of storage in turn. Until an archive is
// unpacked no image is to be seen, and after the next start it goes on: what
// was acknowledged is there, and images appear whole.
func TestArchiveStopsAtEveryStep(t *testing.T) {
	t.Parallel()
	b, id := saved([]string{"app:v1", "web:v1"}, bytesOf("layer", 100_000), gzipped(bytesOf("ready", 900_000)))
	for n, done := 0, false; !done; n++ {
		if n > 60 {
			t.Fatal("the work never comes to its end")
		}
		s := &stopping{left: n, after: n%2 == 1}
		w := openWith(t, registry.Options{Undelete: 1}, func(d blob.Driver) blob.Driver { s.Driver = d; return s })
		stop := w.running()
		archive := w.startArchive(registry.ArchiveSpec{})
		a, err := w.part(archive, 0, b[:40_000])
		acknowledged := a.Received
		if err == nil {
			if a, err = w.part(archive, 40_000, b[40_000:]); err == nil {
				acknowledged = a.Received
			}
		}
		if err == nil {
			_, err = w.FinishArchive(w.ctx, w.admin, "acme", archive, digestOf(b), 0)
		}
		for sealed := err == nil; sealed; time.Sleep(5 * time.Millisecond) {
			type row struct {
				State    string
				Attempts int64
				Claim    string
			}
			r, err := db.One[row](w.ctx, w.db, `SELECT state, attempts, claim FROM archive WHERE id = $1`, archive)
			w.must(err)
			done = r.State == "done"
			if r.State != "unpacking" || r.Attempts > 0 && r.Claim == "" {
				break
			}
		}
		stop()
		if tags := w.rows()["tag"]; done && tags != 2 || !done && tags != 0 {
			t.Fatalf("stopped at step %d there are %d tags, done: %v", n, tags, done)
		}
		w.fsck()

		w.Registry = registry.New(w.db, w.iam, blob.New(w.driver(), blob.Options{}), registry.Options{})
		_, err = db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) { return tx.Exec(`UPDATE archive SET due = 0`) })
		w.must(err)
		w.running()
		a, err = w.Archive(w.ctx, w.admin, "acme", archive)
		w.must(err)
		if a.Received < acknowledged {
			t.Fatalf("stopped at step %d, %d bytes of %d are left", n, a.Received, acknowledged)
		}
		if a.State == registry.ArchiveOpen {
			_, err = w.part(archive, a.Received, b[a.Received:])
			w.must(err)
		}
		a, err = w.FinishArchive(w.ctx, w.admin, "acme", archive, digestOf(b), patience)
		w.must(err)
		if a.State != registry.ArchiveDone || len(a.Images) != 2 || a.Images[0].Config != id {
			t.Fatalf("stopped at step %d it became %+v, %v", n, a, a.Failure)
		}
	}
}

// Whoever asks one node how far an archive is does not take it from another
// that is receiving it.
func TestArchiveAskedElsewhere(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	if w.db.Exact() {
		t.Skip("SQLite has one node")
	}
	other := registry.New(w.db, w.iam, blob.New(w.driver(), blob.Options{}), registry.Options{})
	b, _ := saved([]string{"app:v1"}, bytesOf("layer", 100_000))
	id := w.startArchive(registry.ArchiveSpec{})
	_, err := w.part(id, 0, b[:50_000])
	w.must(err)
	_, err = w.AppendArchive(w.ctx, w.admin, "acme", id, registry.ArchivePart{Offset: -1, Length: -1, Body: &slow{bytes.NewReader(b[50_000:]), func() {
		a, err := other.Archive(w.ctx, w.admin, "acme", id)
		if err != nil || a.Received != 50_000 {
			t.Errorf("elsewhere it has %d bytes, %v", a.Received, err)
		}
	}}})
	w.must(err)
}

// What a temporary key has finished is unpacked when the key has expired, too.
func TestArchiveOfATemporaryKey(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	key := func(text string, args ...any) {
		_, err := db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) { return tx.Exec(text, args...) })
		w.must(err)
	}
	key(`INSERT INTO access_key (access, account, iam_user, secret, enabled, description, created, expires, kind)
		SELECT 'temporary', account, id, $2, true, '', 1, 9000000000000000, 'session' FROM iam_user WHERE id = $1`, w.admin.User, []byte{})
	w.admin.Key = "temporary"
	b, _ := saved([]string{"app:v1"}, bytesOf("layer", 1000))
	id := w.startArchive(registry.ArchiveSpec{})
	_, err := w.part(id, 0, b)
	w.must(err)
	_, err = w.FinishArchive(w.ctx, w.admin, "acme", id, "", 0)
	w.must(err)
	key(`DELETE FROM access_key WHERE iam_user = $1`, w.admin.User)
	w.admin.Key = ""
	w.running()
	a, err := w.FinishArchive(w.ctx, w.admin, "acme", id, "", patience)
	w.must(err)
	if a.State != registry.ArchiveDone {
		t.Errorf("it is %+v, %v", a, a.Failure)
	}
}

// Work that cannot even be begun fails in the end; it is not tried for ever.
func TestArchiveOfNobody(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	b, _ := saved([]string{"app:v1"}, bytesOf("layer", 1000))
	id := w.startArchive(registry.ArchiveSpec{})
	_, err := w.part(id, 0, b)
	w.must(err)
	_, err = w.FinishArchive(w.ctx, w.admin, "acme", id, "", 0)
	w.must(err)
	_, err = db.Update(w.ctx, w.db, func(tx *db.Tx) (int64, error) {
		return tx.Exec(`UPDATE archive SET caller = $1, attempts = 4`, []byte("?"))
	})
	w.must(err)
	w.running()
	a, err := w.FinishArchive(w.ctx, w.admin, "acme", id, "", 2*time.Second)
	w.must(err)
	if a.State != registry.ArchiveFailed || !fault.Is(a.Failure, fault.Internal) {
		t.Errorf("it is %+v, %v", a, a.Failure)
	}
}

// Cancelled while it is unpacked, an archive leaves no image.
func TestArchiveCancelled(t *testing.T) {
	t.Parallel()
	w := open(t, atOnce)
	w.running()
	b, _ := saved([]string{"app:v1"}, bytesOf("layer", 30<<20))
	id := w.startArchive(registry.ArchiveSpec{})
	_, err := w.part(id, 0, b)
	w.must(err)
	_, err = w.FinishArchive(w.ctx, w.admin, "acme", id, "", 0)
	w.must(err)
	w.must(w.CancelArchive(w.ctx, w.admin, "acme", id))
	_, err = w.FinishArchive(w.ctx, w.admin, "acme", id, "", 0)
	w.want(err, fault.UploadUnknown)
	for range 400 { // until what was begun has ended
		if w.collect(); w.rows()["upload"] == 0 && w.fsck().Keys == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if s := w.rows(); s["tag"] != 0 || s["upload"] != 0 {
		t.Errorf("left behind: %v", s)
	}
}

// Who does not own an upload cannot end what its owner sends to it, though he
// knew its id.
func TestArchiveOfAnotherIsNotInterrupted(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	w.must(w.GrantOrgRights(w.ctx, w.admin, "acme", []registry.Grant{{User: w.nobody.User, Right: iam.Edit}}))
	id := w.startArchive(registry.ArchiveSpec{})
	reading, rest := make(chan struct{}), make(chan struct{})
	body := io.MultiReader(bytes.NewReader([]byte("be")), waiting(func() { close(reading); <-rest }), bytes.NewReader([]byte("gun")))
	sent := make(chan error)
	go func() {
		_, err := w.AppendArchive(w.ctx, w.admin, "acme", id, registry.ArchivePart{Offset: 0, Length: 5, Body: body})
		sent <- err
	}()
	<-reading
	ctx, cancel := context.WithTimeout(w.ctx, time.Second)
	defer cancel()
	_, err := w.AppendArchive(ctx, w.nobody, "acme", id, registry.ArchivePart{Offset: -1, Length: 1, Body: bytes.NewReader([]byte("x"))})
	w.want(err, fault.UploadUnknown)
	w.want(w.CancelArchive(ctx, w.nobody, "acme", id), fault.UploadUnknown)
	close(rest)
	w.must(<-sent)
}

// waiting is a reader of nothing that calls a function first.
type waiting func()

func (f waiting) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}
