package chart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/helm"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// The bounds of an import.
const (
	maxIndex    = 32 << 20        // bytes of an index, which take forty times as many to read
	maxImported = 20_000          // versions that one import looks at
	maxProblems = 5               // that the detail of an import names
	maxSilence  = 5               // requests in a row that a host leaves without an answer before it is asked nothing more
	patience    = 5 * time.Minute // for one file
	perImport   = 2 * time.Hour
	attempts    = 8
)

// me imports.
var me = iam.System("chart import")

// Kinds are the jobs that import charts.
func (c *Charts) Kinds() []job.Kind {
	return []job.Kind{{Name: registry.ImportKind, Workers: 2, PerAccount: 1, Timeout: perImport, Attempts: 2 * attempts, Run: c.runImport, Changed: c.reg.ImportChanged}}
}

// SetMirror makes a group import the charts of a repository elsewhere. Errors:
// as registry.SetChartMirror; Invalid for an address that must not be asked.
func (c *Charts) SetMirror(ctx context.Context, who iam.Caller, group string, m registry.ChartMirror, password *string) error {
	if err := c.reg.MayChartGroup(ctx, who, group, iam.UpdateOrg); err != nil {
		return err
	}
	if c.dialer == nil {
		return fault.New(fault.Invalid, "This registry imports no charts.")
	}
	u, err := c.dialer.CheckURL(m.URL)
	if err != nil {
		return err
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return fault.New(fault.Invalid, "url is that of a chart repository, without a query.")
	}
	m.URL = strings.TrimSuffix(m.URL, "/")
	return c.reg.SetChartMirror(ctx, who, group, m, password)
}

// runImport is a job. An upstream that does not answer is tried again some times,
// with growing pauses; single charts that cannot be taken are passed over and named.
func (c *Charts) runImport(ctx context.Context, j *job.Job) error {
	var p registry.Import
	if err := j.Decode(&p); err != nil {
		return job.Permanent(err)
	}
	t, ok, err := c.reg.ImportTask(ctx, me, p.Group)
	if err != nil || !ok {
		return err
	}
	f := c.from(t)
	imported, detail, err := f.run(ctx)
	if ctx.Err() != nil {
		return ctx.Err() // what has come stays, and is not fetched again
	}
	if later := (temporary{}); errors.As(err, &later) && j.Attempts < attempts {
		return err
	}
	if err != nil {
		detail = err.Error()
	}
	return c.reg.ImportDone(ctx, me, j, p.Group, imported, err, detail)
}

// temporary is an error that may be over soon.
type temporary struct{ error }

// fetcher is one import.
type fetcher struct {
	c      *Charts
	t      registry.ImportTask
	http   *http.Client
	base   *url.URL
	silent map[string]int // requests in a row without an answer, by host
}

func (c *Charts) from(t registry.ImportTask) *fetcher {
	return &fetcher{c: c, t: t, silent: map[string]int{}, http: &http.Client{Transport: c.dialer.Transport(nil), Timeout: patience, CheckRedirect: redirected}}
}

const maxRedirects = 5

// redirected takes the login off a request that goes elsewhere, where another
// port of the host is another server, and does not leave TLS.
func redirected(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > maxRedirects:
		return errors.New("chart: redirects without end")
	case first.Scheme == "https" && req.URL.Scheme != "https":
		return errors.New("chart: a redirect leaves TLS")
	case req.URL.Scheme != first.Scheme || req.URL.Host != first.Host:
		req.Header.Del("Authorization")
	}
	return nil
}

// upstream is what an import reads of an index.
type upstream struct {
	Entries map[string][]*struct {
		Name    string   `json:"name"`
		Version string   `json:"version"`
		Digest  string   `json:"digest"`
		URLs    []string `json:"urls"`
	} `json:"entries"`
}

func (f *fetcher) run(ctx context.Context) (imported int64, detail string, err error) {
	defer f.http.CloseIdleConnections()
	if f.base, err = url.Parse(f.t.URL + "/index.yaml"); err != nil {
		return 0, "", err
	}
	text, err := f.get(ctx, f.base, maxIndex)
	if err != nil {
		return 0, "", err
	}
	x, err := f.c.read(text)
	if err != nil {
		return 0, "", err
	}
	own, err := f.c.Index(ctx, me, f.t.Group)
	if err != nil {
		return 0, "", err
	}
	have := map[string]bool{}
	for _, h := range own.Charts {
		for _, v := range h.Versions {
			have[h.Name+" "+v.Version] = true
		}
	}
	there, looked := 0, 0
	var problems []string
	failed := 0
	for name, versions := range x.Entries {
		for _, v := range versions {
			if v == nil || !f.wants(name, v.Version) {
				continue
			}
			if looked++; looked > maxImported {
				return imported, "", fmt.Errorf("there are more than %d versions; narrow charts or versions", maxImported)
			}
			if have[name+" "+v.Version] {
				there++
				continue
			}
			err := f.take(ctx, name, v.Version, v.Digest, v.URLs)
			switch {
			case ctx.Err() != nil:
				return imported, "", ctx.Err()
			case err == nil:
				imported++
			case fault.Is(err, fault.Exists):
				there++
			case fault.Is(err, fault.Quota), fault.Is(err, fault.Full), fault.Is(err, fault.OrgUnknown):
				return imported, "", err
			default:
				if failed++; failed <= maxProblems {
					problems = append(problems, name+" "+v.Version+": "+reason(err))
				}
			}
		}
	}
	detail = fmt.Sprintf("%d imported, %d were there, %d could not be taken", imported, there, failed)
	if failed > 0 {
		detail += ": " + strings.Join(problems, "; ")
	}
	for host, n := range f.silent {
		if n >= maxSilence { // the others have come; for these it is tried again
			return imported, "", temporary{errors.New(clip(host + " does not answer any more: " + detail))}
		}
	}
	return imported, clip(detail), nil
}

