package chartapi_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/chart"
	"berth.dev/berth/internal/chartapi"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// indexFile is what helm reads of an index.
type indexFile struct {
	APIVersion string                    `json:"apiVersion"`
	Entries    map[string][]indexVersion `json:"entries"`
	ServerInfo map[string]string         `json:"serverInfo"`
}

type indexVersion struct {
	Name, Version, Digest, Description, Created string
	URLs                                        []string
}

func (w *world) index(group string) indexFile {
	w.t.Helper()
	rec := w.send("admin", "GET", "/chart/"+group+"/index.yaml", nil)
	if rec.Code != 200 {
		w.t.Fatalf("the index of %s: %d %s", group, rec.Code, rec.Body)
	}
	var x indexFile
	w.must(yaml.Unmarshal(rec.Body.Bytes(), &x))
	return x
}

// names of all versions, as the index orders them.
func (x indexFile) names() (all []string) {
	for name, versions := range x.Entries {
		for _, v := range versions {
			all = append(all, name+" "+v.Version)
		}
	}
	slices.SortStableFunc(all, func(a, b string) int {
		return strings.Compare(strings.Fields(a)[0], strings.Fields(b)[0])
	})
	return all
}

func (w *world) hasIndex(group string, want ...string) {
	w.t.Helper()
	if got := w.index(group).names(); !slices.Equal(got, want) {
		w.t.Errorf("the index of %s has %q, want %q", group, got, want)
	}
}

// Whatever is uploaded is in the index with the digest of the file that it
// points to, the newest version first.
func TestUploadIndexDownload(t *testing.T) {
	w := open(t)
	if x := w.index("team"); len(x.Entries) != 0 || x.APIVersion != "v1" || x.ServerInfo["contextPath"] != "/chart" {
		t.Errorf("an empty index is %+v", x)
	}
	for _, c := range [][2]string{{"web", "1.2.0"}, {"web", "1.10.0"}, {"web", "1.10.0-rc.1"}, {"api", "v0.1.0+b.2"}, {"on", "1.0.0"}, {"web", "1.9.0"}} {
		w.upload(201, "/chart/api/team/charts", pack(c[0], c[1], "x"))
	}
	w.hasIndex("team", "api v0.1.0+b.2", "on 1.0.0", "web 1.10.0", "web 1.10.0-rc.1", "web 1.9.0", "web 1.2.0")
	for name, versions := range w.index("team").Entries {
		for _, v := range versions {
			rec := w.send("reader", "GET", "/chart/team/"+v.URLs[0], nil)
			if rec.Code != 200 || "sha256:"+v.Digest != string(oci.SHA256.FromBytes(rec.Body.Bytes())) || !bytes.Equal(rec.Body.Bytes(), pack(name, v.Version, "x")) {
				t.Errorf("%s: %d, %d bytes", v.URLs[0], rec.Code, rec.Body.Len())
			}
			if v.Name != name || v.Description != "The chart "+name || v.Created == "" {
				t.Errorf("%+v", v)
			}
			if rec := w.send("reader", "HEAD", "/chart/team/"+v.URLs[0], nil); rec.Code != 200 || rec.Body.Len() != 0 {
				t.Errorf("HEAD %s: %d", v.URLs[0], rec.Code)
			}
		}
	}
	for _, file := range []string{"web-9.9.9.tgz", "none-1.0.0.tgz", "web-1.2.0.tgz.prov", "web.txt", "..", "web-1.2.0.tgz.prov.prov"} {
		if rec := w.send("reader", "GET", "/chart/team/charts/"+file, nil); rec.Code != 404 || !strings.HasPrefix(rec.Body.String(), `{"error":"`) {
			t.Errorf("%s: %d %s", file, rec.Code, rec.Body)
		}
	}
}

