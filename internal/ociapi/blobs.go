package ociapi

import (
	"io"
	"net/http"
	"strconv"
	"sync"

	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/web"
)

var (
	octetStream  = []string{"application/octet-stream"}
	acceptRanges = []string{"bytes"}
	noSniff      = []string{"nosniff"}
)

// setBlob sets the headers that GET and HEAD of a blob have in common.
func setBlob(h http.Header, d oci.Digest) {
	h["Content-Type"] = octetStream
	h["X-Content-Type-Options"] = noSniff
	h["Accept-Ranges"] = acceptRanges
	h["Docker-Content-Digest"] = []string{string(d)}
	h["Etag"] = []string{`"` + string(d) + `"`}
}

func (a *API) headBlob(c *call) error {
	d, err := a.reg.StatBlob(c.ctx(), c.who, c.Name, c.Digest)
	if err != nil {
		return err
	}
	h := c.w.Header()
	setBlob(h, d.Digest)
	if web.Matches(c.r.Header["If-None-Match"], string(d.Digest)) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Length"] = []string{strconv.FormatInt(d.Size, 10)}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// getBlob sends a blob or one range of it (distribution-spec, Pulling blobs).
func (a *API) getBlob(c *call) error {
	b, err := a.reg.OpenBlob(c.ctx(), c.who, c.Name, c.Digest)
	if err != nil {
		return err
	}
	h := c.w.Header()
	setBlob(h, b.Digest)
	if web.Matches(c.r.Header["If-None-Match"], string(b.Digest)) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	status, off, n := http.StatusOK, int64(0), b.Size
	if want := c.r.Header["Range"]; len(want) == 1 && web.IfRange(c.r.Header["If-Range"], string(b.Digest)) {
		switch part, ok := web.ParseRange(want[0], b.Size); {
		case !ok:
			h["Content-Range"] = []string{"bytes */" + strconv.FormatInt(b.Size, 10)}
			delete(h, "Content-Type")
			c.w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return nil
		case part.N >= 0:
			status, off, n = http.StatusPartialContent, part.Off, part.N
			h["Content-Range"] = []string{"bytes " + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(off+n-1, 10) + "/" + strconv.FormatInt(b.Size, 10)}
		}
	}
	src, err := b.Open(c.ctx(), off, n)
	if err != nil {
		dropBlob(h)
		return err
	}
	defer src.Close()
	sent, err := a.send(c, status, src, n)
	b.Sent(sent)
	return err
}

func dropBlob(h http.Header) {
	for _, k := range [...]string{"Content-Type", "Content-Range", "Accept-Ranges", "Docker-Content-Digest", "Etag"} {
		delete(h, k)
	}
}

// heads are buffers for the first bytes of a blob.
var heads = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// send answers with n bytes of src. The first are read before anything is
// promised, so that storage which fails is an error and no torn answer; the
// rest is left to sendfile, which needs the file itself as the source, not
// wrapped, and the Content-Length. It returns how much was sent.
func (a *API) send(c *call, status int, src io.Reader, n int64) (int64, error) {
	buf := heads.Get().(*[32 << 10]byte)
	head := buf[:min(n, int64(len(buf)))]
	h := c.w.Header()
	if _, err := io.ReadFull(src, head); err != nil {
		heads.Put(buf)
		dropBlob(h)
		return 0, err
	}
	h["Content-Length"] = []string{strconv.FormatInt(n, 10)}
	c.w.WriteHeader(status)
	written, err := c.w.Write(head)
	sent, rest := int64(written), n-int64(len(head))
	heads.Put(buf)
	if err == nil && rest > 0 {
		var more int64
		more, err = io.CopyN(c.w, src, rest)
		sent += more
	}
	broken(c, err)
	return sent, nil
}

// deleteBlob removes a blob from the repository (distribution-spec, Deleting Blobs).
func (a *API) deleteBlob(c *call) error {
	if err := a.reg.DeleteBlob(c.ctx(), c.who, c.Name, c.Digest); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}
