package ociapi

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/web"
)

// startUpload answers POST (distribution-spec, Pushing blobs): it mounts a
// blob, takes a whole one, or opens an upload.
func (a *API) startUpload(c *call) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	switch {
	case q.Get("mount") != "":
		mounted, err := a.mount(c, q)
		if mounted || err != nil {
			return err
		}
	case q.Get("digest") != "":
		d, err := oci.ParseDigest(q.Get("digest"))
		if err != nil {
			return err
		}
		blob, err := a.reg.PutBlob(c.ctx(), c.who, c.Name, c.r.ContentLength, c.r.Body, d)
		if err != nil {
			return err
		}
		a.created(c, blob.Digest)
		return nil
	}
	algorithm := oci.SHA256
	if s := q.Get("digest-algorithm"); s != "" {
		if algorithm, err = oci.ParseAlgorithm(s); err != nil {
			return err
		}
	}
	id, err := a.reg.StartUpload(c.ctx(), c.who, c.Name, algorithm)
	if err != nil {
		return err
	}
	a.uploading(c, http.StatusAccepted, registry.Upload{ID: id})
	return nil
}

// mount links a blob from another repository (distribution-spec, Mounting a
// blob from another repository). false: it cannot, whatever the reason, and
// the client is to upload the blob.
func (a *API) mount(c *call, q url.Values) (bool, error) {
	d, err := oci.ParseDigest(q.Get("mount"))
	if err != nil {
		return false, err
	}
	from := mountFrom(c)
	if from == "" && q.Get("from") != "" {
		return false, nil // a name that no repository can have
	}
	if from != "" && !permits(c.grant, from, pull) {
		switch err := a.may(c, from, iam.Pull); {
		case err == nil:
			c.problem = insufficientScope
			return false, fault.New(fault.Unauthorized, "The token was not issued for pull on %s.", from)
		case fault.Is(err, fault.Denied), fault.Is(err, fault.Unauthorized):
			return false, nil
		default:
			return false, err
		}
	}
	blob, ok, err := a.reg.Mount(c.ctx(), c.who, c.Name, d, from, mountable(c.grant))
	if ok && err == nil {
		a.created(c, blob.Digest)
	}
	return ok, err
}

// mountable tells which repositories a credential may be used to mount from,
// so that a search finds no others; nil: all that the caller may pull from.
func mountable(g iam.Grant) func(oci.Name) bool {
	if g.Access == nil {
		return nil
	}
	return func(from oci.Name) bool { return permits(g, from, pull) }
}

// created answers that the repository has the blob now.
func (a *API) created(c *call, d oci.Digest) {
	h := c.w.Header()
	h["Location"] = []string{a.location(c, "/blobs/", string(d))}
	h["Docker-Content-Digest"] = []string{string(d)}
	c.w.WriteHeader(http.StatusCreated)
}

// uploading answers where an upload stands. A Range cannot say "nothing": by
// convention 0-0 stands for that too.
func (a *API) uploading(c *call, status int, u registry.Upload) {
	a.setUpload(c, u)
	c.w.WriteHeader(status)
}

func (a *API) setUpload(c *call, u registry.Upload) {
	h := c.w.Header()
	h["Location"] = []string{a.location(c, "/blobs/uploads/", u.ID)}
	h["Range"] = []string{"0-" + strconv.FormatInt(max(u.Size-1, 0), 10)}
	h["Docker-Upload-Uuid"] = []string{u.ID}
}

func (a *API) uploadStatus(c *call) error {
	u, err := a.reg.UploadStatus(c.ctx(), c.who, c.Name, c.UploadID)
	if err != nil {
		return err
	}
	a.uploading(c, http.StatusNoContent, u)
	return nil
}

// patchUpload appends a chunk, or a stream of unknown length.
func (a *API) patchUpload(c *call) error {
	off, n, err := web.ParseContentRange(c.r.Header["Content-Range"], c.r.ContentLength)
	if err != nil {
		return err
	}
	u, err := a.reg.AppendUpload(c.ctx(), c.who, c.Name, c.UploadID, off, n, c.r.Body)
	if err != nil {
		return a.misplaced(c, err)
	}
	a.uploading(c, http.StatusAccepted, u)
	return nil
}

// putUpload completes an upload, with the last chunk in its body if there is
// one.
func (a *API) putUpload(c *call) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	if !q.Has("digest") {
		return fault.New(fault.DigestInvalid, "The parameter digest is missing.")
	}
	d, err := oci.ParseDigest(q.Get("digest"))
	if err != nil {
		return err
	}
	off, n, body := int64(-1), int64(0), io.Reader(nil)
	if c.r.ContentLength != 0 {
		if off, n, err = web.ParseContentRange(c.r.Header["Content-Range"], c.r.ContentLength); err != nil {
			return err
		}
		body = c.r.Body
	}
	blob, err := a.reg.FinishUpload(c.ctx(), c.who, c.Name, c.UploadID, off, n, body, d)
	if err != nil {
		return a.misplaced(c, err)
	}
	a.created(c, blob.Digest)
	return nil
}

// misplaced adds to a refused chunk where the upload really stands.
func (a *API) misplaced(c *call, err error) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Code == fault.RangeInvalid {
		if size, ok := f.Detail.(int64); ok {
			a.setUpload(c, registry.Upload{ID: c.UploadID, Size: size})
		}
	}
	return err
}

func (a *API) cancelUpload(c *call) error {
	if err := a.reg.CancelUpload(c.ctx(), c.who, c.Name, c.UploadID); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
