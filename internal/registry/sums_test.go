package registry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// model is what a random history should leave: of each repository the tags,
// and the content of what they point to.
type model struct {
	*world
	rnd   *rand.Rand
	repos map[oci.Name]map[string]oci.Digest
	size  map[oci.Digest]int64
	made  map[oci.Name][]oci.Digest // manifests that were pushed there
}

func newModel(w *world, seed uint64) *model {
	return &model{world: w, rnd: rand.New(rand.NewPCG(seed, 1)), repos: map[oci.Name]map[string]oci.Digest{},
		size: map[oci.Digest]int64{}, made: map[oci.Name][]oci.Digest{}}
}

var histories = []oci.Name{"acme/a", "acme/b/c", "umbrella/a"}

// step does one thing, and to the model what should come of it.
func (m *model) step() {
	name := histories[m.rnd.IntN(len(histories))]
	tag := fmt.Sprintf("t%d", m.rnd.IntN(4))
	tags := m.repos[name]
	switch m.rnd.IntN(12) {
	case 0, 1, 2, 3:
		m.pushImage(name, tag)
	case 4, 5:
		m.pushIndex(name, tag)
	case 6:
		m.ok(m.DeleteTag(m.ctx, m.admin, name, tag), fault.TagUnknown, fault.RepoUnknown)
		delete(tags, tag)
	case 7:
		if made := m.made[name]; len(made) > 0 {
			d := made[m.rnd.IntN(len(made))]
			m.ok(m.DeleteManifest(m.ctx, m.admin, name, d), fault.ManifestUnknown, fault.RepoUnknown)
			for t, to := range tags {
				if to == d {
					delete(tags, t)
				}
			}
		}
	case 8:
		m.collect()
	case 9:
		if err := m.DeleteRepo(m.ctx, m.admin, name); err == nil {
			delete(m.repos, name)
			delete(m.made, name)
		} else {
			m.ok(err, fault.NotEmpty, fault.RepoUnknown)
		}
	case 10:
		category := []string{"linux", "database", "other"}[m.rnd.IntN(3)]
		public := m.rnd.IntN(2) == 0
		m.ok(m.UpdateRepo(m.ctx, m.admin, name, registry.RepoPatch{Category: &category, Public: &public}), fault.RepoUnknown)
	case 11:
		m.retag(name, tag)
	}
}

func (m *model) retag(name oci.Name, to string) {
	from := fmt.Sprintf("t%d", m.rnd.IntN(4))
	err := m.Retag(m.ctx, m.admin, name, from, to, m.rnd.IntN(2) == 0)
	if err == nil {
		m.repos[name][to] = m.repos[name][from]
	}
	m.ok(err, fault.RepoUnknown, fault.TagUnknown, fault.Exists)
}

func (m *model) ok(err error, codes ...fault.Code) {
	m.t.Helper()
	if err != nil && !slices.ContainsFunc(codes, func(c fault.Code) bool { return fault.Is(err, c) }) {
		m.t.Fatal(err)
	}
}

func (m *model) put(name oci.Name, tag, mediaType string, body []byte, size int64) {
	m.t.Helper()
	ref := tagRef(tag)
	if tag == "" {
		ref = digestRef(digestOf(body))
	}
	r, err := m.PutManifest(m.ctx, m.admin, name, ref, nil, mediaType, body)
	m.must(err)
	if m.repos[name] == nil {
		m.repos[name] = map[string]oci.Digest{}
	}
	if tag != "" {
		m.repos[name][tag] = r.Digest
	}
	m.size[r.Digest] = size
	if !slices.Contains(m.made[name], r.Digest) {
		m.made[name] = append(m.made[name], r.Digest)
	}
}

func (m *model) pushImage(name oci.Name, tag string) {
	m.t.Helper()
	config := []byte(fmt.Sprintf(`{"n":%d}`, m.rnd.IntN(4)))
	size := int64(len(config))
	layers := []desc{}
	m.pushBlob(name, config)
	for i := range 3 {
		if m.rnd.IntN(2) == 0 {
			content := bytesOf(fmt.Sprint("layer", i), 100*(i+1))
			m.pushBlob(name, content)
			size += int64(len(content))
			// The size that a manifest claims is not believed.
			layers = append(layers, desc{"application/vnd.oci.image.layer.v1.tar", digestOf(content), 7})
		}
	}
	body := m.json(map[string]any{"schemaVersion": 2, "mediaType": imageType,
		"config": desc{"application/vnd.oci.image.config.v1+json", digestOf(config), len(config)}, "layers": layers})
	if m.rnd.IntN(5) == 0 {
		tag = ""
	}
	m.put(name, tag, imageType, body, size)
}

