package protocol

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

const octets = "application/octet-stream"

// start opens an upload for digests of an algorithm.
func (p *probe) start(repo string, algorithm digest.Algorithm) string {
	p.Helper()
	to := wire.Uploads(repo)
	if algorithm != digest.SHA256 {
		to += "?digest-algorithm=" + algorithm.String()
	}
	return p.location(p.want(202, "POST", to, nil, "Content-Length", "0"))
}

// location is where the answer leads to, which must be the address that the
// client used.
func (p *probe) location(resp *wire.Response) string {
	p.Helper()
	u, err := url.Parse(resp.Header.Get("Location"))
	p.must(err)
	if u.String() == "" || u.IsAbs() && u.Scheme+"://"+u.Host != p.URL() {
		p.Fatalf("%s %s: Location %q", resp.Request.Method, resp.Request.To, u)
	}
	return u.String()
}

// chunk sends the bytes from the offset on as one PATCH.
func (p *probe) chunk(location string, from int, data []byte) *wire.Response {
	p.Helper()
	return p.do("PATCH", location, data, "Content-Type", octets, "Content-Range", fmt.Sprintf("%d-%d", from, from+len(data)-1))
}

// arrived checks the answer to a finished upload and the blob behind it.
func (p *probe) arrived(resp *wire.Response, repo string, b images.Blob) {
	p.Helper()
	if resp.Status != 201 {
		p.Fatalf("%s %s: %d\n%s", resp.Request.Method, resp.Request.To, resp.Status, resp.Body)
	}
	p.header(resp, "Docker-Content-Digest", b.Digest.String())
	p.serves(p.location(resp), b)
	p.serves(wire.Blob(repo, b.Digest), b)
}

// uploads are the ways to push a blob. Each returns the final answer.
var uploads = map[string]func(p *probe, repo string, b images.Blob) *wire.Response{
	"post": func(p *probe, repo string, b images.Blob) *wire.Response {
		return p.do("POST", wire.Uploads(repo)+"?digest="+b.Digest.String(), b.Data, "Content-Type", octets)
	},
	"post and put": func(p *probe, repo string, b images.Blob) *wire.Response {
		return p.do("PUT", wire.WithDigest(p.start(repo, b.Digest.Algorithm()), b.Digest), b.Data, "Content-Type", octets)
	},
	"stream": func(p *probe, repo string, b images.Blob) *wire.Response {
		location := p.start(repo, b.Digest.Algorithm())
		resp, err := p.Want(p.Context(), 202, wire.Request{
			Method: "PATCH", To: location, Header: http.Header{"Content-Type": {octets}}, Stream: struct{ *bytes.Reader }{bytes.NewReader(b.Data)},
		})
		p.must(err)
		return p.do("PUT", wire.WithDigest(p.location(resp), b.Digest), nil)
	},
	"chunks": func(p *probe, repo string, b images.Blob) *wire.Response {
		location := p.start(repo, b.Digest.Algorithm())
		for from, n := 0, len(b.Data)/3+1; from < len(b.Data); from += n {
			end := min(from+n, len(b.Data))
			resp := p.chunk(location, from, b.Data[from:end])
			if resp.Status != 202 {
				p.Fatalf("chunk from %d: %d %s", from, resp.Status, resp.Body)
			}
			p.header(resp, "Range", fmt.Sprintf("0-%d", end-1))
			location = p.location(resp)
		}
		return p.do("PUT", wire.WithDigest(location, b.Digest), nil)
	},
	"last chunk in put": func(p *probe, repo string, b images.Blob) *wire.Response {
		location, half := p.start(repo, b.Digest.Algorithm()), len(b.Data)/2
		if half == 0 {
			return p.do("PUT", wire.WithDigest(location, b.Digest), b.Data, "Content-Type", octets)
		}
		location = p.location(p.chunk(location, 0, b.Data[:half]))
		return p.do("PUT", wire.WithDigest(location, b.Digest), b.Data[half:], "Content-Type", octets,
			"Content-Range", fmt.Sprintf("%d-%d", half, len(b.Data)-1))
	},
}

func TestUpload(t *testing.T) {
	each(t, func(p *probe) {
		for way, upload := range uploads {
			for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
				for _, size := range []int{0, 2, 16 << 10, 16<<10 + 1, 2 << 20} {
					p.sub(fmt.Sprintf("%s/%s/%d", way, algorithm, size), func(p *probe) {
						source := images.New(p.Name())
						source.Algorithm = algorithm
						b := source.Blob(size)
						p.arrived(upload(p, p.repo, b), p.repo, b)
					})
				}
			}
		}
	})
}

