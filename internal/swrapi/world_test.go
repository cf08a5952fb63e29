package swrapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/dial"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/kube"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/ociapi"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/swrapi"
	"berth.dev/berth/internal/trigger"
	"berth.dev/berth/internal/web"
)

// host is the address by which the clients of these tests know the registry.
const host = "registry.example:5000"

// world is the management API over a registry. In the organization acme the
// users of the account admin may do what their names say: reader 1, writer 3,
// manager 7, nobody nothing; admin is its administrator, and stranger that of
// the account other.
type world struct {
	t        *testing.T
	db       *db.DB
	reg      *registry.Registry
	iam      *iam.Authority
	triggers *trigger.Triggers
	api      http.Handler // and the distribution API beside it
	users    map[string]iam.Caller
	token    map[string]string
	later    atomic.Int64 // how far the clock is ahead
}

// options of a world; the zero value will do.
type options struct {
	registry registry.Options
	api      swrapi.Options
}

func open(t *testing.T, o options) *world {
	t.Helper()
	w := &world{t: t, users: map[string]iam.Caller{}, token: map[string]string{}}
	now := func() time.Time { return time.Now().Add(time.Duration(w.later.Load())) }
	database := dbtest.Open(t, func(o *db.Options) { o.Now = now })
	var err error
	w.db = database
	w.iam, err = iam.New(t.Context(), database, iam.Options{Master: bytes.Repeat([]byte{7}, 32), Argon: iam.Argon{Memory: 64, Passes: 1}, Now: now})
	w.must(err)
	t.Cleanup(func() { w.must(w.iam.Close()) })
	files, err := fsblob.Open(filepath.Join(t.TempDir(), "blobs"), fsblob.Options{})
	w.must(err)
	t.Cleanup(func() { w.must(files.Close()) })
	o.registry.Jobs = job.NewQueue(database, nil)
	w.reg = registry.New(database, w.iam, blob.New(files, blob.Options{}), o.registry)
	t.Cleanup(w.fsck)
	o.api.Now = now
	w.triggers = trigger.New(database, w.iam, w.reg, trigger.Options{Dialer: dial.New(dial.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})})
	o.api.Triggers = w.triggers
	api := swrapi.New(w.reg, w.iam, o.api)
	images := ociapi.New(w.reg, w.iam, ociapi.Options{Now: now})
	w.api = web.New(web.Options{}, web.Mount{Path: "/v2/manage/", Handler: api}, web.Mount{Path: "/v3/manage/", Handler: api},
		web.Mount{Path: "/v2/", Handler: images}, web.Mount{Path: ociapi.TokenPath, Handler: images.TokenHandler()})
	w.people()
	return w
}

func (w *world) people() {
	w.t.Helper()
	ctx := w.t.Context()
	_, _, err := w.iam.Bootstrap(ctx, "admin-password")
	w.must(err)
	_, err = w.iam.CreateAccount(ctx, iam.Operator(), "other")
	w.must(err)
	_, err = w.iam.CreateUser(ctx, iam.Operator(), "other", "stranger", "stranger-password", true)
	w.must(err)
	for _, name := range []string{"reader", "writer", "manager", "nobody"} {
		_, err = w.iam.CreateUser(ctx, iam.Operator(), "admin", name, name+"-password", false)
		w.must(err)
	}
	for name, account := range map[string]string{"admin": "admin", "reader": "admin", "writer": "admin", "manager": "admin", "nobody": "admin", "stranger": "other"} {
		t, err := w.iam.PasswordToken(ctx, iam.UserRef{Name: name, Account: iam.AccountRef{Name: account}}, name+"-password", "", iam.Scope{})
		w.must(err)
		w.users[name], w.token[name] = t.Caller, t.Value
	}
	_, err = w.reg.CreateOrg(ctx, w.users["admin"], "acme")
	w.must(err)
	for name, right := range map[string]iam.Right{"reader": iam.Read, "writer": iam.Edit, "manager": iam.Manage} {
		w.must(w.reg.GrantOrg(ctx, w.users["admin"], "acme", name, right))
	}
}

// cluster registers a cluster that does not answer.
func (w *world) cluster(id, name string, marked bool) {
	w.t.Helper()
	_, err := w.triggers.Register(w.t.Context(), w.users["admin"], trigger.NewCluster{ID: id, Name: name, Marked: marked, Force: true,
		Login: trigger.Login{Access: kube.Access{Server: "https://127.0.0.1:1", Token: "t"}}})
	w.must(err)
}