// A version is replaced with force only, by whichever way it came.
func TestOverwrite(t *testing.T) {
	w := open(t)
	w.upload(201, "/chart/api/team/charts", pack("web", "1.0.0", "a"))
	for _, body := range [][]byte{pack("web", "1.0.0", "a"), pack("web", "1.0.0", "b")} {
		if got := w.upload(409, "/chart/api/team/charts", body); !strings.Contains(got, "force") {
			t.Errorf("%s", got)
		}
	}
	if got := w.upload(201, "/chart/api/team/charts?force", pack("web", "1.0.0", "b")); got != `{"saved":true}` {
		t.Errorf("%s", got)
	}
	rec := w.send("reader", "GET", "/chart/team/charts/web-1.0.0.tgz", nil)
	if !bytes.Equal(rec.Body.Bytes(), pack("web", "1.0.0", "b")) {
		t.Error("the old chart is still there")
	}
	if v := w.index("team").Entries["web"][0]; "sha256:"+v.Digest != string(oci.SHA256.FromBytes(rec.Body.Bytes())) {
		t.Error("the index has the old digest")
	}
}

// The form that the plugin sends, with both files.
func TestForm(t *testing.T) {
	w := open(t)
	archive := pack("web", "1.0.0", "a")
	form := func(fields map[string][]byte, order ...string) ([]byte, string) {
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		for _, name := range order {
			p, err := m.CreateFormFile(name, name+".bin")
			w.must(err)
			_, err = p.Write(fields[name])
			w.must(err)
		}
		w.must(m.Close())
		return b.Bytes(), m.FormDataContentType()
	}
	files := map[string][]byte{"chart": archive, "prov": provenance("web", "1.0.0", archive), "other": []byte("x")}
	for _, c := range []struct {
		status int
		path   string
		order  []string
	}{
		{400, "/chart/api/team/charts", nil},
		{400, "/chart/api/team/charts", []string{"other"}},
		{404, "/chart/api/team/charts", []string{"prov"}}, // of a version that is not there
		{400, "/chart/api/team/charts", []string{"chart", "chart"}},
		{201, "/chart/api/team/charts", []string{"chart"}},
		{201, "/chart/api/team/prov", []string{"prov"}},
		{409, "/chart/api/team/prov", []string{"prov"}},
		{409, "/chart/api/team/charts", []string{"chart", "prov"}},
		{201, "/chart/api/team/charts?force", []string{"other", "prov", "chart"}},
		{201, "/chart/api/team/prov?force=true", []string{"prov"}},
	} {
		body, contentType := form(files, c.order...)
		w.upload(c.status, c.path, body, "Content-Type", contentType)
	}
	if rec := w.send("reader", "GET", "/chart/team/charts/web-1.0.0.tgz.prov", nil); rec.Code != 200 || !bytes.Equal(rec.Body.Bytes(), files["prov"]) {
		t.Errorf("the provenance file: %d %s", rec.Code, rec.Body)
	}
	body, contentType := form(files, "chart")
	w.upload(400, "/chart/api/team/charts", body[:len(body)-30], "Content-Type", contentType)
	w.upload(400, "/chart/api/team/charts", body, "Content-Type", "multipart/form-data")
	wrong := map[string][]byte{"chart": pack("web", "2.0.0", "a"), "prov": files["prov"]}
	body, contentType = form(wrong, "chart", "prov")
	w.upload(400, "/chart/api/team/charts", body, "Content-Type", contentType)
	w.upload(400, "/chart/api/team/prov", []byte("signed"))
	w.upload(400, "/chart/api/team/prov", provenance("web", "1.0.0", []byte("another")))
	w.upload(404, "/chart/api/team/prov", provenance("none", "1.0.0", archive))
	w.upload(400, "/chart/api/team/prov", provenance("../x", "1.0.0", archive))
	w.hasIndex("team", "web 1.0.0")
}

func TestBadUploads(t *testing.T) {
	w := open(t)
	for name, c := range map[string]struct {
		status int
		path   string
		body   []byte
	}{
		"nothing":          {400, "/chart/api/team/charts", nil},
		"text":             {400, "/chart/api/team/charts", []byte("hello")},
		"no chart's name":  {400, "/chart/api/team/charts", pack("Web", "1.0.0", "a")},
		"no version":       {400, "/chart/api/team/charts", pack("web", "one", "a")},
		"too large":        {413, "/chart/api/team/charts", bytes.Repeat([]byte{'x'}, maxChart+1)},
		"no such group":    {404, "/chart/api/none/charts", pack("web", "1.0.0", "a")},
		"an organization":  {404, "/chart/api/acme/charts", pack("web", "1.0.0", "a")},
		"a reserved group": {404, "/chart/api/api/charts", pack("web", "1.0.0", "a")},
	} {
		got := w.upload(c.status, c.path, c.body)
		var p struct{ Error string }
		if json.Unmarshal([]byte(got), &p) != nil || p.Error == "" || strings.HasPrefix(p.Error, "Something") {
			t.Errorf("%s: %s", name, got)
		}
	}
	w.hasIndex("team")
}

