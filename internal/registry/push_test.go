package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

const app = oci.Name("acme/app")

func TestPushAndPull(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	for _, sizes := range [][]int{{}, {0}, {1, 100}, {16 << 10, 16<<10 + 1}, {3 << 20}} {
		body := w.image(app, "pull", sizes...)
		d := w.push(app, "v1", body)
		for _, ref := range []oci.Reference{tagRef("v1"), digestRef(d)} {
			m, err := w.Manifest(w.ctx, w.admin, app, ref, true)
			w.must(err)
			if m.Digest != d || m.MediaType != imageType || !bytes.Equal(m.Body, body) {
				t.Fatalf("manifest by %v: %+v", ref, m)
			}
		}
		for i, n := range sizes {
			want := bytesOf("pull-"+string(rune('0'+i)), n)
			b, err := w.OpenBlob(w.ctx, w.admin, app, digestOf(want))
			w.must(err)
			rc, err := b.Open(w.ctx, 0, -1)
			w.must(err)
			got, err := io.ReadAll(rc)
			w.must(errors.Join(err, rc.Close()))
			if !bytes.Equal(got, want) {
				t.Fatalf("layer of %d bytes came back with %d", n, len(got))
			}
		}
	}
}

func TestPushCreatesThePrivateRepository(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	w.push(app, "v1", w.image(app, "x"))
	r, err := w.Repo(w.ctx, w.admin, app)
	w.must(err)
	if r.Public || r.Category != "other" || r.CreatorName != "admin" || r.Tags != 1 {
		t.Fatalf("repository: %+v", r)
	}
}

func TestPushIntoNoOrganization(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	_, err := w.StartUpload(w.ctx, w.admin, "nowhere/app", "")
	w.want(err, fault.Denied)
	w = open(t, registry.Options{CreateOnPush: true})
	_, err = w.StatBlob(w.ctx, w.admin, "nowhere/app", digestOf(nil)) // clients ask before they push
	w.want(err, fault.RepoUnknown)
	w.push("nowhere/app", "v1", w.image("nowhere/app", "x"))
	_, err = w.StartUpload(w.ctx, w.nobody, "elsewhere/app", "")
	w.want(err, fault.Denied)
}

func TestManifestNamesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	body := w.image(app, "there", 50)
	_, err := w.PutManifest(w.ctx, w.admin, "acme/other", tagRef("v1"), nil, imageType, body)
	w.want(err, fault.ReferenceUnknown)
	var e *fault.Error
	if errors.As(err, &e); e.Detail == nil {
		t.Fatal("the error does not carry the digest")
	}
	missing := digestOf([]byte("missing"))
	index := w.json(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []desc{{imageType, missing, 7}}})
	_, err = w.PutManifest(w.ctx, w.admin, app, tagRef("v1"), nil, indexType, index)
	w.want(err, fault.ReferenceUnknown)
	_, err = w.Repo(w.ctx, w.admin, "acme/other")
	w.want(err, fault.RepoUnknown)
}

func TestChunkedUpload(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	content := bytesOf("chunked", 100<<10)
	d := digestOf(content)
	id, err := w.StartUpload(w.ctx, w.admin, app, "")
	w.must(err)
	for off := 0; off < len(content); {
		n := min(7000, len(content)-off)
		u, err := w.AppendUpload(w.ctx, w.admin, app, id, int64(off), int64(n), bytes.NewReader(content[off:off+n]))
		w.must(err)
		off += n
		if u.Size != int64(off) {
			t.Fatalf("after %d bytes the upload says %d", off, u.Size)
		}
		st, err := w.UploadStatus(w.ctx, w.admin, app, id)
		w.must(err)
		if st.Size != int64(off) {
			t.Fatalf("status says %d, not %d", st.Size, off)
		}
	}
	_, err = w.AppendUpload(w.ctx, w.admin, app, id, 3, 4, bytes.NewReader(content[3:7]))
	w.want(err, fault.RangeInvalid)
	var e *fault.Error
	if errors.As(err, &e); e.Detail != int64(len(content)) {
		t.Fatalf("detail %v", e.Detail)
	}
	for range 2 { // the answer may have been lost: asked again it is the same
		got, err := w.FinishUpload(w.ctx, w.admin, app, id, -1, -1, nil, d)
		w.must(err)
		if got.Digest != d || got.Size != int64(len(content)) {
			t.Fatalf("%+v", got)
		}
	}
	_, err = w.AppendUpload(w.ctx, w.admin, app, id, -1, 1, bytes.NewReader([]byte("x")))
	w.want(err, fault.UploadUnknown)
}

