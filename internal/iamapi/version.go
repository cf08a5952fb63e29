package iamapi

import (
	"net/http"

	"berth.dev/berth/internal/web"
)

// Versions is what a client that looks for the API is told: as a list, and the
// one version by itself.
type Versions struct {
	Versions struct {
		Values []Version `json:"values"`
	} `json:"versions"`
	Version Version `json:"version"`
}

// Version is a version of the API. Example: {"id": "v3.6", "status": "stable",
// "links": [{"rel": "self", "href": "https://registry.example.com/v3/"}]}.
type Version struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Links  []Link `json:"links"`
}

// Link is an address and what it is.
type Link struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
}

func (a *API) version(c *call) error {
	var v Versions
	v.Version = Version{ID: "v3.6", Status: "stable", Links: []Link{{Rel: "self", Href: a.self(c, "/v3/")}}}
	v.Versions.Values = []Version{v.Version}
	web.WriteJSON(c.w, http.StatusOK, v)
	return nil
}