// Bytes of another digest are refused however they come, and nothing of them
// is kept.
func TestUploadWrongDigest(t *testing.T) {
	each(t, func(p *probe) {
		for way, upload := range uploads {
			for _, size := range []int{700, 50_000} {
				p.sub(fmt.Sprintf("%s/%d", way, size), func(p *probe) {
					b := images.New(p.Name()).Blob(size)
					real := b.Digest
					b.Digest = digest.FromString("something else")
					p.refused(upload(p, p.repo, b), 400, "DIGEST_INVALID")
					p.want(404, "HEAD", wire.Blob(p.repo, b.Digest), nil)
					p.want(404, "HEAD", wire.Blob(p.repo, real), nil)
				})
			}
		}
	})
}

// The digest at the end may be of another algorithm than the one announced.
func TestUploadOtherAlgorithm(t *testing.T) {
	each(t, func(p *probe) {
		for _, size := range []int{100, 60_000} {
			data := p.Bytes(size)
			b := images.Blob{Digest: digest.SHA512.FromBytes(data), Data: data}
			p.arrived(p.do("PUT", wire.WithDigest(p.start(p.repo, digest.SHA256), b.Digest), data), p.repo, b)
			both := images.Blob{Digest: digest.FromBytes(data), Data: data}
			p.arrived(p.do("PUT", wire.WithDigest(p.start(p.repo, digest.SHA512), both.Digest), data), p.repo, both)
		}
	})
}

func TestUploadBadDigest(t *testing.T) {
	each(t, func(p *probe) {
		for _, bad := range []string{"", "sha256", "sha256:", "sha256:abc", "sha256:" + strings.Repeat("g", 64), "sha256:" + strings.Repeat("A", 64), "md5:d41d8cd98f00b204e9800998ecf8427e", "foo:bar", "../../etc/passwd"} {
			query := "digest=" + url.QueryEscape(bad)
			location := p.start(p.repo, digest.SHA256)
			mark := "?"
			if strings.Contains(location, "?") {
				mark = "&"
			}
			p.refused(p.do("PUT", location+mark+query, []byte("x")), 400, "DIGEST_INVALID")
			if bad != "" {
				p.refused(p.do("POST", wire.Uploads(p.repo)+"?"+query, []byte("x")), 400, "DIGEST_INVALID")
			}
		}
		if resp := p.do("POST", wire.Uploads(p.repo)+"?digest-algorithm=md5", nil); resp.Status != 400 {
			p.Errorf("an upload for md5: %d", resp.Status)
		}
	})
}

// A chunk that is not the next one is refused with the true state, which a GET
// tells as well, and the upload goes on.
func TestUploadOutOfOrder(t *testing.T) {
	each(t, func(p *probe) {
		for _, size := range []int{3000, 300_000} {
			p.sub(fmt.Sprint(size), func(p *probe) {
				b := images.New(p.Name()).Blob(size)
				third := size / 3
				first := p.start(p.repo, digest.SHA256)
				status := func(location, want string) string {
					resp := p.want(204, "GET", location, nil)
					p.header(resp, "Range", want)
					return p.location(resp)
				}
				refuse := func(resp *wire.Response, state string) {
					p.Helper()
					if resp.Status != 416 {
						p.Fatalf("out of order: %d %s", resp.Status, resp.Body)
					}
					p.header(resp, "Range", state)
					p.location(resp)
				}
				refuse(p.chunk(first, third, b.Data[third:2*third]), "0-0")
				status(first, "0-0")
				state := fmt.Sprintf("0-%d", third-1)
				next := p.location(p.chunk(first, 0, b.Data[:third]))
				refuse(p.chunk(next, 0, b.Data[:third]), state)
				refuse(p.chunk(next, 2*third, b.Data[2*third:]), state)
				refuse(p.chunk(first, 0, b.Data[:third]), state) // the location of before
				refuse(p.do("PUT", wire.WithDigest(next, b.Digest), b.Data[2*third:], "Content-Range", fmt.Sprintf("%d-%d", 2*third, size-1)), state)
				next = status(first, state)
				next = p.location(p.chunk(next, third, b.Data[third:2*third]))
				p.arrived(p.do("PUT", wire.WithDigest(next, b.Digest), b.Data[2*third:], "Content-Range", fmt.Sprintf("%d-%d", 2*third, size-1)), p.repo, b)
			})
		}
	})
}

