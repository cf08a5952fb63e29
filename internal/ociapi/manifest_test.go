package ociapi_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"berth.dev/berth/internal/oci"
)

func TestManifests(t *testing.T) {
	w := open(t, options{})
	w.pushBlob("acme/app", []byte("{}"))
	m := image("")
	for _, algorithm := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		d := string(algorithm.FromBytes(m))
		put := request{"PUT", "/v2/acme/app/manifests/" + d, "writer", map[string]string{"Content-Type": imageType}, m, 0}
		stored := want{201, map[string]string{"Location": "http://HOST/v2/acme/app/manifests/" + d, "Docker-Content-Digest": d, "Oci-Subject": "", "Oci-Tag": "", "Content-Length": "0"}, ""}
		w.check("PUT by digest", w.send(put), stored)
		w.check("PUT again", w.send(put), stored)
		put.path += "?tag=one&tag=two&tag=one"
		stored.header["Oci-Tag"] = "one, two"
		w.check("PUT with tags", w.send(put), stored)

		full := map[string]string{"Content-Type": imageType, "Content-Length": fmt.Sprint(len(m)), "Docker-Content-Digest": d, "Etag": `"` + d + `"`}
		for _, ref := range []string{d, "one", "two"} {
			path := "/v2/acme/app/manifests/" + ref
			w.check("GET "+ref, w.send(request{"GET", path, "reader", nil, nil, 0}), want{200, full, string(m)})
			w.check("HEAD "+ref, w.send(request{"HEAD", path, "reader", nil, nil, 0}), want{200, full, ""})
			w.check("GET of another type", w.send(request{"GET", path, "reader", map[string]string{"Accept": "application/vnd.docker.distribution.manifest.v1+json"}, nil, 0}), want{200, full, string(m)})
			for _, method := range []string{"GET", "HEAD"} {
				w.check(method+" unchanged", w.send(request{method, path, "reader", map[string]string{"If-None-Match": `"` + d + `"`}, nil, 0}),
					want{304, map[string]string{"Etag": `"` + d + `"`, "Docker-Content-Digest": d}, ""})
			}
		}
	}
}

func TestManifestWithSubject(t *testing.T) {
	w := open(t, options{})
	w.pushBlob("acme/app", []byte("{}"))
	subject := digestOf([]byte("not there yet"))
	m := image(`,"subject":{"mediaType":"` + imageType + `","digest":"` + subject + `","size":13}`)
	w.check("PUT", w.send(request{"PUT", "/v2/acme/app/manifests/sig", "writer", map[string]string{"Content-Type": imageType + "; charset=utf-8"}, m, 0}),
		want{201, map[string]string{"Oci-Subject": subject, "Docker-Content-Digest": digestOf(m), "Location": "http://HOST/v2/acme/app/manifests/" + digestOf(m)}, ""})
}

func TestManifestsRefused(t *testing.T) {
	w := open(t, options{})
	w.pushBlob("acme/app", []byte("{}"))
	absent := digestOf([]byte("absent"))
	big := func(n int) []byte {
		m := image(`,"annotations":{"x":"PAD"}`)
		return bytes.Replace(m, []byte("PAD"), bytes.Repeat([]byte("x"), n-len(m)+3), 1)
	}
	many := "?tag=t0"
	for i := range 200 {
		many += fmt.Sprintf("&tag=t%d", i)
	}
	for _, tt := range []struct {
		name, ref, mediaType string
		body                 []byte
		status               int
		code, says           string
	}{
		{"4 MiB", "big", imageType, big(4 << 20), 201, "", ""},
		{"4 MiB and a byte", "v1", imageType, big(4<<20 + 1), 413, "MANIFEST_INVALID", "larger than"},
		{"no JSON", "v1", imageType, []byte("hello"), 400, "MANIFEST_INVALID", ""},
		{"nothing", "v1", imageType, nil, 400, "MANIFEST_INVALID", ""},
		{"another type inside", "v1", indexType, image(""), 400, "MANIFEST_INVALID", ""},
		{"schema 1", "v1", "application/vnd.docker.distribution.manifest.v1+prettyjws", []byte(`{"schemaVersion":1}`), 400, "UNSUPPORTED", "schema"},
		{"a layer that is absent", "v1", imageType, image("", absent), 404, "MANIFEST_BLOB_UNKNOWN", `"detail":{"digest":"` + absent + `"}`},
		{"another digest", absent, imageType, image(""), 400, "DIGEST_INVALID", ""},
		{"a malformed digest", "sha256:x", imageType, image(""), 400, "DIGEST_INVALID", ""},
		{"a malformed tag", "v1", imageType, image(""), 201, "", ""},
		{"a malformed tag parameter", "v1?tag=.x", imageType, image(""), 400, "TAG_INVALID", ""},
		{"too many tags", "v1" + many, imageType, image(""), 400, "TAG_INVALID", ""},
	} {
		a := w.send(request{"PUT", "/v2/acme/app/manifests/" + tt.ref, "writer", map[string]string{"Content-Type": tt.mediaType}, tt.body, 0})
		if a.StatusCode != tt.status || !strings.Contains(a.body, tt.code) || !strings.Contains(a.body, tt.says) {
			t.Errorf("%s: %d %s", tt.name, a.StatusCode, a.body)
		}
	}
	// A body that is announced or turns out as too large is not read to its end.
	a := w.send(request{"PUT", "/v2/acme/app/manifests/v1", "writer", nil, unsized{bytes.NewReader(big(5 << 20))}, 0})
	if a.StatusCode != 413 {
		t.Errorf("5 MiB in chunks: %d %s", a.StatusCode, a.body)
	}
}

func TestDeleteManifestsAndTags(t *testing.T) {
	w := open(t, options{})
	d := w.pushImage("acme/app", "v1")
	w.check("another tag", w.send(request{"PUT", "/v2/acme/app/manifests/v2", "admin", map[string]string{"Content-Type": imageType}, image("", digestOf([]byte("layer of v1"))), 0}), want{status: 201})
	path := "/v2/acme/app/manifests/"
	get := func(ref string) int {
		return w.send(request{method: "GET", path: path + ref, as: "reader"}).StatusCode
	}
	w.check("DELETE of a tag", w.send(request{"DELETE", path + "v1", "manager", nil, nil, 0}), want{status: 202})
	if get("v1") != 404 || get("v2") != 200 || get(d) != 200 {
		t.Error("deleting a tag deletes that tag alone")
	}
	w.check("once more", w.send(request{"DELETE", path + "v1", "manager", nil, nil, 0}), want{404, nil, refused("MANIFEST_UNKNOWN", "The repository acme/app has no tag v1.")})
	w.check("DELETE of the manifest", w.send(request{"DELETE", path + d, "manager", nil, nil, 0}), want{status: 202})
	if get("v2") != 404 || get(d) != 404 {
		t.Error("deleting a manifest deletes its tags")
	}
	w.check("once more", w.send(request{"DELETE", path + d, "manager", nil, nil, 0}), want{404, nil, refused("MANIFEST_UNKNOWN", "The repository acme/app has no manifest "+d+".")})
	w.check("what no tag can be", w.send(request{"DELETE", path + "-x", "manager", nil, nil, 0}), want{404, nil, "*"})
}