func TestUploadThatIsNotWhatItShouldBe(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 100 << 10} {
		w := open(t, atOnce)
		content := bytesOf("wrong", size)
		wrong := digestOf([]byte("something else"))
		_, err := w.PutBlob(w.ctx, w.admin, app, int64(size), bytes.NewReader(content), wrong)
		w.want(err, fault.DigestInvalid)
		_, err = w.PutBlob(w.ctx, w.admin, app, int64(size)+5, bytes.NewReader(content), digestOf(content))
		w.want(err, fault.SizeInvalid)
		id, err := w.StartUpload(w.ctx, w.admin, app, "")
		w.must(err)
		_, err = w.AppendUpload(w.ctx, w.admin, app, id, -1, -1, bytes.NewReader(content))
		w.must(err)
		_, err = w.FinishUpload(w.ctx, w.admin, app, id, -1, -1, nil, wrong)
		w.want(err, fault.DigestInvalid)
		_, err = w.StatBlob(w.ctx, w.admin, app, digestOf(content))
		w.want(err, fault.RepoUnknown)
		w.collect()
	}
}

func TestUploadsOfOthers(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	id, err := w.StartUpload(w.ctx, w.admin, app, "")
	w.must(err)
	_, err = w.UploadStatus(w.ctx, w.nobody, app, id)
	w.want(err, fault.UploadUnknown)
	_, err = w.UploadStatus(w.ctx, w.admin, "acme/other", id)
	w.want(err, fault.UploadUnknown)
	// Not at the end, whose last bits may say nothing.
	middle, other := len(id)/2, "A"
	if id[middle] == 'A' {
		other = "B"
	}
	_, err = w.UploadStatus(w.ctx, w.admin, app, id[:middle]+other+id[middle+1:])
	w.want(err, fault.UploadUnknown)
	w.must(w.CancelUpload(w.ctx, w.admin, app, id))
	_, err = w.AppendUpload(w.ctx, w.admin, app, id, -1, 1, bytes.NewReader([]byte("x")))
	w.want(err, fault.UploadUnknown)
}

// halfReader gives some bytes and then fails as a connection does.
type halfReader struct {
	data []byte
	err  error
}

func (h *halfReader) Read(p []byte) (int, error) {
	if len(h.data) == 0 {
		return 0, h.err
	}
	n := copy(p, h.data)
	h.data = h.data[n:]
	return n, nil
}

func TestClientGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	for _, sent := range []int{100, 50 << 10, 5 << 20} {
		w := open(t, registry.Options{})
		content := bytesOf("resume", sent+3<<20)
		id, err := w.StartUpload(w.ctx, w.admin, app, "")
		w.must(err)
		_, err = w.AppendUpload(w.ctx, w.admin, app, id, -1, -1, &halfReader{content[:sent], io.ErrUnexpectedEOF})
		if err == nil {
			t.Fatal("a broken body was taken for a whole one")
		}
		u, err := w.UploadStatus(w.ctx, w.admin, app, id)
		w.must(err)
		if u.Size > int64(sent) {
			t.Fatalf("%d bytes of %d sent", u.Size, sent)
		}
		_, err = w.FinishUpload(w.ctx, w.admin, app, id, u.Size, -1, bytes.NewReader(content[u.Size:]), digestOf(content))
		w.must(err)
	}
}

func TestNewerRequestTakesTheUploadOver(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	content := bytesOf("takeover", 200<<10)
	id, err := w.StartUpload(w.ctx, w.admin, app, "")
	w.must(err)
	pr, pw := io.Pipe()
	first := make(chan error, 1)
	go func() {
		_, err := w.AppendUpload(context.Background(), w.admin, app, id, -1, -1, interruptible{pr})
		first <- err
	}()
	_, err = pw.Write(content[:100<<10])
	w.must(err)
	if _, err = w.UploadStatus(w.ctx, w.admin, app, id); err != nil { // disturbs nobody
		t.Fatal(err)
	}
	select {
	case err := <-first:
		t.Fatalf("asking how far an upload is ended it: %v", err)
	default:
	}
	u, err := w.AppendUpload(w.ctx, w.admin, app, id, -1, 0, bytes.NewReader(nil)) // waits for the first to leave
	w.must(err)
	w.want(<-first, fault.UploadInvalid)
	_, err = w.FinishUpload(w.ctx, w.admin, app, id, u.Size, -1, bytes.NewReader(content[u.Size:]), digestOf(content))
	w.must(err)
}

