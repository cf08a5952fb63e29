package ociapi

import (
	"strings"

	"berth.dev/berth/internal/oci"
)

// challenge is the WWW-Authenticate of a 401: where to get a token, and for
// exactly what. The realm is at the address that the client used, since clients
// do not send credentials elsewhere.
func (a *API) challenge(c *call) string {
	scheme, host := a.origin.External(c.r)
	if c.basic {
		return `Basic realm="` + host + `"`
	}
	var b strings.Builder
	b.WriteString(`Bearer realm="` + scheme + "://" + host + TokenPath + `",service="` + host + `"`)
	if s := scope(c); s != "" {
		b.WriteString(`,scope="` + s + `"`)
	}
	if c.problem != "" {
		b.WriteString(`,error="` + string(c.problem) + `"`)
	}
	return b.String()
}

// scope is what a token needs for this request.
func scope(c *call) string {
	if c.rt == nil {
		return ""
	}
	switch c.rt.access {
	case catalog:
		return "registry:catalog:*"
	case pull:
		return "repository:" + string(c.Name) + ":pull"
	case push:
		s := "repository:" + string(c.Name) + ":pull,push"
		if from := mountFrom(c); from != "" && from != c.Name {
			s += " repository:" + string(from) + ":pull"
		}
		return s
	case remove:
		return "repository:" + string(c.Name) + ":delete"
	}
	return ""
}

// mountFrom is the repository that an upload wants to mount from, "" if none
// or one that cannot exist.
func mountFrom(c *call) oci.Name {
	if c.Kind != oci.UploadStart {
		return ""
	}
	q, err := c.query()
	if err != nil || q.Get("mount") == "" {
		return ""
	}
	from, err := oci.ParseName(q.Get("from"))
	if err != nil {
		return ""
	}
	return from
}
