package mirror

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// blob makes sure that the other side has a blob, and tells whether it had to
// be sent.
func (c *copier) blob(ctx context.Context, d oci.Digest) (sent bool, err error) {
	if c.t.known.there(c.path, string(d)) {
		return false, nil
	}
	// Several images on their way may need one blob.
	v, err, _ := c.t.flight.Do(c.path+"\x00"+string(d), func() (any, error) {
		if c.t.known.there(c.path, string(d)) {
			return false, nil
		}
		sent, err := c.bring(ctx, d)
		if err == nil {
			c.t.known.add(c.path, string(d))
		}
		return sent, err
	})
	sent, _ = v.(bool)
	return sent, err
}

func (c *copier) bring(ctx context.Context, d oci.Digest) (sent bool, err error) {
	there, err := c.t.has(ctx, c.path, d)
	if there || err != nil {
		return false, err
	}
	b, err := c.m.reg.OpenBlob(ctx, me, c.name, d)
	if err != nil {
		return false, err
	}
	if b.Size >= c.m.o.Large {
		return true, c.large(ctx, b)
	}
	return true, c.small(ctx, b)
}

// has asks for a blob.
func (t *target) has(ctx context.Context, path string, d oci.Digest) (bool, error) {
	a, err := t.do(ctx, request{method: http.MethodHead, url: t.base() + "/v2/" + path + "/blobs/" + string(d)})
	if err != nil {
		return false, err
	}
	switch a.status {
	case http.StatusOK:
		return true, nil
	case http.StatusNotFound:
		return false, nil
	}
	return false, a.refused()
}

var octets = http.Header{"Content-Type": {"application/octet-stream"}}

// small sends a blob in one piece.
func (c *copier) small(ctx context.Context, b registry.Blob) error {
	put := request{method: http.MethodPut, header: octets, length: b.Size, body: func() (io.ReadCloser, error) { return b.Open(ctx, 0, -1) }}
	from := c.t.known.sibling(c.path, string(b.Digest))
	if c.t.region.Type == registry.RegionBerth && from == "" {
		// It takes a blob with the request that would open the upload.
		put.method, put.url = http.MethodPost, c.t.base()+"/v2/"+c.path+"/blobs/uploads/?digest="+url.QueryEscape(string(b.Digest))
		return c.t.created(ctx, put)
	}
	location, mounted, err := c.t.open(ctx, c.path, string(b.Digest), from)
	if mounted || err != nil {
		return err
	}
	put.url = withDigest(location, b.Digest)
	return c.t.created(ctx, put)
}

// created sends a request that must be answered with 201.
func (t *target) created(ctx context.Context, r request) error {
	a, err := t.do(ctx, r)
	if err != nil {
		return err
	}
	if a.status != http.StatusCreated {
		return a.refused()
	}
	return nil
}

// open begins an upload, or where from is a repository that has the blob,
// mounts it.
func (t *target) open(ctx context.Context, path, digest, from string) (location string, mounted bool, err error) {
	address := t.base() + "/v2/" + path + "/blobs/uploads/"
	if from != "" {
		ctx = t.scoped(ctx, from)
		address += "?mount=" + url.QueryEscape(digest) + "&from=" + url.QueryEscape(from)
	} else if a := oci.Digest(digest).Algorithm(); digest != "" && a != oci.SHA256 {
		address += "?digest-algorithm=" + url.QueryEscape(string(a)) // whoever does not know it hashes in the end
	}
	a, err := t.do(ctx, request{method: http.MethodPost, url: address})
	if err != nil {
		return "", false, err
	}
	switch a.status {
	case http.StatusCreated:
		return "", true, nil
	case http.StatusAccepted:
		if location, err = t.next(a, address); err != nil {
			return "", false, err
		}
		return location, false, nil
	}
	return "", false, a.refused()
}

// next is where an upload goes on. It stays on the region's own address: what
// stands there is sent with the login.
func (t *target) next(a answer, was string) (string, error) {
	l := a.header.Get("Location")
	if l == "" {
		return was, nil
	}
	base, err := url.Parse(was)
	if err != nil {
		return "", err
	}
	u, err := base.Parse(l)
	if err != nil {
		return "", fmt.Errorf("mirror: the other side names no address for an upload: %w", err)
	}
	if u.Hostname() != base.Hostname() || u.Scheme != base.Scheme && base.Scheme == "https" {
		return "", fmt.Errorf("mirror: the other side wants an upload to go on at %s", u.Host)
	}
	if u.Port() == "" {
		u.Host = base.Host // some leave a port out that they were reached at
	}
	return u.String(), nil
}

func withDigest(location string, d oci.Digest) string {
	sep := "?"
	if strings.Contains(location, "?") {
		sep = "&"
	}
	return location + sep + "digest=" + url.QueryEscape(string(d))
}

// received reads how many bytes of an upload are there. Where it says nothing
// of use ok is false.
func received(h http.Header) (n int64, ok bool) {
	from, to, found := strings.Cut(strings.TrimPrefix(h.Get("Range"), "bytes="), "-")
	last, err := strconv.ParseInt(to, 10, 64)
	if !found || from != "0" || err != nil || last < 0 {
		return 0, false
	}
	if last == 0 { // by convention nothing
		return 0, true
	}
	return last + 1, true
}