type interruptible struct{ *io.PipeReader }

func (i interruptible) Interrupt() { i.CloseWithError(errors.New("interrupted")) }

func TestMount(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	d := w.pushBlob(app, bytesOf("mounted", 40<<10))
	for _, from := range []oci.Name{app, ""} {
		to := oci.Name("acme/to" + string(rune('a'+len(from))))
		got, ok, err := w.Mount(w.ctx, w.admin, to, d, from, nil)
		w.must(err)
		if !ok || got.Size != 40<<10 {
			t.Fatalf("from %q: %v %+v", from, ok, got)
		}
		_, err = w.StatBlob(w.ctx, w.admin, to, d)
		w.must(err)
	}
	_, ok, err := w.Mount(w.ctx, w.admin, "acme/z", digestOf([]byte("?")), app, nil)
	if w.must(err); ok {
		t.Fatal("mounted what is not there")
	}
	// What the caller may not pull answers like what is not there.
	w.must(w.GrantOrg(w.ctx, w.admin, w.org("mine").Name, "nobody", iam.Edit))
	_, ok, err = w.Mount(w.ctx, w.nobody, "mine/stolen", d, app, nil)
	if w.must(err); ok {
		t.Fatal("mounted from a repository that the caller may not read")
	}
	_, ok, err = w.Mount(w.ctx, w.nobody, "mine/stolen", d, "", nil)
	if w.must(err); ok {
		t.Fatal("found a repository that the caller may not read")
	}
}

func (w *world) org(name string) registry.Org {
	w.t.Helper()
	o, err := w.CreateOrg(w.ctx, w.admin, name)
	w.must(err)
	return o
}

func TestTagsAndHistory(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	one, two := w.image(app, "one"), w.image(app, "two")
	d1 := w.push(app, "v", one)
	d2 := w.push(app, "v", two)
	w.push(app, "v", two) // nothing changes
	w.must(w.DeleteTag(w.ctx, w.admin, app, "v"))
	w.want(w.DeleteTag(w.ctx, w.admin, app, "v"), fault.TagUnknown)
	h, err := w.History(w.ctx, w.admin, app, "v", 0, 10)
	w.must(err)
	var got []string
	for _, e := range h.Items {
		got = append(got, e.Cause+" "+e.Previous+">"+e.Digest)
		if e.Actor != "admin/admin" {
			t.Errorf("actor %q", e.Actor)
		}
	}
	want := []string{"delete " + string(d2) + ">", "push " + string(d1) + ">" + string(d2), "push >" + string(d1)}
	if !slices.Equal(got, want) {
		t.Fatalf("history %q", got)
	}
	_, err = w.Manifest(w.ctx, w.admin, app, digestRef(d2), false)
	w.must(err) // only the tag is gone
}

func TestSeveralTagsInOnePush(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	body := w.image(app, "tags")
	r, err := w.PutManifest(w.ctx, w.admin, app, digestRef(digestOf(body)), []string{"b", "a", "b"}, imageType, body)
	w.must(err)
	if !slices.Equal(r.Tags, []string{"b", "a"}) {
		t.Fatalf("%v", r.Tags)
	}
	p, err := w.Tags(w.ctx, w.admin, app, "", 1)
	w.must(err)
	if !slices.Equal(p.Items, []string{"a"}) || !p.More {
		t.Fatalf("%+v", p)
	}
	_, err = w.PutManifest(w.ctx, w.admin, app, digestRef(digestOf(body)), []string{"-bad"}, imageType, body)
	w.want(err, fault.TagInvalid)
	_, err = w.PutManifest(w.ctx, w.admin, app, digestRef(digestOf([]byte("x"))), nil, imageType, body)
	w.want(err, fault.DigestInvalid)
}

