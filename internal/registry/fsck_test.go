package registry_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// patient: nothing is collected while a test looks.
var patient = registry.Options{Grace: time.Hour, Undelete: time.Hour}

const absent = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// damage is what a test breaks in a world that held together until then.
type damage struct {
	*world
	image  oci.Digest // acme/app:v1, a config in the database and a layer in storage
	config oci.Digest
	layer  oci.Digest
}

func newDamage(t *testing.T) *damage {
	w := build(t, patient, func(d blob.Driver) blob.Driver { return d })
	body := w.image(app, "fsck", 20<<10)
	d := &damage{
		world: w, image: w.push(app, "v1", body),
		config: digestOf(bytesOf(`{"seed":"fsck"}`, 100)), layer: digestOf(bytesOf("fsck-0", 20<<10)),
	}
	// A second repository needs the same blobs, so that losing them in one
	// damages nothing else.
	w.push("acme/other", "v1", w.image("acme/other", "fsck", 20<<10))
	w.fsck()
	return d
}

// sql runs one statement, which must change something.
func (d *damage) sql(text string, args ...any) {
	d.t.Helper()
	n, err := db.Update(d.ctx, d.db, func(tx *db.Tx) (int64, error) { return tx.Exec(text, args...) })
	d.must(err)
	if n == 0 {
		d.t.Fatalf("no row was damaged by %s", text)
	}
}

