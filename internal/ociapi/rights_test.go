package ociapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"berth.dev/berth/internal/oci"
)

// callers in the order of the columns below.
var callers = []string{"", "nobody", "reader", "writer", "manager"}

// TestEveryRouteAsEveryone calls each route as each kind of caller, with a
// password and with a token that was issued for everything the caller may do.
func TestEveryRouteAsEveryone(t *testing.T) {
	type row struct {
		kind         oci.Kind
		method, path string
		body         string
		status       [5]int // by callers
	}
	blob := digestOf([]byte("layer of v1"))
	fresh := "fresh"
	rows := []row{
		{oci.Ping, "GET", "/v2/", "", [5]int{401, 200, 200, 200, 200}},
		{oci.Catalog, "GET", "/v2/_catalog", "", [5]int{401, 200, 200, 200, 200}},
		{oci.TagsList, "GET", "/v2/acme/app/tags/list", "", [5]int{401, 403, 200, 200, 200}},
		{oci.Referrers, "GET", "/v2/acme/app/referrers/" + blob, "", [5]int{401, 403, 200, 200, 200}},
		{oci.ManifestGet, "GET", "/v2/acme/app/manifests/v1", "", [5]int{401, 403, 200, 200, 200}},
		{oci.ManifestHead, "HEAD", "/v2/acme/app/manifests/v1", "", [5]int{401, 403, 200, 200, 200}},
		{oci.ManifestGet, "GET", "/v2/acme/none/manifests/v1", "", [5]int{401, 403, 404, 404, 404}},
		{oci.ManifestGet, "GET", "/v2/other/none/manifests/v1", "", [5]int{401, 403, 403, 403, 403}},
		{oci.BlobGet, "GET", "/v2/acme/app/blobs/" + blob, "", [5]int{401, 403, 200, 200, 200}},
		{oci.BlobHead, "HEAD", "/v2/acme/app/blobs/" + blob, "", [5]int{401, 403, 200, 200, 200}},
		{oci.UploadStart, "POST", "/v2/acme/app/blobs/uploads/", "", [5]int{401, 403, 403, 202, 202}},
		{oci.UploadStart, "POST", "/v2/acme/app/blobs/uploads/?digest=" + digestOf([]byte(fresh)), fresh, [5]int{401, 403, 403, 201, 201}},
		{oci.UploadStart, "POST", "/v2/acme/copy/blobs/uploads/?mount=" + blob + "&from=acme/app", "", [5]int{401, 403, 403, 201, 201}},
		{oci.UploadStart, "POST", "/v2/other/app/blobs/uploads/", "", [5]int{401, 403, 403, 403, 403}},
		// An upload is of who opened it, whatever the rights of others. A
		// token without push is told that first.
		{oci.UploadStatus, "GET", "UPLOAD", "", [5]int{401, 404, 404, 404, 404}},
		{oci.UploadPatch, "PATCH", "UPLOAD", "x", [5]int{401, 404, 404, 404, 404}},
		{oci.UploadPut, "PUT", "UPLOAD?digest=" + digestOf([]byte("x")), "x", [5]int{401, 404, 404, 404, 404}},
		{oci.UploadCancel, "DELETE", "UPLOAD", "", [5]int{401, 404, 404, 404, 404}},
		{oci.ManifestPut, "PUT", "/v2/acme/app/manifests/v2", string(image("", blob)), [5]int{401, 403, 403, 201, 201}},
		{oci.BlobDelete, "DELETE", "/v2/acme/app/blobs/" + digestOf([]byte(fresh)), "", [5]int{401, 403, 403, 403, 202}},
		{oci.ManifestDelete, "DELETE", "/v2/acme/app/manifests/v2", "", [5]int{401, 403, 403, 403, 202}},
		{oci.ManifestDelete, "DELETE", "/v2/acme/app/manifests/" + digestOf(image("", blob)), "", [5]int{401, 403, 403, 403, 202}},
	}
	called := map[oci.Kind]bool{}
	for _, r := range rows {
		called[r.kind] = true
		if q, err := oci.ParseRequest(r.method, strings.SplitN(strings.Replace(r.path, "UPLOAD", "/v2/acme/app/blobs/uploads/id", 1), "?", 2)[0]); err != nil || q.Kind != r.kind {
			t.Errorf("%s %s is of kind %s", r.method, r.path, q.Kind)
		}
	}
	for k := oci.Ping; k <= oci.UploadCancel; k++ {
		if !called[k] {
			t.Errorf("no request of kind %s", k)
		}
	}

	for _, login := range []string{"password", "token"} {
		t.Run(login, func(t *testing.T) {
			w := open(t, options{})
			w.pushImage("acme/app", "v1")
			upload := w.send(request{method: "POST", path: "/v2/acme/app/blobs/uploads/", as: "admin"}).Header.Get("Location")
			for _, r := range rows {
				path := strings.Replace(r.path, "UPLOAD", upload, 1)
				for i, as := range callers {
					if login == "token" && as != "" {
						scopes := []string{"registry:catalog:*"}
						for _, repo := range []string{"acme/app", "acme/none", "acme/copy", "other/app", "other/none"} {
							scopes = append(scopes, "repository:"+repo+":*")
						}
						as = w.token(as, scopes...)
					}
					q := request{method: r.method, path: path, as: as, body: r.body, header: map[string]string{"Content-Type": imageType}}
					a := w.send(q)
					want := r.status[i]
					if login == "token" && strings.HasPrefix(r.path, "UPLOAD") && (callers[i] == "nobody" || callers[i] == "reader") {
						want = 403
					}
					if a.StatusCode != want {
						t.Errorf("%s %s as %q: %d %s, want %d", r.method, r.path, callers[i], a.StatusCode, a.body, want)
					}
					if a.StatusCode >= 400 && r.method != http.MethodHead && !strings.HasPrefix(a.body, `{"errors":[{"code":"`) {
						t.Errorf("%s %s as %q: an error without its envelope: %s", r.method, r.path, callers[i], a.body)
					}
					if challenged := a.Header.Get("Www-Authenticate") != ""; challenged != (a.StatusCode == 401) {
						t.Errorf("%s %s as %q: %d with challenge %q", r.method, r.path, callers[i], a.StatusCode, a.Header.Get("Www-Authenticate"))
					}
				}
			}
		})
	}
}