// What Content-Range says and what the body holds must agree.
func TestUploadBadRange(t *testing.T) {
	each(t, func(p *probe) {
		data := p.Bytes(100)
		for _, bad := range []string{"5-1", "a-b", "0-", "-5", "bytes=0-99", "0-99999999999999999999", "0-5", "0-500"} {
			location := p.start(p.repo, digest.SHA256)
			resp := p.do("PATCH", location, data, "Content-Type", octets, "Content-Range", bad)
			if resp.Status != 416 && resp.Status != 400 {
				p.Errorf("Content-Range %s of 100 bytes: %d", bad, resp.Status)
			}
		}
	})
}

func TestUploadCancel(t *testing.T) {
	each(t, func(p *probe) {
		for _, size := range []int{0, 100, 50_000} {
			p.sub(fmt.Sprint(size), func(p *probe) {
				b := images.New(p.Name()).Blob(size)
				location := p.start(p.repo, digest.SHA256)
				if size > 0 {
					location = p.location(p.chunk(location, 0, b.Data))
				}
				p.want(204, "DELETE", location, nil)
				p.refused(p.do("GET", location, nil), 404, "BLOB_UPLOAD_UNKNOWN")
				p.refused(p.chunk(location, 0, []byte("again")), 404, "BLOB_UPLOAD_UNKNOWN")
				p.refused(p.do("PUT", wire.WithDigest(location, b.Digest), b.Data), 404, "BLOB_UPLOAD_UNKNOWN")
				p.want(404, "HEAD", wire.Blob(p.repo, b.Digest), nil)
			})
		}
	})
}

// An answer may be lost on its way: the same request again says the same.
func TestUploadPutAgain(t *testing.T) {
	each(t, func(p *probe) {
		for _, size := range []int{100, 50_000} {
			b := p.Blob(size)
			put := wire.WithDigest(p.start(p.repo, digest.SHA256), b.Digest)
			p.arrived(p.do("PUT", put, b.Data), p.repo, b)
			p.arrived(p.do("PUT", put, b.Data), p.repo, b)
			p.arrived(uploads["post and put"](p, p.repo, b), p.repo, b) // the blob is there already
		}
	})
}

// An upload belongs to its repository, and its location cannot be made up.
func TestUploadForeignLocation(t *testing.T) {
	each(t, func(p *probe) {
		location := p.start(p.repo, digest.SHA256)
		other := strings.Replace(location, "/v2/"+p.repo+"/", "/v2/"+p.org+"/other/", 1)
		p.refused(p.do("GET", other, nil), 404, "BLOB_UPLOAD_UNKNOWN")
		p.refused(p.do("PATCH", other, []byte("x")), 404, "BLOB_UPLOAD_UNKNOWN")
		for _, id := range []string{"made-up", "00000000-0000-0000-0000-000000000000", strings.Repeat("A", 2000), "..", "%2e%2e%2f"} {
			if resp := p.do("PATCH", wire.Uploads(p.repo)+id, []byte("x")); resp.Status < 400 || resp.Status >= 500 {
				p.Errorf("the upload %.20s: %d", id, resp.Status)
			}
		}
	})
}

// A client that goes away in the middle of its body leaves nothing behind.
func TestUploadAbandoned(t *testing.T) {
	each(t, func(p *probe) {
		for _, size := range []int{2000, 200_000} {
			b := p.Blob(size)
			put := wire.WithDigest(p.start(p.repo, digest.SHA256), b.Digest)
			ctx, cancel := context.WithCancel(p.Context())
			body := &halfway{data: b.Data, cancel: cancel}
			if _, err := p.Send(ctx, wire.Request{Method: "PUT", To: put, Header: http.Header{"Content-Type": {octets}}, Stream: body}); err == nil {
				p.Fatal("the request was answered without its body")
			}
			cancel()
			p.want(404, "HEAD", wire.Blob(p.repo, b.Digest), nil)
			p.arrived(uploads["post and put"](p, p.repo, b), p.repo, b)
		}
	})
}

// halfway gives half of its data and then ends the request.
type halfway struct {
	data   []byte
	given  bool
	cancel func()
}

func (h *halfway) Read(b []byte) (int, error) {
	if h.given {
		h.cancel()
		return 0, context.Canceled
	}
	h.given = true
	return copy(b, h.data[:len(h.data)/2]), nil
}