// unbind makes a table anew without its foreign keys, on either engine.
func (d *damage) unbind(table string) {
	d.t.Helper()
	_, err := db.Update(d.ctx, d.db, func(tx *db.Tx) (struct{}, error) {
		for _, text := range []string{
			"DROP TABLE IF EXISTS packed", // it refers to link, and no check looks at it
			"CREATE TABLE unbound AS SELECT * FROM " + table, "DROP TABLE " + table, "ALTER TABLE unbound RENAME TO " + table,
		} {
			if _, err := tx.Exec(text); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	d.must(err)
}

// key is where the bytes of a blob are stored, file the path of a key.
func (d *damage) key(digest oci.Digest) string {
	d.t.Helper()
	key, err := db.One[string](d.ctx, d.db, `SELECT key FROM blob WHERE digest = $1`, string(digest))
	d.must(err)
	if key == "" {
		d.t.Fatalf("%s is not in storage", digest)
	}
	return key
}

func (d *damage) file(key string) string { return filepath.Join(d.dir, filepath.FromSlash(key)) }

// findings are what Fsck reports, less the key at the end of a detail.
func (d *damage) findings(deep bool) []registry.Finding {
	d.t.Helper()
	var found []registry.Finding
	s, err := d.Fsck(context.Background(), iam.Operator(), deep, func(f registry.Finding) {
		f.Detail, _, _ = strings.Cut(f.Detail, ", key ")
		found = append(found, f)
	})
	d.must(err)
	if s.Findings != int64(len(found)) {
		d.t.Errorf("%d findings counted, %d reported", s.Findings, len(found))
	}
	return found
}

// inApp narrows a statement to the repository acme/app.
const inApp = ` repository = (SELECT id FROM repository WHERE path = 'acme/app') `

// Each damage is found, and nothing else.
func TestFsckFinds(t *testing.T) {
	t.Parallel()
	type find = registry.Finding
	for _, c := range []struct {
		name string
		do   func(d *damage) []find
	}{
		{"a tag to a deleted manifest", func(d *damage) []find {
			d.sql(`UPDATE manifest SET deleted = 1 WHERE`+inApp+`AND digest = $1`, string(d.image))
			return []find{{"tag", "acme/app:v1", "points to a manifest that is not there or deleted"}}
		}},
		{"a tag to another repository's manifest", func(d *damage) []find {
			d.sql(`UPDATE tag SET manifest = (SELECT m.id FROM manifest m JOIN repository r ON r.id = m.repository WHERE r.path = 'acme/other') WHERE` + inApp)
			return []find{{"tag", "acme/app:v1", "points to a manifest that is not there or deleted"}}
		}},
		{"an archive to unpack without its bytes", func(d *damage) []find {
			a, err := d.StartArchive(d.ctx, d.admin, "acme", registry.ArchiveSpec{Size: -1})
			d.must(err)
			d.sql(`UPDATE archive SET state = 'unpacking' WHERE id = $1`, a.ID)
			return []find{{"archive", a.ID, "is to be unpacked and its bytes are gone"}}
		}},
		{"an upload of an archive that was forgotten", func(d *damage) []find {
			a, err := d.StartArchive(d.ctx, d.admin, "acme", registry.ArchiveSpec{Size: -1})
			d.must(err)
			_, err = d.AppendArchive(d.ctx, d.admin, "acme", a.ID, registry.ArchivePart{Offset: -1, Length: 1, Body: strings.NewReader("x")})
			d.must(err)
			_, err = d.FinishArchive(d.ctx, d.admin, "acme", a.ID, "", 0)
			d.must(err)
			d.sql(`DELETE FROM archive WHERE id = $1`, a.ID)
			return []find{{"upload", a.ID, "holds an archive that is not to be unpacked, and nothing would ever remove it"}}
		}},
		{"a reference to a blob without link", func(d *damage) []find {
			d.sql(`DELETE FROM link WHERE`+inApp+`AND digest = $1`, string(d.layer))
			return []find{{"reference", "acme/app@" + string(d.image) + " -> " + string(d.layer), "a manifest names a blob that its repository does not link"}}
		}},
		{"a reference to a blob with a deleted link", func(d *damage) []find {
			d.sql(`UPDATE link SET deleted = 1 WHERE`+inApp+`AND digest = $1`, string(d.config))
			return []find{{"reference", "acme/app@" + string(d.image) + " -> " + string(d.config), "a manifest names a blob that its repository does not link"}}
		}},
		{"an index without its child", func(d *damage) []find {
			d.sql(`INSERT INTO ref (repository, child, manifest, kind) SELECT repository, $1, id, 'm' FROM manifest WHERE`+inApp, absent)
			return []find{{"reference", "acme/app@" + string(d.image) + " -> " + absent, "an index names a manifest that its repository does not have"}}
		}},
		{"a manifest without body", func(d *damage) []find {
			d.sql(`DELETE FROM manifest_body WHERE manifest = (SELECT id FROM manifest WHERE` + inApp + `)`)
			return []find{{"body", "acme/app@" + string(d.image), "a manifest has no body"}}
		}},
		{"a manifest with another body", func(d *damage) []find {
			d.sql(`UPDATE manifest_body SET data = $1 WHERE manifest = (SELECT id FROM manifest WHERE`+inApp+`)`, []byte("{}"))
			return []find{{"body", string(d.image), "the manifest's body has the digest " + string(digestOf([]byte("{}"))) + " and 2 bytes"}}
		}},
		{"a link to no blob", func(d *damage) []find {
			lone := d.pushBlob(app, []byte("lone"))
			d.unbind("link")
			d.sql(`DELETE FROM blob WHERE digest = $1`, string(lone))
			return []find{{"link", "acme/app " + string(lone), "a repository links a blob that is not there"}}
		}},
		{"a link without need and review", func(d *damage) []find {
			lone := d.pushBlob(app, []byte("lone"))
			d.sql(`DELETE FROM review WHERE digest = $1`, string(lone))
			return []find{{"link", "acme/app " + string(lone), "no manifest needs it and no review is queued that would remove it"}}
		}},
		{"a blob without link", func(d *damage) []find {
			lone := d.pushBlob(app, []byte("lone"))
			d.sql(`DELETE FROM link WHERE digest = $1`, string(lone))
			return []find{{"blob", string(lone), "no repository links it, and nothing would ever remove it"}}
		}},
		{"a key that is garbage and a blob's", func(d *damage) []find {
			d.sql(`INSERT INTO garbage (key, due) VALUES ($1, 1)`, d.key(d.layer))
			return []find{{"blob", string(d.layer), "its key is garbage at the same time"}}
		}},
		{"a repository of no organization", func(d *damage) []find {
			d.sql(`UPDATE repository SET organization = 12345 WHERE path = 'acme/app'`)
			return []find{{"repository", "acme/app", "is in an organization that does not exist"}}
		}},
		{"a repository with a wrong number of sharing rules", func(d *damage) []find {
			d.sql(`UPDATE repository SET shares = 1 WHERE path = 'acme/app'`)
			return []find{{"share", "acme/app", "a repository has another number of sharing rules than its row says"}}
		}},
		{"a deleted repository without review", func(d *damage) []find {
			d.sql(`UPDATE repository SET organization = 0 WHERE path = 'acme/app'`)
			return []find{{"repository", "acme/app", "was deleted and no review is queued that would empty it"}}
		}},
		{"another number of tags", func(d *damage) []find {
			d.sql(`UPDATE repository SET tags = tags + 1 WHERE path = 'acme/app'`)
			return []find{{"sum", "acme/app", "the repository has another number of tags than is kept of it"},
				{"sum", d.admin.Account, "the account has other organizations, repositories or images than is kept of it"}}
		}},
		{"another size", func(d *damage) []find {
			d.sql(`UPDATE repository SET size = size - 1 WHERE path = 'acme/app'`)
			return []find{{"sum", "acme/app", "the manifests that have tags have another size than is kept of the repository"},
				{"sum", d.admin.Account, "the account has other organizations, repositories or images than is kept of it"}}
		}},
		{"another number of repositories", func(d *damage) []find {
			d.sql(`UPDATE repository_count SET n = n + 1 WHERE organization = 0`)
			return []find{{"sum", d.admin.Account + " 0 other", "there is another number of these repositories than is kept"}}
		}},
		{"another number of organizations", func(d *damage) []find {
			d.sql(`UPDATE usage SET orgs = 7 WHERE day = 0`)
			return []find{{"sum", d.admin.Account, "the account has other organizations, repositories or images than is kept of it"}}
		}},
		{"an index of another size", func(d *damage) []find {
			index := d.json(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []desc{{imageType, d.image, 1}}})
			r, err := d.PutManifest(d.ctx, d.admin, app, oci.Reference{Digest: digestOf(index)}, nil, indexType, index)
			d.must(err)
			d.sql(`UPDATE manifest SET content_size = 5 WHERE`+inApp+`AND digest = $1`, string(r.Digest))
			return []find{{"sum", "acme/app@" + string(r.Digest), "an index has another size than its children"}}
		}},
		{"bytes missing in the database", func(d *damage) []find {
			d.sql(`DELETE FROM content WHERE digest = $1`, string(d.config))
			return []find{{"blob", string(d.config), "is to be in the database and is not"}, {"blob", string(d.config), "its bytes are missing"}}
		}},
		{"bytes missing in storage", func(d *damage) []find {
			d.must(os.Remove(d.file(d.key(d.layer))))
			return []find{{"blob", string(d.layer), "its bytes are missing"}}
		}},
		{"too few bytes in the database", func(d *damage) []find {
			d.sql(`UPDATE content SET data = $1 WHERE digest = $2`, []byte("x"), string(d.config))
			return []find{{"blob", string(d.config), "it has 1 bytes and should have 100"}}
		}},
		{"too few bytes in storage", func(d *damage) []find {
			d.must(os.Truncate(d.file(d.key(d.layer)), 20<<10-1))
			return []find{{"blob", string(d.layer), "it has 20479 bytes and should have 20480"}}
		}},
		{"a key that no row names", func(d *damage) []find {
			key := blob.NewKey()
			d.must(os.WriteFile(d.file(key), []byte("stray"), 0o600))
			return []find{{"storage", key, "5 bytes that no row names"}}
		}},
		{"a file whose name is no key", func(d *damage) []find {
			d.must(os.WriteFile(d.file("ab/core.1234"), []byte("stray"), 0o600))
			d.must(os.WriteFile(d.file("notes.txt"), nil, 0o600))
			return []find{{"storage", "ab/core.1234", "5 bytes that no row names"}, {"storage", "notes.txt", "0 bytes that no row names"}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDamage(t)
			want := c.do(d)
			isSum := func(f find) bool { return f.Check == "sum" }
			for _, deep := range []bool{false, true} {
				found := d.findings(deep)
				if !slices.ContainsFunc(want, isSum) { // sums over what is damaged differ as well
					found = slices.DeleteFunc(found, isSum)
				}
				if diff := cmp.Diff(want, found, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("deep %t, want -, got +:\n%s", deep, diff)
				}
			}
		})
	}
}

// Bytes of the right length and the wrong content: only reading shows it.
func TestFsckDeepReadsEveryByte(t *testing.T) {
	t.Parallel()
	d := newDamage(t)
	config, layer := bytesOf("other", 100), bytesOf("other", 20<<10)
	d.sql(`UPDATE content SET data = $1 WHERE digest = $2`, config, string(d.config))
	d.must(os.WriteFile(d.file(d.key(d.layer)), layer, 0o600))
	if found := d.findings(false); len(found) > 0 {
		t.Errorf("without reading: %+v", found)
	}
	want := []registry.Finding{
		{Check: "blob", Subject: string(d.config), Detail: "its bytes have the digest " + string(digestOf(config))},
		{Check: "blob", Subject: string(d.layer), Detail: "its bytes have the digest " + string(digestOf(layer))},
	}
	bySubject := cmpopts.SortSlices(func(a, b registry.Finding) bool { return a.Subject < b.Subject })
	if diff := cmp.Diff(want, d.findings(true), bySubject); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// Fsck shows names of every account, so no user may run it.
func TestFsckIsTheOperators(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	_, err := w.Fsck(w.ctx, w.admin, false, func(registry.Finding) {})
	w.want(err, fault.Denied)
}

// A deleted repository that is half emptied is no damage.
func TestFsckWhileARepositoryIsEmptied(t *testing.T) {
	t.Parallel()
	w := open(t, patient)
	var children []desc
	for i := range 50 {
		body := w.image(app, strconv.Itoa(i), 10)
		_, err := w.PutManifest(w.ctx, w.admin, app, digestRef(digestOf(body)), nil, imageType, body)
		w.must(err)
		children = append(children, desc{imageType, digestOf(body), len(body)})
	}
	for i := range 5 { // one of them is among the last to go
		index := w.json(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": children[i:]})
		_, err := w.PutManifest(w.ctx, w.admin, app, tagRef("v"), nil, indexType, index)
		w.must(err)
	}
	w.must(w.DeleteTag(w.ctx, w.admin, app, "v"))
	w.must(w.DeleteRepo(w.ctx, w.admin, app))
	for range 2 {
		w.must(w.Collect(w.ctx))
		w.fsck()
		if n := w.number(`SELECT count(*) FROM manifest`); n == 0 || n > 40 {
			t.Fatalf("%d manifests are left", n)
		}
	}
}
