package registry_test

import (
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/registry"
)

// tagged makes tags that were set in the order t03, t02, t01, t00, then t02
// again, and an index; more than are read at a time.
func tagged(w *world, n int) (newest []string) {
	body := w.image(app, "one", 100)
	for i := n - 1; i >= 0; i-- {
		tag := fmt.Sprintf("t%03d", i)
		w.push(app, tag, body)
		newest = append([]string{tag}, newest...)
	}
	w.push(app, "t002", w.image(app, "two", 200))
	newest = slices.DeleteFunc(newest, func(s string) bool { return s == "t002" })
	return append([]string{"t002"}, newest...)
}

func tagNames(t *testing.T, l registry.TagList) []string {
	t.Helper()
	var out []string
	for item, err := range l.Items {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, item.Name)
	}
	return out
}

func TestListTags(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	const n = 530
	newest := tagged(w, n)
	sorted := slices.Sorted(slices.Values(newest))
	back := func(s []string) []string {
		s = slices.Clone(s)
		slices.Reverse(s)
		return s
	}
	for _, c := range []struct {
		q     registry.TagQuery
		total int64
		want  []string
	}{
		{registry.TagQuery{}, n, newest},
		{registry.TagQuery{Manifests: true}, n, newest},
		{registry.TagQuery{Order: registry.Order{By: registry.SortUpdated}}, n, back(newest)},
		{registry.TagQuery{Order: registry.Order{By: registry.SortUpdated, Descending: true}}, n, newest},
		{registry.TagQuery{Order: registry.Order{By: registry.SortName}}, n, sorted},
		{registry.TagQuery{Order: registry.Order{By: registry.SortName, Descending: true}}, n, back(sorted)},
		{registry.TagQuery{Window: registry.Window{Limit: 3, Offset: 1}}, n, newest[1:4]},
		{registry.TagQuery{Window: registry.Window{Limit: 300, Offset: 300}}, n, newest[300:]},
		{registry.TagQuery{Window: registry.Window{Limit: 3, Offset: 1000}}, n, nil},
		{registry.TagQuery{Tag: "t002"}, 1, []string{"t002"}},
		{registry.TagQuery{Tag: "T52", Order: registry.Order{By: registry.SortName}}, 10, sorted[520:530]},
		{registry.TagQuery{Tag: "t_0"}, 0, nil},
		{registry.TagQuery{Tag: "%"}, 0, nil},
	} {
		l, err := w.ListTags(w.ctx, w.admin, app, c.q)
		w.must(err)
		if diff := gocmp.Diff(c.want, tagNames(t, l), cmpopts.EquateEmpty()); diff != "" || l.Total != c.total {
			t.Errorf("%+v: %d in all, want %d\n%s", c.q, l.Total, c.total, diff)
		}
	}
	for _, q := range []registry.TagQuery{{}, {Order: registry.Order{By: registry.SortName, Descending: true}, Manifests: true}} {
		want := newest
		if q.Order.By == registry.SortName {
			want = back(sorted)
		}
		var got []string
		for marker := ""; ; {
			items, next, err := w.TagsAfter(w.ctx, w.admin, app, q, marker, 100)
			w.must(err)
			for _, i := range items {
				got = append(got, i.Name)
			}
			if marker = next; marker == "" {
				break
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%+v in pages:\n%s", q, diff)
		}
	}
	_, _, err := w.TagsAfter(w.ctx, w.admin, app, registry.TagQuery{}, "t002", 10)
	w.want(err, fault.PageInvalid)
	_, err = w.ListTags(w.ctx, w.nobody, app, registry.TagQuery{})
	w.want(err, fault.Denied)
}

func TestShowTag(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{})
	body := w.image(app, "one", 100, 50)
	d := w.push(app, "v1", body)
	index := w.json(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []desc{{imageType, d, len(body)}}})
	_, err := w.PutManifest(w.ctx, w.admin, app, tagRef("all"), nil, indexType, index)
	w.must(err)
	v1, err := w.Tag(w.ctx, w.admin, app, "v1")
	w.must(err)
	all, err := w.Tag(w.ctx, w.admin, app, "all")
	w.must(err)
	config := digestOf(bytesOf(`{"seed":"one"}`, 100))
	if v1.Digest != d || v1.Config != config || v1.Size != 250 || v1.List() || string(v1.Manifest) != string(body) {
		t.Errorf("the tag is %+v", v1)
	}
	if all.Digest != digestOf(index) || all.Config != "" || all.Size != 250 || !all.List() || string(all.Manifest) != string(index) {
		t.Errorf("the index is %+v", all)
	}
	_, err = w.Tag(w.ctx, w.admin, app, "v2")
	w.want(err, fault.TagUnknown)
}

func TestRetag(t *testing.T) {
	t.Parallel()
	w := open(t, registry.Options{TagsPerRepo: 3})
	one := w.push(app, "v1", w.image(app, "one", 100))
	w.push(app, "v2", w.image(app, "two", 100))
	w.want(w.Retag(w.ctx, w.admin, app, "v9", "v3", false), fault.TagUnknown)
	w.want(w.Retag(w.ctx, w.admin, app, "v1", "-", false), fault.TagInvalid)
	w.want(w.Retag(w.ctx, w.admin, app, "v1", "v2", false), fault.Exists)
	w.want(w.Retag(w.ctx, w.admin, app, "v1", "v1", false), fault.Exists)
	w.want(w.Retag(w.ctx, w.nobody, app, "v1", "v3", false), fault.Denied)
	w.must(w.Retag(w.ctx, w.admin, app, "v1", "v2", true))
	w.must(w.Retag(w.ctx, w.admin, app, "v1", "v3", false))
	for _, tag := range []string{"v2", "v3"} {
		m, err := w.Manifest(w.ctx, w.admin, app, tagRef(tag), false)
		w.must(err)
		if m.Digest != one {
			t.Errorf("%s is %s, want %s", tag, m.Digest, one)
		}
	}
	h, err := w.History(w.ctx, w.admin, app, "v2", 0, 1)
	w.must(err)
	if e := h.Items[0]; e.Cause != "retag" || e.Digest != string(one) {
		t.Errorf("the history says %+v", e)
	}
	err = w.Retag(w.ctx, w.admin, app, "v1", "v4", false)
	w.want(err, fault.Quota)
}