func TestAPI(t *testing.T) {
	w := open(t)
	for _, version := range []string{"1.0.0", "2.0.0"} {
		w.upload(201, "/chart/api/team/charts", pack("web", version, "a"))
	}
	w.upload(201, "/chart/api/team/charts", pack("api", "1.0.0", "a"))
	get := func(path string, status int, into any) {
		t.Helper()
		rec := w.send("reader", "GET", path, nil)
		if rec.Code != status {
			t.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
		}
		if into != nil {
			w.must(json.Unmarshal(rec.Body.Bytes(), into))
		}
	}
	var all map[string][]indexVersion
	get("/chart/api/team/charts", 200, &all)
	if len(all) != 2 || len(all["web"]) != 2 || all["web"][0].Version != "2.0.0" || all["web"][0].URLs[0] != "charts/web-2.0.0.tgz" || len(all["web"][0].Digest) != hex.EncodedLen(32) {
		t.Errorf("%+v", all)
	}
	all = nil
	get("/chart/api/team/charts?offset=1&limit=1", 200, &all)
	if len(all) != 1 || all["web"] == nil {
		t.Errorf("%+v", all)
	}
	get("/chart/api/team/charts?offset=x", 400, nil)
	get("/chart/api/team/charts?offset=9", 200, nil)
	var versions []indexVersion
	get("/chart/api/team/charts/web", 200, &versions)
	var one indexVersion
	get("/chart/api/team/charts/web/1.0.0", 200, &one)
	if len(versions) != 2 || one.Version != "1.0.0" {
		t.Errorf("%+v %+v", versions, one)
	}
	w.upload(201, "/chart/api/team/charts", pack("web", "3.0.0-rc.1", "a"))
	w.upload(201, "/chart/api/team/charts", pack("early", "0.1.0-rc.1", "a"))
	for name, want := range map[string]string{"web": "2.0.0", "early": "0.1.0-rc.1"} {
		if get("/chart/api/team/charts/"+name+"/latest", 200, &one); one.Version != want {
			t.Errorf("the latest of %s is %s", name, one.Version)
		}
	}
	w.send("admin", "DELETE", "/chart/api/team/charts/web/3.0.0-rc.1", nil)
	w.send("admin", "DELETE", "/chart/api/team/charts/early/0.1.0-rc.1", nil)
	get("/chart/api/team/charts/none", 404, nil)
	get("/chart/api/team/charts/web/3.0.0", 404, nil)
	for path, want := range map[string]int{"": 200, "/web": 200, "/none": 404, "/web/1.0.0": 200, "/web/latest": 200, "/web/3.0.0": 404} {
		if rec := w.send("reader", "HEAD", "/chart/api/team/charts"+path, nil); rec.Code != want || want == 200 && rec.Body.Len() != 0 {
			t.Errorf("HEAD %s: %d, want %d", path, rec.Code, want)
		}
	}
	if rec := w.send("manager", "DELETE", "/chart/api/team/charts/web/1.0.0", nil); rec.Code != 200 || rec.Body.String() != `{"deleted":true}` {
		t.Errorf("DELETE: %d %s", rec.Code, rec.Body)
	}
	for _, path := range []string{"/chart/api/team/charts/web/1.0.0", "/chart/api/team/charts/none/1.0.0", "/chart/api/team/charts/NONE/x"} {
		if rec := w.send("manager", "DELETE", path, nil); rec.Code != 404 {
			t.Errorf("DELETE %s: %d %s", path, rec.Code, rec.Body)
		}
	}
	w.hasIndex("team", "api 1.0.0", "web 2.0.0")
	if rec := w.send("reader", "PUT", "/chart/team/index.yaml", nil); rec.Code != 405 || rec.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("PUT: %d %v", rec.Code, rec.Header())
	}
	for _, path := range []string{"/chart/", "/chart/team", "/chart/team/", "/chart/api/team", "/chart/api/index.yaml", "/chart//index.yaml", "/chart/team/charts/a/b"} {
		if rec := w.send("reader", "GET", path, nil); rec.Code != 404 {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
}

// Conditional requests, compressed and not.
func TestIndexIsConditional(t *testing.T) {
	w := open(t)
	w.upload(201, "/chart/api/open/charts", pack("web", "1.0.0", "a"))
	const path = "/chart/open/index.yaml"
	plain, zipped := w.send("", "GET", path, nil), w.send("", "GET", path, nil, "Accept-Encoding", "br, gzip;q=0.5")
	z, err := gzip.NewReader(zipped.Body)
	w.must(err)
	body, err := io.ReadAll(z)
	w.must(err)
	if !bytes.Equal(body, plain.Body.Bytes()) || zipped.Header().Get("Content-Encoding") != "gzip" || plain.Header().Get("Content-Encoding") != "" {
		t.Error("compressed it is another")
	}
	tags := []string{plain.Header().Get("Etag"), zipped.Header().Get("Etag")}
	if tags[0] == tags[1] || !strings.HasPrefix(tags[0], `"`) {
		t.Errorf("tags %q", tags)
	}
	for _, tag := range tags {
		if rec := w.send("", "GET", path, nil, "If-None-Match", tag); rec.Code != 304 || rec.Body.Len() != 0 {
			t.Errorf("known it is answered %d", rec.Code)
		}
	}
	if rec := w.send("", "GET", path, nil, "Accept-Encoding", "gzip;q=0"); rec.Header().Get("Content-Encoding") != "" {
		t.Error("compressed for who refuses it")
	}
	w.upload(201, "/chart/api/open/charts", pack("web", "1.1.0", "a"))
	if rec := w.send("", "GET", path, nil, "If-None-Match", tags[0]); rec.Code != 200 || rec.Header().Get("Etag") == tags[0] {
		t.Errorf("after an upload it is answered %d with %s", rec.Code, rec.Header().Get("Etag"))
	}
	if rec := w.send("", "HEAD", path, nil); rec.Code != 200 || rec.Body.Len() != 0 || rec.Header().Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d %v", rec.Code, rec.Header())
	}
}

