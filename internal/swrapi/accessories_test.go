package swrapi_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"berth.dev/berth/internal/oci"
)

// attach stores an artifact whose subject is the manifest, without a tag.
func (w *world) attach(repo, artifactType string, subject oci.Digest) oci.Digest {
	w.t.Helper()
	ctx, who, name := w.t.Context(), w.users["admin"], oci.Name(repo)
	_, err := w.reg.PutBlob(ctx, who, name, 2, bytes.NewReader([]byte("{}")), emptyConfig)
	w.must(err)
	m := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"%s","artifactType":"%s","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"%s","size":2},`+
		`"layers":[{"mediaType":"application/vnd.oci.empty.v1+json","digest":"%[3]s","size":2}],"subject":{"mediaType":"%[1]s","digest":"%[4]s","size":1}}`,
		imageType, artifactType, emptyConfig, subject)
	out, err := w.reg.PutManifest(ctx, who, name, oci.Reference{Digest: oci.SHA256.FromBytes(m)}, nil, imageType, m)
	w.must(err)
	return out.Digest
}

func TestAccessories(t *testing.T) {
	w := open(t, options{})
	target := w.push("acme/team/app", "image", "v1", "latest")
	sigTag := strings.Replace(string(target), ":", "-", 1) + ".sig"
	sig := w.push("acme/team/app", "signature", sigTag)
	note := w.attach("acme/team/app", "application/vnd.cncf.notary.signature", target)
	entry := func(tag string, digest oci.Digest, size int, kind string) string {
		return fmt.Sprintf(`{"id":"*","domain_id":"%s","namespace_name":"acme","repo_name":"team/app","sig_tag":"%s","sig_digest":"%s","target_digest":"%s",
			"size":%d,"type":"%s","created_at":"*","updated_at":"*"}`, w.users["admin"].Account, tag, digest, target, size, kind)
	}
	first, second := entry(sigTag, sig, 11, "signature.cosign"), entry("", note, 2, "signature.notation")
	both := `{"total":2,"accessories":[` + first + `,` + second + `]}`
	const ns = "/v2/manage/namespaces/acme/repos/"
	for _, repo := range []string{"team$app", "team%24app", "team/app"} {
		rec := w.want("reader", "GET "+ns+repo+"/v1/accessories", nil, 200, both)
		stamps(t, rec.Body.String(), 4)
		if page(rec) != "" {
			t.Errorf("Content-Range %q without a page", page(rec))
		}
		w.want("reader", "GET "+ns+repo+"/"+sigTag+"/references", nil, 200, `{"tags":["latest","v1"],"has_more":false,"next_marker":""}`)
	}
	rec := w.want("reader", "GET "+ns+"team/app/latest/accessories?limit=100&offset=1", nil, 200, `{"total":2,"accessories":[`+second+`]}`)
	if page(rec) != "1-1/2" {
		t.Errorf("Content-Range %q", page(rec))
	}
	w.want("reader", "GET "+ns+"team/app/v1/accessories?limit=100&offset=2", nil, 200, `{"total":2,"accessories":[]}`)
	w.want("reader", "GET "+ns+"team/app/"+sigTag+"/accessories", nil, 200, `{"total":0,"accessories":[]}`)
	w.want("reader", "GET "+ns+"team/app/"+string(note)+"/references?limit=1", nil, 200, `{"tags":["latest"],"has_more":true,"next_marker":"latest"}`)
	w.want("reader", "GET "+ns+"team/app/"+sigTag+"/references?limit=1&marker=latest", nil, 200, `{"tags":["v1"],"has_more":false,"next_marker":""}`)
	w.want("reader", "GET "+ns+"team/app/v1/references?limit=10", nil, 200, `{"tags":[],"has_more":false,"next_marker":""}`)

	for _, word := range []string{"/accessories", "/references"} {
		w.refused("reader", "GET "+ns+"team/app/v3"+word, nil, 404, "4040048")
		w.refused("reader", "GET "+ns+"team/app/sha256:"+strings.Repeat("0", 64)+word, nil, 404, "4040048")
		w.refused("reader", "GET "+ns+"team/app/.v1"+word, nil, 400, "4000014")
		w.refused("reader", "GET "+ns+"team/none/v1"+word, nil, 404, "4040010")
		w.refused("reader", "GET "+ns+"team//app/v1"+word, nil, 400, "4001029")
		w.refused("nobody", "GET "+ns+"team/app/v1"+word, nil, 403, "4039002")
		w.refused("stranger", "GET "+ns+"team/app/v1"+word, nil, 403, "4039001")
		w.refused("reader", "POST "+ns+"team/app/v1"+word, nil, 405, "4031033")
	}
	w.refused("reader", "GET "+ns+"team/app/v1/references?limit=0", nil, 400, "4001025")
	w.refused("reader", "GET "+ns+"team/app/v1/references?marker=%00", nil, 400, "4001025")
	w.refused("reader", "GET "+ns+"team/app/v1/accessories?limit=0&offset=0", nil, 400, "4001025")
}
