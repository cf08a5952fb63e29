package ociapi

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/web"
)

// Pages of requests that name no size. There are clients that ask for all tags
// and follow no link; those that know referrers follow it.
const (
	tagsPage      = registry.MaxPage
	catalogPage   = 1000
	referrersPage = 100
)

func (a *API) ping(c *call) error {
	web.WriteJSON(c.w, http.StatusOK, struct{}{})
	return nil
}

func (a *API) tags(c *call) error {
	q, n, err := c.page(tagsPage)
	if err != nil {
		return err
	}
	tags, err := a.reg.Tags(c.ctx(), c.who, c.Name, q.Get("last"), n)
	if err != nil {
		return err
	}
	if tags.More && n > 0 {
		c.next(n, tags.Items[len(tags.Items)-1], nil)
	}
	web.WriteJSON(c.w, http.StatusOK, struct {
		Name oci.Name `json:"name"`
		Tags []string `json:"tags"`
	}{c.Name, listed(tags.Items)})
	return nil
}

func (a *API) catalog(c *call) error {
	q, n, err := c.page(catalogPage)
	if err != nil {
		return err
	}
	names, err := a.reg.Catalog(c.ctx(), c.who, q.Get("last"), n)
	if err != nil {
		return err
	}
	if names.More && n > 0 {
		c.next(n, names.Items[len(names.Items)-1], nil)
	}
	web.WriteJSON(c.w, http.StatusOK, struct {
		Repositories []string `json:"repositories"`
	}{listed(names.Items)})
	return nil
}

var (
	indexType = []string{oci.MediaIndex}
	filtered  = []string{"artifactType"}
)

// referrers lists what refers to a manifest (distribution-spec, Listing
// Referrers), as an image index. An artifactType that is asked for and empty
// selects the referrers that have none.
func (a *API) referrers(c *call) error {
	q, n, err := c.page(referrersPage)
	if err != nil {
		return err
	}
	kind := q.Get("artifactType")
	if !isText(kind) {
		return fault.New(fault.Invalid, "The parameter artifactType is no text.")
	}
	list, err := a.reg.Referrers(c.ctx(), c.who, c.Name, c.Digest, kind, q.Get("last"), n)
	if err != nil {
		return err
	}
	keep := url.Values{}
	h := c.w.Header()
	if q.Has("artifactType") {
		keep.Set("artifactType", kind)
		h["Oci-Filters-Applied"] = filtered
	}
	if list.More && n > 0 {
		c.next(n, string(list.Items[len(list.Items)-1].Digest), keep)
	}
	shown := list.Items
	if q.Has("artifactType") && kind == "" {
		shown = slices.DeleteFunc(shown, func(m registry.Referrer) bool { return m.ArtifactType != "" })
	}
	body := []byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaIndex + `","manifests":[`)
	for i, m := range shown {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, m.Descriptor...)
	}
	body = append(body, "]}"...)
	h["Content-Type"] = indexType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(body) // the client may be gone
	}
	return nil
}

// listed makes an empty list of none, which JSON would show as null.
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// page reads the paging parameters: n, where there is none the default, at
// most registry.MaxPage, and last, which stays in the query. Errors:
// fault.PageInvalid.
func (c *call) page(n int) (url.Values, int, error) {
	q, err := c.query()
	if err != nil {
		return nil, 0, err
	}
	if q.Has("n") {
		v, err := strconv.Atoi(q.Get("n"))
		if err != nil || v < 0 {
			return nil, 0, fault.New(fault.PageInvalid, "The parameter n is a number of entries, 0 or more.")
		}
		n = min(v, registry.MaxPage)
	}
	if !isText(q.Get("last")) {
		return nil, 0, fault.New(fault.PageInvalid, "The parameter last is no text.")
	}
	return q, n, nil
}

// isText reports whether a parameter can be what some name or type is compared
// with. PostgreSQL takes neither a NUL nor anything but UTF-8.
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// next links the page behind this one (RFC 8288). The address is relative, so
// it holds wherever the client found this one.
func (c *call) next(n int, last string, keep url.Values) {
	q := url.Values{"n": {strconv.Itoa(n)}, "last": {last}}
	for k, v := range keep {
		q[k] = v
	}
	c.w.Header()["Link"] = []string{"<" + c.r.URL.Path + "?" + q.Encode() + `>; rel="next"`}
}
