package ociapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// next is the address in a Link header, "" if there is none.
func next(a answer) string {
	link, ok := strings.CutSuffix(a.Header.Get("Link"), `>; rel="next"`)
	if !ok {
		return ""
	}
	return strings.TrimPrefix(link, "<")
}

func TestTags(t *testing.T) {
	w := open(t, options{})
	w.pushBlob("acme/app", []byte("{}"))
	tags := []string{"0", "A", "Z", "_", "a", "a-b", "a.b", "b"}
	w.check("PUT", w.send(request{"PUT", "/v2/acme/app/manifests/" + tags[0] + "?tag=" + strings.Join(tags[1:], "&tag="), "admin", map[string]string{"Content-Type": imageType}, image(""), 0}), want{status: 201})
	path := "/v2/acme/app/tags/list"
	list := func(tags ...string) string {
		b, _ := json.Marshal(tags)
		return `{"name":"acme/app","tags":` + string(b) + `}`
	}
	none := `{"name":"acme/app","tags":[]}`
	plain := map[string]string{"Content-Type": "application/json", "Link": ""}
	link := func(n int, last string) map[string]string {
		return map[string]string{"Link": fmt.Sprintf(`</v2/acme/app/tags/list?last=%s&n=%d>; rel="next"`, url.QueryEscape(last), n)}
	}
	for query, want := range map[string]want{
		"":              {200, plain, list(tags...)},
		"?n=0":          {200, plain, none},
		"?n=3":          {200, link(3, "Z"), list(tags[:3]...)},
		"?n=3&last=Z":   {200, link(3, "a-b"), list(tags[3:6]...)},
		"?n=3&last=a-b": {200, plain, list(tags[6:]...)},
		"?n=8":          {200, plain, list(tags...)},
		"?n=99999999":   {200, plain, list(tags...)},
		"?last=a":       {200, plain, list(tags[5:]...)},
		"?last=zzz":     {200, plain, none},
		"?n=-1":         {400, nil, refused("UNSUPPORTED", "The parameter n is a number of entries, 0 or more.")},
		"?n=x":          {400, nil, refused("UNSUPPORTED", "The parameter n is a number of entries, 0 or more.")},
		"?last=a%00":    {400, nil, refused("UNSUPPORTED", "The parameter last is no text.")},
		"?last=a%ff":    {400, nil, refused("UNSUPPORTED", "The parameter last is no text.")},
		"?n=":           {400, nil, refused("UNSUPPORTED", "The parameter n is a number of entries, 0 or more.")},
	} {
		w.check("tags"+query, w.send(request{"GET", path + query, "reader", nil, nil, 0}), want)
	}
	var all []string
	for at := path + "?n=1"; at != ""; {
		a := w.send(request{method: "GET", path: at, as: "reader"})
		var page struct{ Tags []string }
		w.must(json.Unmarshal([]byte(a.body), &page))
		all = append(all, page.Tags...)
		at = next(a)
	}
	if !slices.Equal(all, tags) {
		t.Errorf("page by page: %q", all)
	}
	w.check("HEAD", w.send(request{"HEAD", path, "reader", nil, nil, 0}), want{200, plain, ""})
	w.check("no repository", w.send(request{"GET", "/v2/acme/none/tags/list", "reader", nil, nil, 0}), want{404, nil, refused("NAME_UNKNOWN", "The repository acme/none does not exist.")})
	w.pushBlob("acme/bare", []byte("x"))
	w.check("no tags", w.send(request{"GET", "/v2/acme/bare/tags/list", "reader", nil, nil, 0}), want{200, plain, `{"name":"acme/bare","tags":[]}`})
}

func TestCatalog(t *testing.T) {
	w := open(t, options{})
	for _, repo := range []string{"acme/b", "acme/a", "acme/a/c"} {
		w.pushBlob(repo, []byte("x"))
	}
	plain := map[string]string{"Content-Type": "application/json", "Link": ""}
	for query, want := range map[string]want{
		"":                   {200, plain, `{"repositories":["acme/a","acme/a/c","acme/b"]}`},
		"?n=0":               {200, plain, `{"repositories":[]}`},
		"?n=2":               {200, map[string]string{"Link": `</v2/_catalog?last=acme%2Fa%2Fc&n=2>; rel="next"`}, `{"repositories":["acme/a","acme/a/c"]}`},
		"?n=2&last=acme/a/c": {200, plain, `{"repositories":["acme/b"]}`},
		"?n=x":               {400, nil, "*"},
		"?last=a%00":         {400, nil, "*"},
	} {
		w.check("catalog"+query, w.send(request{"GET", "/v2/_catalog" + query, "reader", nil, nil, 0}), want)
	}
	w.check("what nobody may see", w.send(request{"GET", "/v2/_catalog", "nobody", nil, nil, 0}), want{200, plain, `{"repositories":[]}`})
	w.check("by token", w.send(request{"GET", "/v2/_catalog?n=1", w.token("reader", "registry:catalog:*"), nil, nil, 0}), want{200, nil, `{"repositories":["acme/a"]}`})
}

