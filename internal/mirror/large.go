package mirror

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"berth.dev/berth/internal/registry"
)

// chunkLimit is for how long one chunk may be under way.
const chunkLimit = 15 * time.Minute

// large sends a blob in chunks. Where it stands is a row, so that whoever
// tries again goes on where the other side is, also after a crash.
func (c *copier) large(ctx context.Context, b registry.Blob) error {
	// A blob may have grown on the other side while we did not listen: it says
	// where it stands. If it knows nothing of the upload any more it begins anew.
	for try := 0; ; try++ {
		u, err := c.resume(ctx, b)
		if err != nil {
			return err
		}
		again, err := c.chunks(ctx, b, u)
		if !again || try == maxAnew {
			return err
		}
		if err := c.m.reg.DropSyncUpload(ctx, me, u.Region, u.Path, u.Digest); err != nil {
			return err
		}
	}
}

const maxAnew = 2

// resume finds the upload that is under way, or opens one.
func (c *copier) resume(ctx context.Context, b registry.Blob) (*registry.SyncUpload, error) {
	u, err := c.m.reg.FindSyncUpload(ctx, me, c.t.region.Name, c.path, string(b.Digest))
	if err != nil {
		return nil, err
	}
	// What was begun before the region moved is of no use, and goes nowhere near its old place.
	if u != nil && c.t.own(u.Location) {
		if there, err := c.t.where(ctx, u); there || err != nil {
			return u, err
		}
	}
	location, mounted, err := c.t.open(ctx, c.path, string(b.Digest), c.t.known.sibling(c.path, string(b.Digest)))
	u = &registry.SyncUpload{Region: c.t.region.Name, Path: c.path, Digest: string(b.Digest), Location: location}
	if err != nil {
		return nil, err
	}
	if mounted {
		u.Location = ""
		return u, nil
	}
	return u, c.m.reg.KeepSyncUpload(ctx, me, *u)
}

// own reports an address of the region as it is now.
func (t *target) own(location string) bool {
	u, err := url.Parse(location)
	return err == nil && u.Host == t.host && (u.Scheme == "https" || t.plain)
}

// where asks how far an upload is; false: it is not there any more, or not ours.
func (t *target) where(ctx context.Context, u *registry.SyncUpload) (bool, error) {
	a, err := t.do(ctx, request{method: http.MethodGet, url: u.Location})
	if err != nil {
		return false, err
	}
	n, ok := received(a.header)
	if a.status == http.StatusNoContent && ok {
		if u.Location, err = t.next(a, u.Location); err != nil {
			return false, err
		}
		u.Received = n
		return true, nil
	}
	if a.status >= 500 || a.status == http.StatusTooManyRequests {
		return false, a.refused()
	}
	return false, nil
}

// chunks sends what is missing. again says that the other side lost the
// upload, or has something else in it.
func (c *copier) chunks(ctx context.Context, b registry.Blob, u *registry.SyncUpload) (again bool, err error) {
	if u.Location == "" {
		return false, nil // mounted
	}
	if u.Received > b.Size {
		return true, fmt.Errorf("mirror: the other side has %d bytes of a blob of %d", u.Received, b.Size)
	}
	for cut := 0; u.Received < b.Size; {
		if again, err := c.chunk(ctx, b, u); err != nil && !again && cut < maxCut {
			cut++
			there, away := c.afterCut(ctx, u)
			if away != nil {
				return false, err
			}
			if !there {
				return true, err
			}
			continue
		} else if again || err != nil {
			return again, err
		}
		if err := c.m.reg.KeepSyncUpload(ctx, me, *u); err != nil {
			return false, err
		}
	}
	a, err := c.t.do(ctx, request{method: http.MethodPut, url: withDigest(u.Location, b.Digest)})
	if err != nil {
		return false, err
	}
	if a.status != http.StatusCreated {
		return lost(a.status), a.refused()
	}
	return false, c.m.reg.DropSyncUpload(ctx, me, u.Region, u.Path, u.Digest)
}

// A chunk that was not taken is tried again some times, a moment later.
const (
	maxCut   = 3
	cutPause = 500 * time.Millisecond
)

// afterCut waits a moment and asks where an upload stands whose chunk was cut
// off; false: it is not there any more. The other side may have answered before
// all of it was sent, which is lost with the connection: it may still be at work
// on what an attempt before this one sent, whose process died.
func (c *copier) afterCut(ctx context.Context, u *registry.SyncUpload) (there bool, err error) {
	for range maxCut {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(cutPause):
		}
		if there, err = c.t.where(ctx, u); err == nil {
			break
		}
	}
	return there, err
}

// chunk sends the next bytes and notes where the upload stands then.
func (c *copier) chunk(ctx context.Context, b registry.Blob, u *registry.SyncUpload) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, chunkLimit)
	defer cancel()
	from := u.Received
	n := min(c.m.o.Chunk, b.Size-from)
	h := octets.Clone()
	h.Set("Content-Range", strconv.FormatInt(from, 10)+"-"+strconv.FormatInt(from+n-1, 10))
	a, err := c.t.do(ctx, request{method: http.MethodPatch, url: u.Location, header: h, length: n,
		body: func() (io.ReadCloser, error) { return part(ctx, b, from, n) }})
	if err != nil {
		return false, err
	}
	switch a.status {
	case http.StatusAccepted, http.StatusNoContent, http.StatusCreated:
		u.Received = from + n
		if n, ok := received(a.header); ok && n > from {
			u.Received = n
		}
	case http.StatusRequestedRangeNotSatisfiable:
		stands, ok := received(a.header)
		if !ok || stands <= from {
			return true, a.refused()
		}
		u.Received = stands // it had more than it had told
	default:
		return lost(a.status), a.refused()
	}
	if u.Location, err = c.t.next(a, u.Location); err != nil {
		return false, err
	}
	return false, nil
}

// part opens some bytes of a blob: a file comes open to its end.
func part(ctx context.Context, b registry.Blob, from, n int64) (io.ReadCloser, error) {
	rc, err := b.Open(ctx, from, n)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(rc, n), rc}, nil
}

// lost reports an answer after which an upload has to begin anew.
func lost(status int) bool {
	return status == http.StatusNotFound || status == http.StatusBadRequest || status == http.StatusConflict || status == http.StatusRequestedRangeNotSatisfiable
}
