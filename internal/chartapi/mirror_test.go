package chartapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"berth.dev/berth/internal/chart"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/registry"
)

// work runs jobs until the test ends.
func (w *world) work() {
	ctx, stop := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.jobs.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		w.must(<-done)
	})
}

// imported waits until the import of a group is over.
func (w *world) imported(group string) registry.ChartMirror {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		m, err := w.reg.ChartMirror(w.t.Context(), w.admin, group)
		w.must(err)
		if m.Status != "waiting" {
			return m
		}
	}
	w.t.Fatal("the import is not over")
	return registry.ChartMirror{}
}

// What an account has others copy for it counts as its own.
func TestMirrorHasTheAccountsQuota(t *testing.T) {
	w := open(t, func(o *registry.Options) { o.ReposPerOwner = 3 })
	for _, name := range []string{"web", "api"} {
		w.upload(201, "/chart/api/team/charts", pack(name, "1.0.0", "a"))
	}
	upstream := httptest.NewServer(w.web)
	defer upstream.Close()
	w.work()
	w.must(w.charts.SetMirror(t.Context(), w.admin, "open", registry.ChartMirror{URL: upstream.URL + "/chart/team", Username: "admin"}, new("admin-password")))
	m := w.imported("open")
	if m.Imported != 1 || !strings.Contains(m.Detail, "quota") {
		t.Errorf("%+v", m)
	}
	if n := len(w.index("open").names()); n != 1 {
		t.Errorf("the index has %d charts", n)
	}
}

// A group imports what another chart repository has: this one, over HTTP.
func TestMirror(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	signed := pack("web", "1.0.0", "a")
	w.upload(201, "/chart/api/team/charts", signed)
	w.upload(201, "/chart/api/team/prov", provenance("web", "1.0.0", signed))
	for _, c := range [][2]string{{"web", "1.1.0"}, {"web", "2.0.0"}, {"api", "1.0.0"}, {"other", "1.0.0"}} {
		w.upload(201, "/chart/api/team/charts", pack(c[0], c[1], "a"))
	}
	upstream := httptest.NewServer(w.web)
	defer upstream.Close()
	url := upstream.URL + "/chart/team"
	w.upload(201, "/chart/api/open/charts", pack("web", "1.1.0", "own"))
	w.work()

	for _, m := range []registry.ChartMirror{
		{URL: ""}, {URL: "ftp://x/y"}, {URL: "http://u:p@x/y"}, {URL: "http://169.254.169.254/x"}, {URL: url + "?a=b"}, {URL: url, Charts: []string{"["}},
		{URL: url, Versions: "one or two"}, {URL: url, Every: time.Minute}, {URL: url, Every: -time.Hour}, {URL: url, Charts: make([]string, 101)},
	} {
		if err := w.charts.SetMirror(ctx, w.admin, "open", m, nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", m, err)
		}
	}
	_, err := w.reg.ChartMirror(ctx, w.admin, "open")
	w.want(err, fault.RuleUnknown)
	w.want(w.reg.RunChartMirror(ctx, w.admin, "open"), fault.RuleUnknown)
	w.want(w.charts.SetMirror(ctx, w.login("editor"), "team", registry.ChartMirror{URL: url}, nil), fault.Denied)

	// Without a password the private group refuses.
	mirror := registry.ChartMirror{URL: url + "/", Charts: []string{"web", "a*"}, Versions: "<2", Every: time.Hour}
	w.must(w.charts.SetMirror(ctx, w.admin, "open", mirror, nil))
	if m := w.imported("open"); m.Status != "failed" || !strings.Contains(m.Detail, "401") || m.Password {
		t.Errorf("%+v", m)
	}
	mirror.Username = "reader"
	password := "reader-password"
	w.must(w.charts.SetMirror(ctx, w.admin, "open", mirror, &password))
	if m := w.imported("open"); m.Status != "success" || m.Imported != 2 || !m.Password || m.URL != url || m.Finished.IsZero() || m.Detail != "2 imported, 1 were there, 0 could not be taken" {
		t.Errorf("%+v", m)
	}
	w.hasIndex("open", "api 1.0.0", "web 1.1.0", "web 1.0.0")
	if rec := w.send("", "GET", "/chart/open/charts/web-1.0.0.tgz.prov", nil); rec.Code != 200 {
		t.Errorf("the provenance file: %d", rec.Code)
	}
	if rec := w.send("", "GET", "/chart/open/charts/web-1.1.0.tgz", nil); rec.Body.String() != string(pack("web", "1.1.0", "own")) {
		t.Error("what was there was replaced")
	}

	// What is new comes with the next import; the password stays, but not for
	// another address.
	mirror.Versions = ""
	w.must(w.charts.SetMirror(ctx, w.admin, "open", mirror, nil))
	if m := w.imported("open"); m.Status != "success" || m.Imported != 1 {
		t.Errorf("%+v", m)
	}
	w.must(w.reg.RunChartMirror(ctx, w.admin, "open"))
	if m := w.imported("open"); m.Imported != 0 || m.Status != "success" {
		t.Errorf("%+v", m)
	}
	mirror.URL = upstream.URL + "/chart/none"
	w.must(w.charts.SetMirror(ctx, w.admin, "open", mirror, nil))
	if m := w.imported("open"); m.Status != "failed" || m.Password {
		t.Errorf("%+v", m)
	}
	w.must(w.reg.DeleteChartMirror(ctx, w.admin, "open"))
	w.want(w.reg.DeleteChartMirror(ctx, w.admin, "open"), fault.RuleUnknown)
	w.hasIndex("open", "api 1.0.0", "web 2.0.0", "web 1.1.0", "web 1.0.0")
}

