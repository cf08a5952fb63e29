package server

import (
	"fmt"
	"net/http"
	"strings"

	"berth.dev/berth/api"
	"berth.dev/berth/internal/web"
)

// described serves the description of the API, or its page, to everyone. It is
// made when it is first asked for.
func described(file func() (api.File, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := file()
		if err != nil {
			web.Of(w).Failed(fmt.Errorf("the description of the API: %w", err))
			failJSON(w, http.StatusInternalServerError, "UNKNOWN", "Something went wrong inside the server.")
			return
		}
		h := w.Header()
		h.Set("ETag", f.ETag)
		h.Set("Cache-Control", "no-cache") // ask whether it is still the same
		h.Set("X-Content-Type-Options", "nosniff")
		if web.Matches(r.Header["If-None-Match"], strings.Trim(f.ETag, `"`)) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", f.Type)
		h.Set("Content-Length", fmt.Sprint(len(f.Body)))
		// The page loads nothing and runs nothing.
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		if r.Method == http.MethodGet {
			_, _ = w.Write(f.Body) // the client may be gone
		}
	}
}
