package swrapi_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

type entry struct {
	name    string
	content []byte
}

func tarOf(entries ...entry) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		if err := w.WriteHeader(&tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.content)), Typeflag: tar.TypeReg}); err != nil {
			panic(err)
		}
		_, _ = w.Write(e.content)
	}
	_ = w.Close()
	return buf.Bytes()
}

func gzipped(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = w.Write(b)
	_ = w.Close()
	return buf.Bytes()
}

// saved is the entries of an archive of docker save with one image: config,
// layer and manifest.json.
func saved(layer []byte, tags ...string) []entry {
	config, _ := json.Marshal(map[string]any{"os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": []oci.Digest{oci.SHA256.FromBytes(layer)}}})
	manifest, _ := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": tags, "Layers": []string{"layer.tar"}}})
	return []entry{{"config.json", config}, {"layer.tar", layer}, {"manifest.json", manifest}}
}

// run makes the registry unpack archives.
func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.reg.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		w.must(<-done)
	})
}

// raw sends bytes with headers as the writer.
func (w *world) raw(request string, header map[string]string, body io.Reader) *httptest.ResponseRecorder {
	w.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r := httptest.NewRequestWithContext(w.t.Context(), method, "http://"+host+path, body)
	r.Header.Set("X-Auth-Token", w.token["writer"])
	for k, v := range header {
		r.Header.Set(k, v)
	}
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	return rec
}

const archives = "/v2/manage/namespaces/acme/archives"

// start opens an upload and returns its path.
func (w *world) start(body any) string {
	w.t.Helper()
	rec := w.send("writer", "POST "+archives, body)
	if rec.Code != 201 {
		w.t.Fatalf("start: %d %s", rec.Code, rec.Body)
	}
	return rec.Header().Get("Location")
}

// upload sends an archive in one part and answers what finish does.
func (w *world) upload(body any, b []byte) *httptest.ResponseRecorder {
	w.t.Helper()
	path := w.start(body)
	if rec := w.raw("PUT "+path, map[string]string{"Content-Type": "application/x-tar"}, bytes.NewReader(b)); rec.Code != 200 {
		w.t.Fatalf("part: %d %s", rec.Code, rec.Body)
	}
	return w.send("writer", "POST "+path+"/finish?wait=60", nil)
}