func TestReferrers(t *testing.T) {
	w := open(t, options{})
	w.pushBlob("acme/app", []byte("{}"))
	subject := digestOf([]byte("subject"))
	path := "/v2/acme/app/referrers/" + subject
	index := func(entries ...string) string {
		return `{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[` + strings.Join(entries, ",") + `]}`
	}
	plain := map[string]string{"Content-Type": indexType, "Link": "", "Oci-Filters-Applied": ""}
	w.check("none", w.send(request{"GET", path, "reader", nil, nil, 0}), want{200, plain, index()})

	type entry struct{ digest, json, kind string }
	var entries []entry
	add := func(mediaType, kind string, m string) {
		d := w.pushManifest("acme/app", digestOf([]byte(m)), mediaType, []byte(m))
		at := ""
		if kind != "" {
			at = `"artifactType":"` + kind + `",`
		}
		entries = append(entries, entry{d, fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":%d,%s"annotations":{"n":"%d"}}`, mediaType, d, len(m), at, len(entries)), kind})
	}
	ref := `,"subject":{"mediaType":"` + imageType + `","digest":"` + subject + `","size":7}`
	for i := range 5 {
		kind := "application/vnd.example.sig"
		if i%2 == 1 {
			kind = "application/vnd.example.sbom"
		}
		add(imageType, kind, string(image(fmt.Sprintf(`%s,"artifactType":"%s","annotations":{"n":"%d"}`, ref, kind, len(entries)))))
	}
	add(imageType, "application/vnd.oci.image.config.v1+json", string(image(fmt.Sprintf(`%s,"annotations":{"n":"%d"}`, ref, len(entries)))))
	add(indexType, "", fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","manifests":[]%s,"annotations":{"n":"%d"}}`, indexType, ref, len(entries)))
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.digest, b.digest) })
	pick := func(kind *string) (list []string) {
		for _, e := range entries {
			if kind == nil || e.kind == *kind {
				list = append(list, e.json)
			}
		}
		return list
	}
	w.check("all", w.send(request{"GET", path, "reader", nil, nil, 0}), want{200, plain, index(pick(nil)...)})
	filtered := map[string]string{"Content-Type": indexType, "Link": "", "Oci-Filters-Applied": "artifactType"}
	for _, kind := range []string{"application/vnd.example.sig", "application/vnd.oci.image.config.v1+json", "application/none", ""} {
		w.check("of type "+kind, w.send(request{"GET", path + "?artifactType=" + url.QueryEscape(kind), "reader", nil, nil, 0}), want{200, filtered, index(pick(&kind)...)})
	}
	sig, got := "application/vnd.example.sig", []string(nil)
	for at := path + "?n=2&artifactType=" + url.QueryEscape(sig); at != ""; {
		a := w.send(request{method: "GET", path: at, as: "reader"})
		var page struct{ Manifests []json.RawMessage }
		w.must(json.Unmarshal([]byte(a.body), &page))
		for _, m := range page.Manifests {
			got = append(got, string(m))
		}
		if a.Header.Get("Oci-Filters-Applied") != "artifactType" {
			t.Error("a later page lost its filter")
		}
		at = next(a)
	}
	if want := pick(&sig); !slices.Equal(got, want) {
		t.Errorf("page by page:\n%s\nwant\n%s", got, want)
	}
	for _, bad := range []string{"artifactType=%00", "artifactType=%ff", "last=%00", "last=%ff"} {
		w.check(bad, w.send(request{"GET", path + "?" + bad, "reader", nil, nil, 0}), want{400, nil, "*"})
	}
	w.check("a bad page", w.send(request{"GET", path + "?n=x", "reader", nil, nil, 0}), want{400, nil, "*"})
}
