package registry_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/retention"
)

// generated fills a repository with images that share layers with each other
// and with a second repository, indexes, referrers, and tags of many ages.
func (w *world) generated(r *rand.Rand, name, beside oci.Name) {
	w.t.Helper()
	var images []oci.Digest
	tag := func(i int) string { return fmt.Sprintf("%s%d", []string{"v", "dev-", "release-"}[i%3], i) }
	n := 0
	push := func(to oci.Name, reference oci.Reference, media string, body []byte) oci.Digest {
		x, err := w.PutManifest(w.ctx, w.admin, to, reference, nil, media, body)
		w.must(err)
		return x.Digest
	}
	for i := range 6 + r.IntN(6) {
		seed := fmt.Sprintf("%s-%d", name, r.IntN(4)) // few, so that layers are shared
		body := w.image(name, seed, 500+r.IntN(3), 700)
		images = append(images, push(name, tagRef(tag(n)), imageType, body))
		n++
		for range r.IntN(3) {
			push(name, tagRef(tag(n)), imageType, body)
			n++
		}
		if r.IntN(4) == 0 {
			push(beside, tagRef(fmt.Sprint("x", i)), imageType, w.image(beside, seed, 500))
		}
		if r.IntN(3) == 0 { // a referrer, sometimes with a tag of its own
			config := bytesOf(fmt.Sprint("config", i), 60)
			reference, sign := tagRef(tag(n)), map[string]any{"schemaVersion": 2, "mediaType": imageType, "subject": desc{imageType, images[len(images)-1], len(body)},
				"config": desc{"application/vnd.oci.image.config.v1+json", w.pushBlob(name, config), len(config)}, "layers": []desc{}, "annotations": map[string]string{"i": fmt.Sprint(i)}}
			text := w.json(sign)
			if r.IntN(2) == 0 {
				reference = digestRef(digestOf(text))
			} else {
				n++
			}
			push(name, reference, imageType, text)
		}
	}
	for i := range 2 {
		var children []desc
		for range 1 + r.IntN(3) {
			d := images[r.IntN(len(images))]
			m, err := w.Manifest(w.ctx, w.admin, name, digestRef(d), false)
			w.must(err)
			children = append(children, desc{imageType, d, int(m.Size)})
		}
		push(name, tagRef(tag(n)), indexType, w.json(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": children, "annotations": map[string]string{"n": fmt.Sprint(i)}}))
		n++
	}
	for i := range n {
		w.age(name, tag(i), time.Duration(1+r.IntN(60*24))*time.Hour)
	}
}

func anyPolicy(r *rand.Rand) retention.Policy {
	var p retention.Policy
	for range 1 + r.IntN(2) {
		rule := number(1 + r.IntN(8))
		if r.IntN(2) == 0 {
			rule = byAge(1 + r.IntN(60))
		}
		for range r.IntN(3) {
			rule.Except = append(rule.Except, []retention.Selector{regex("^release"), regex("[05]$"), {Kind: retention.Label, Pattern: "v3"}}[r.IntN(3)])
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

// What a simulation says is what the run then does: the same tags, for the same
// reasons, and as many bytes less when the undelete window is over.
func TestSimulationIsWhatHappens(t *testing.T) {
	w := open(t, atOnce)
	stored := func() (manifests, blobs, bytes int64) {
		return w.number(`SELECT count(*) FROM manifest`), w.number(`SELECT count(*) FROM blob`),
			w.number(`SELECT (SELECT CAST(coalesce(sum(size), 0) AS BIGINT) FROM manifest) + (SELECT CAST(coalesce(sum(size), 0) AS BIGINT) FROM blob)`)
	}
	deleted, kept := 0, 0
	for round := range 12 {
		r := rand.New(rand.NewPCG(7, uint64(round)))
		name, beside := oci.Name(fmt.Sprintf("acme/r%d", round)), oci.Name(fmt.Sprintf("acme/beside%d", round))
		w.generated(r, name, beside)
		w.collect()
		manifests, blobs, bytes := stored()
		p := anyPolicy(r)
		draft, err := w.SimulateRetention(w.ctx, w.admin, name, &p, 0)
		w.must(err)
		if m, b, n := stored(); m != manifests || b != blobs || n != bytes {
			t.Fatal("a simulation changed something")
		}
		said := map[string]registry.SimulatedTag{}
		for x := range draft.All() {
			said[x.Name] = x
		}
		if len(said) != draft.Tags || draft.Tags != len(strings.Fields(w.tagsOf(name))) || !draft.Freed.Complete {
			t.Fatalf("%+v of %d tags", draft, len(said))
		}
		id, err := w.CreateRetention(w.ctx, w.admin, name, p)
		w.must(err)
		w.act()
		left := map[string]bool{}
		for _, tag := range strings.Fields(w.tagsOf(name)) {
			left[tag] = true
		}
		for tag, x := range said {
			if x.Delete == left[tag] {
				t.Errorf("round %d: %s: said %+v, left %t", round, tag, x, left[tag])
			}
			if !x.Delete {
				kept++
				continue
			}
			deleted++
			h, err := w.History(w.ctx, w.admin, name, tag, 0, 1)
			w.must(err)
			var why registry.Explanation
			w.must(json.Unmarshal([]byte(h.Items[0].Detail), &why))
			if why.Policy != id || why.Rule != x.Rule || why.Rank != x.Rank || h.Items[0].Previous != string(x.Digest) {
				t.Errorf("round %d: %s: said %+v, done %+v of %s", round, tag, x, why, h.Items[0].Previous)
			}
		}
		if draft.Deleted != len(said)-len(left) {
			t.Errorf("round %d: %d go, said %d", round, len(said)-len(left), draft.Deleted)
		}
		w.collect()
		w.collect()
		m, b, n := stored()
		if f := draft.Freed; f.Manifests != manifests-m || f.Blobs != blobs-b || f.Bytes != bytes-n {
			t.Errorf("round %d: freed %d manifests, %d blobs, %d bytes; said %+v", round, manifests-m, blobs-b, bytes-n, f)
		}
		again, err := w.SimulateRetention(w.ctx, w.admin, name, nil, id)
		w.must(err)
		if again.Deleted != 0 || again.ID != id || again.Tags != len(left) {
			t.Errorf("round %d: afterwards %+v", round, again)
		}
	}
	if deleted < 20 || kept < 20 {
		t.Errorf("%d tags went and %d stayed, which says little", deleted, kept)
	}
}

// Siblings are the other tags of the same image, ten at most, and all counted.
func TestSimulatedSiblings(t *testing.T) {
	w := open(t, registry.Options{})
	const app oci.Name = "acme/app"
	w.many(app, 30)
	w.push(app, "alone", w.image(app, "alone", 10))
	p := policyOf(number(1))
	s, err := w.SimulateRetention(w.ctx, w.admin, app, &p, 0)
	w.must(err)
	for x := range s.All() {
		if x.Name == "alone" && (len(x.Siblings) != 0 || x.Others != 0 || x.Delete) || x.Name != "alone" && (len(x.Siblings) != 10 || x.Others != 29 || !x.Delete || x.Rank < 2) {
			t.Errorf("%+v", x)
		}
	}
	if s.Freed.Manifests != 1 || s.Freed.Blobs != 2 {
		t.Errorf("%+v", s.Freed)
	}
}

func TestSimulationErrors(t *testing.T) {
	w := open(t, registry.Options{Retention: retention.Limits{Time: time.Millisecond}})
	const app oci.Name = "acme/app"
	w.many(app, 400)
	bad, slow := policyOf(number(0)), number(1)
	for i := range retention.MaxSelectors {
		slow.Except = append(slow.Except, regex(fmt.Sprintf(`(.*){1,%d}(x|y)z%d$`, 20+i%5, i)))
	}
	long := policyOf(slow)
	for _, c := range []struct {
		draft *retention.Policy
		id    int64
		code  fault.Code
	}{{&bad, 0, fault.Invalid}, {&long, 0, fault.Invalid}, {nil, 0, fault.RuleUnknown}, {nil, 4711, fault.RuleUnknown}} {
		_, err := w.SimulateRetention(w.ctx, w.admin, app, c.draft, c.id)
		w.want(err, c.code)
	}
	good := policyOf(number(5))
	_, err := w.SimulateRetention(w.ctx, w.nobody, app, &good, 0)
	w.want(err, fault.Denied)
	if n := w.number(`SELECT count(*) FROM tag`); n != 400 {
		t.Errorf("%d tags are left", n)
	}
}
