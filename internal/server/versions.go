package server

import (
	"net/http"

	"berth.dev/berth/internal/ociapi"
	"berth.dev/berth/internal/web"
)

// showVersions answers "/" with the list of API versions, whose only entry has
// its own document at its link.
func showVersions(w http.ResponseWriter, r *http.Request, origin *web.Origin) {
	web.WriteJSON(w, http.StatusOK, map[string][]ociapi.Version{"versions": {ociapi.CurrentVersion(origin, r)}})
}
