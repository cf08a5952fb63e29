package oci_test

import (
	"errors"
	"strings"
	"testing"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

func TestParseRequest(t *testing.T) {
	d := oci.Digest("sha256:" + hex64)
	d5 := oci.Digest("sha512:" + hex128)
	tests := []struct {
		line string // method and path
		want oci.Request
	}{
		{"GET /v2/", oci.Request{Kind: oci.Ping}},
		{"HEAD /v2/", oci.Request{Kind: oci.Ping}},
		{"GET /v2/_catalog", oci.Request{Kind: oci.Catalog}},
		{"GET /v2/g/app/tags/list", oci.Request{Kind: oci.TagsList, Name: "g/app"}},
		{"HEAD /v2/g/app/tags/list", oci.Request{Kind: oci.TagsList, Name: "g/app"}},
		{"GET /v2/g/app/referrers/" + string(d), oci.Request{Kind: oci.Referrers, Name: "g/app", Digest: d}},
		{"GET /v2/g/app/manifests/latest", oci.Request{Kind: oci.ManifestGet, Name: "g/app", Reference: oci.Reference{Tag: "latest"}}},
		{"HEAD /v2/g/app/manifests/" + string(d5), oci.Request{Kind: oci.ManifestHead, Name: "g/app", Reference: oci.Reference{Digest: d5}}},
		{"PUT /v2/g/app/manifests/v1", oci.Request{Kind: oci.ManifestPut, Name: "g/app", Reference: oci.Reference{Tag: "v1"}}},
		{"DELETE /v2/g/app/manifests/v1", oci.Request{Kind: oci.ManifestDelete, Name: "g/app", Reference: oci.Reference{Tag: "v1"}}},
		{"GET /v2/g/app/blobs/" + string(d), oci.Request{Kind: oci.BlobGet, Name: "g/app", Digest: d}},
		{"HEAD /v2/g/app/blobs/" + string(d), oci.Request{Kind: oci.BlobHead, Name: "g/app", Digest: d}},
		{"DELETE /v2/g/app/blobs/" + string(d), oci.Request{Kind: oci.BlobDelete, Name: "g/app", Digest: d}},
		{"POST /v2/g/app/blobs/uploads/", oci.Request{Kind: oci.UploadStart, Name: "g/app"}},
		{"POST /v2/g/app/blobs/uploads", oci.Request{Kind: oci.UploadStart, Name: "g/app"}},
		{"GET /v2/g/app/blobs/uploads/id.-_=", oci.Request{Kind: oci.UploadStatus, Name: "g/app", UploadID: "id.-_="}},
		{"PATCH /v2/g/app/blobs/uploads/id", oci.Request{Kind: oci.UploadPatch, Name: "g/app", UploadID: "id"}},
		{"PUT /v2/g/app/blobs/uploads/id", oci.Request{Kind: oci.UploadPut, Name: "g/app", UploadID: "id"}},
		{"DELETE /v2/g/app/blobs/uploads/id", oci.Request{Kind: oci.UploadCancel, Name: "g/app", UploadID: "id"}},

		// Names made of the words that part a path.
		{"GET /v2/blobs/uploads/tags/list", oci.Request{Kind: oci.TagsList, Name: "blobs/uploads"}},
		{"GET /v2/tags/list/tags/list", oci.Request{Kind: oci.TagsList, Name: "tags/list"}},
		{"GET /v2/manifests/manifests/manifests/manifests", oci.Request{Kind: oci.ManifestGet, Name: "manifests/manifests", Reference: oci.Reference{Tag: "manifests"}}},
		{"GET /v2/g/blobs/uploads/manifests/list", oci.Request{Kind: oci.ManifestGet, Name: "g/blobs/uploads", Reference: oci.Reference{Tag: "list"}}},
		{"GET /v2/g/manifests/latest/blobs/" + string(d), oci.Request{Kind: oci.BlobGet, Name: "g/manifests/latest", Digest: d}},
		{"POST /v2/blobs/uploads/blobs/uploads/", oci.Request{Kind: oci.UploadStart, Name: "blobs/uploads"}},
		{"POST /v2/g/uploads/blobs/uploads", oci.Request{Kind: oci.UploadStart, Name: "g/uploads"}},
		{"PUT /v2/g/blobs/blobs/uploads/list", oci.Request{Kind: oci.UploadPut, Name: "g/blobs", UploadID: "list"}},
		{"GET /v2/g/tags/referrers/" + string(d), oci.Request{Kind: oci.Referrers, Name: "g/tags", Digest: d}},
		{"GET /v2/v2/v2/tags/list", oci.Request{Kind: oci.TagsList, Name: "v2/v2"}},
	}
	for _, tt := range tests {
		method, path, _ := strings.Cut(tt.line, " ")
		got, err := oci.ParseRequest(method, path)
		if err != nil || got != tt.want {
			t.Errorf("%s\n got %+v, %v\nwant %+v", tt.line, got, err, tt.want)
		}
		if got.Kind.String() == "unknown" {
			t.Errorf("%s: its kind has no word", tt.line)
		}
	}
}

func TestParseRequestRefuses(t *testing.T) {
	d := "sha256:" + hex64
	tests := []struct {
		line string
		code fault.Code
	}{
		{"GET ", fault.RepoUnknown},
		{"GET /", fault.RepoUnknown},
		{"GET /v2", fault.RepoUnknown},
		{"GET /v3/", fault.RepoUnknown},
		{"GET /v2//", fault.RepoUnknown},
		{"GET /v2/g/app", fault.RepoUnknown},
		{"GET /v2/g/app/", fault.RepoUnknown},
		{"GET /v2/_catalog/", fault.RepoUnknown},
		{"GET /v2/g/app/tags", fault.RepoUnknown},
		{"GET /v2/g/app/tags/list/", fault.RepoUnknown},
		{"GET /v2/g/app/tags/other", fault.RepoUnknown},
		{"GET /v2/g/app/uploads/id", fault.RepoUnknown},
		{"GET /v2/tags/list", fault.NameInvalid},
		{"GET /v2/app/tags/list", fault.RepoUnknown},
		{"GET /v2/G/app/tags/list", fault.NameInvalid},
		{"GET /v2/g//tags/list", fault.NameInvalid},
		{"GET /v2//tags/list", fault.NameInvalid},
		{"GET /v2/g/../tags/list", fault.NameInvalid},
		{"GET /v2/app/manifests/latest", fault.RepoUnknown},
		{"GET /v2/manage/app/manifests/latest", fault.Reserved},
		{"GET /v2/library/app/blobs/" + d, fault.Reserved},
		{"GET /v2/g/app/manifests/.not-a-tag", fault.ManifestUnknown},
		{"HEAD /v2/g/app/manifests/", fault.ManifestUnknown},
		{"DELETE /v2/g/app/manifests/a+b", fault.ManifestUnknown},
		{"PUT /v2/g/app/manifests/a+b", fault.TagInvalid},
		{"GET /v2/g/app/manifests/sha256:baddigeststring", fault.DigestInvalid},
		{"PUT /v2/g/app/manifests/sha256:baddigeststring", fault.DigestInvalid},
		{"GET /v2/g/app/referrers/sha256:baddigeststring", fault.DigestInvalid},
		{"GET /v2/g/app/referrers/latest", fault.DigestInvalid},
		{"GET /v2/g/app/blobs/latest", fault.DigestInvalid},
		{"GET /v2/g/app/blobs/", fault.DigestInvalid},
		{"HEAD /v2/g/app/blobs/sha384:" + hex64, fault.DigestInvalid},
		{"PUT /v2/g/app/blobs/uploads/" + strings.Repeat("i", oci.MaxUploadID+1), fault.UploadUnknown},
		{"POST /v2/app/blobs/uploads/", fault.RepoUnknown},
		{"PATCH /v2/app/blobs/uploads/id", fault.RepoUnknown},
		{"GET /v2/app/blobs/" + d, fault.RepoUnknown},
	}
	for _, tt := range tests {
		method, path, _ := strings.Cut(tt.line, " ")
		got, err := oci.ParseRequest(method, path)
		if fault.CodeOf(err) != tt.code || got != (oci.Request{}) {
			t.Errorf("%s\n got %+v, %v\nwant code %s", tt.line, got, err, tt.code)
		}
	}
}

func TestParseRequestMethods(t *testing.T) {
	all := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", ""}
	for path, allow := range map[string]string{
		"/v2/":                                "GET, HEAD",
		"/v2/_catalog":                        "GET, HEAD",
		"/v2/g/app/tags/list":                 "GET, HEAD",
		"/v2/g/app/referrers/sha256:" + hex64: "GET, HEAD",
		"/v2/g/app/manifests/latest":          "GET, HEAD, PUT, DELETE",
		"/v2/g/app/blobs/sha256:" + hex64:     "GET, HEAD, DELETE",
		"/v2/g/app/blobs/uploads/":            "POST",
		"/v2/g/app/blobs/uploads":             "POST",
		"/v2/g/app/blobs/uploads/id":          "GET, PATCH, PUT, DELETE",
	} {
		for _, method := range all {
			allowed := method != "" && strings.Contains(", "+allow+",", ", "+method+",")
			got, err := oci.ParseRequest(method, path)
			if allowed {
				if err != nil {
					t.Errorf("%s %s: %v", method, path, err)
				}
				continue
			}
			var e *fault.Error
			if !errors.As(err, &e) || e.Code != fault.Unsupported || e.Detail != allow || got != (oci.Request{}) {
				t.Errorf("%s %s = %+v, %v, want Unsupported with the detail %q", method, path, got, err, allow)
			}
		}
	}
}

func TestParseRequestAllocates(t *testing.T) {
	for _, line := range []string{
		"GET /v2/group/sub/app/manifests/latest",
		"HEAD /v2/group/sub/app/blobs/sha256:" + hex64,
		"PATCH /v2/group/sub/app/blobs/uploads/identification",
	} {
		method, path, _ := strings.Cut(line, " ")
		if n := testing.AllocsPerRun(100, func() { _, _ = oci.ParseRequest(method, path) }); n != 0 {
			t.Errorf("%s: %v allocations", line, n)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, path := range []string{
		"/v2/", "/v2", "/v2/_catalog", "/v2/g/app/tags/list", "/v2/g/app/manifests/latest", "/v2/g/app/blobs/uploads", "/v2/g/app/blobs/uploads/x",
		"/v2/g/app/blobs/sha256:" + hex64, "/v2/g/app/referrers/sha256:" + hex64, "/v2/tags/list/tags/list", "/v2/blobs/uploads/blobs/uploads/", "//v2/", "/v2/\x00",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "X"} {
			f.Add(method, path)
		}
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		q, err := oci.ParseRequest(method, path)
		if err != nil {
			switch fault.CodeOf(err) {
			case fault.NameInvalid, fault.Reserved, fault.DigestInvalid, fault.TagInvalid, fault.ManifestUnknown, fault.UploadUnknown, fault.RepoUnknown, fault.Unsupported:
			default:
				t.Errorf("%s %q: %v", method, path, err)
			}
			return
		}
		// What was read says what was asked.
		again := "/v2/" + string(q.Name)
		switch q.Kind {
		case oci.Ping:
		case oci.Catalog:
			again += "_catalog"
		case oci.TagsList:
			again += "/tags/list"
		case oci.Referrers:
			again += "/referrers/" + string(q.Digest)
		case oci.ManifestGet, oci.ManifestHead, oci.ManifestPut, oci.ManifestDelete:
			again += "/manifests/" + q.Reference.String()
		case oci.BlobGet, oci.BlobHead, oci.BlobDelete:
			again += "/blobs/" + string(q.Digest)
		case oci.UploadStart, oci.UploadStatus, oci.UploadPatch, oci.UploadPut, oci.UploadCancel:
			again += "/blobs/uploads/" + q.UploadID
		default:
			t.Fatalf("%s %q has kind %d", method, path, q.Kind)
		}
		if again != path && again != path+"/" {
			t.Errorf("%s %q was read as %q", method, path, again)
		}
		if q.Name != "" {
			if _, err := oci.ParseName(string(q.Name)); err != nil {
				t.Errorf("%s %q gives the name %q: %v", method, path, q.Name, err)
			}
		}
	})
}

func BenchmarkParseRequest(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := oci.ParseRequest("GET", "/v2/group/sub/app/manifests/latest"); err != nil {
			b.Fatal(err)
		}
	}
}
