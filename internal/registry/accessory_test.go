package registry_test

import (
	"strings"
	"testing"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// attach pushes an artifact whose subject is the manifest.
func (w *world) attach(name oci.Name, ref oci.Reference, artifactType string, subject []byte) oci.Digest {
	w.t.Helper()
	config := []byte("{}")
	layer := []byte(artifactType)
	body := w.json(map[string]any{"schemaVersion": 2, "mediaType": imageType, "artifactType": artifactType,
		"config":  desc{"application/vnd.oci.empty.v1+json", w.pushBlob(name, config), len(config)},
		"layers":  []desc{{"application/octet-stream", w.pushBlob(name, layer), len(layer)}},
		"subject": desc{imageType, digestOf(subject), len(subject)}})
	if ref == (oci.Reference{}) {
		ref = digestRef(digestOf(body))
	}
	r, err := w.PutManifest(w.ctx, w.admin, name, ref, nil, imageType, body)
	w.must(err)
	return r.Digest
}

func TestAccessories(t *testing.T) {
	w := open(t, registry.Options{})
	const app oci.Name = "acme/app"
	signed := w.image(app, "signed", 10)
	target := w.push(app, "v1", signed)
	w.push(app, "latest", signed)
	w.push(app, "v2", w.image(app, "not signed"))
	scheme := strings.Replace(string(target), ":", "-", 1)

	cosign := w.push(app, scheme+".sig", w.image(app, "signature", 20))
	w.push(app, scheme+".att", w.image(app, "attestation"))
	notation := w.attach(app, oci.Reference{}, "application/vnd.cncf.notary.signature", signed)
	w.attach(app, tagRef("a-note"), "application/x-note", signed)
	both := w.attach(app, tagRef(scheme+".sbom"), "application/x-parts", signed)

	list, total, err := w.Accessories(w.ctx, w.admin, app, tagRef("v1"), 0, 100)
	w.must(err)
	var got []string
	for _, a := range list {
		got = append(got, a.Tag+" "+a.Type)
		if a.Target != target || a.ID == 0 || a.Created.IsZero() || a.Updated.Before(a.Created) {
			t.Errorf("%+v", a)
		}
	}
	want := []string{scheme + ".sig signature.cosign", scheme + ".att attestation.cosign", " signature.notation", "a-note application/x-note", scheme + ".sbom sbom.cosign"}
	if total != 5 || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d in all:\n%s\nwant\n%s", total, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if list[0].Digest != cosign || list[0].Size != 120 || list[2].Digest != notation {
		t.Errorf("%+v", list)
	}
	if some, total, err := w.Accessories(w.ctx, w.admin, app, tagRef("latest"), 4, 100); err != nil || total != 5 || len(some) != 1 || some[0].Digest != both {
		t.Errorf("behind 4: %v, %d, %v", some, total, err)
	}
	if none, total, err := w.Accessories(w.ctx, w.admin, app, tagRef("v2"), 0, 100); err != nil || total != 0 || none == nil || len(none) != 0 {
		t.Errorf("of an image without any: %v, %d, %v", none, total, err)
	}
	_, _, err = w.Accessories(w.ctx, w.admin, app, tagRef("v9"), 0, 100)
	w.want(err, fault.TagUnknown)

	references := func(ref oci.Reference, after string, n int) string {
		t.Helper()
		p, err := w.References(w.ctx, w.admin, app, ref, after, n)
		w.must(err)
		if p.Items == nil {
			t.Errorf("%s: null", ref)
		}
		more := ""
		if p.More {
			more = " ..."
		}
		return strings.Join(p.Items, " ") + more
	}
	for _, c := range []struct {
		ref   oci.Reference
		after string
		n     int
		want  string
	}{
		{tagRef(scheme + ".sig"), "", 10, "latest v1"},
		{tagRef(scheme + ".sig"), "", 1, "latest ..."},
		{tagRef(scheme + ".sig"), "latest", 1, "v1"},
		{tagRef(scheme + ".sbom"), "", 10, "latest v1"},
		{tagRef("a-note"), "", 10, "latest v1"},
		{digestRef(notation), "", 10, "latest v1"},
		{tagRef("v1"), "", 10, ""},
	} {
		if got := references(c.ref, c.after, c.n); got != c.want {
			t.Errorf("%s behind %q: %q, want %q", c.ref, c.after, got, c.want)
		}
	}
	_, err = w.References(w.ctx, w.admin, app, tagRef("v9"), "", 10)
	w.want(err, fault.TagUnknown)

	// The image is gone and its signature is still there: it is attached to
	// no tag. A deleted signature is no accessory.
	w.must(w.DeleteManifest(w.ctx, w.admin, app, cosign))
	if list, total, err := w.Accessories(w.ctx, w.admin, app, tagRef("v1"), 0, 100); err != nil || total != 4 || len(list) != 4 {
		t.Errorf("after the signature was deleted: %d, %v", total, err)
	}
	w.must(w.DeleteManifest(w.ctx, w.admin, app, target))
	if got := references(tagRef("a-note"), "", 10); got != "" {
		t.Errorf("after the image was deleted: %s", got)
	}
}
