package ociapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzRequest sends anything to a whole server. No answer is a 500, and every
// refusal has its envelope.
func FuzzRequest(f *testing.F) {
	w := open(f, options{})
	d := w.pushImage("acme/app", "v1")
	upload := strings.TrimPrefix(w.startUpload("admin", ""), "http://"+w.host)
	for _, s := range [][6]string{
		{"GET", "/v2/", "", "", "", ""},
		{"GET", "/v2", "", "", "", ""},
		{"GET", "/v2/_catalog", "n=2&last=a", "", "", ""},
		{"GET", "/v2/acme/app/tags/list", "n=0", "", "", ""},
		{"GET", "/v2/acme/app/referrers/" + d, "artifactType=&n=1&last=x", "", "", ""},
		{"GET", "/v2/acme/app/manifests/v1", "", "If-None-Match", `W/"x", *`, ""},
		{"PUT", "/v2/acme/app/manifests/v2", "tag=a&tag=b", "Content-Type", imageType, string(image(""))},
		{"DELETE", "/v2/acme/app/manifests/none", "", "", "", ""},
		{"GET", "/v2/acme/app/blobs/" + emptyConfig, "", "Range", "bytes=0-0", ""},
		{"GET", "/v2/acme/app/blobs/" + emptyConfig, "", "Authorization", "Bearer a.b.c", ""},
		{"POST", "/v2/acme/app/blobs/uploads/", "mount=" + emptyConfig + "&from=acme/app", "", "", ""},
		{"POST", "/v2/acme/app/blobs/uploads/", "digest=" + digestOf([]byte("x")), "", "", "x"},
		{"POST", "/v2/acme/app/blobs/uploads/", "digest-algorithm=sha512", "", "", ""},
		{"PATCH", upload, "", "Content-Range", "0-1", "xx"},
		{"PUT", upload, "digest=" + digestOf([]byte("xx")), "Content-Range", "5-6", "xx"},
		{"GET", "/auth/token", "scope=repository:acme/app:pull,push&offline_token=true", "", "", ""},
		{"POST", "/auth/token", "", "Content-Type", "application/x-www-form-urlencoded", "grant_type=password&username=a&password=b"},
	} {
		f.Add(s[0], s[1], s[2], s[3], s[4], s[5])
	}
	f.Fuzz(func(t *testing.T, method, path, query, key, value, body string) {
		r := httptest.NewRequest("GET", "/", strings.NewReader(body)).WithContext(t.Context())
		r.Method, r.URL = method, &url.URL{Path: path, RawQuery: query}
		r.SetBasicAuth("admin", "admin-password")
		if key != "" {
			r.Header[http.CanonicalHeaderKey(key)] = []string{value}
		}
		rec := httptest.NewRecorder()
		w.srv.Handler.ServeHTTP(rec, r)
		if rec.Code == http.StatusInternalServerError || rec.Code < 200 || rec.Code > 507 {
			t.Errorf("%s %q ? %q, %s: %q: %d %s", method, path, query, key, value, rec.Code, rec.Body)
		}
		if rec.Code >= 400 && rec.Code != http.StatusRequestedRangeNotSatisfiable && !strings.HasPrefix(rec.Body.String(), `{"errors":[{"code":"`) {
			t.Errorf("%s %q: %d without the envelope: %s", method, path, rec.Code, rec.Body)
		}
	})
}
