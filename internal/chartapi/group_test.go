package chartapi_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"berth.dev/berth/internal/chart"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/helm"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

func TestGroups(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	create := func(who iam.Caller, s registry.GroupSpec) error {
		_, err := w.reg.CreateChartGroup(ctx, who, s)
		return err
	}
	for _, name := range []string{"", "Team", "1a", "a--b", "a-", "-a", "a.b", "a_b", "a/b", strings.Repeat("a", 64), "api", "charts", "library", "manage"} {
		if err := create(w.admin, registry.GroupSpec{Name: name}); !fault.Is(err, fault.NameInvalid) && !fault.Is(err, fault.Reserved) {
			t.Errorf("the name %q: %v", name, err)
		}
	}
	w.must(create(w.admin, registry.GroupSpec{Name: strings.Repeat("a", 63), Description: strings.Repeat("ü", 255)}))
	w.want(create(w.admin, registry.GroupSpec{Name: "b", Description: strings.Repeat("ü", 256)}), fault.TooLong)
	w.want(create(w.login("nobody"), registry.GroupSpec{Name: "b"}), fault.Denied)
	// The quota is that of the account, and counts groups alone.
	w.must(create(w.admin, registry.GroupSpec{Name: "fourth"}))
	w.want(create(w.admin, registry.GroupSpec{Name: "fifth"}), fault.Quota)
	w.must(create(w.login("stranger"), registry.GroupSpec{Name: "theirs"}))
	_, err := w.reg.DeleteChartGroup(ctx, w.admin, "fourth", false)
	w.must(err)
	// One table of names.
	w.want(create(w.admin, registry.GroupSpec{Name: "acme"}), fault.Exists)
	w.want(create(w.login("stranger"), registry.GroupSpec{Name: "team"}), fault.Exists)
	_, err = w.reg.CreateOrg(ctx, w.admin, "team")
	w.want(err, fault.Exists)
	w.want(w.reg.DeleteOrg(ctx, w.admin, "team"), fault.OrgUnknown)
	_, err = w.reg.DeleteChartGroup(ctx, w.admin, "acme", true)
	w.want(err, fault.OrgUnknown)

	// Neither is in the list of the other.
	names := func(who iam.Caller) (groups, orgs []string) {
		p, err := w.reg.ListChartGroups(ctx, who, "", 100)
		w.must(err)
		for _, g := range p.Items {
			groups = append(groups, g.Name)
		}
		o, err := w.reg.ListOrgs(ctx, who, registry.OrgFilter{}, "", 100)
		w.must(err)
		for _, g := range o.Items {
			orgs = append(orgs, g.Name)
		}
		return groups, orgs
	}
	groups, orgs := names(w.admin)
	if !slices.Equal(groups, []string{strings.Repeat("a", 63), "open", "team"}) || !slices.Equal(orgs, []string{"acme"}) {
		t.Errorf("groups %q, organizations %q", groups, orgs)
	}
	if groups, _ := names(w.login("reader")); !slices.Equal(groups, []string{"team"}) {
		t.Errorf("the reader sees %q", groups)
	}
	if groups, _ := names(w.login("stranger")); !slices.Equal(groups, []string{"theirs"}) {
		t.Errorf("a stranger sees %q", groups)
	}

	// The visibility counts at once, for the index and for the OCI side.
	w.upload(201, "/chart/api/team/charts", pack("web", "1.0.0", "a"))
	see := func(status int) {
		t.Helper()
		if rec := w.send("", "GET", "/chart/team/index.yaml", nil); rec.Code != status {
			t.Errorf("the index for everyone: %d", rec.Code)
		}
		_, err := w.reg.Manifest(ctx, iam.Caller{}, "team/web", oci.Reference{Tag: "1.0.0"}, false)
		if (err == nil) != (status == 200) {
			t.Errorf("the manifest for everyone: %v", err)
		}
	}
	see(401)
	yes, no, text := true, false, "changed"
	w.want(w.reg.UpdateChartGroup(ctx, w.login("editor"), "team", registry.OrgPatch{Public: &yes}), fault.Denied)
	w.must(w.reg.UpdateChartGroup(ctx, w.login("manager"), "team", registry.OrgPatch{Public: &yes, Description: &text}))
	see(200)
	if g, err := w.reg.ChartGroup(ctx, w.admin, "team"); err != nil || !g.Public || g.Description != text || g.Repos != 1 || g.Right != iam.Manage {
		t.Errorf("%+v %v", g, err)
	}
	w.must(w.reg.UpdateChartGroup(ctx, w.admin, "team", registry.OrgPatch{Public: &no}))
	see(401)
	w.want(w.reg.UpdateChartGroup(ctx, w.admin, "acme", registry.OrgPatch{Public: &yes}), fault.OrgUnknown)
}