// An upstream that goes away in the middle is not asked for everything that its
// index names, and is tried again: what comes from elsewhere comes.
func TestMirrorOfTheSilent(t *testing.T) {
	w := open(t)
	good := pack("good", "1.0.0", "a")
	elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".prov") {
			rw.WriteHeader(404)
			return
		}
		rw.Write(good)
	}))
	defer elsewhere.Close()
	const named = 200
	var asked, indexes atomic.Int64
	var back, tired atomic.Bool
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/index.yaml":
			indexes.Add(1)
			fmt.Fprintf(rw, "entries:\n  good:\n  - {name: good, version: 1.0.0, urls: [%s/good-1.0.0.tgz]}\n  web:\n", elsewhere.URL)
			for i := range named {
				fmt.Fprintf(rw, "  - {name: web, version: 1.%d.0, urls: [web-1.%d.0.tgz]}\n", i, i)
			}
		case !back.Load():
			asked.Add(1)
			rw.WriteHeader(503)
		case r.URL.Path == "/web-1.0.0.tgz.prov" && tired.CompareAndSwap(false, true):
			rw.WriteHeader(429)
		case strings.HasSuffix(r.URL.Path, ".prov"):
			rw.WriteHeader(404)
		default:
			rw.Write(pack("web", strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/web-"), ".tgz"), "a"))
		}
	}))
	defer upstream.Close()
	w.work()
	w.must(w.charts.SetMirror(t.Context(), w.admin, "open", registry.ChartMirror{URL: upstream.URL}, nil))
	for end := time.Now().Add(30 * time.Second); len(w.index("open").names()) == 0 || asked.Load() < 5; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the other chart has not come")
		}
	}
	m, err := w.reg.ChartMirror(t.Context(), w.admin, "open")
	w.must(err)
	if n, rounds := asked.Load(), indexes.Load(); m.Status != "waiting" || n > 5*rounds {
		t.Errorf("in %d attempts it was asked %d times, and the import is %s: %s", rounds, n, m.Status, m.Detail)
	}
	back.Store(true)
	w.must(w.reg.RunChartMirror(t.Context(), w.admin, "open"))
	// A provenance file that could not be asked for is no reason to do without.
	if m := w.imported("open"); m.Status != "success" || !strings.HasSuffix(m.Detail, "1 could not be taken: web 1.0.0: "+upstream.Listener.Addr().String()+" answers 429") {
		t.Errorf("%+v", m)
	}
	w.must(w.reg.RunChartMirror(t.Context(), w.admin, "open"))
	if m := w.imported("open"); m.Imported != 1 || len(w.index("open").names()) != named+1 {
		t.Errorf("%+v", m)
	}
}

// What an upstream says is not believed: single charts that are not what the
// index says are passed over and named, and the login goes nowhere else.
func TestMirrorOfLies(t *testing.T) {
	w := open(t)
	var leaked atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			leaked.Store(true)
		}
		_, _ = rw.Write(pack("good", "1.0.0", "a"))
	}))
	defer elsewhere.Close()
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/index.yaml":
			entry := func(name, url, digest string) string {
				return fmt.Sprintf("  %s:\n  - name: %s\n    version: 1.0.0\n    digest: %q\n    urls: [%q]\n", name, name, digest, url)
			}
			fmt.Fprint(rw, "apiVersion: v1\nentries:\n", entry("good", elsewhere.URL+"/good.tgz", ""), entry("forged", "x.tgz", "00"), entry("renamed", "x.tgz", ""),
				entry("metadata", "http://169.254.169.254/x.tgz", ""), entry("oci", "oci://registry.example.com/x", ""), entry("gone", "none.tgz", ""),
				entry("large", "large.tgz", ""), entry("moved", "moved.tgz", ""), "  empty:\n  - null\n  - name: empty\n    version: 1.0.0\n")
		case "/x.tgz":
			_, _ = rw.Write(pack("x", "1.0.0", "a"))
		case "/moved.tgz": // to the same host, but another port
			http.Redirect(rw, r, elsewhere.URL+"/good.tgz", http.StatusFound)
		case "/large.tgz":
			_, _ = rw.Write(make([]byte, maxChart+1))
		default:
			http.NotFound(rw, r)
		}
	}))
	defer upstream.Close()
	w.work()
	password := "secret"
	w.must(w.charts.SetMirror(t.Context(), w.admin, "team", registry.ChartMirror{URL: upstream.URL, Username: "u"}, &password))
	m := w.imported("team")
	if m.Status != "success" || m.Imported != 1 || !strings.HasPrefix(m.Detail, "1 imported, 0 were there, 8 could not be taken: ") || leaked.Load() {
		t.Errorf("%+v, leaked %t", m, leaked.Load())
	}
	w.hasIndex("team", "good 1.0.0")
	if err := chart.New(w.reg, chart.Options{}).SetMirror(t.Context(), w.admin, "team", m, nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("without a dialer: %v", err)
	}
}