// fsck proves after each test that nothing was left behind.
func (w *world) fsck() {
	if _, err := w.reg.Fsck(context.Background(), iam.Operator(), true, func(f registry.Finding) {
		w.t.Errorf("fsck: %s: %s: %s", f.Check, f.Subject, f.Detail)
	}); err != nil {
		w.t.Errorf("fsck: %v", err)
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// send sends "METHOD /path" as a user ("": without a credential). body is a
// string, []byte, or anything that is sent as JSON; nil: none.
func (w *world) send(as, request string, body any) *httptest.ResponseRecorder {
	w.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	var b []byte
	switch body := body.(type) {
	case nil:
	case string:
		b = []byte(body)
	case []byte:
		b = body
	default:
		var err error
		b, err = json.Marshal(body)
		w.must(err)
	}
	r := httptest.NewRequestWithContext(w.t.Context(), method, "http://"+host+path, bytes.NewReader(b))
	r.Header.Set("Content-Type", "application/json")
	if as != "" {
		r.Header.Set("X-Auth-Token", w.token[as])
	}
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	if rec.Header().Get("X-Request-Id") == "" {
		w.t.Errorf("%s: the answer has no request id", request)
	}
	return rec
}

// want sends a request and compares status and body. Bodies are JSON with *
// for any value; "" means that there is no body at all.
func (w *world) want(as, request string, body any, status int, answer string) *httptest.ResponseRecorder {
	w.t.Helper()
	rec := w.send(as, request, body)
	if rec.Code != status {
		w.t.Errorf("%s as %s: status %d, want %d: %s", request, as, rec.Code, status, rec.Body)
		return rec
	}
	if d := differ(answer, rec.Body.String()); d != "" {
		w.t.Errorf("%s as %s: body (-want +got):\n%s", request, as, d)
	}
	if rec.Body.Len() > 0 && rec.Header().Get("Content-Type") != "application/json" {
		w.t.Errorf("%s: the body is %s", request, rec.Header().Get("Content-Type"))
	}
	return rec
}

// refused sends a request that fails with this code, SVCSTG.SWR.code.
func (w *world) refused(as, request string, body any, status int, code string) {
	w.t.Helper()
	rec := w.send(as, request, body)
	var list []struct{ ErrorCode, ErrorMessage string }
	if err := json.Unmarshal(rec.Body.Bytes(), &list); err != nil || len(list) != 1 || list[0].ErrorMessage == "" {
		w.t.Errorf("%s as %s: %d, the body is no error: %s", request, as, rec.Code, rec.Body)
		return
	}
	if rec.Code != status || strings.TrimPrefix(list[0].ErrorCode, "SVCSTG.SWR.") != code {
		w.t.Errorf("%s as %s: %d %s, want %d %s: %s", request, as, rec.Code, list[0].ErrorCode, status, code, list[0].ErrorMessage)
	}
}

// differ compares JSON texts; a string "*" in want stands for any value.
func differ(want, got string) string {
	if want == "" || got == "" {
		return cmp.Diff(want, got)
	}
	var x, y any
	if err := json.Unmarshal([]byte(want), &x); err != nil {
		return fmt.Sprintf("the wanted text is no JSON: %v", err)
	}
	if err := json.Unmarshal([]byte(got), &y); err != nil {
		return fmt.Sprintf("the answer is no JSON: %v: %s", err, got)
	}
	return cmp.Diff(x, y, cmp.FilterValues(func(a, b any) bool { return a == "*" || b == "*" }, cmp.Ignore()))
}

// page is the header Content-Range of an answer.
func page(rec *httptest.ResponseRecorder) string { return rec.Header().Get("Content-Range") }

const (
	imageType   = "application/vnd.oci.image.manifest.v1+json"
	indexType   = "application/vnd.oci.image.index.v1+json"
	emptyConfig = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // {}
)

// push stores an image with one layer under the tags, as admin, and returns
// its digest. The layer's content is what tells images apart.
func (w *world) push(repo, layer string, tags ...string) oci.Digest {
	w.t.Helper()
	ctx, who, name := w.t.Context(), w.users["admin"], oci.Name(repo)
	blob := func(b []byte) oci.Descriptor {
		d, err := w.reg.PutBlob(ctx, who, name, int64(len(b)), bytes.NewReader(b), oci.SHA256.FromBytes(b))
		w.must(err)
		return d
	}
	config, content := blob([]byte("{}")), blob([]byte(layer))
	m := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":%d}]}`, imageType, config.Digest, config.Size, content.Digest, content.Size)
	ref := oci.Reference{Tag: tags[0]}
	out, err := w.reg.PutManifest(ctx, who, name, ref, tags[1:], imageType, m)
	w.must(err)
	return out.Digest
}
