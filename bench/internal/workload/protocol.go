package workload

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
)

// Scopes of the tokens that clients ask for.
const toList = "registry:catalog:*"

func toPush(repo string) string   { return "repository:" + repo + ":pull,push" }
func toPull(repo string) string   { return "repository:" + repo + ":pull" }
func toDelete(repo string) string { return "repository:" + repo + ":delete" }

// expect sends r and takes any other status than the one given as an error.
func expect(c *raw.Client, r *raw.Request, status int) (*raw.Response, error) {
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.Status != status {
		return nil, fmt.Errorf("%s %s: status %d %.200s", r.Method, r.Path, resp.Status, resp.Body)
	}
	return resp, nil
}

// upload opens an upload session and returns the path of its Location.
func upload(c *raw.Client, repo string) (string, error) {
	r, err := expect(c, &raw.Request{Method: "POST", Path: "/v2/" + repo + "/blobs/uploads/", Scope: toPush(repo)}, 202)
	if err != nil {
		return "", err
	}
	return path(r.Location), nil
}

// finish closes the session at the path, with the body if there is one.
func finish(c *raw.Client, repo, at, digest string, body []byte, stream raw.Blocks) error {
	_, err := expect(c, &raw.Request{Method: "PUT", Path: withDigest(at, digest), ContentType: "application/octet-stream",
		Body: body, Stream: stream, Scope: toPush(repo)}, 201)
	return err
}

// pushBlob is POST and one PUT with the whole blob.
func pushBlob(c *raw.Client, repo string, b content.Blob) error {
	at, err := upload(c, repo)
	if err != nil {
		return err
	}
	if b.Size <= 64<<10 {
		return finish(c, repo, at, b.Digest, b.Bytes(), nil)
	}
	return finish(c, repo, at, b.Digest, nil, b.Stream())
}

// pushStreamed is POST, one PATCH of unknown length, and PUT, as docker does it.
func pushStreamed(c *raw.Client, repo string, b content.Blob) error {
	at, err := upload(c, repo)
	if err != nil {
		return err
	}
	r, err := expect(c, &raw.Request{Method: "PATCH", Path: at, ContentType: "application/octet-stream",
		Stream: b.Stream(), Chunked: true, Scope: toPush(repo)}, 202)
	if err != nil {
		return err
	}
	return finish(c, repo, path(r.Location), b.Digest, nil, nil)
}

// pushChunks is POST, a PATCH for each chunk, and PUT.
func pushChunks(c *raw.Client, repo string, b content.Blob, chunk int64) error {
	at, err := upload(c, repo)
	if err != nil {
		return err
	}
	for off := int64(0); off < b.Size; off += chunk {
		end := min(off+chunk, b.Size)
		r, err := expect(c, &raw.Request{Method: "PATCH", Path: at, ContentType: "application/octet-stream",
			ContentRange: fmt.Sprintf("%d-%d", off, end-1), Stream: b.Part(off, end), Scope: toPush(repo)}, 202)
		if err != nil {
			return err
		}
		at = path(r.Location)
	}
	return finish(c, repo, at, b.Digest, nil, nil)
}

func hasBlob(c *raw.Client, repo, digest string) (bool, error) {
	r, err := c.Do(&raw.Request{Method: "HEAD", Path: "/v2/" + repo + "/blobs/" + digest, Scope: toPush(repo)})
	if err != nil {
		return false, err
	}
	if r.Status != 200 && r.Status != 404 {
		return false, fmt.Errorf("HEAD blob %s in %s: status %d", digest, repo, r.Status)
	}
	return r.Status == 200, nil
}

func putManifest(c *raw.Client, repo, reference, mediaType string, body []byte) error {
	_, err := expect(c, &raw.Request{Method: "PUT", Path: "/v2/" + repo + "/manifests/" + reference,
		ContentType: mediaType, Body: body, Scope: toPush(repo)}, 201)
	return err
}

// pushImage does what clients do: HEAD of each blob, upload of those that are missing, PUT of the manifest.
func pushImage(c *raw.Client, repo, tag string, im *content.Image) error {
	for _, l := range im.Layers {
		if ok, err := hasBlob(c, repo, l.Digest); err != nil {
			return err
		} else if !ok {
			if err := pushBlob(c, repo, l); err != nil {
				return err
			}
		}
	}
	if ok, err := hasBlob(c, repo, im.ConfigDigest); err != nil {
		return err
	} else if !ok {
		at, err := upload(c, repo)
		if err != nil {
			return err
		}
		if err := finish(c, repo, at, im.ConfigDigest, im.Config, nil); err != nil {
			return err
		}
	}
	return putManifest(c, repo, tag, content.TypeManifest, im.Manifest)
}

// mountBlob must succeed: the caller has pushed the blob to from.
func mountBlob(c *raw.Client, repo, from, digest string) error {
	_, err := expect(c, &raw.Request{Method: "POST", Scope: toPush(repo) + " " + toPull(from),
		Path: "/v2/" + repo + "/blobs/uploads/?mount=" + digest + "&from=" + url.QueryEscape(from)}, 201)
	return err
}

// page reads one page of a list and returns how many entries it has and the next page, "" at the end.
func page(c *raw.Client, at, scope, key string) (n int, next string, err error) {
	r, err := expect(c, &raw.Request{Method: "GET", Path: at, Scope: scope, Keep: true}, 200)
	if err != nil {
		return 0, "", err
	}
	var body map[string]json.RawMessage
	var entries []json.RawMessage
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return 0, "", fmt.Errorf("GET %s: %w", at, err)
	}
	if err := json.Unmarshal(body[key], &entries); err != nil {
		return 0, "", fmt.Errorf("GET %s: %w", at, err)
	}
	if _, link, ok := strings.Cut(r.Link, "<"); ok {
		link, _, _ = strings.Cut(link, ">")
		next = path(link)
	}
	return len(entries), next, nil
}

// list follows the pages to the end.
func list(c *raw.Client, at, scope, key string) (int, error) {
	total := 0
	for range 10_000 {
		n, next, err := page(c, at, scope, key)
		if err != nil {
			return total, err
		}
		if total += n; next == "" {
			return total, nil
		}
		at = next
	}
	return total, fmt.Errorf("the list at %s has no end", at)
}

// path strips scheme and host from a Location or Link.
func path(location string) string {
	if u, err := url.Parse(location); err == nil && u.Host != "" {
		return u.RequestURI()
	}
	return location
}

func withDigest(at, digest string) string {
	sep := "?"
	if strings.Contains(at, "?") {
		sep = "&"
	}
	return at + sep + "digest=" + url.QueryEscape(digest)
}
