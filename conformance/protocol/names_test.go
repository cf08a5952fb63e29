package protocol

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/wire"
)

// specCodes are all codes that the specification knows, and those of its
// predecessor that clients know as well.
var specCodes = []string{
	"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", "MANIFEST_UNKNOWN",
	"NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS", "TAG_INVALID", "PAGINATION_NUMBER_INVALID", "RANGE_INVALID",
}

// Requests that no client should send are refused in the specification's form.
func TestNonsense(t *testing.T) {
	each(t, func(p *probe) {
		p.push(p.repo, "v1", p.Image(1, 100))
		long := strings.Repeat("a", 300)
		for _, r := range []struct{ method, to string }{
			{"GET", "/v2/App/manifests/v1"}, {"GET", "/v2/" + p.org + "/App/manifests/v1"}, {"GET", "/v2/" + p.org + "/a__b_-c/manifests/v1"},
			{"GET", "/v2/" + p.org + "/" + long + "/manifests/v1"}, {"GET", "/v2/" + p.org + "/-a/manifests/v1"}, {"GET", "/v2/" + p.org + "//manifests/v1"},
			{"GET", "/v2/" + p.org + "/a/../b/manifests/v1"}, {"GET", "/v2/" + p.org + "/%00/manifests/v1"}, {"GET", "/v2/" + p.org + "/%ff/manifests/v1"},
			{"GET", "/v2/single/manifests/v1"}, {"POST", "/v2/manage/app/blobs/uploads/"}, {"POST", "/v2/library/app/blobs/uploads/"},
			{"GET", "/v2/" + p.repo}, {"GET", "/v2/" + p.repo + "/"}, {"GET", "/v2/" + p.repo + "/unknown/x"}, {"GET", "/v2/" + p.repo + "/manifests"}, {"GET", "/v2/" + p.repo + "/manifests/"},
			{"POST", "/v2/" + p.repo + "/manifests/v1"}, {"PATCH", "/v2/" + p.repo + "/manifests/v1"}, {"PUT", "/v2/" + p.repo + "/tags/list"}, {"DELETE", "/v2/_catalog"},
			{"PUT", "/v2/" + p.repo + "/blobs/sha256:" + strings.Repeat("0", 64)}, {"GET", "/v2/" + p.repo + "/blobs/latest"}, {"BREW", "/v2/" + p.repo + "/tags/list"},
			{"GET", "/v2/" + p.repo + "/blobs/uploads/"}, {"GET", "/v2/_catalog?n=-1"}, {"GET", "/v2/" + p.repo + "/manifests/v1:v2"}, {"GET", "/v2/" + p.repo + "/manifests/sha256:baddigeststring"},
		} {
			resp := p.do(r.method, r.to, nil)
			if resp.Status < 400 || resp.Status >= 500 {
				p.Errorf("%s %s: %d", r.method, r.to, resp.Status)
				continue
			}
			if code := p.code(resp); !slices.Contains(specCodes, code) {
				p.Errorf("%s %s: code %s", r.method, r.to, code)
			}
		}
	})
}

// A push to an organization that does not exist fails at once and says so.
func TestPushNowhere(t *testing.T) {
	each(t, func(p *probe) {
		resp := p.do("POST", wire.Uploads("no-such-organization/app"), nil)
		p.refused(resp, 403, "DENIED")
		if !strings.Contains(string(resp.Body), "no-such-organization does not exist") {
			p.Errorf("the refusal does not say why: %s", resp.Body)
		}
		for _, name := range []string{"app", "manage/app", "library/app"} { // docker would repeat a push with an invalid one
			p.refused(p.do("POST", wire.Uploads(name), nil), 404, "NAME_UNKNOWN")
		}
		for _, name := range []string{p.org + "/UPPER", p.org + "/" + strings.Repeat("a", 129)} {
			p.refused(p.do("POST", wire.Uploads(name), nil), 400, "NAME_INVALID")
		}
		p.pushed(p.org+"/a/b/c_d/e-f/g.h", p.Blob(10))
		p.pushed(p.org+"/"+strings.Repeat("a", 128), p.Blob(10))
	})
}

// Bytes that are no HTTP, or half of it, do not stop the server.
func TestBrokenConnections(t *testing.T) {
	each(t, func(p *probe) {
		for _, text := range []string{
			"\x16\x03\x01\x00\x05hello", "GET\r\n\r\n", "POST /v2/" + p.repo + "/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
			"PUT /v2/a/b/manifests/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
		} {
			c, err := net.DialTimeout("tcp", p.Host, 5*time.Second)
			p.must(err)
			_, err = c.Write([]byte(text))
			p.must(err)
			p.must(c.(*net.TCPConn).CloseWrite())
			p.must(c.SetReadDeadline(time.Now().Add(20 * time.Second)))
			answer := make([]byte, 4096)
			n, _ := c.Read(answer)
			if strings.Contains(string(answer[:n]), " 50") {
				p.Errorf("%q is answered with %q", text, answer[:n])
			}
			c.Close()
		}
		p.want(200, "GET", "/v2/", nil)
	})
}