func (m *model) pushIndex(name oci.Name, tag string) {
	m.t.Helper()
	var children []desc
	size := int64(0)
	for _, d := range m.made[name] {
		if m.rnd.IntN(3) != 0 {
			continue
		}
		if _, err := m.Manifest(m.ctx, m.admin, name, digestRef(d), false); err != nil {
			continue // deleted since
		}
		children = append(children, desc{imageType, d, 1})
		size += m.size[d]
	}
	if len(children) == 0 {
		return
	}
	children = append(children, children[0]) // named twice, counted once
	body := m.json(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": children})
	m.put(name, tag, indexType, body, size)
}

// check compares what the registry says with the model.
func (m *model) check() {
	m.t.Helper()
	var all registry.Overview
	for name, tags := range m.repos {
		want := map[oci.Digest]bool{}
		var size int64
		for _, d := range tags {
			if !want[d] {
				want[d] = true
				size += m.size[d]
			}
		}
		r, err := m.Repo(m.ctx, m.admin, name)
		m.must(err)
		if r.Tags != int64(len(tags)) || r.Size != size {
			m.t.Fatalf("%s: %d tags of %d bytes are kept, there are %d of %d: %v", name, r.Tags, r.Size, len(tags), size, tags)
		}
		all.Repos++
		all.Images += r.Tags
		all.Stored += size
	}
	got, err := m.Overview(m.ctx, m.admin)
	m.must(err)
	if all.Orgs = 2; got != all {
		m.t.Fatalf("the account has %+v, want %+v", got, all)
	}
}

func TestSumsOfRandomHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := open(t, registry.Options{Grace: time.Hour, Undelete: time.Microsecond})
			_, err := w.CreateOrg(w.ctx, w.admin, "umbrella")
			w.must(err)
			m := newModel(w, seed)
			for i := range 150 {
				m.step()
				if i%10 == 0 {
					m.check()
				}
			}
			m.check()
			w.fsck()
			w.remigrate()
		})
	}
}

// remigrate loses all sums and has the migration make them anew, as it does
// with a database that is older than they are.
func (w *world) remigrate() {
	w.t.Helper()
	text, err := os.ReadFile("../db/migrations/0002_usage.sql")
	w.must(err)
	_, fill, _ := strings.Cut(string(text), "-- What is there already.")
	_, fill, _ = strings.Cut(fill, "\n")
	_, fill, _ = strings.Cut(fill, "\n")
	_, err = db.Update(context.Background(), w.db, func(tx *db.Tx) (struct{}, error) {
		for _, s := range append([]string{`UPDATE repository SET tags = 0, size = 0`, `DELETE FROM usage`, `DELETE FROM repository_count`,
			`UPDATE manifest SET content_size = 0 WHERE config = ''`}, strings.Split(fill, ";\n")...) {
			if strings.TrimSpace(s) == "" {
				continue
			}
			if _, err := tx.Exec(s); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	w.must(err)
	w.fsck()
}

// Tags of one manifest that come and go at the same time count it once.
func TestSumsOfConcurrentTags(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	body := w.image(app, "shared", 100, 200)
	d := w.push(app, "base", body)
	w.must(w.DeleteTag(w.ctx, w.admin, app, "base"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			tag := fmt.Sprintf("t%d", i)
			for range 5 {
				if _, err := w.PutManifest(w.ctx, w.admin, app, tagRef(tag), nil, imageType, body); err != nil {
					t.Error(err)
				}
				if err := w.DeleteTag(w.ctx, w.admin, app, tag); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	r, err := w.Repo(w.ctx, w.admin, app)
	w.must(err)
	if r.Tags != 0 || r.Size != 0 {
		t.Errorf("without tags %s has %d tags of %d bytes", d, r.Tags, r.Size)
	}
}
