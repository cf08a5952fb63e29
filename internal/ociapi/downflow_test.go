package ociapi_test

import (
	"context"
	"testing"

	"berth.dev/berth/internal/iam"
)

// What is sent of blobs is counted for the account: whole ones and ranges, no
// answers without a body.
func TestSentBytesAreCounted(t *testing.T) {
	w := open(t, options{})
	d := w.pushBlob("acme/app", bytesOf("sent", large))
	small := w.pushBlob("acme/app", bytesOf("small", 100))
	for _, q := range []request{
		{method: "GET", path: "/v2/acme/app/blobs/" + d},
		{method: "GET", path: "/v2/acme/app/blobs/" + d, header: map[string]string{"Range": "bytes=10-29"}},
		{method: "GET", path: "/v2/acme/app/blobs/" + small},
		{method: "HEAD", path: "/v2/acme/app/blobs/" + d},
		{method: "GET", path: "/v2/acme/app/blobs/" + d, header: map[string]string{"If-None-Match": `"` + d + `"`}},
		{method: "GET", path: "/v2/acme/app/blobs/" + d, header: map[string]string{"Range": "bytes=999999-"}},
	} {
		q.as = "reader"
		w.send(q)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	w.must(w.reg.Run(ended)) // writes what was counted
	who, err := w.iam.Password(t.Context(), "reader", "reader-password", "")
	w.must(err)
	o, err := w.reg.Overview(t.Context(), who)
	w.must(err)
	if want := int64(large + 20 + 100); o.Downflow != want {
		t.Errorf("%d bytes are counted, want %d", o.Downflow, want)
	}
	if _, err := w.reg.Overview(t.Context(), iam.Caller{}); err == nil {
		t.Error("anonymous sees an overview")
	}
}