// Who may do what: on a private group by rights, on a public one everyone reads.
func TestRoles(t *testing.T) {
	w := open(t)
	for _, group := range []string{"team", "open"} {
		w.upload(201, "/chart/api/"+group+"/charts", pack("web", "1.0.0", "a"))
	}
	roles := []string{"", "stranger", "nobody", "reader", "editor", "manager", "admin"}
	const read, write, manage = 3, 4, 5 // the first role of team that may
	for _, c := range []struct {
		method, path string
		from         int
		ok           int // the answer to those who may, who do nothing wrong but one thing
	}{
		{"GET", "/index.yaml", read, 200},
		{"HEAD", "/index.yaml", read, 200},
		{"GET", "/charts/web-1.0.0.tgz", read, 200},
		{"HEAD", "/charts/web-1.0.0.tgz", read, 200},
		{"GET", "/charts/web-9.0.0.tgz", read, 404},
		{"GET", "/charts/nonsense", read, 404},
		{"GET", "api /charts", read, 200},
		{"GET", "api /charts/web", read, 200},
		{"GET", "api /charts/web/1.0.0", read, 200},
		{"HEAD", "api /charts", read, 200},
		{"HEAD", "api /charts/web", read, 200},
		{"HEAD", "api /charts/web/1.0.0", read, 200},
		{"POST", "api /charts", write, 400},
		{"POST", "api /prov", write, 400},
		{"DELETE", "api /charts/web/9.0.0", manage, 404},
	} {
		for _, group := range []string{"team", "open", "none"} {
			path := "/chart/" + group + c.path
			if rest, ok := strings.CutPrefix(c.path, "api "); ok {
				path = "/chart/api/" + group + rest
			}
			for i, role := range roles {
				want := c.ok
				switch may := i >= c.from; {
				case group == "none" && role == "", group == "team" && role == "":
					want = 401
				case group == "open" && c.from == read:
				case group == "open" && role == "":
					want = 401
				case group == "none":
					want = 404
				case group == "open" && role != "admin", group == "team" && !may:
					want = 403
				}
				// Of files in a group that is not there, others than its own people learn nothing.
				if group == "none" && strings.HasPrefix(c.path, "/charts/web") && role != "" {
					want = 403
				}
				rec := w.send(role, c.method, path, nil)
				if rec.Code != want {
					t.Errorf("%s %s as %q: %d %s, want %d", c.method, path, role, rec.Code, rec.Body, want)
				}
				if challenge := rec.Header().Get("Www-Authenticate"); (rec.Code == 401) != strings.HasPrefix(challenge, `Basic realm="`) {
					t.Errorf("%s %s as %q: %d with the challenge %q", c.method, path, role, rec.Code, challenge)
				}
			}
		}
	}
	if rec := w.send("reader", "GET", "/chart/team/index.yaml", nil, "Authorization", "Basic bm9ib2R5Ondyb25n"); rec.Code != 401 {
		t.Errorf("a wrong password: %d", rec.Code)
	}
}

