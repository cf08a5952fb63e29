package ociapi

import (
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/web"
)

// A Version describes the management API's version 2, whose document is at
// "/v2" as the registry's ping is at "/v2/".
type Version struct {
	ID    string `json:"id"`
	Links struct {
		Href string `json:"href"`
		Rel  string `json:"rel"`
	} `json:"links"`
	MinVersion string `json:"min_version"`
	Status     string `json:"status"`
	Updated    string `json:"updated"`
	Version    string `json:"version"`
}

func (a *API) showVersion(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		const allow = "GET, HEAD"
		a.fail(&call{w: w, r: r}, fault.New(fault.Unsupported, "The version document can only be read.").With(allow))
		return
	}
	web.WriteJSON(w, http.StatusOK, map[string]Version{"version": CurrentVersion(a.origin, r)})
}

// CurrentVersion is the version, with the address that the client used. Its
// numbers are those of the API reference that Berth follows.
func CurrentVersion(origin *web.Origin, r *http.Request) Version {
	scheme, host := origin.External(r)
	v := Version{ID: "v2", Status: "CURRENT", Updated: "2026-11-22T00:00:00Z", Version: "2.26", MinVersion: "2.0"}
	v.Links.Href, v.Links.Rel = scheme+"://"+host+"/v2", "self"
	return v
}