func TestDenialSaysWhy(t *testing.T) {
	w := open(t, options{})
	w.pushImage("acme/app", "v1")
	for _, tt := range []struct{ as, method, path, says string }{
		{"reader", "POST", "/v2/acme/app/blobs/uploads/", "push"},
		{"nobody", "GET", "/v2/acme/app/manifests/v1", "pull"},
		{"writer", "DELETE", "/v2/acme/app/manifests/v1", "delete"},
		{"admin", "POST", "/v2/nowhere/app/blobs/uploads/", "The organization nowhere does not exist"},
	} {
		for _, as := range []string{tt.as, w.token(tt.as, "repository:acme/app:*")} {
			a := w.send(request{method: tt.method, path: tt.path, as: as})
			if a.StatusCode != 403 || !strings.Contains(a.body, tt.says) {
				t.Errorf("%s %s as %s: %d %s", tt.method, tt.path, tt.as, a.StatusCode, a.body)
			}
		}
	}
}

func TestPublicRepository(t *testing.T) {
	w := open(t, options{})
	w.pushImage("acme/app", "v1")
	admin, err := w.iam.Password(t.Context(), "admin", "admin-password", "")
	w.must(err)
	public := true
	w.must(w.reg.UpdateRepo(t.Context(), admin, "acme/app", publicPatch(&public)))
	blob := digestOf([]byte("layer of v1"))
	anonymous := w.token("", "repository:acme/app:pull,push", "registry:catalog:*")
	for _, as := range []string{"", "nobody", anonymous} {
		for _, path := range []string{"/v2/acme/app/manifests/v1", "/v2/acme/app/blobs/" + blob, "/v2/acme/app/tags/list", "/v2/acme/app/referrers/" + blob} {
			if a := w.send(request{method: "GET", path: path, as: as}); a.StatusCode != 200 {
				t.Errorf("GET %s as %.10q: %d %s", path, as, a.StatusCode, a.body)
			}
		}
		want := 401
		if as == "nobody" {
			want = 403
		}
		for _, q := range []request{{method: "POST", path: "/v2/acme/app/blobs/uploads/"}, {method: "DELETE", path: "/v2/acme/app/manifests/v1"}, {method: "PUT", path: "/v2/acme/app/manifests/v1", body: "{}"}} {
			q.as = as
			if a := w.send(q); a.StatusCode != want {
				t.Errorf("%s %s as %.10q: %d %s", q.method, q.path, as, a.StatusCode, a.body)
			}
		}
	}
	w.check("the anonymous catalog", w.send(request{method: "GET", path: "/v2/_catalog", as: anonymous}), want{200, nil, `{"repositories":["acme/app"]}`})
	w.check("the ping of an anonymous token", w.send(request{method: "GET", path: "/v2/", as: anonymous}), want{200, nil, `{}`})
}