// read reads an index of others, one at a time.
func (c *Charts) read(text []byte) (x upstream, err error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if yaml.Unmarshal(text, &x) != nil {
		err = errors.New("the index cannot be read")
	}
	return x, err
}

// reason is what an error says to people.
func reason(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return strings.TrimSuffix(f.Msg, ".")
	}
	return err.Error()
}

func clip(s string) string {
	const most = 1000
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// wants tells whether the filters let a version through.
func (f *fetcher) wants(name, version string) bool {
	match := len(f.t.Charts) == 0
	for _, p := range f.t.Charts {
		ok, err := path.Match(p, name)
		match = match || ok && err == nil
	}
	if !match || f.t.Versions == "" {
		return match
	}
	want, err := semver.NewConstraint(f.t.Versions)
	if err != nil {
		return false
	}
	v, err := semver.NewVersion(version)
	return err == nil && want.Check(v)
}

// take imports one version, with its provenance file where there is one.
func (f *fetcher) take(ctx context.Context, name, version, digest string, urls []string) error {
	if len(urls) == 0 {
		return errors.New("it has no address")
	}
	u, err := f.base.Parse(urls[0])
	if err != nil {
		return errors.New("its address is malformed")
	}
	release, err := f.c.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	archive, err := f.get(ctx, u, f.c.reg.MaxChart())
	if err != nil {
		return err
	}
	sum := string(oci.SHA256.FromBytes(archive))
	if digest != "" && strings.TrimPrefix(digest, "sha256:") != strings.TrimPrefix(sum, "sha256:") {
		return errors.New("its digest is not that of the index")
	}
	prov := *u
	prov.Path += ".prov"
	provenance, err := f.get(ctx, &prov, helm.MaxProvenance)
	if later := (temporary{}); errors.As(err, &later) {
		return err // it may have one, which would never be asked for again
	}
	if err != nil || !f.matches(provenance, name, version, sum) {
		provenance = nil // most have none
	}
	m, err := helm.Read(strings.NewReader(string(archive)))
	if err != nil {
		return err
	}
	if m.Name != name || m.Version != version {
		return fmt.Errorf("its archive holds %s %s", m.Name, m.Version)
	}
	_, err = f.c.Upload(ctx, me, f.t.Group, archive, provenance, false)
	return err
}

func (f *fetcher) matches(b []byte, name, version, sum string) bool {
	p, err := helm.ParseProvenance(b)
	return err == nil && p.Matches(name, version, sum) == nil
}

// get reads a file. The login goes to the repository's own host alone. A host
// that does not answer is not asked for everything that an index names.
func (f *fetcher) get(ctx context.Context, u *url.URL, most int64) ([]byte, error) {
	if f.silent[u.Host] >= maxSilence {
		return nil, temporary{fmt.Errorf("%s does not answer", u.Host)}
	}
	b, err := f.ask(ctx, u, most)
	if later := (temporary{}); errors.As(err, &later) {
		f.silent[u.Host]++
	} else {
		delete(f.silent, u.Host)
	}
	return b, err
}

func (f *fetcher) ask(ctx context.Context, u *url.URL, most int64) ([]byte, error) {
	if _, err := f.c.dialer.CheckURL(u.String()); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if f.t.Username != "" && u.Host == f.base.Host && u.Scheme == f.base.Scheme {
		req.SetBasicAuth(f.t.Username, f.t.Secret)
	}
	res, err := f.http.Do(req)
	if err != nil {
		return nil, temporary{fmt.Errorf("%s cannot be reached", u.Host)}
	}
	defer res.Body.Close()
	switch status := res.StatusCode; {
	case status == http.StatusTooManyRequests, status >= 500:
		return nil, temporary{fmt.Errorf("%s answers %d", u.Host, status)}
	case status != http.StatusOK:
		return nil, fmt.Errorf("%s answers %d", u.Host, status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	switch {
	case err != nil:
		return nil, temporary{fmt.Errorf("%s broke off", u.Host)}
	case int64(len(b)) > most:
		return nil, fmt.Errorf("a file of %s is larger than %d bytes", u.Host, most)
	}
	return b, nil
}
