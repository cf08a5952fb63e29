package swrapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"berth.dev/berth/internal/oci"
)

const tags = repos + "/app/tags"

// tagJSON is a tag of acme/app as the API shows it.
func (w *world) tagJSON(key, tag, image string, digest oci.Digest, size, kind int, more string) string {
	return fmt.Sprintf(`{"id":"*","repo_id":"*","%s":"%s","image_id":"%s","manifest":"*","digest":"%s","schema":2,"path":"registry.example:5000/acme/app:%s",
		"internal_path":"registry.example:5000/acme/app:%s","size":%d,"is_trusted":false,"created":"*","updated":"*","domain_id":"%s","tag_type":%d%s}`,
		key, tag, image, digest, tag, tag, size, w.users["admin"].Account, kind, more)
}

func TestTags(t *testing.T) {
	w := open(t, options{})
	d := w.push("acme/app", "layer", "v1")
	ctx, who := t.Context(), w.users["admin"]
	index := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"%s","manifests":[{"mediaType":"%s","digest":"%s","size":1}]}`, indexType, imageType, d)
	all, err := w.reg.PutManifest(ctx, who, "acme/app", oci.Reference{Tag: "all"}, nil, indexType, index)
	w.must(err)

	const listed = `,"deleted":null,"scanned":false`
	v1 := w.tagJSON("Tag", "v1", emptyConfig[7:], d, 7, 0, listed)
	list := w.tagJSON("Tag", "all", all.Digest.Hex(), all.Digest, 7, 1, listed)
	rec := w.want("reader", "GET "+tags, nil, 200, `[`+list+`,`+v1+`]`)
	if page(rec) != "0-2/2" {
		t.Errorf("Content-Range is %q", page(rec))
	}
	rec = w.want("reader", "GET "+tags+"?limit=1&offset=1", nil, 200, `[`+v1+`]`)
	if page(rec) != "1-1/2" {
		t.Errorf("Content-Range is %q", page(rec))
	}
	rec = w.want("reader", "GET "+tags+"?limit=1&offset=2", nil, 200, `[]`)
	if page(rec) != "2-0/2" {
		t.Errorf("Content-Range is %q", page(rec))
	}
	w.want("reader", "GET "+tags+"?order_column=updated_at&order_type=asc", nil, 200, `[`+v1+`,`+list+`]`)
	w.want("reader", "GET "+tags+"?filter=order_column::tag|order_type::desc", nil, 200, `[`+v1+`,`+list+`]`)
	w.want("reader", "GET "+tags+"?tag=v1", nil, 200, `[`+v1+`]`)
	w.want("reader", "GET "+tags+"?filter=tag::l", nil, 200, `[`+list+`]`)
	w.want("reader", "GET "+tags+"?tag=none", nil, 200, `[]`)
	w.refused("reader", "GET "+tags+"?order_column=is_public&order_type=asc", nil, 400, "4001025")
	w.refused("reader", "GET "+repos+"/none/tags", nil, 404, "4040010")
	w.refused("nobody", "GET "+tags, nil, 403, "4039002")

	w.want("reader", "GET "+tags+"/v1", nil, 200, w.tagJSON("tag", "v1", emptyConfig[7:], d, 7, 0, ""))
	var shown struct{ Manifest string }
	w.must(json.Unmarshal(w.send("reader", "GET "+tags+"/all", nil).Body.Bytes(), &shown))
	if shown.Manifest != string(index) {
		t.Errorf("the manifest is %s", shown.Manifest)
	}
	w.refused("reader", "GET "+tags+"/v2", nil, 404, "4040048")
	w.refused("stranger", "GET "+tags+"/v2", nil, 403, "4039001")

	w.want("writer", "POST "+tags, `{"source_tag":"v1","destination_tag":"v2"}`, 201, `{}`)
	w.refused("writer", "POST "+tags, `{"source_tag":"v1","destination_tag":"all"}`, 409, "4090006")
	w.want("writer", "POST "+tags, `{"source_tag":"v1","destination_tag":"all","override":true}`, 201, `{}`)
	w.refused("writer", "POST "+tags, `{"source_tag":"v9","destination_tag":"v3"}`, 404, "4040048")
	w.refused("writer", "POST "+tags, `{"source_tag":"v1","destination_tag":"-"}`, 400, "4000014")
	w.refused("writer", "POST "+tags, `{"source_tag":"v1"}`, 400, "4001014")
	w.refused("writer", "POST "+tags, `{"destination_tag":"v1"}`, 400, "4001014")
	w.refused("reader", "POST "+tags, `{}`, 403, "4039002")

	w.refused("writer", "DELETE "+tags+"/v2", nil, 403, "4039002")
	w.want("manager", "DELETE "+tags+"/v2", nil, 204, ``)
	w.refused("manager", "DELETE "+tags+"/v2", nil, 404, "4040048")
	w.want("reader", "GET "+tags+"/v1", nil, 200, w.tagJSON("tag", "v1", emptyConfig[7:], d, 7, 0, ""))
}

func TestTagsV3(t *testing.T) {
	w := open(t, options{})
	d := w.push("acme/app", "layer", "v1")
	for _, tag := range []string{"v2", "v3", "v4", "v5"} {
		w.push("acme/app", "layer", tag)
	}
	const v3 = "/v3/manage/namespaces/acme/repos/app/tags"
	for _, c := range []struct{ query, want string }{
		{"", "v5 v4 v3 v2 v1"}, {"&order_column=name&order_type=asc", "v1 v2 v3 v4 v5"}, {"&tag=v3", "v3"}, {"&tag=none", ""},
	} {
		got, marker := []string{}, ""
		for {
			var out struct {
				Tags       []struct{ Tag, Manifest string }
				NextMarker string `json:"nextMarker"`
				Marker     string `json:"next_marker"`
				More       bool   `json:"has_more"`
			}
			w.must(json.Unmarshal(w.send("reader", "GET "+v3+"?limit=2"+c.query+"&marker="+marker, nil).Body.Bytes(), &out))
			for _, x := range out.Tags {
				got = append(got, x.Tag)
			}
			if out.NextMarker != out.Marker || out.More != (out.Marker != "") {
				t.Errorf("%s: the markers are %q and %q", c.query, out.NextMarker, out.Marker)
			}
			if marker = out.Marker; marker == "" {
				break
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.query, s, c.want)
		}
	}
	w.want("reader", "GET "+v3+"?tag=v1&with_manifest=true", nil, 200,
		`{"tags":[`+w.tagJSON("tag", "v1", emptyConfig[7:], d, 7, 0, "")+`],"nextMarker":"","next_marker":"","has_more":false}`)
	w.refused("reader", "GET "+v3+"?marker=v1", nil, 400, "4001025")
	w.refused("reader", "GET "+v3+"?with_manifest=1", nil, 400, "4001025")
}

// A list of many tags is one whole array, however it is sent.
func TestManyTags(t *testing.T) {
	w := open(t, options{})
	w.push("acme/app", "layer", "t")
	const n = 600
	ctx, who := t.Context(), w.users["admin"]
	for i := range n {
		w.must(w.reg.Retag(ctx, who, "acme/app", "t", fmt.Sprintf("t%d", i), false))
	}
	rec := w.send("reader", "GET "+tags, nil)
	var list []struct{ Tag string }
	w.must(json.Unmarshal(rec.Body.Bytes(), &list))
	if len(list) != n+1 || page(rec) != fmt.Sprintf("0-%d/%d", n+1, n+1) {
		t.Errorf("%d tags, Content-Range %q", len(list), page(rec))
	}
	var inline []struct{ Tags []string }
	w.must(json.Unmarshal(w.send("reader", "GET /v2/manage/repos", nil).Body.Bytes(), &inline))
	if len(inline[0].Tags) != n+1 {
		t.Errorf("%d tags stand in the list of repositories", len(inline[0].Tags))
	}
}

func TestAccountInformation(t *testing.T) {
	w := open(t, options{})
	w.push("acme/app", "layer", "v1", "v2")
	ctx, who := t.Context(), w.users["admin"]
	b, err := w.reg.OpenBlob(ctx, who, "acme/app", emptyConfig)
	w.must(err)
	b.Sent(2)
	projects, err := w.iam.Projects(ctx, who, "admin")
	w.must(err)
	path := "GET /v2/manage/projects/" + projects[0].ID + "/quotas"
	w.want("nobody", path, nil, 200, `{"quotas":[{"quota_key":"namespace","quota_limit":-1,"used":1,"unit":""},{"quota_key":"repo","quota_limit":-1,"used":1,"unit":""}]}`)
	w.refused("stranger", path, nil, 403, "4039001")
	w.refused("admin", "GET /v2/manage/projects/none/quotas", nil, 403, "4039001")
	w.want("nobody", "GET /v2/manage/overview", nil, 200, `{"domain_id":"`+who.Account+`","domain_name":"admin","namspace_num":1,"repo_num":1,"image_num":2,"store_space":7,"downflow_size":"*"}`)
	for _, what := range []string{"store", "downflow"} {
		var days []struct {
			Date  string
			Value int64
		}
		rec := w.send("reader", "GET /v2/manage/reports/"+what+"/daily", nil)
		w.must(json.Unmarshal(rec.Body.Bytes(), &days))
		if len(days) != 30 || days[28].Value != 0 || what == "store" && days[29].Value != 7 || !bytes.Contains(rec.Body.Bytes(), []byte(`"value":0`)) {
			t.Errorf("%s: %s", what, rec.Body)
		}
	}
	w.refused("reader", "GET /v2/manage/reports/store/hourly", nil, 400, "4000014")
	w.refused("reader", "GET /v2/manage/reports/images/daily", nil, 400, "4000014")
}

// No tag contains what is longer than a tag, which SQLite would not search for.
func TestTagsLongFilter(t *testing.T) {
	w := open(t, options{})
	w.push("acme/app", "layer", "v1")
	w.want("reader", "GET /v2/manage/namespaces/acme/repos/app/tags?tag="+strings.Repeat("_", 30_000), nil, 200, `[]`)
}