func TestNamesSortByBytes(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	body := w.image(app, "sort")
	names := []string{"A", "Z", "_", "a", "0", "a-b", "a.b", "a_b", "aB", "z"}
	_, err := w.PutManifest(w.ctx, w.admin, app, digestRef(digestOf(body)), names, imageType, body)
	w.must(err)
	slices.Sort(names)
	var got []string
	for after := ""; ; after = got[len(got)-1] {
		p, err := w.Tags(w.ctx, w.admin, app, after, 3)
		w.must(err)
		got = append(got, p.Items...)
		if !p.More {
			break
		}
	}
	if !slices.Equal(got, names) {
		t.Fatalf("tags %q", got)
	}
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	subject := w.image(app, "subject")
	artifact := func(kind, note string) []byte {
		empty := []byte("{}")
		w.pushBlob(app, empty)
		return w.json(map[string]any{"schemaVersion": 2, "mediaType": imageType, "artifactType": kind,
			"config": desc{"application/vnd.oci.empty.v1+json", digestOf(empty), 2}, "layers": []desc{{"application/vnd.oci.empty.v1+json", digestOf(empty), 2}},
			"subject": desc{imageType, digestOf(subject), len(subject)}, "annotations": map[string]string{"note": note}})
	}
	var want []string
	for i := range 5 {
		kind := "application/test.a"
		if i%2 == 1 {
			kind = "application/test.b"
		}
		body := artifact(kind, string(rune('a'+i)))
		r, err := w.PutManifest(w.ctx, w.admin, app, digestRef(digestOf(body)), nil, imageType, body)
		w.must(err)
		if r.Subject != digestOf(subject) {
			t.Fatalf("subject %q", r.Subject)
		}
		want = append(want, string(r.Digest))
	}
	w.push(app, "late", subject) // the subject arrives later
	slices.Sort(want)
	var got []string
	for after := ""; ; after = got[len(got)-1] {
		p, err := w.Registry.Referrers(w.ctx, w.admin, app, digestOf(subject), "", after, 2)
		w.must(err)
		for _, x := range p.Items {
			got = append(got, string(x.Digest))
			if !strings.Contains(string(x.Descriptor), `"annotations":{"note":`) {
				t.Error("annotations are missing")
			}
		}
		if !p.More {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	p, err := w.Registry.Referrers(w.ctx, w.admin, app, digestOf(subject), "application/test.b", "", 10)
	w.must(err)
	if len(p.Items) != 2 {
		t.Fatalf("%d of type b", len(p.Items))
	}
	// The list is exact after every change.
	w.must(w.DeleteManifest(w.ctx, w.admin, app, p.Items[0].Digest))
	p, err = w.Registry.Referrers(w.ctx, w.admin, app, digestOf(subject), "", "", 10)
	w.must(err)
	if len(p.Items) != 4 {
		t.Fatalf("%d after one was deleted", len(p.Items))
	}
	p, err = w.Registry.Referrers(w.ctx, w.admin, "acme/absent", digestOf(subject), "", "", 10)
	if w.must(err); p.Items == nil || len(p.Items) != 0 {
		t.Fatalf("a repository that does not exist has %+v", p.Items)
	}
}

func TestCatalogShowsWhatMayBePulled(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	for _, org := range []string{"acme-b", "acme.c", "acme0", "zoo"} {
		w.org(org)
	}
	all := []string{"acme-b/x", "acme.c/x", "acme/a", "acme/b", "acme0/x", "zoo/a", "zoo/b"}
	for _, n := range all {
		_, err := w.CreateRepo(w.ctx, w.admin, oci.Name(n), registry.RepoSpec{Public: n == "zoo/b"})
		w.must(err)
	}
	list := func(who iam.Caller, n int) []string {
		var got []string
		after := ""
		for {
			p, err := w.Catalog(w.ctx, who, after, n)
			w.must(err)
			got = append(got, p.Items...)
			if !p.More {
				return got
			}
			after = got[len(got)-1]
		}
	}
	w.must(w.GrantOrg(w.ctx, w.admin, "acme", "nobody", iam.Read))
	w.must(w.GrantOrg(w.ctx, w.admin, "acme-b", "nobody", iam.Read))
	w.must(w.GrantRepo(w.ctx, w.admin, "acme0/x", "nobody", iam.Read))
	for n := 1; n < 9; n++ {
		for who, want := range map[iam.Caller][]string{
			w.admin:        all,
			iam.Operator(): all,
			w.nobody:       {"acme-b/x", "acme/a", "acme/b", "acme0/x", "zoo/b"},
			{}:             {"zoo/b"},
		} {
			if got := list(who, n); !slices.Equal(got, want) {
				t.Fatalf("%v, pages of %d: %q, want %q", who, n, got, want)
			}
		}
	}
}

func TestRightsOnTheDataPlane(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	d := w.push(app, "v1", w.image(app, "rights", 20))
	pull := func(who iam.Caller) error {
		_, err := w.Manifest(w.ctx, who, app, tagRef("v1"), false)
		return err
	}
	push := func(who iam.Caller) error {
		_, err := w.StartUpload(w.ctx, who, app, "")
		return err
	}
	w.want(pull(iam.Caller{}), fault.Unauthorized)
	w.want(pull(w.nobody), fault.Denied)
	_, err := w.Manifest(w.ctx, w.nobody, "acme/absent", tagRef("v1"), false)
	w.want(err, fault.Denied) // absent and forbidden answer alike
	w.must(w.GrantRepo(w.ctx, w.admin, app, "nobody", iam.Edit))
	w.must(pull(w.nobody))
	w.want(push(w.nobody), fault.Denied) // pushing looks at the organization alone
	w.must(w.GrantOrg(w.ctx, w.admin, "acme", "nobody", iam.Edit))
	w.must(push(w.nobody))
	w.want(w.DeleteManifest(w.ctx, w.nobody, app, d), fault.Denied)
	w.must(w.RevokeOrg(w.ctx, w.admin, "acme", "nobody"))
	w.want(push(w.nobody), fault.Denied)
	w.must(w.RevokeRepo(w.ctx, w.admin, app, "nobody"))
	w.want(pull(w.nobody), fault.Denied)
	yes := true
	w.must(w.UpdateRepo(w.ctx, w.admin, app, registry.RepoPatch{Public: &yes}))
	w.must(pull(iam.Caller{}))
	w.want(push(iam.Caller{}), fault.Unauthorized)
}

func TestUnfinishedUploadsAreBounded(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{OpenUploads: 3})
	var ids []string
	for i := range 4 {
		id, err := w.StartUpload(w.ctx, w.admin, app, "")
		w.must(err)
		_, err = w.AppendUpload(w.ctx, w.admin, app, id, -1, -1, bytes.NewReader(bytesOf("x", 10)))
		if i < 3 {
			w.must(err)
			ids = append(ids, id)
		} else {
			w.want(err, fault.TooMany)
		}
	}
	w.must(w.CancelUpload(w.ctx, w.admin, app, ids[0]))
	id, err := w.StartUpload(w.ctx, w.admin, app, "")
	w.must(err)
	_, err = w.AppendUpload(w.ctx, w.admin, app, id, -1, -1, bytes.NewReader(bytesOf("x", 10)))
	w.must(err)
}

func TestMountKeepsToTheCredentialsScope(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	d := w.pushBlob(app, bytesOf("scoped", 40<<10))
	_, ok, err := w.Mount(w.ctx, w.admin, "acme/to", d, "", func(n oci.Name) bool { return n != app })
	if w.must(err); ok {
		t.Fatal("mounted from a repository that the token was not issued for")
	}
	_, ok, err = w.Mount(w.ctx, w.admin, "acme/to", d, "", func(n oci.Name) bool { return n == app })
	if w.must(err); !ok {
		t.Fatal("not mounted from one that it was issued for")
	}
}

// Annotations nearly as large as a manifest may be cannot fill the memory: the
// page ends early.
func TestReferrersWithLargeAnnotations(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	config := []byte("{}")
	w.pushBlob(app, config)
	subject := digestOf([]byte("subject"))
	for i := range 4 {
		body := w.json(map[string]any{"schemaVersion": 2, "mediaType": imageType, "artifactType": "a/b", "layers": []desc{},
			"config": desc{"application/vnd.oci.empty.v1+json", digestOf(config), 2}, "subject": desc{imageType, subject, 7},
			"annotations": map[string]string{"n": string(rune('a' + i)), "long": strings.Repeat("x", 3<<20)}})
		_, err := w.PutManifest(w.ctx, w.admin, app, digestRef(digestOf(body)), nil, imageType, body)
		w.must(err)
	}
	seen := 0
	for after := ""; ; {
		p, err := w.Registry.Referrers(w.ctx, w.admin, app, subject, "", after, 100)
		w.must(err)
		if len(p.Items) != 1 {
			t.Fatalf("%d entries of 3 MiB on one page", len(p.Items))
		}
		seen++
		if after = string(p.Items[0].Digest); !p.More {
			break
		}
	}
	if seen != 4 {
		t.Fatalf("%d of 4", seen)
	}
}