// A group with charts is deleted with force only, which tells what goes; its
// name is free then, for another kind of thing too.
func TestDeleteGroup(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	for i := range 120 {
		w.upload(201, "/chart/api/team/charts", pack("web", fmt.Sprintf("1.0.%d", i), "a"))
	}
	w.upload(201, "/chart/api/team/charts", pack("api", "1.0.0", "a"))
	_, err := w.reg.DeleteChartGroup(ctx, w.login("editor"), "team", true)
	w.want(err, fault.Denied)
	gone, err := w.reg.DeleteChartGroup(ctx, w.admin, "team", false)
	w.want(err, fault.NotEmpty)
	if gone.NCharts != 2 || gone.Versions != 121 || !slices.Equal(gone.Charts, []string{"api", "web"}) {
		t.Errorf("%+v", gone)
	}
	w.fsck()
	gone, err = w.reg.DeleteChartGroup(ctx, w.login("manager"), "team", true)
	w.must(err)
	if gone.NCharts != 2 {
		t.Errorf("%+v", gone)
	}
	if rec := w.send("admin", "GET", "/chart/team/index.yaml", nil); rec.Code != 404 {
		t.Errorf("the index of what is gone: %d", rec.Code)
	}
	_, err = w.reg.CreateChartGroup(ctx, w.admin, registry.GroupSpec{Name: "team"})
	w.must(err)
	w.hasIndex("team")
	w.upload(201, "/chart/api/team/charts", pack("web", "3.0.0", "a"))
	w.hasIndex("team", "web 3.0.0")
	// One whose charts were deleted one by one is empty.
	w.must(w.reg.DeleteChart(ctx, w.admin, "team/web", "3.0.0"))
	_, err = w.reg.DeleteChartGroup(ctx, w.admin, "team", false)
	w.must(err)
	_, err = w.reg.CreateOrg(ctx, w.admin, "team")
	w.must(err)
	for range 3 {
		w.must(w.reg.Collect(ctx))
	}
}

// artifact pushes blobs and returns a manifest that names them; the first is
// the config.
func (w *world) artifact(name oci.Name, types []string, blobs [][]byte) []byte {
	w.t.Helper()
	var parts []string
	for i, b := range blobs {
		d := oci.SHA256.FromBytes(b)
		_, err := w.reg.PutBlob(w.t.Context(), w.admin, name, int64(len(b)), bytes.NewReader(b), d)
		w.must(err)
		parts = append(parts, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, types[i], d, len(b)))
	}
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, imageType, parts[0], strings.Join(parts[1:], ","))
}

const imageType = "application/vnd.oci.image.manifest.v1+json"

