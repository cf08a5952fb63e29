package server

import (
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"berth.dev/berth/api"
	"berth.dev/berth/internal/chartapi"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iamapi"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/ociapi"
	"berth.dev/berth/internal/swrapi"
	"berth.dev/berth/internal/web"
)

// mounts is the public surface, all of it.
func mounts(cfg *Config, c *core, origin *web.Origin, m *web.Metrics, figures *prometheus.Registry, h *health) []web.Mount {
	images := ociapi.New(c.registry, c.iam, ociapi.Options{Origin: origin, Metrics: m})
	charts := chartapi.New(c.registry, c.charts, c.iam, chartapi.Options{Origin: origin, Metrics: m})
	swr := swrapi.New(c.registry, c.iam, swrapi.Options{Mirror: c.mirror, Origin: origin, Metrics: m, ObjectErrors: cfg.Errors == errorObject, LoginLife: cfg.Logins.Life, Charts: c.charts, Triggers: c.triggers})
	identity := iamapi.New(c.iam, iamapi.Options{Origin: origin, Metrics: m, Region: cfg.Region})
	out := []web.Mount{
		{Path: "/v2/manage/", Handler: managementElse(swr, images)},
		{Path: "/v3/manage/", Handler: swr},
		{Path: "/v2", Handler: images},
		{Path: "/v2/", Handler: imagesElse(images, swr)},
		{Path: chartapi.Path, Handler: charts},
		{Path: ociapi.TokenPath, Handler: images.TokenHandler()},
		{Path: "/v3", Handler: identity},
		{Path: "/v3/", Handler: identity},
		{Path: "/v3.0/", Handler: identity},
		{Path: "/healthz", Handler: named(m.Route("healthz", failPlain), h.alive)},
		{Path: "/readyz", Handler: named(m.Route("readyz", failPlain), h.ready)},
		{Path: "/openapi.json", Handler: named(m.Route("openapi", failPlain), described(api.Document))},
		{Path: "/api", Handler: named(m.Route("api", failPlain), described(api.Page))},
		{Path: "/", Handler: root(m, origin, swr)},
	}
	if cfg.AdminListen == "" {
		out = append(out, web.Mount{Path: "/metrics", Handler: named(m.Route("metrics", failPlain), figuresHandler(figures).ServeHTTP)})
	}
	return out
}

// named tells log and metrics which route answers.
func named(rt *web.Route, serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		web.Of(w).Serve(rt)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			failJSON(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "This address answers GET alone.")
			return
		}
		serve(w, r)
	})
}

// imagesElse serves the distribution API, and refuses what is neither of it nor
// of any repository's in the form of the API that it was meant for.
func imagesElse(images, swr http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if swrapi.Elsewhere(r.URL.Path) {
			if _, err := oci.ParseRequest(r.Method, r.URL.Path); fault.Is(err, fault.RepoUnknown) {
				swr.ServeHTTP(w, r)
				return
			}
		}
		images.ServeHTTP(w, r)
	})
}

// managementElse serves the management API. What a registry client asks for an
// organization of the name manage is refused in a form that it reads.
func managementElse(swr *swrapi.API, images http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !swr.Serves(r.URL.EscapedPath()) {
			if _, err := oci.ParseRequest(r.Method, r.URL.Path); !fault.Is(err, fault.RepoUnknown) {
				images.ServeHTTP(w, r)
				return
			}
		}
		swr.ServeHTTP(w, r)
	})
}

// root answers "/" by the list of API versions, and every other path that is
// no route by 404. Nothing is ever redirected.
func root(m *web.Metrics, origin *web.Origin, swr http.Handler) http.Handler {
	versions := named(m.Route("versions", failPlain), func(w http.ResponseWriter, r *http.Request) { showVersions(w, r, origin) })
	unknown := m.Route("unknown", failPlain)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			versions.ServeHTTP(w, r)
			return
		}
		if swrapi.Elsewhere(r.URL.Path) {
			swr.ServeHTTP(w, r)
			return
		}
		web.Of(w).Serve(unknown)
		failJSON(w, http.StatusNotFound, "NOT_FOUND", "Nothing is served at this address.")
	})
}

// failJSON answers with one error in the form that registry clients read.
func failJSON(w http.ResponseWriter, status int, code, message string) {
	type problem struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	web.WriteJSON(w, status, map[string][]problem{"errors": {{code, message}}})
}

// failPlain answers after a panic.
func failPlain(w http.ResponseWriter, _ *http.Request, _ error) {
	failJSON(w, http.StatusInternalServerError, "UNKNOWN", "Something went wrong inside the server.")
}

func figuresHandler(figures *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(figures, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second, DisableCompression: true})
}

// adminServer has what only those who run the machine should see. It has no
// login: its address must not be public.
func adminServer(figures *prometheus.Registry, h *health, log *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", figuresHandler(figures))
	mux.HandleFunc("GET /healthz", h.alive)
	mux.HandleFunc("GET /readyz", h.ready)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       2 * time.Minute, // a profile's answer takes as long as it was asked for
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
