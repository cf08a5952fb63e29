package swrapi_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/ociapi"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/web"
)

// These tests change something by the management API and look at what the
// distribution API makes of it.

// image sends a request of the distribution API.
func (w *world) image(request string, body []byte, with func(*http.Request)) *httptest.ResponseRecorder {
	w.t.Helper()
	return sendImage(w.t, w.api, request, body, with)
}

func sendImage(t *testing.T, to http.Handler, request string, body []byte, with func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, "http://"+host+path, bytes.NewReader(body))
	with(r)
	rec := httptest.NewRecorder()
	to.ServeHTTP(rec, r)
	return rec
}

func basic(user string) func(*http.Request) {
	_, name, _ := strings.Cut(user, "/")
	return func(r *http.Request) { r.SetBasicAuth(user, name+"-password") }
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// statuses are the answers to all that pulls, for a credential.
func (w *world) statuses(with func(*http.Request), digest, layer oci.Digest) map[int]int {
	w.t.Helper()
	got := map[int]int{}
	for _, request := range []string{"GET /v2/acme/app/manifests/v1", "HEAD /v2/acme/app/manifests/v1", "GET /v2/acme/app/manifests/" + string(digest),
		"GET /v2/acme/app/blobs/" + string(layer), "HEAD /v2/acme/app/blobs/" + string(layer), "GET /v2/acme/app/tags/list", "GET /v2/acme/app/referrers/" + string(digest)} {
		got[w.image(request, nil, with).Code]++
	}
	return got
}

func TestPullingWhatIsShared(t *testing.T) {
	w := open(t, options{})
	w.guest()
	digest := w.push("acme/app", "layer", "v1")
	w.push("acme/secret", "another layer", "v1")
	layer := oci.SHA256.FromBytes([]byte("layer"))
	check := func(about string, status int, credentials ...func(*http.Request)) {
		t.Helper()
		for i, with := range credentials {
			if got := w.statuses(with, digest, layer); got[status] != 7 {
				t.Errorf("%s, credential %d: %v, want %d", about, i, got, status)
			}
		}
	}
	chief, guest := basic("other/stranger"), basic("other/guest")
	check("before", 403, chief, guest, basic("admin/nobody"))
	w.shareWith("app", "other")
	token := bearer(w.registryToken("other/guest", "guest-password", "repository:acme/app:pull,push,delete"))
	check("shared", 200, chief, guest, token)
	check("shared with others", 403, basic("admin/nobody"))
	if got := w.pull("", "", "GET /v2/acme/app/manifests/v1"); got != 401 {
		t.Errorf("without a login: %d", got)
	}

	// Pulling it is, and nothing else.
	for request, want := range map[string]int{
		"GET /v2/acme/secret/manifests/v1":           403,
		"GET /v2/acme/none/manifests/v1":             403,
		"POST /v2/acme/app/blobs/uploads/":           403,
		"PUT /v2/acme/app/manifests/v2":              403,
		"DELETE /v2/acme/app/manifests/v1":           403,
		"DELETE /v2/acme/app/blobs/" + string(layer): 403,
		"GET /v2/acme/app/manifests/v2":              404,
		"GET /v2/acme/app/blobs/" + string(digest):   404,
	} {
		if rec := w.image(request, nil, chief); rec.Code != want {
			t.Errorf("%s: %d %s, want %d", request, rec.Code, rec.Body, want)
		}
	}
	if body := w.image("GET /v2/_catalog", nil, chief).Body.String(); strings.Contains(body, "acme/") {
		t.Errorf("the catalog has what is shared: %s", body)
	}
	for _, request := range []string{"GET /v2/manage/namespaces/acme", "GET /v2/manage/namespaces/acme/access", "GET /v2/manage/namespaces/acme/repos/app/access",
		"GET /v2/manage/namespaces/acme/repos/app/shares", "POST /v2/manage/namespaces/acme/repos/app/shares"} {
		w.refused("stranger", request, nil, 403, "4039001")
	}

	// Cross-repository mount.
	w.want("stranger", "POST /v2/manage/namespaces", `{"namespace":"theirs"}`, 201, `{}`)
	mount := func(from string) int {
		t.Helper()
		return w.image("POST /v2/theirs/copy/blobs/uploads/?mount="+string(layer)+from, nil, chief).Code
	}
	if got := mount("&from=acme/app"); got != 201 {
		t.Errorf("mount: %d", got)
	}

	w.want("admin", "DELETE /v2/manage/namespaces/acme/repositories/app/access-domains/other", nil, 204, ``)
	check("ended", 403, chief, guest, token)
	if got := w.image("POST /v2/theirs/second/blobs/uploads/?from=acme/app&mount="+string(oci.SHA256.FromBytes([]byte("{}"))), nil, chief).Code; got != 202 {
		t.Errorf("mount after the end: %d", got)
	}

	// By organization, as the operator says where the account stands.
	w.want("admin", "POST /v2/manage/namespaces/acme/repos/app/shares", `{"target_type":"org_path","target":"root/dev","permit":"read","deadline":"forever"}`, 201, `{"id":"*"}`)
	check("not there", 403, chief, guest, token)
	w.place("root/dev/team")
	check("there", 200, chief, guest, token)
	w.place("root/devil")
	check("beside", 403, chief, guest, token)
}

// place says where the account other stands in a directory of organizations.
func (w *world) place(path string) {
	w.t.Helper()
	_, err := w.iam.ChangeAccount(w.t.Context(), iam.Operator(), iam.AccountRef{Name: "other"}, iam.AccountChange{OrgPath: &path})
	w.must(err)
}

// A public repository is everyone's, and its rules wait until it is private.
func TestVisibilityOfWhatIsShared(t *testing.T) {
	w := open(t, options{})
	w.push("acme/app", "layer", "v1")
	w.push("acme/plain", "layer", "v1")
	w.shareWith("app", "other")
	public := func(repo oci.Name, on bool) {
		t.Helper()
		w.must(w.reg.UpdateRepo(t.Context(), w.users["admin"], "acme/"+repo, registry.RepoPatch{Public: &on}))
	}
	pull := func(repo string, nobody, stranger, anonymous int) {
		t.Helper()
		for user, want := range map[string]int{"nobody": nobody, "other/stranger": stranger, "": anonymous} {
			name := user[strings.Index(user, "/")+1:]
			if got := w.pull(user, name+"-password", "GET /v2/acme/"+repo+"/manifests/v1"); got != want {
				t.Errorf("%s as %q: %d, want %d", repo, user, got, want)
			}
		}
	}
	pull("app", 403, 200, 401)
	pull("plain", 403, 403, 401)
	public("app", true)
	public("plain", true)
	pull("app", 200, 200, 200)
	pull("plain", 200, 200, 200)
	w.want("admin", "GET /v2/manage/namespaces/acme/repositories/app/access-domains/other", nil, 200, `{"exist":true,"namespace":"acme","repository":"app","access_domain":"other",
		"permit":"read","deadline":"forever","description":"","creator_id":"*","creator_name":"admin","created":"*","updated":"*","status":true}`)
	public("app", false)
	public("plain", false)
	pull("app", 403, 200, 401)
	pull("plain", 403, 403, 401)
}

// A share ends with its day, though nothing happens then.
func TestShareEndsAtMidnight(t *testing.T) {
	w := open(t, options{})
	w.push("acme/app", "layer", "v1")
	today := time.Now().UTC()
	if today.Hour() == 23 { // midnight is too near: begin in the next day
		w.later.Store(int64(2 * time.Hour))
		today = today.Add(2 * time.Hour)
	}
	w.want("admin", "POST /v2/manage/namespaces/acme/repositories/app/access-domains",
		`{"access_domain":"other","permit":"read","deadline":"`+today.Format(time.DateOnly)+`"}`, 201, `{}`)
	midnight := time.Date(today.Year(), today.Month(), today.Day()+1, 0, 0, 0, 0, time.UTC)
	pull := func() int { return w.pull("other/stranger", "stranger-password", "GET /v2/acme/app/manifests/v1") }
	if got := pull(); got != 200 {
		t.Errorf("today: %d", got)
	}
	w.later.Store(int64(time.Until(midnight) - time.Minute))
	if got := pull(); got != 200 {
		t.Errorf("a minute before midnight: %d", got)
	}
	w.later.Store(int64(time.Until(midnight)))
	if got := pull(); got != 403 {
		t.Errorf("at midnight: %d", got)
	}
}

// What takes rights away counts from the next request on, on both surfaces.
func TestRightsEndAtOnce(t *testing.T) {
	w := open(t, options{})
	w.push("acme/app", "layer", "v1")
	ctx, admin := t.Context(), w.users["admin"]
	key, err := w.iam.CreateKey(ctx, iam.Operator(), "admin", "reader", "")
	w.must(err)
	keyPassword := iam.KeyPassword(key.Access, key.Secret)
	const show, manifest = "GET /v2/manage/namespaces/acme", "GET /v2/acme/app/manifests/v1"
	type state struct{ show, pull, byKey, token int }
	token := w.registryToken("reader", "reader-password", "repository:acme/app:pull")
	now := func() state {
		return state{w.send("reader", show, nil).Code, w.pull("reader", "reader-password", manifest), w.pull("region-1@"+key.Access, keyPassword, manifest),
			w.image(manifest, nil, bearer(token)).Code}
	}
	all := state{200, 200, 200, 200}
	reader := w.users["reader"].User
	for _, step := range []struct {
		about string
		do    func()
		want  state
		undo  func()
	}{
		{"grant revoked", func() { w.want("admin", "DELETE /v2/manage/namespaces/acme/access", `["`+reader+`"]`, 204, ``) }, state{403, 403, 403, 403},
			func() {
				w.want("admin", "POST /v2/manage/namespaces/acme/access", `[{"user_id":"`+reader+`","auth":1}]`, 201, `{}`)
			}},
		{"key disabled", func() { w.must(w.iam.SetKeyEnabled(ctx, admin, key.Access, false)) }, state{200, 200, 401, 200},
			func() { w.must(w.iam.SetKeyEnabled(ctx, admin, key.Access, true)) }},
		{"user disabled", func() { w.must(w.iam.SetUserEnabled(ctx, admin, "", "reader", false)) }, state{401, 401, 401, 401},
			func() { w.must(w.iam.SetUserEnabled(ctx, admin, "", "reader", true)) }},
	} {
		if got := now(); got != all {
			t.Errorf("before %s: %+v", step.about, got)
		}
		step.do()
		if got := now(); got != step.want {
			t.Errorf("%s: %+v, want %+v", step.about, got, step.want)
		}
		w.later.Add(int64(10 * time.Minute)) // failures slow the next login down
		step.undo()
	}
	if got := now(); got != all {
		t.Errorf("at the end: %+v", got)
	}
}

// Two nodes over one PostgreSQL: what one shares the other serves within two
// seconds, and refuses as soon after it has ended.
func TestSharingBetweenNodes(t *testing.T) {
	url := dbtest.Postgres(t)
	type node struct {
		reg *registry.Registry
		iam *iam.Authority
		api http.Handler
	}
	files, err := fsblob.Open(t.TempDir(), fsblob.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, files.Close()) })
	start := func() node {
		d := dbtest.OpenURL(t, url, func(o *db.Options) { o.Twice = false })
		a, err := iam.New(t.Context(), d, iam.Options{Master: bytes.Repeat([]byte{7}, 32), Argon: iam.Argon{Memory: 64, Passes: 1}})
		must(t, err)
		t.Cleanup(func() { must(t, a.Close()) })
		reg := registry.New(d, a, blob.New(files, blob.Options{}), registry.Options{})
		return node{reg, a, web.New(web.Options{}, web.Mount{Path: "/v2/", Handler: ociapi.New(reg, a, ociapi.Options{})})}
	}
	here := start()
	_, _, err = here.iam.Bootstrap(t.Context(), "admin-password")
	must(t, err)
	_, err = here.iam.CreateAccount(t.Context(), iam.Operator(), "other")
	must(t, err)
	_, err = here.iam.CreateUser(t.Context(), iam.Operator(), "other", "stranger", "stranger-password", false)
	must(t, err)
	there := start()
	admin, err := here.iam.Password(t.Context(), "admin", "admin-password", "")
	must(t, err)
	_, err = here.reg.CreateOrg(t.Context(), admin, "acme")
	must(t, err)
	_, err = here.reg.CreateRepo(t.Context(), admin, "acme/app", registry.RepoSpec{})
	must(t, err)
	list := func(n node) string {
		return http.StatusText(sendImage(t, n.api, "GET /v2/acme/app/tags/list", nil, basic("other/stranger")).Code)
	}
	within := func(n node, want string) {
		t.Helper()
		for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			got := list(n)
			switch took := time.Since(begun); {
			case got == want:
				return
			case took > 3*time.Second: // two, and some for a busy machine
				t.Fatalf("after %v: %s, want %s", took, got, want)
			}
		}
	}
	for range 2 {
		if got := list(there); got != "Forbidden" {
			t.Errorf("before: %s", got)
		}
		must(t, here.reg.ShareWithAccount(t.Context(), admin, "acme/app", "other", "forever", ""))
		if got := list(here); got != "OK" {
			t.Errorf("on the node that shared: %s", got)
		}
		within(there, "OK")
		must(t, here.reg.EndAccountShare(t.Context(), admin, "acme/app", "other"))
		if got := list(here); got != "Forbidden" {
			t.Errorf("on the node that ended it: %s", got)
		}
		within(there, "Forbidden")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