func TestArchiveWire(t *testing.T) {
	t.Parallel()
	w := open(t, options{})
	w.run()
	b := tarOf(saved(bytes.Repeat([]byte("layer "), 20_000), "docker.io/acme/team/app:v1", "other:v2")...)
	size, sum := len(b), oci.SHA256.FromBytes(b).Hex()
	state := func(more string) string {
		return `{"id":"*","namespace":"acme","repository":"","tag":"","rename":false,"unpacked":"*","created":"*","expires":"*",` + more + `}`
	}
	w.want("writer", "POST "+archives, nil, 201, state(`"state":"open","size":null,"offset":0,"images":[],"error":null`))
	rec := w.want("writer", "POST "+archives, map[string]any{"size": size}, 201, state(fmt.Sprintf(`"state":"open","size":%d,"offset":0,"images":[],"error":null`, size)))
	path := rec.Header().Get("Location")

	part := func(method string, from, to int, header map[string]string, status int) *httptest.ResponseRecorder {
		t.Helper()
		rec := w.raw(method+" "+path, header, bytes.NewReader(b[from:to]))
		if rec.Code != status {
			t.Errorf("the part from %d: %d %s", from, rec.Code, rec.Body)
		}
		return rec
	}
	part("PATCH", 0, 1000, map[string]string{"Content-Range": fmt.Sprintf("bytes 0-999/%d", size)}, 200)
	part("PUT", 1000, 2000, map[string]string{"Content-Range": "1000-1999"}, 200)
	if rec := part("PATCH", 0, 10, map[string]string{"Content-Range": "bytes 0-9/*"}, 416); rec.Header().Get("Upload-Offset") != "2000" {
		t.Errorf("the refused part says that the upload is at %q", rec.Header().Get("Upload-Offset"))
	}
	part("PATCH", 0, 10, map[string]string{"Content-Range": "bytes a-b"}, 400)
	part("PATCH", 0, 10, map[string]string{"Content-Range": "bytes 2000-2008/*"}, 400)
	path += "?offset=2000"
	part("PATCH", 2000, 3000, nil, 200)
	part("PATCH", 2000, 3000, nil, 416)
	path = strings.Replace(path, "2000", "-1", 1)
	part("PATCH", 2000, 3000, nil, 400)
	path, _, _ = strings.Cut(path, "?")
	w.want("writer", "GET "+path, nil, 200, state(fmt.Sprintf(`"state":"open","size":%d,"offset":3000,"images":[],"error":null`, size)))
	w.refused("writer", "POST "+path+"/finish", nil, 400, "4001018") // not all has come
	// Without an offset a part goes where the upload stands, and its length need not be known.
	if rec := w.raw("PATCH "+path, nil, io.MultiReader(bytes.NewReader(b[3000:]))); rec.Code != 200 {
		t.Errorf("a stream: %d %s", rec.Code, rec.Body)
	}
	w.refused("writer", "POST "+path+"/finish", map[string]string{"sha256": strings.Repeat("0", 64)}, 400, "4000013")
	w.refused("writer", "POST "+path+"/finish", map[string]string{"sha256": "xyz"}, 400, "4000013")
	image := `{"repository":"%s","tag":"%s","digest":"*","image_id":"` + oci.SHA256.FromBytes(saved(bytes.Repeat([]byte("layer "), 20_000))[0].content).Hex() + `","path":"` + host + `/acme/%s"}`
	done := state(fmt.Sprintf(`"state":"done","size":%d,"offset":%d,"error":null,"images":[`, size, size) +
		fmt.Sprintf(image, "other", "v2", "other:v2") + "," + fmt.Sprintf(image, "team/app", "v1", "team/app:v1") + `]`)
	w.want("writer", "POST "+path+"/finish?wait=60", map[string]string{"sha256": sum}, 200, done)
	w.want("writer", "POST "+path+"/finish", nil, 200, done)
	w.want("writer", "GET "+path, nil, 200, done)
	part("PATCH", 0, 10, nil, 409)
	w.want("reader", "GET /v2/manage/namespaces/acme/repos/team$app/tags/v1", nil, 200, `{"id":"*","repo_id":"*","tag":"v1","image_id":"*","manifest":"*","digest":"*","schema":2,
		"path":"*","internal_path":"*","size":"*","is_trusted":"*","created":"*","updated":"*","domain_id":"*","tag_type":0}`)

	var list struct{ Archives []struct{ ID, State string } }
	w.must(json.Unmarshal(w.send("writer", "GET "+archives, nil).Body.Bytes(), &list))
	if len(list.Archives) != 2 || list.Archives[0].State != "done" || list.Archives[1].State != "open" {
		t.Errorf("listed: %+v", list)
	}
	w.want("writer", "DELETE "+archives+"/"+list.Archives[1].ID, nil, 204, "")
	w.refused("writer", "GET "+archives+"/"+list.Archives[1].ID, nil, 404, "4040043")
	w.want("manager", "GET "+archives, nil, 200, `{"archives":[]}`) // of others nothing is seen
	w.refused("manager", "GET "+path, nil, 404, "4040043")
	w.refused("manager", "DELETE "+path, nil, 404, "4040043")
}

