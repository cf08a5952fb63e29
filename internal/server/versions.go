package server

import (
	"net/http"

	"berth.dev/berth/internal/web"
)

// An apiVersion is an entry of the list at "/". The document of the one
// version that is in it stands at its link.
type apiVersion struct {
	ID         string `json:"id"`
	Links      link   `json:"links"`
	MinVersion string `json:"min_version"`
	Status     string `json:"status"`
	Updated    string `json:"updated"`
	Version    string `json:"version"`
}

type link struct {
	Href string `json:"href"`
	Rel  string `json:"rel"`
}

func showVersions(w http.ResponseWriter, r *http.Request, origin *web.Origin) {
	scheme, host := origin.External(r)
	v2 := apiVersion{ID: "v2", Links: link{scheme + "://" + host + "/v2", "self"}, Status: "CURRENT", Updated: "2026-11-22T00:00:00Z"}
	web.WriteJSON(w, http.StatusOK, map[string][]apiVersion{"versions": {v2}})
}