// What helm pushes as an artifact is a chart like an uploaded one, if it is
// one; nothing else comes into a group but what belongs to a chart.
func TestPush(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	config := func(name, version string) []byte {
		return fmt.Appendf(nil, `{"apiVersion":"v2","name":%q,"version":%q}`, name, version)
	}
	chartTypes := []string{helm.ConfigType, helm.ChartType, helm.ProvenanceType}
	archive := pack("web", "1.0.0+b.1", "a")
	push := func(name oci.Name, tag string, types []string, blobs ...[]byte) error {
		_, err := w.reg.PutManifest(ctx, w.admin, name, oci.Reference{Tag: tag}, nil, imageType, w.artifact(name, types, blobs))
		return err
	}
	w.must(push("team/web", "1.0.0_b.1", chartTypes, config("web", "1.0.0+b.1"), archive))
	w.hasIndex("team", "web 1.0.0+b.1")
	w.upload(409, "/chart/api/team/charts", archive)
	w.must(push("team/web", "latest", chartTypes, config("web", "1.0.0+b.1"), archive)) // a tag that is no version is in no index
	w.must(push("team/web", "1.0.0_b.1", chartTypes, config("web", "1.0.0+b.1"), archive, provenance("web", "1.0.0+b.1", archive)))
	w.hasIndex("team", "web 1.0.0+b.1")
	if rec := w.send("reader", "GET", "/chart/team/charts/web-1.0.0+b.1.tgz.prov", nil); rec.Code != 200 {
		t.Errorf("the provenance file: %d", rec.Code)
	}

	octets := "application/octet-stream"
	for what, err := range map[string]error{
		"an image":              push("team/web", "image", []string{"application/vnd.oci.image.config.v1+json"}, []byte("{}")),
		"another's config":      push("team/web", "1.0.0", chartTypes, config("web", "1.0.0"), archive),
		"no config":             push("team/web", "1.0.0", chartTypes, []byte("x"), archive),
		"no archive":            push("team/web", "1.0.0", chartTypes, config("web", "1.0.0")),
		"no chart":              push("team/web", "1.0.0", chartTypes, config("web", "1.0.0"), []byte("x")),
		"other layers":          push("team/web", "1.0.0", []string{helm.ConfigType, helm.ChartType, octets}, config("web", "1.0.0+b.1"), archive, []byte("x")),
		"another's provenance":  push("team/web", "1.0.0", chartTypes, config("web", "1.0.0+b.1"), archive, provenance("web", "1.0.0+b.1", []byte("x"))),
		"another's repository":  push("team/api", "1.0.0_b.1", chartTypes, config("web", "1.0.0+b.1"), archive),
		"a layer that it is no": push("team/web", "1.0.0", []string{helm.ConfigType, octets}, config("web", "1.0.0+b.1"), archive),
	} {
		if !fault.Is(err, fault.ManifestInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := w.reg.PutBlob(ctx, w.admin, "team/web/deep", 1, strings.NewReader("x"), oci.SHA256.FromBytes([]byte("x")))
	w.want(err, fault.ManifestInvalid)
	signature := "sha256-" + strings.Repeat("0", 64) + ".sig"
	w.must(push("team/web", signature, []string{"application/vnd.oci.image.config.v1+json"}, []byte("{}")))
	m := w.artifact("team/web", []string{"application/vnd.oci.empty.v1+json"}, [][]byte{[]byte("{}")})
	m = append(bytes.TrimSuffix(m, []byte("}")), fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":"sha256:%s","size":2}}`, imageType, strings.Repeat("0", 64))...)
	_, err = w.reg.PutManifest(ctx, w.admin, "team/web", oci.Reference{Digest: oci.SHA256.FromBytes(m)}, nil, imageType, m)
	w.must(err)
	w.hasIndex("team", "web 1.0.0+b.1")
	// Elsewhere charts are what they always were, whatever is in them.
	w.must(push("acme/web", "1.0.0", chartTypes, config("web", "1.0.0"), []byte("x")))
}

// A provenance file is for the archive that it was checked against: where
// another one comes meanwhile, that one stays.
func TestProvenanceMeetsUpload(t *testing.T) {
	w := open(t)
	for i := range 25 {
		name := fmt.Sprint("web", i)
		first, second := pack(name, "1.0.0", "first"), pack(name, "1.0.0", "second")
		w.upload(201, "/chart/api/team/charts", first)
		var wg sync.WaitGroup
		var added int
		wg.Go(func() { added = w.send("admin", "POST", "/chart/api/team/prov", provenance(name, "1.0.0", first)).Code })
		wg.Go(func() { w.upload(201, "/chart/api/team/charts?force", second) })
		wg.Wait()
		if added != 201 && added != 400 && added != 409 {
			t.Errorf("the provenance file: %d", added)
		}
		if rec := w.send("admin", "GET", "/chart/team/charts/"+name+"-1.0.0.tgz", nil); !bytes.Equal(rec.Body.Bytes(), second) {
			t.Fatalf("round %d: after %d the older archive is back", i, added)
		}
	}
}

// Of several who upload one version at once one wins; pushes that meet in a
// group are all in its index.
func TestUploadsMeet(t *testing.T) {
	w := open(t)
	var wg sync.WaitGroup
	codes := make([]int, 6)
	for i := range codes {
		wg.Go(func() {
			codes[i] = w.send("admin", "POST", "/chart/api/team/charts", pack("web", "1.0.0", fmt.Sprint(i))).Code
		})
		wg.Go(func() {
			_, err := w.charts.Upload(t.Context(), w.admin, "team", pack(fmt.Sprintf("other%d", i), "1.0.0", "x"), nil, false)
			if err != nil {
				t.Error(err)
			}
			_, _ = w.charts.Index(t.Context(), w.admin, "team")
		})
	}
	wg.Wait()
	slices.Sort(codes)
	if codes[0] != 201 || codes[1] != 409 || codes[5] != 409 {
		t.Errorf("answers %v", codes)
	}
	if n := len(w.index("team").names()); n != 7 {
		t.Errorf("the index has %d versions", n)
	}
	fresh, err := chart.New(w.reg, chart.Options{}).Index(t.Context(), w.admin, "team")
	w.must(err)
	if now, err := w.charts.Index(t.Context(), w.admin, "team"); err != nil || !bytes.Equal(now.Body(), fresh.Body()) {
		t.Errorf("what was followed and what is read are different: %v", err)
	}
}

// An index of more changes than one page, and than are remembered, is read page
// by page.
func TestIndexInPages(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	w.upload(201, "/chart/api/team/charts", pack("web", "1.0.0", "a"))
	m, err := w.reg.Manifest(ctx, w.admin, "team/web", oci.Reference{Tag: "1.0.0"}, false)
	w.must(err)
	const pushes = 22
	for i := range pushes {
		tags := make([]string, 100)
		for j := range tags {
			tags[j] = fmt.Sprintf("t%d-%d", i, j)
		}
		_, err := w.reg.PutManifest(ctx, w.admin, "team/web", oci.Reference{Digest: m.Digest}, tags, imageType, m.Body)
		w.must(err)
	}
	w.upload(201, "/chart/api/team/charts", pack("web", "2.0.0", "a"))
	w.hasIndex("team", "web 2.0.0", "web 1.0.0")
	p, err := w.reg.ChartChanges(ctx, w.admin, "team", 0, 0, 1000)
	w.must(err)
	if !p.More || p.Now != pushes*100+2 {
		t.Errorf("%d of %d changes, more %t", len(p.Items), p.Now, p.More)
	}
	if p, err = w.reg.ChartChanges(ctx, w.admin, "team", 1000, p.Now, 1000); err != nil || p.Whole || len(p.Items) != 1000 {
		t.Errorf("the next page: %d, whole %t, %v", len(p.Items), p.Whole, err)
	}
	if p, err = w.reg.ChartChanges(ctx, w.admin, "team", 1000, 1000, 1000); err != nil || !p.Whole {
		t.Errorf("who missed so much: whole %t, %v", p.Whole, err)
	}
}

// More tags go than are remembered: who knows the index from before reads it
// again.
func TestIndexStartsAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	w := open(t)
	ctx := t.Context()
	w.upload(201, "/chart/api/team/charts", pack("web", "1.0.0", "a"))
	w.upload(201, "/chart/api/team/charts", pack("web", "2.0.0", "a"))
	w.hasIndex("team", "web 2.0.0", "web 1.0.0")
	w.must(w.reg.DeleteChart(ctx, w.admin, "team/web", "2.0.0"))
	for range 600 {
		w.must(w.reg.Retag(ctx, w.admin, "team/web", "1.0.0", "x", false))
		w.must(w.reg.DeleteTag(ctx, w.admin, "team/web", "x"))
	}
	w.hasIndex("team", "web 1.0.0")
}