func TestEveryFaultHasAnAnswer(t *testing.T) {
	for _, c := range fault.Codes {
		if chartapi.StatusOf(c) == 0 {
			t.Errorf("%s has no answer", c)
		}
	}
}

// Two processes on one database see each other's changes; one that missed too
// many starts again.
func TestIndexFollows(t *testing.T) {
	w := open(t)
	other := chart.New(w.reg, chart.Options{CacheBytes: 1}) // forgets the one group for the other
	same := func() {
		t.Helper()
		for _, group := range []string{"team", "open"} {
			a, err := w.charts.Index(t.Context(), w.admin, group)
			w.must(err)
			b, err := other.Index(t.Context(), w.admin, group)
			w.must(err)
			if !bytes.Equal(a.Body(), b.Body()) || a.ETag != b.ETag {
				t.Fatalf("two indexes of %s:\n%s\n%s", group, a.Body(), b.Body())
			}
		}
	}
	same()
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		w.upload(201, "/chart/api/team/charts", pack("web", v, "a"))
		w.upload(201, "/chart/api/open/charts", pack("web", v, "a"))
		same()
	}
	ctx := t.Context()
	w.must(w.reg.Retag(ctx, w.admin, "team/web", "1.0.0", "latest", false))
	w.must(w.reg.DeleteTag(ctx, w.admin, "team/web", "1.1.0"))
	w.must(w.reg.Retag(ctx, w.admin, "team/web", "1.0.0", "1.2.0", true)) // the tag of a version with another's chart is none
	same()
	w.hasIndex("team", "web 1.0.0")
	m, err := w.reg.Manifest(ctx, w.admin, "team/web", oci.Reference{Tag: "1.0.0"}, false)
	w.must(err)
	w.must(w.reg.DeleteManifest(ctx, w.admin, "team/web", m.Digest))
	same()
	w.hasIndex("team")
	w.hasIndex("open", "web 1.2.0", "web 1.1.0", "web 1.0.0")
}

// An access credential logs in as the password of any user, and alone.
func TestAccessCredential(t *testing.T) {
	w := open(t)
	c, err := w.iam.AddCredential(t.Context(), w.admin, iam.UserRef{ID: w.admin.User}, iam.NewCredential{Description: "for the plugin"})
	w.must(err)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("whoever:"+c.Secret))
	for i, authorization := range []string{basic, "Bearer " + c.Secret} {
		version := fmt.Sprintf("1.%d.0", i)
		if rec := w.send("", "POST", "/chart/api/team/charts", pack("web", version, "a"), "Authorization", authorization); rec.Code != 201 {
			t.Errorf("upload with %.6s: %d %s", authorization, rec.Code, rec.Body)
		}
	}
	w.hasIndex("team", "web 1.1.0", "web 1.0.0")
	for _, wrong := range []string{"Bearer " + c.Secret[:len(c.Secret)-1] + "!", "Bearer admin-password", "Token " + c.Secret} {
		if rec := w.send("", "GET", "/chart/team/index.yaml", nil, "Authorization", wrong); rec.Code != 401 || rec.Header().Get("Www-Authenticate") == "" {
			t.Errorf("%.10s…: %d %v", wrong, rec.Code, rec.Header())
		}
	}
	w.must(w.iam.DeleteCredential(t.Context(), w.admin, c.ID))
	if rec := w.send("", "GET", "/chart/open/index.yaml", nil, "Authorization", "Bearer "+c.Secret); rec.Code != 401 {
		t.Errorf("deleted: %d", rec.Code)
	}
}
