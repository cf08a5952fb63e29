package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/iam"
)

// A credential of the administrator that is limited is refused by every route
// that is not about what it is limited to; a new route is, too, until somebody
// says otherwise here.
func TestLimitedCredentialsByRoute(t *testing.T) {
	w := newTown(t)
	// These are about nothing of the account: what makes a credential refuses
	// to do so for another one, after it has read the body.
	everywhere := []string{"CreateAccessCredential", "ShowGuide"}
	reads := func(method, _ string) bool { return method == http.MethodGet || method == http.MethodHead }
	pushes := func(method, name string) bool {
		return reads(method, name) || strings.Contains(name, "ImageArchive") || name == "CreateRepo" || name == "CreateRepoTag"
	}
	all := func(string, string) bool { return true }
	none := func(string, string) bool { return false }
	for name, c := range map[string]struct {
		limits      iam.Limits
		app, secret func(method, name string) bool // what may be let through to the repositories
		org         func(method, name string) bool // likewise to their organization
		rest        func(method, name string) bool // likewise elsewhere: lists of the account, chart groups
		count       int                            // of routes at least, so that the test does not pass by refusals
	}{
		"pull":             {iam.Limits{Only: iam.PullOnly}, reads, reads, reads, reads, 20},
		"push":             {iam.Limits{Only: iam.PushPull}, pushes, pushes, pushes, pushes, 25},
		"elsewhere":        {iam.Limits{In: []string{"elsewhere", "acme/other"}}, none, none, none, none, 0},
		"a repository":     {iam.Limits{In: []string{"acme/app"}}, all, none, none, none, 50},
		"pull from one":    {iam.Limits{Only: iam.PullOnly, In: []string{"acme/app"}}, reads, none, none, none, 10},
		"push to one":      {iam.Limits{Only: iam.PushPull, In: []string{"acme/app"}}, pushes, none, none, none, 11},
		"an organization":  {iam.Limits{In: []string{"acme"}}, all, all, all, none, 60},
		"a prefix of acme": {iam.Limits{In: []string{"acm", "acme/ap"}}, none, none, none, none, 0},
	} {
		made, err := w.core.iam.AddCredential(t.Context(), w.callers["admin"], iam.UserRef{ID: w.callers["admin"].User},
			iam.NewCredential{Limits: c.limits, Expires: iam.Expiry{After: time.Hour}})
		w.must(err)
		through := 0
		for rt, r := range managementRows(t) {
			for repo, may := range map[string]func(string, string) bool{"app": c.app, "secret": c.secret} {
				got := w.call("anonymous", rt.Method, w.fill(rt.Pattern, "admin", r.path, "repository="+repo), r.body, "Authorization", "Bearer "+made.Secret)
				if got.status == http.StatusForbidden {
					continue
				}
				through++
				switch {
				case strings.Contains(rt.Pattern, "{repository"):
				case strings.Contains(rt.Pattern, "{namespace}"):
					may = c.org
				default:
					may = c.rest
				}
				switch {
				case slices.Contains(everywhere, rt.Name):
					through--
				case !may(rt.Method, rt.Name):
					t.Errorf("a credential for %s may %s (%s): %s", name, rt.Name, repo, got)
				case got.status == http.StatusUnauthorized:
					t.Errorf("a credential for %s is not known to %s: %s", name, rt.Name, got)
				}
			}
		}
		if through < c.count {
			t.Errorf("a credential for %s is let through %d times only", name, through)
		}
	}
}
