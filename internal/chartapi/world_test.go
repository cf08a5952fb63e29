package chartapi_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/chart"
	"berth.dev/berth/internal/chartapi"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/dial"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/web"
)

// world is a registry with the private chart group team, the public one open,
// and the organization acme. On team its users may do what their names say:
// reader 1, editor 3, manager 7, nobody nothing; admin is the account's
// administrator, stranger that of another account. Passwords are
// "<name>-password".
type world struct {
	t      testing.TB
	reg    *registry.Registry
	charts *chart.Charts
	jobs   *job.Queue
	iam    *iam.Authority
	web    http.Handler
	admin  iam.Caller
}

const maxChart = 256 << 10

func open(t testing.TB, change ...func(*registry.Options)) *world {
	t.Helper()
	w := &world{t: t}
	database := dbtest.Open(t)
	var err error
	w.iam, err = iam.New(t.Context(), database, iam.Options{Master: bytes.Repeat([]byte{7}, 32), Argon: iam.Argon{Memory: 64, Passes: 1}})
	w.must(err)
	t.Cleanup(func() { w.must(w.iam.Close()) })
	blobs, err := fsblob.Open(filepath.Join(t.TempDir(), "blobs"), fsblob.Options{})
	w.must(err)
	t.Cleanup(func() { w.must(blobs.Close()) })
	w.jobs = job.NewQueue(database, slog.New(slog.DiscardHandler))
	o := registry.Options{Jobs: w.jobs, ChartMax: maxChart, MaxGroups: 4, Grace: time.Microsecond, Undelete: time.Microsecond}
	for _, c := range change {
		c(&o)
	}
	w.reg = registry.New(database, w.iam, blob.New(blobs, blob.Options{}), o)
	t.Cleanup(w.fsck)
	w.charts = chart.New(w.reg, chart.Options{Dialer: dial.New(dial.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})})
	w.jobs.Register(w.charts.Kinds()...)
	api := chartapi.New(w.reg, w.charts, w.iam, chartapi.Options{})
	w.web = web.New(web.Options{}, web.Mount{Path: chartapi.Path, Handler: api})

	_, _, err = w.iam.Bootstrap(t.Context(), "admin-password")
	w.must(err)
	_, err = w.iam.CreateAccount(t.Context(), iam.Operator(), "other")
	w.must(err)
	for _, name := range []string{"reader", "editor", "manager", "nobody"} {
		_, err = w.iam.CreateUser(t.Context(), iam.Operator(), "admin", name, name+"-password", false)
		w.must(err)
	}
	_, err = w.iam.CreateUser(t.Context(), iam.Operator(), "other", "stranger", "stranger-password", true)
	w.must(err)
	w.admin = w.login("admin")
	_, err = w.reg.CreateOrg(t.Context(), w.admin, "acme")
	w.must(err)
	_, err = w.reg.CreateChartGroup(t.Context(), w.admin, registry.GroupSpec{Name: "team"})
	w.must(err)
	_, err = w.reg.CreateChartGroup(t.Context(), w.admin, registry.GroupSpec{Name: "open", Public: true})
	w.must(err)
	for name, right := range map[string]iam.Right{"reader": iam.Read, "editor": iam.Edit, "manager": iam.Manage} {
		w.must(w.reg.GrantOrg(t.Context(), w.admin, "team", name, right))
	}
	return w
}

func (w *world) login(name string) iam.Caller {
	w.t.Helper()
	who, err := w.iam.Password(w.t.Context(), login(name), name+"-password", "127.0.0.1")
	w.must(err)
	return who
}

// login is what a user is called: of another account by account and name.
func login(name string) string {
	if name == "stranger" {
		return "other/stranger"
	}
	return name
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) want(err error, c fault.Code) {
	w.t.Helper()
	if fault.CodeOf(err) != c {
		w.t.Fatalf("got error %v, want code %q", err, c)
	}
}

func (w *world) fsck() {
	_, err := w.reg.Fsck(context.Background(), iam.Operator(), true, func(f registry.Finding) { w.t.Errorf("fsck: %s: %s: %s", f.Check, f.Subject, f.Detail) })
	if err != nil {
		w.t.Errorf("fsck: %v", err)
	}
}

// send makes a request; header is names and values in turn. role "" is
// anonymous.
func (w *world) send(role, method, path string, body []byte, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, "http://charts.example"+path, bytes.NewReader(body))
	if role != "" {
		r.SetBasicAuth(login(role), role+"-password")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.web.ServeHTTP(rec, r)
	return rec
}

// upload sends an archive as the administrator and wants this answer.
func (w *world) upload(status int, path string, body []byte, header ...string) string {
	w.t.Helper()
	rec := w.send("admin", "POST", path, body, header...)
	if rec.Code != status {
		w.t.Fatalf("POST %s: %d %s, want %d", path, rec.Code, rec.Body, status)
	}
	return rec.Body.String()
}

// pack makes a chart of a name and a version. Different seeds make different
// archives of it.
func pack(name, version, seed string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	t := tar.NewWriter(z)
	for _, f := range [][2]string{
		{name + "/Chart.yaml", "apiVersion: v2\nname: \"" + name + "\"\nversion: " + version + "\ndescription: The chart " + name + "\nkubeVersion: \">=1.20\"\nicon: https://example.com/i.svg\n"},
		{name + "/README.md", "# " + seed},
		{name + "/values.yaml", "a: 1\n"},
	} {
		_ = t.WriteHeader(&tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1]))})
		_, _ = t.Write([]byte(f[1]))
	}
	_ = t.Close()
	_ = z.Close()
	return b.Bytes()
}

// provenance is a provenance file of an archive, whose signature is nobody's.
func provenance(name, version string, archive []byte) []byte {
	return fmt.Appendf(nil, `-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

name: %s
version: %s

...
files:
  %s-%s.tgz: %s
-----BEGIN PGP SIGNATURE-----

abcd
-----END PGP SIGNATURE-----
`, name, version, name, version, oci.SHA256.FromBytes(archive))
}