func TestArchiveErrors(t *testing.T) {
	t.Parallel()
	w := open(t, options{registry: registry.Options{ArchiveMax: 1 << 20}})
	w.run()
	layer := bytes.Repeat([]byte("layer "), 1000)
	good := saved(layer, "app:v1")
	replace := func(i int, content string) []byte {
		e := slices.Clone(good)
		e[i].content = []byte(content)
		return tarOf(e...)
	}
	for name, tt := range map[string]struct {
		start any
		b     []byte
		code  string
	}{
		"no names":              {nil, tarOf(saved(layer)...), "4000064"},
		"no layer":              {nil, tarOf(good[0], good[2]), "4000065"},
		"no config":             {nil, tarOf(good[1:]...), "4000066"},
		"no manifest":           {nil, tarOf(good[:2]...), "4000067"},
		"a broken manifest":     {nil, replace(2, "{"), "4000068"},
		"no tar":                {nil, bytes.Repeat([]byte("x"), 5000), "4000069"},
		"an unknown kind":       {nil, []byte("BZh91AY&SY........"), "4000069"},
		"a damaged layer":       {nil, replace(1, "other"), "4000013"},
		"another organization":  {nil, tarOf(saved(layer, "other/app:v1")...), "4000029"},
		"another repository":    {map[string]any{"repository": "web"}, tarOf(good...), "4000029"},
		"a name that is no one": {nil, tarOf(saved(layer, "APP:v1")...), "4001029"},
	} {
		path := w.start(tt.start)
		if rec := w.raw("PATCH "+path, nil, bytes.NewReader(tt.b)); rec.Code != 200 {
			t.Fatalf("%s: %d %s", name, rec.Code, rec.Body)
		}
		w.refused("writer", "POST "+path+"/finish?wait=60", nil, 400, tt.code)
		w.refused("writer", "POST "+path+"/finish?wait=60", nil, 400, tt.code) // and again
		w.want("writer", "GET "+path, nil, 200, `{"id":"*","namespace":"acme","repository":"*","tag":"","rename":false,"state":"failed","size":null,"offset":`+fmt.Sprint(len(tt.b))+
			`,"unpacked":"*","images":[],"error":{"errorCode":"SVCSTG.SWR.`+tt.code+`","errorMessage":"*","detail":""},"created":"*","expires":"*"}`)
	}
	// Nothing of these is to be seen, and the right names make one good.
	w.refused("reader", "GET /v2/manage/namespaces/acme/repos/app/tags/v1", nil, 404, "4040048")
	if rec := w.upload(map[string]any{"repository": "web", "rename": true}, tarOf(saved(layer, "other/app:v1")...)); rec.Code != 200 {
		t.Errorf("renamed: %d %s", rec.Code, rec.Body)
	}
	if rec := w.send("reader", "GET /v2/manage/namespaces/acme/repos/web/tags/v1", nil); rec.Code != 200 {
		t.Errorf("renamed: %d %s", rec.Code, rec.Body)
	}

	path := w.start(nil)
	for _, id := range []string{"x", strings.Repeat("A", 32), strings.Repeat("0", 31)} {
		w.refused("writer", "GET "+archives+"/"+id, nil, 400, "4000039")
		w.refused("writer", "POST "+archives+"/"+id+"/finish", nil, 400, "4000039")
	}
	w.refused("writer", "GET "+archives+"/"+strings.Repeat("0", 32), nil, 404, "4040043")
	w.refused("writer", "PATCH "+archives+"/"+strings.Repeat("0", 32), "x", 404, "4040043")
	w.refused("writer", "POST "+archives, map[string]any{"size": 1<<20 + 1}, 413, "4130025")
	w.refused("writer", "PATCH "+path, bytes.Repeat([]byte("x"), 1<<20+1), 413, "4130025")
	if rec := w.raw("PATCH "+path, nil, io.MultiReader(bytes.NewReader(make([]byte, 1<<20+1)))); rec.Code != 413 {
		t.Errorf("a stream that is too long: %d %s", rec.Code, rec.Body)
	}
	w.refused("writer", "POST "+archives, bytes.Repeat([]byte(" "), 1<<20+1), 413, "4131001")
	w.refused("writer", "POST "+archives, `{"size":"1"}`, 400, "4001018")
	w.refused("writer", "POST "+archives, `{"size":0}`, 400, "4000014")
	w.refused("writer", "POST "+archives, `{"rename":true}`, 400, "4000014")
	w.refused("writer", "POST "+archives, `{"repository":"A"}`, 400, "4001029")
	w.refused("writer", "POST "+archives, `{"tag":"."}`, 400, "4000014")
	w.refused("writer", "POST "+path+"/finish?wait=x", nil, 400, "4001025")
	w.refused("writer", "POST "+w.start(nil)+"/finish", nil, 400, "4001018")
	w.refused("writer", "POST "+path, nil, 405, "4031033")
	for as, code := range map[string]string{"reader": "4039002", "nobody": "4039002", "stranger": "4039001"} {
		for _, request := range []string{"POST " + archives, "GET " + archives, "GET " + path, "PATCH " + path, "PUT " + path, "POST " + path + "/finish", "DELETE " + path} {
			w.refused(as, request, nil, 403, code)
		}
	}
	w.refused("writer", "POST "+strings.Replace(archives, "acme", "none", 1), nil, 404, "4040058")
	w.refused("", "POST "+archives, nil, 401, "SVCSTG.S2I.4019000")
}

