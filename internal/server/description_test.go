package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"berth.dev/berth/api"
	"berth.dev/berth/internal/web"
)

// The description is served as it is embedded, and again only where it changed.
func TestDescriptionIsServed(t *testing.T) {
	s := start(t, onFile(t))
	for path, contentType := range map[string]string{"/openapi.json": "application/json", "/api": "text/html; charset=utf-8"} {
		get := func(method, known string) (*http.Response, string) {
			req := s.request(t, method, path, nil)
			req.Header.Del("Authorization")
			if known != "" {
				req.Header.Set("If-None-Match", known)
			}
			return do(t, req)
		}
		res, body := get("GET", "")
		tag := res.Header.Get("ETag")
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != contentType || tag == "" || body == "" {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
		if res, body := get("GET", tag); res.StatusCode != 304 || body != "" {
			t.Errorf("%s: %d where the client has it", path, res.StatusCode)
		}
		if res, again := get("HEAD", ""); res.StatusCode != 200 || again != "" || res.ContentLength != int64(len(body)) {
			t.Errorf("HEAD %s: %d, length %d", path, res.StatusCode, res.ContentLength)
		}
		if res, _ := get("POST", ""); res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d", path, res.StatusCode)
		}
	}
}

// The page shows every operation, needs no script and loads nothing.
func TestPageIsWhole(t *testing.T) {
	page, err := api.Page()
	if err != nil {
		t.Fatal(err)
	}
	text := string(page.Body)
	for _, bad := range []string{"<script", "src=", "<link", "url(", "@import"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	for path, item := range description(t) {
		for method, op := range item {
			var o struct {
				ID string `json:"operationId"`
			}
			if method != "parameters" && (json.Unmarshal(op, &o) != nil || !strings.Contains(text, fmt.Sprintf("<p class=id id=\"%s\">", o.ID))) {
				t.Errorf("%s %s is not on the page", method, path)
			}
		}
	}
}

func description(t *testing.T) map[string]map[string]json.RawMessage {
	t.Helper()
	f, err := api.Document()
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(f.Body, &d); err != nil {
		t.Fatal(err)
	}
	return d.Paths
}

// Whatever is mounted is described, and whatever is described is mounted; how
// the surfaces divide theirs is compared in the package api.
func TestMountsAreDescribed(t *testing.T) {
	cfg := onFile(t)
	var all []string
	for _, m := range mounts(&cfg, &core{}, &web.Origin{}, web.NewMetrics(nil), prometheus.NewRegistry(), nil) {
		all = append(all, m.Path)
	}
	paths := description(t)
	covers := func(mount, path string) bool {
		return mount == path || mount != "/" && strings.HasSuffix(mount, "/") && strings.HasPrefix(path, mount)
	}
	for path := range paths {
		if !slices.ContainsFunc(all, func(m string) bool { return covers(m, path) }) {
			t.Errorf("%s is described and not mounted", path)
		}
	}
	for _, m := range all {
		described := false
		for path := range paths {
			described = described || covers(m, path)
		}
		if !described {
			t.Errorf("%s is mounted and not described", m)
		}
	}
}
