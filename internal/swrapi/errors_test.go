package swrapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/web"
)

// failing answers err on a route about s.
func failing(t *testing.T, objects bool, s subject, err error) *httptest.ResponseRecorder {
	t.Helper()
	api := New(nil, nil, Options{ObjectErrors: objects})
	h := web.New(web.Options{}, web.Mount{Path: "/", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api.fail(&call{w: w, r: r, rt: &route{about: s}}, err)
	})})
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if rec.Header().Get("X-Request-Id") == "" || rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%v: headers %v", err, rec.Header())
	}
	return rec
}

// Both forms, byte for byte.
func TestBothForms(t *testing.T) {
	err := fault.New(fault.OrgUnknown, "There is no organization \"acme\" & it is not public.")
	list := failing(t, false, anOrg, err)
	if got, want := list.Body.String(), `[{"errorCode":"SVCSTG.SWR.4040058","errorMessage":"There is no organization \"acme\" & it is not public.","detail":""}]`; got != want || list.Code != 404 {
		t.Errorf("list: %d %s", list.Code, got)
	}
	object := failing(t, true, anOrg, err)
	want := `{"error_code":"SVCSTG.SWR.4040058","error_msg":"There is no organization \"acme\" & it is not public.",` +
		`"errorCode":"SVCSTG.SWR.4040058","errorMessage":"There is no organization \"acme\" & it is not public.",` +
		`"errors":[{"errorCode":"SVCSTG.SWR.4040058","errorMessage":"There is no organization \"acme\" & it is not public.","detail":""}],` +
		`"request_id":"` + object.Header().Get("X-Request-Id") + `"}`
	if got := object.Body.String(); got != want || object.Code != 404 {
		t.Errorf("object: %d %s", object.Code, got)
	}
}

// The vendor's SDK reads an error from an object: error_code and error_msg,
// both strings that are not empty. From a list it takes the text as a whole.
// (conformance/swr runs the SDK itself.)
func TestObjectFillsTheCodeOfTheSDK(t *testing.T) {
	for _, f := range fault.Codes {
		var got map[string]any
		if err := json.Unmarshal(failing(t, true, anything, &fault.Error{Code: f}).Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		c, _ := got["error_code"].(string)
		msg, _ := got["error_msg"].(string)
		if c == "" || msg == "" || got["errorCode"] != c || got["errorMessage"] != msg {
			t.Errorf("%s: %v", f, got)
		}
		var list []listed
		d := json.NewDecoder(bytes.NewReader(failing(t, false, anything, &fault.Error{Code: f}).Body.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&list); err != nil || len(list) != 1 || list[0].Code != c || list[0].Message == "" {
			t.Errorf("%s: %v %v", f, list, err)
		}
	}
}

func TestFail(t *testing.T) {
	tests := []struct {
		about  subject
		err    error
		status int
		code   code
		header map[string]string
	}{
		{anything, errNoCredential, 401, noCredential, nil},
		{anything, fault.New(fault.Unauthorized, "No."), 401, badCredential, nil},
		{anOrg, fault.New(fault.NameInvalid, "No."), 400, badOrgName, nil},
		{aRepo, fault.New(fault.NameInvalid, "No."), 400, badRepoName, nil},
		{anOrg, fault.New(fault.Exists, "No."), 409, orgExists, nil},
		{aRepo, fault.New(fault.Exists, "No."), 409, repoExists, nil},
		{orgGrant, fault.New(fault.Exists, "No."), 409, orgGrantExists, nil},
		{repoGrant, fault.New(fault.Exists, "No."), 409, repoGrantExists, nil},
		{aShare, fault.New(fault.Exists, "No."), 409, repoGrantExists, nil},
		{aTrigger, fault.New(fault.Exists, "No."), 400, badParameter, nil},
		{aRetention, fault.New(fault.Exists, "No."), 400, badParameter, nil},
		{aSync, fault.New(fault.Exists, "No."), 409, repoExists, nil},
		{orgGrant, fault.New(fault.GrantUnknown, "No."), 404, orgGrantUnknown, nil},
		{repoGrant, fault.New(fault.GrantUnknown, "No."), 404, repoGrantUnknown, nil},
		{orgGrant, fault.New(fault.RightInvalid, "No."), 400, badOrgRight, nil},
		{repoGrant, fault.New(fault.RightInvalid, "No."), 400, badRepoRight, nil},
		{anOrg, fault.New(fault.NotEmpty, "No."), 406, orgNotEmpty, nil},
		{aRepo, fault.New(fault.NotEmpty, "No."), 406, repoNotEmpty, nil},
		{aRepo, fault.New(fault.Quota, "No.").With("namespace"), 400, orgQuota, nil},
		{aRepo, fault.New(fault.Quota, "No.").With("repo"), 400, repoQuota, nil},
		{aRepo, fault.New(fault.Quota, "No.").With("tag"), 400, tagQuota, nil},
		{aRepo, fault.New(fault.Foreign, "No."), 403, notYours, nil},
		{aRepo, fault.New(fault.Denied, "No."), 403, notAllowed, nil},
		{aRepo, fault.New(fault.TooLong, "No."), 413, descriptionTooLong, nil},
		{aRepo, fault.New(fault.TooLarge, "No."), 413, bodyTooLarge, nil},
		{aRepo, fault.New(fault.Unsupported, "No.").With("GET, PUT"), 405, methodNotAllowed, map[string]string{"Allow": "GET, PUT"}},
		{aRepo, fault.New(fault.TooMany, "No.").With(1500 * time.Millisecond), 429, tooMany, map[string]string{"Retry-After": "2"}},
		{aRepo, fault.New(fault.Unavailable, "No."), 503, internalError, map[string]string{"Retry-After": "1"}},
		{aRepo, fault.Wrap(fault.Full, errors.New("/var/lib"), "Full."), 507, storageFull, nil},
		{aRepo, fmt.Errorf("db: %w", context.DeadlineExceeded), 503, internalError, map[string]string{"Retry-After": "1"}},
		{aRepo, problem(badOrgName, fault.New(fault.NameInvalid, "No.")), 400, badOrgName, nil},
		{aRepo, errors.New("pq: password"), 500, internalError, nil},
		{aRepo, problem(badOrgName, errors.New("pq: password")), 500, internalError, nil},
		{aRepo, fault.New("made_up", "password"), 500, internalError, nil},
	}
	for _, tt := range tests {
		rec := failing(t, false, tt.about, tt.err)
		if rec.Code != tt.status || !strings.HasPrefix(rec.Body.String(), `[{"errorCode":"`+string(tt.code)+`"`) || strings.Contains(rec.Body.String(), "password") {
			t.Errorf("%v: %d %s", tt.err, rec.Code, rec.Body)
		}
		for k, v := range tt.header {
			if got := rec.Header().Get(k); got != v {
				t.Errorf("%v: %s is %q", tt.err, k, got)
			}
		}
	}
}

// Whatever an archive is wrong in has a code of its own.
func TestEveryDefectHasACode(t *testing.T) {
	seen := map[code]bool{}
	for _, d := range registry.ArchiveDefects() {
		var f *fault.Error
		if !errors.As(d.As("It is wrong."), &f) {
			t.Fatalf("%s is no fault", d)
		}
		w := answerOf(anArchive, f)
		if w.code == "" || seen[w.code] || codes[w.code].status != w.status {
			t.Errorf("%s is %d %s", d, w.status, w.code)
		}
		seen[w.code] = true
	}
}