// A finished archive that takes long is answered with its state.
func TestArchivePolling(t *testing.T) {
	t.Parallel()
	w := open(t, options{})
	path := w.start(nil)
	w.raw("PATCH "+path, nil, bytes.NewReader(gzipped(tarOf(saved([]byte("layer"), "app:v1")...))))
	rec := w.send("writer", "POST "+path+"/finish?wait=0", nil)
	if rec.Code != 202 || !strings.Contains(rec.Body.String(), `"state":"unpacking"`) {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	w.run()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(rec.Body.String(), `"state":"done"`); rec = w.send("writer", "GET "+path, nil) {
		if time.Now().After(end) {
			t.Fatalf("it stays %s", rec.Body)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestDownload(t *testing.T) {
	t.Parallel()
	w := open(t, options{})
	w.run()
	layer := bytes.Repeat([]byte("layer of an image, "), 50_000)
	if rec := w.upload(nil, tarOf(saved(layer, "app:v1", "app:v2")...)); rec.Code != 200 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	const path = "/v2/manage/namespaces/acme/repos/app/tags/v1/archive"
	whole := w.raw("GET "+path, nil, nil)
	size, etag := whole.Body.Len(), whole.Header().Get("Etag")
	for k, v := range map[string]string{"Content-Type": "application/x-tar", "Content-Length": fmt.Sprint(size), "Accept-Ranges": "bytes",
		"Content-Disposition": `attachment; filename="acme_app_v1.tar"`} {
		if got := whole.Header().Get(k); got != v {
			t.Errorf("%s is %q, want %q", k, got, v)
		}
	}
	head := w.raw("HEAD "+path, nil, nil)
	if head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Length") != fmt.Sprint(size) || head.Header().Get("Etag") != etag {
		t.Errorf("HEAD: %d %v", head.Code, head.Header())
	}
	for _, tt := range []struct {
		header    map[string]string
		status    int
		off, n    int
		wantRange string
	}{
		{map[string]string{"Range": "bytes=0-99"}, 206, 0, 100, fmt.Sprintf("bytes 0-99/%d", size)},
		{map[string]string{"Range": "bytes=5000-"}, 206, 5000, size - 5000, fmt.Sprintf("bytes 5000-%d/%d", size-1, size)},
		{map[string]string{"Range": "bytes=-700"}, 206, size - 700, 700, fmt.Sprintf("bytes %d-%d/%d", size-700, size-1, size)},
		{map[string]string{"Range": "bytes=10-20", "If-Range": etag}, 206, 10, 11, fmt.Sprintf("bytes 10-20/%d", size)},
		{map[string]string{"Range": "bytes=10-20", "If-Range": `"other"`}, 200, 0, size, ""},
		{map[string]string{"Range": "bytes=1-2,5-6"}, 200, 0, size, ""},
		{map[string]string{"If-None-Match": etag}, 304, 0, 0, ""},
	} {
		rec := w.raw("GET "+path, tt.header, nil)
		if rec.Code != tt.status || !bytes.Equal(rec.Body.Bytes(), whole.Body.Bytes()[tt.off:tt.off+tt.n]) || rec.Header().Get("Content-Range") != tt.wantRange {
			t.Errorf("%v: %d, %d bytes, %q", tt.header, rec.Code, rec.Body.Len(), rec.Header().Get("Content-Range"))
		}
	}
	rec := w.raw("GET "+path, map[string]string{"Range": fmt.Sprintf("bytes=%d-", size)}, nil)
	if rec.Code != 416 || rec.Header().Get("Content-Range") != fmt.Sprintf("bytes */%d", size) {
		t.Errorf("beyond the end: %d %v", rec.Code, rec.Header())
	}
	// What comes down goes up again, and is the same.
	before := w.raw("GET /v2/manage/namespaces/acme/repos/app/tags/v1", nil, nil).Body.String()
	if rec := w.upload(nil, whole.Body.Bytes()); rec.Code != 200 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if after := w.raw("GET /v2/manage/namespaces/acme/repos/app/tags/v1", nil, nil).Body.String(); after != before {
		t.Errorf("uploaded again it became %s, and was %s", after, before)
	}
	two := w.raw("GET "+path+"?tag=v2&tag=v1", nil, nil)
	if two.Code != 200 || !bytes.Contains(two.Body.Bytes(), []byte(`"RepoTags":["`+host+`/acme/app:v1","`+host+`/acme/app:v2"]`)) {
		t.Errorf("two tags: %d", two.Code)
	}
	w.refused("writer", "GET "+path+"?platform=linux", nil, 400, "4000014")
	w.refused("writer", "GET /v2/manage/namespaces/acme/repos/app/tags/v3/archive", nil, 404, "4040048")
	w.refused("writer", "GET /v2/manage/namespaces/acme/repos/none/tags/v3/archive", nil, 404, "4040010")
	w.refused("nobody", "GET "+path, nil, 403, "4039002")
	w.refused("stranger", "GET "+path, nil, 403, "4039001")
	w.refused("", "GET "+path, nil, 401, "SVCSTG.S2I.4019000")
	if rec := w.send("reader", "GET "+path, nil); rec.Code != 200 {
		t.Errorf("a reader: %d", rec.Code)
	}
}

// Of an index, a platform picks one image; without one all are there.
func TestDownloadIndex(t *testing.T) {
	t.Parallel()
	w := open(t, options{})
	amd := w.push("acme/app", "amd64", "amd64")
	arm := w.push("acme/app", "arm64", "arm64")
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","manifests":[{"mediaType":"%s","digest":"%s","size":1,"platform":{"os":"linux","architecture":"arm64","variant":"v8"}},`+
		`{"mediaType":"%s","digest":"%s","size":1,"platform":{"os":"linux","architecture":"amd64"}}]}`, indexType, imageType, arm, imageType, amd)
	_, err := w.reg.PutManifest(t.Context(), w.users["admin"], "acme/app", oci.Reference{Tag: "v1"}, nil, indexType, []byte(index))
	w.must(err)
	const path = "GET /v2/manage/namespaces/acme/repos/app/tags/v1/archive"
	layers := map[string]oci.Digest{"amd64": oci.SHA256.FromBytes([]byte("amd64")), "arm64": oci.SHA256.FromBytes([]byte("arm64"))}
	for query, want := range map[string][]string{
		"":                         {"amd64", "arm64"},
		"?platform=linux/amd64":    {"amd64"},
		"?platform=linux/arm64":    {"arm64"},
		"?platform=linux/arm64/v8": {"arm64"},
	} {
		rec := w.send("reader", path+query, nil)
		if rec.Code != 200 {
			t.Errorf("%s: %d %s", query, rec.Code, rec.Body)
			continue
		}
		files := map[string][]byte{}
		for r := tar.NewReader(rec.Body); ; {
			h, err := r.Next()
			if err != nil {
				break
			}
			files[h.Name], _ = io.ReadAll(r)
		}
		for name, d := range layers {
			if _, ok := files["blobs/sha256/"+d.Hex()]; ok != slices.Contains(want, name) {
				t.Errorf("%s: the files are %v", query, slices.Sorted(maps.Keys(files)))
			}
		}
		if !bytes.Contains(files["manifest.json"], []byte(layers[want[0]].Hex())) {
			t.Errorf("%s: docker would load %s", query, files["manifest.json"])
		}
	}
	w.refused("reader", path+"?platform=linux/riscv64", nil, 404, "4040048")
}
