package mirror_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/mirror"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// headless leaves out of an answer that the registry keeps lists of referrers.
type headless struct{ http.ResponseWriter }

func (h headless) WriteHeader(status int) {
	h.Header().Del("OCI-Subject")
	h.ResponseWriter.WriteHeader(status)
}

// Where the other side keeps no lists of referrers, tags of one image that are
// copied at once keep one together, and lose nothing of it.
func TestListsByTag(t *testing.T) {
	from, to := open(t, mirror.Options{}), open(t, mirror.Options{})
	w := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/referrers/") {
			http.NotFound(rw, r)
			return
		}
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/sha256-") {
			time.Sleep(time.Duration(time.Now().UnixNano()%20) * time.Millisecond)
		}
		to.api.ServeHTTP(headless{rw}, r)
	}), false)
	from.region(w.URL)
	body := from.image(app, "one", 2000)
	d := from.push(app, "", imageType, body)
	var tags []string
	for i := range 6 {
		tags = append(tags, fmt.Sprint("v", i))
		from.push(app, tags[i], imageType, body)
		m := encoded(map[string]any{"schemaVersion": 2, "mediaType": imageType, "artifactType": fmt.Sprint("application/x-", i),
			"config": desc{"application/vnd.oci.empty.v1+json", from.blob(app, []byte("{}")), 2, nil}, "layers": []desc{},
			"subject": desc{imageType, d, len(body), nil}})
		from.push(app, "", imageType, m)
	}
	_, err := from.SyncNow(t.Context(), from.admin, app, tags, north, false)
	must(t, err)
	from.run()
	if j := from.over(); j.Status != registry.SyncDone && j.Status != registry.SyncExisted {
		t.Fatalf("%+v", j)
	}
	m, err := to.Manifest(t.Context(), to.admin, app, oci.Reference{Tag: strings.Replace(string(d), ":", "-", 1)}, false)
	must(t, err)
	var list struct{ Manifests []struct{ Digest string } }
	must(t, json.Unmarshal(m.Body, &list))
	if len(list.Manifests) != 6 {
		t.Errorf("the list has %d of 6", len(list.Manifests))
	}
}