func TestWrongMethodsAndPaths(t *testing.T) {
	w := open(t, options{})
	sum := digestOf(nil)
	for _, tt := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"POST", "/v2/", 405, "UNSUPPORTED", "GET, HEAD"},
		{"OPTIONS", "/v2/acme/app/tags/list", 405, "UNSUPPORTED", "GET, HEAD"},
		{"DELETE", "/v2/_catalog", 405, "UNSUPPORTED", "GET, HEAD"},
		{"POST", "/v2/acme/app/manifests/v1", 405, "UNSUPPORTED", "GET, HEAD, PUT, DELETE"},
		{"PUT", "/v2/acme/app/blobs/" + sum, 405, "UNSUPPORTED", "GET, HEAD, DELETE"},
		{"GET", "/v2/acme/app/blobs/uploads/", 405, "UNSUPPORTED", "POST"},
		{"POST", "/v2/acme/app/blobs/uploads/id", 405, "UNSUPPORTED", "GET, PATCH, PUT, DELETE"},
		{"DELETE", "/v2", 405, "UNSUPPORTED", "GET, HEAD"},
		{"BREW", "/v2/", 405, "UNSUPPORTED", "GET, HEAD"},
		{"GET", "/v2/nothing", 404, "NAME_UNKNOWN", ""},
		{"GET", "/v2/acme/app", 404, "NAME_UNKNOWN", ""},
		{"GET", "/v2/acme/app/tags/list/", 404, "NAME_UNKNOWN", ""},
		{"GET", "/v2/_oci/ext/discover", 404, "NAME_UNKNOWN", ""},
		{"GET", "/v2//acme/app/tags/list", 400, "NAME_INVALID", ""},
		{"GET", "/v2/acme/../app/tags/list", 400, "NAME_INVALID", ""},
		{"GET", "/v2/Acme/app/tags/list", 400, "NAME_INVALID", ""},
		{"GET", "/v2/app/tags/list", 404, "NAME_UNKNOWN", ""},
		{"POST", "/v2/app/blobs/uploads/", 404, "NAME_UNKNOWN", ""},
		{"GET", "/v2/library/app/tags/list", 404, "NAME_UNKNOWN", ""},
		{"POST", "/v2/library/app/blobs/uploads/", 404, "NAME_UNKNOWN", ""},
		{"GET", "/v2/acme/app%00/tags/list", 400, "NAME_INVALID", ""},
		{"GET", "/v2/acme/app/manifests/.INVALID", 404, "MANIFEST_UNKNOWN", ""},
		{"PUT", "/v2/acme/app/manifests/.INVALID", 400, "TAG_INVALID", ""},
		{"GET", "/v2/acme/app/manifests/sha256:abc", 400, "DIGEST_INVALID", ""},
		{"GET", "/v2/acme/app/blobs/md5:" + sum[7:39], 400, "DIGEST_INVALID", ""},
		{"GET", "/v2/acme/app/referrers/latest", 400, "DIGEST_INVALID", ""},
	} {
		a := w.send(request{method: tt.method, path: tt.path})
		if a.StatusCode != tt.status || !strings.Contains(a.body, `"`+tt.code+`"`) || a.Header.Get("Allow") != tt.allow || a.Header.Get("Location") != "" {
			t.Errorf("%s %s: %d Allow %q %s", tt.method, tt.path, a.StatusCode, a.Header.Get("Allow"), a.body)
		}
	}
}

func TestVersionDocument(t *testing.T) {
	w := open(t, options{})
	w.check("GET /v2", w.send(request{method: "GET", path: "/v2"}), want{200, map[string]string{"Content-Type": "application/json", "Location": ""},
		`{"version":{"id":"v2","links":{"href":"http://HOST/v2","rel":"self"},"min_version":"2.0","status":"CURRENT","updated":"2026-11-22T00:00:00Z","version":"2.26"}}`})
	w.check("GET /v2/", w.send(request{method: "GET", path: "/v2/", as: "admin"}), want{200, nil, `{}`})
	if a := w.send(request{method: "HEAD", path: "/v2"}); a.StatusCode != 200 || a.body != "" {
		t.Errorf("HEAD /v2: %d %s", a.StatusCode, a.body)
	}
}

