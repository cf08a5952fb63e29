package ociapi

import (
	"net/http"
	"strconv"
	"strings"

	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/web"
)

// getManifest answers GET and HEAD (distribution-spec, Pulling manifests). The
// type a client pushed is the type it gets: Accept is not looked at, since a
// manifest in another format would have another digest.
func (a *API) getManifest(c *call) error {
	get := c.Kind == oci.ManifestGet
	m, err := a.reg.Manifest(c.ctx(), c.who, c.Name, c.Reference, get)
	if err != nil {
		return err
	}
	h := c.w.Header()
	v := &[...]string{string(m.Digest), `"` + string(m.Digest) + `"`, m.MediaType, strconv.Itoa(len(m.Body))}
	h["Docker-Content-Digest"] = v[0:1:1]
	h["Etag"] = v[1:2:2]
	if web.Matches(c.r.Header["If-None-Match"], string(m.Digest)) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Type"] = v[2:3:3]
	h["Content-Length"] = v[3:4:4]
	c.w.WriteHeader(http.StatusOK)
	if get {
		_, err = c.w.Write(m.Body)
		broken(c, err)
	}
	return nil
}

// broken records an answer that could not be sent whole. There is nothing left
// to answer with; net/http closes the connection, which the client notices by
// the Content-Length.
func broken(c *call, err error) {
	if err != nil {
		web.Of(c.w).Failed(err)
	}
}

// putManifest stores a manifest (distribution-spec, Pushing Manifests) and
// points tags to it: the one of the path and those of "tag" parameters.
func (a *API) putManifest(c *call) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	body, err := web.ReadBody(c.r, oci.MaxManifest)
	if err != nil {
		return err
	}
	put, err := a.reg.PutManifest(c.ctx(), c.who, c.Name, c.Reference, q["tag"], c.r.Header.Get("Content-Type"), body)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h["Location"] = []string{a.location(c, "/manifests/", string(put.Digest))}
	h["Docker-Content-Digest"] = []string{string(put.Digest)}
	if put.Subject != "" {
		h["Oci-Subject"] = []string{string(put.Subject)}
	}
	if len(q["tag"]) > 0 {
		h["Oci-Tag"] = []string{strings.Join(put.Tags, ", ")}
	}
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

// deleteManifest removes a tag, or a manifest with all its tags
// (distribution-spec, Content Management).
func (a *API) deleteManifest(c *call) error {
	var err error
	if c.Reference.Tag != "" {
		err = a.reg.DeleteTag(c.ctx(), c.who, c.Name, c.Reference.Tag)
	} else {
		err = a.reg.DeleteManifest(c.ctx(), c.who, c.Name, c.Reference.Digest)
	}
	if err == nil {
		c.w.WriteHeader(http.StatusAccepted)
	}
	return err
}

// location is an absolute address in the call's repository: some clients take
// no other, and none may be sent to a host that it does not know.
func (a *API) location(c *call, kind, last string) string {
	scheme, host := a.origin.External(c.r)
	return scheme + "://" + host + "/v2/" + string(c.Name) + kind + last
}
