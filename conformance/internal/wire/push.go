package wire

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"

	"berth.dev/berth/conformance/internal/images"
)

// StatusError is an answer that is not the wanted one.
type StatusError struct{ *Response }

func (e StatusError) Error() string {
	return fmt.Sprintf("%s %s: %d %.300s", e.Response.Request.Method, e.Response.Request.To, e.Status, e.Body)
}

// Want sends a request and fails unless the answer has the status.
func (c *Client) Want(ctx context.Context, status int, r Request) (*Response, error) {
	resp, err := c.Send(ctx, r)
	if err == nil && resp.Status != status {
		err = StatusError{resp}
	}
	return resp, err
}

// StartUpload opens an upload and returns its location.
func (c *Client) StartUpload(ctx context.Context, name string) (string, error) {
	resp, err := c.Want(ctx, http.StatusAccepted, Request{Method: http.MethodPost, To: Uploads(name)})
	if err != nil {
		return "", err
	}
	return resp.Header.Get("Location"), nil
}

// PushBlob uploads a blob by POST and PUT.
func (c *Client) PushBlob(ctx context.Context, name string, d digest.Digest, data []byte) error {
	location, err := c.StartUpload(ctx, name)
	if err != nil {
		return err
	}
	_, err = c.Want(ctx, http.StatusCreated, Request{
		Method: http.MethodPut, To: WithDigest(location, d), Header: http.Header{"Content-Type": {"application/octet-stream"}}, Body: data,
	})
	return err
}

// PushManifest puts one manifest under a tag or digest.
func (c *Client) PushManifest(ctx context.Context, name, reference string, m images.Blob) error {
	_, err := c.Want(ctx, http.StatusCreated, Request{
		Method: http.MethodPut, To: Manifest(name, reference), Header: http.Header{"Content-Type": {m.MediaType}}, Body: m.Data,
	})
	return err
}

// Push pushes a manifest with everything it needs; its own reference is a tag,
// or its digest where tag is empty.
func (c *Client) Push(ctx context.Context, name, tag string, m *images.Manifest) error {
	for _, part := range m.All() {
		for _, b := range part.Blobs {
			if err := c.PushBlob(ctx, name, b.Digest, b.Data); err != nil {
				return err
			}
		}
		reference := part.Digest.String()
		if part == m && tag != "" {
			reference = tag
		}
		if err := c.PushManifest(ctx, name, reference, part.Blob); err != nil {
			return err
		}
	}
	return nil
}

// Uploads is where uploads into a repository begin.
func Uploads(name string) string { return "/v2/" + name + "/blobs/uploads/" }

// Blob is the path of a blob.
func Blob(name string, d digest.Digest) string { return "/v2/" + name + "/blobs/" + d.String() }

// Manifest is the path of a manifest by tag or digest.
func Manifest(name, reference string) string { return "/v2/" + name + "/manifests/" + reference }

// WithDigest adds the digest to a location, which may have a query already.
func WithDigest(location string, d digest.Digest) string {
	mark := "?"
	if strings.Contains(location, "?") {
		mark = "&"
	}
	return location + mark + "digest=" + url.QueryEscape(d.String())
}