func TestChallenge(t *testing.T) {
	w := open(t, options{})
	w.pushImage("acme/app", "v1")
	realm := `Bearer realm="http://HOST/auth/token",service="HOST"`
	sum := digestOf([]byte("{}"))
	for _, tt := range []struct {
		name string
		request
		want string
	}{
		{"ping", request{method: "GET", path: "/v2/"}, realm},
		{"catalog", request{method: "GET", path: "/v2/_catalog"}, realm + `,scope="registry:catalog:*"`},
		{"pull", request{method: "GET", path: "/v2/acme/app/manifests/v1"}, realm + `,scope="repository:acme/app:pull"`},
		{"pull of what does not exist", request{method: "GET", path: "/v2/nowhere/app/manifests/v1"}, realm + `,scope="repository:nowhere/app:pull"`},
		{"push", request{method: "POST", path: "/v2/acme/app/blobs/uploads/"}, realm + `,scope="repository:acme/app:pull,push"`},
		{"mount", request{method: "POST", path: "/v2/acme/app/blobs/uploads/?mount=" + sum + "&from=beta/app"}, realm + `,scope="repository:acme/app:pull,push repository:beta/app:pull"`},
		{"mount without from", request{method: "POST", path: "/v2/acme/app/blobs/uploads/?mount=" + sum}, realm + `,scope="repository:acme/app:pull,push"`},
		{"delete", request{method: "DELETE", path: "/v2/acme/app/manifests/v1"}, realm + `,scope="repository:acme/app:delete"`},
		{"wrong password", request{method: "GET", path: "/v2/", header: map[string]string{"Authorization": "Basic YWRtaW46eA=="}}, realm},
		{"malformed Basic", request{method: "GET", path: "/v2/", header: map[string]string{"Authorization": "Basic %%%"}}, realm},
		{"another scheme", request{method: "GET", path: "/v2/", header: map[string]string{"Authorization": "Negotiate abc"}}, realm},
		{"no token at all", request{method: "GET", path: "/v2/acme/app/manifests/v1", as: "Bearer x.y.z"}, realm + `,scope="repository:acme/app:pull",error="invalid_token"`},
		{"a token for less", request{method: "POST", path: "/v2/acme/app/blobs/uploads/", as: w.token("writer", "repository:acme/app:pull")}, realm + `,scope="repository:acme/app:pull,push",error="insufficient_scope"`},
		{"a token for nothing", request{method: "GET", path: "/v2/acme/app/manifests/v1", as: w.token("writer")}, realm + `,scope="repository:acme/app:pull",error="insufficient_scope"`},
		{"a token not for the catalog", request{method: "GET", path: "/v2/_catalog", as: w.token("writer")}, realm + `,scope="registry:catalog:*",error="insufficient_scope"`},
		{"an anonymous token", request{method: "GET", path: "/v2/acme/app/manifests/v1", as: w.token("", "repository:acme/app:pull")}, realm + `,scope="repository:acme/app:pull",error="insufficient_scope"`},
		{"a token not for the source of a mount", request{method: "POST", path: "/v2/acme/app/blobs/uploads/?mount=" + sum + "&from=acme/lib", as: w.token("writer", "repository:acme/app:pull,push")},
			realm + `,scope="repository:acme/app:pull,push repository:acme/lib:pull",error="insufficient_scope"`},
	} {
		a := w.send(tt.request)
		if got, want := a.Header.Get("Www-Authenticate"), strings.ReplaceAll(tt.want, "HOST", w.host); a.StatusCode != 401 || got != want || !strings.Contains(a.body, `"UNAUTHORIZED"`) {
			t.Errorf("%s: %d\n got %s\nwant %s\n%s", tt.name, a.StatusCode, got, want, a.body)
		}
	}
}

func TestAddressOfTheClientIsUsed(t *testing.T) {
	w := open(t, options{})
	header := map[string]string{"Host": "registry.test:5000"}
	a := w.send(request{method: "GET", path: "/v2/", header: header})
	if got := a.Header.Get("Www-Authenticate"); got != `Bearer realm="http://registry.test:5000/auth/token",service="registry.test:5000"` {
		t.Errorf("challenge: %s", got)
	}
	a = w.send(request{method: "POST", path: "/v2/acme/app/blobs/uploads/", as: "admin", header: header})
	if got := a.Header.Get("Location"); !strings.HasPrefix(got, "http://registry.test:5000/v2/acme/app/blobs/uploads/") {
		t.Errorf("location: %s", got)
	}
}

func TestManyChallengesOfBadPasswordsSlowDown(t *testing.T) {
	w := open(t, options{})
	for i := range 200 {
		a := w.send(request{method: "GET", path: "/v2/", header: map[string]string{"Authorization": "Basic " + fmt.Sprintf("YWRtaW46%04d", i)}})
		if a.StatusCode == http.StatusTooManyRequests {
			if a.Header.Get("Retry-After") == "" || !strings.Contains(a.body, "TOOMANYREQUESTS") {
				t.Errorf("%v %s", a.Header, a.body)
			}
			return
		}
	}
	t.Error("200 wrong passwords, and no answer is 429")
}
