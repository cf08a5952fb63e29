package ociapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/web"
)

// specCodes are those a 4xx may have (distribution-spec, Error Codes), and
// TAG_INVALID of its part on legacy error codes.
var specCodes = []string{
	"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID",
	"MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS", "TAG_INVALID",
}

func TestEveryFaultHasAnAnswer(t *testing.T) {
	for _, c := range fault.Codes {
		w, ok := faults[c]
		switch {
		case !ok:
			t.Errorf("%s has no answer", c)
		case w.status < 400 || w.status > 599:
			t.Errorf("%s: status %d", c, w.status)
		case w.status < 500 && !slices.Contains(specCodes, w.code):
			t.Errorf("%s: the spec has no code %s", c, w.code)
		}
	}
	if len(faults) != len(fault.Codes) {
		t.Errorf("the table has %d rows for %d codes", len(faults), len(fault.Codes))
	}
}

func TestFail(t *testing.T) {
	api := New(nil, nil, Options{})
	tests := []struct {
		err    error
		status int
		header map[string]string
		body   string
	}{
		{fault.New(fault.TagInvalid, "Bad tag."), 400, nil, `{"errors":[{"code":"TAG_INVALID","message":"Bad tag."}]}`},
		{fault.New(fault.ReferenceUnknown, "Push it.").With("sha256:1"), 404, nil, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"Push it.","detail":{"digest":"sha256:1"}}]}`},
		{fault.New(fault.RangeInvalid, "Go on at 7.").With(int64(7)), 416, nil, `{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"Go on at 7.","detail":{"offset":7}}]}`},
		{fault.New(fault.TooMany, "Slowly."), 429, map[string]string{"Retry-After": "1"}, `{"errors":[{"code":"TOOMANYREQUESTS","message":"Slowly."}]}`},
		{fault.New(fault.TooMany, "Slowly.").With(2500 * time.Millisecond), 429, map[string]string{"Retry-After": "3"}, `{"errors":[{"code":"TOOMANYREQUESTS","message":"Slowly."}]}`},
		{fault.New(fault.Unavailable, "Later."), 503, map[string]string{"Retry-After": "1"}, `{"errors":[{"code":"UNAVAILABLE","message":"Later."}]}`},
		{fault.Wrap(fault.Full, errors.New("/var/lib: disk"), "Full."), 507, nil, `{"errors":[{"code":"UNAVAILABLE","message":"Full."}]}`},
		{fault.New(fault.Unsupported, "Old.").With(nil), 400, nil, `{"errors":[{"code":"UNSUPPORTED","message":"Old."}]}`},
		{fault.New(fault.Unsupported, "No.").With("GET, HEAD"), 405, map[string]string{"Allow": "GET, HEAD"}, `{"errors":[{"code":"UNSUPPORTED","message":"No."}]}`},
		{fault.New(fault.InUse, "Needed."), 405, map[string]string{"Allow": "GET, HEAD"}, `{"errors":[{"code":"UNSUPPORTED","message":"Needed."}]}`},
		{fault.New(fault.Denied, "No.").With("secret"), 403, nil, `{"errors":[{"code":"DENIED","message":"No."}]}`},
		{fmt.Errorf("db: not started: %w", context.Canceled), 503, map[string]string{"Retry-After": "1"}, `{"errors":[{"code":"UNAVAILABLE","message":"The registry gave this request up before it was done; try again."}]}`},
		{fmt.Errorf("login: %w", context.DeadlineExceeded), 503, nil, `{"errors":[{"code":"UNAVAILABLE","message":"The registry gave this request up before it was done; try again."}]}`},
		{fmt.Errorf("db: not started: %w", fault.New(fault.UploadInvalid, "Taken over.")), 400, nil, `{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"Taken over."}]}`},
		{errors.New("pq: password of the database"), 500, nil, `{"errors":[{"code":"UNKNOWN","message":"Something went wrong in the registry; its log says more under the request id ID."}]}`},
		{fault.New("made_up", "Secret."), 500, nil, `{"errors":[{"code":"UNKNOWN","message":"Something went wrong in the registry; its log says more under the request id ID."}]}`},
	}
	for _, tt := range tests {
		s := web.New(web.Options{}, web.Mount{Path: "/", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			api.fail(&call{w: w, r: r}, tt.err)
		})})
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		body := strings.ReplaceAll(tt.body, "ID.", rec.Header().Get("X-Request-Id")+".")
		if rec.Code != tt.status || rec.Body.String() != body || rec.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%v: %d %s", tt.err, rec.Code, rec.Body)
		}
		for k, v := range tt.header {
			if got := rec.Header().Get(k); got != v {
				t.Errorf("%v: %s is %q", tt.err, k, got)
			}
		}
	}
}

func TestEveryKindHasARoute(t *testing.T) {
	api := New(nil, nil, Options{})
	for k := oci.Ping; k <= oci.UploadCancel; k++ {
		rt := api.routes[k]
		if rt.route == nil || rt.kind != k || rt.handle == nil || rt.metrics.Name() != "oci_"+k.String() {
			t.Errorf("%s has no route of its own", k)
		}
	}
	if len(routes) != kinds-1 {
		t.Errorf("%d routes for %d kinds", len(routes), kinds-1)
	}
}
