package ociapi_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/ociapi"
)

// credential makes one for a user, who may do what his name says.
func (w *world) credential(user string, n iam.NewCredential) iam.Credential {
	w.t.Helper()
	who, err := w.iam.Password(w.t.Context(), user, user+"-password", "")
	w.must(err)
	c, err := w.iam.AddCredential(w.t.Context(), who, iam.UserRef{ID: who.User}, n)
	w.must(err)
	return c
}

func basic(user, password string) map[string]string {
	return map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
}

// A credential is the password of any user name, here and at the token
// endpoint, and what came of it ends with it on the next request.
func TestCredentialAsPassword(t *testing.T) {
	w := open(t, options{})
	w.pushImage("acme/app", "v1")
	c := w.credential("writer", iam.NewCredential{Expires: iam.Expiry{After: time.Hour}})
	const manifest, push = "/v2/acme/app/manifests/v1", "repository:acme/app:pull,push"
	scope := ociapi.TokenPath + "?" + url.Values{"scope": {push}, "offline_token": {"true"}}.Encode()
	form := func(values ...string) answer {
		q := url.Values{"scope": {push}}
		for i := 0; i < len(values); i += 2 {
			q.Set(values[i], values[i+1])
		}
		return w.postToken(q)
	}
	for _, user := range []string{"writer", "tkestack", "no such user", "a@b", ""} {
		w.check(user, w.send(request{method: "GET", path: "/v2/", header: basic(user, c.Secret)}), want{status: 200, body: "*"})
		w.check(user, w.send(request{method: "GET", path: manifest, header: basic(user, c.Secret)}), want{status: 200, body: "*"})
	}
	got, access := issued(t, w.send(request{method: "GET", path: scope, header: basic("any", c.Secret)}))
	if len(access) != 1 || strings.Join(access[0].Actions, " ") != "pull push" {
		t.Errorf("the token is for %+v", access)
	}
	posted, _ := issued(t, form("grant_type", "password", "username", "any", "password", c.Secret))

	// state is the status of each way in.
	state := func() (all []int) {
		for _, as := range []string{got.Token, posted.Token} {
			all = append(all, w.send(request{method: "GET", path: manifest, as: "Bearer " + as}).StatusCode)
		}
		for _, a := range []answer{
			w.send(request{method: "GET", path: "/v2/", header: basic("any", c.Secret)}), w.send(request{method: "GET", path: scope, header: basic("any", c.Secret)}),
			form("grant_type", "password", "username", "any", "password", c.Secret), form("grant_type", "refresh_token", "refresh_token", got.RefreshToken),
		} {
			all = append(all, a.StatusCode)
		}
		return all
	}
	expect := func(what string, status int) {
		t.Helper()
		for i, got := range state() {
			if got != status {
				t.Errorf("%s: the way in %d answers %d, want %d", what, i, got, status)
			}
		}
	}
	who := iam.Operator()
	turn := func(on bool) {
		_, err := w.iam.ChangeCredential(t.Context(), who, c.ID, iam.CredentialChange{Enabled: &on})
		w.must(err)
	}
	expect("enabled", 200)
	turn(false)
	expect("disabled", 401)
	w.check("disabled", w.send(request{method: "GET", path: "/v2/", header: basic("any", c.Secret)}), want{status: 401, body: refused("UNAUTHORIZED", "The access credential is disabled.")})
	turn(true)
	expect("enabled again", 200)
	w.later.Add(int64(59 * time.Minute))
	expect("about to expire", 200)
	w.later.Add(int64(time.Minute))
	expect("expired", 401)
	w.check("expired", w.send(request{method: "GET", path: "/v2/", header: basic("any", c.Secret)}), want{status: 401, body: refused("UNAUTHORIZED", "The access credential has expired: create another.")})

	w.later.Store(0)
	c = w.credential("writer", iam.NewCredential{})
	got, _ = issued(t, w.send(request{method: "GET", path: scope, header: basic("any", c.Secret)}))
	posted, _ = issued(t, form("grant_type", "password", "username", "any", "password", c.Secret))
	expect("another", 200)
	w.must(w.iam.DeleteCredential(t.Context(), who, c.ID))
	expect("deleted", 401)
}

// A token has what the credential's limits leave, and whoever wants more is
// told why not.
func TestLimitedCredential(t *testing.T) {
	w := open(t, options{})
	w.pushImage("acme/app", "v1")
	w.pushImage("acme/lib", "v1")
	for _, tt := range []struct {
		limits iam.Limits
		app    string // actions of a token
		lib    string
		push   want
	}{
		{iam.Limits{Only: iam.PullOnly}, "pull", "pull", want{status: 403, body: refused("DENIED", "You may not push to acme/app with this access credential: it is limited to pulling.")}},
		{iam.Limits{Only: iam.PullOnly, In: []string{"acme/lib"}}, "", "pull", want{status: 403, body: refused("DENIED", "You may not push to acme/app with this access credential: it is limited to pulling in acme/lib.")}},
		{iam.Limits{In: []string{"acme/app"}}, "pull push delete", "", want{status: 202, body: "*"}},
		{iam.Limits{Only: iam.PushPull, In: []string{"acme"}}, "pull push", "pull push", want{status: 202, body: "*"}},
	} {
		c := w.credential("manager", iam.NewCredential{Limits: tt.limits})
		got, access := issued(t, w.send(request{method: "GET", path: ociapi.TokenPath + "?scope=repository:acme/app:*&scope=repository:acme/lib:*&scope=registry:catalog:*", header: basic("x", c.Secret)}))
		for _, name := range []string{"app", "lib"} {
			has := ""
			for _, a := range access {
				if a.Name == "acme/"+name {
					has = strings.Join(a.Actions, " ")
				}
			}
			if wanted := map[string]string{"app": tt.app, "lib": tt.lib}[name]; has != wanted {
				t.Errorf("%+v: the token has %q on %s, want %q", tt.limits, has, name, wanted)
			}
		}
		for _, header := range []map[string]string{{"Authorization": "Bearer " + got.Token}, basic("x", c.Secret)} {
			w.check("push", w.send(request{method: "POST", path: "/v2/acme/app/blobs/uploads/", header: header}), tt.push)
			catalog := w.send(request{method: "GET", path: "/v2/_catalog", header: header}).body
			for _, name := range []string{"app", "lib"} {
				if shown, may := strings.Contains(catalog, "acme/"+name), map[string]string{"app": tt.app, "lib": tt.lib}[name] != ""; shown != may {
					t.Errorf("%+v: the catalog is %s", tt.limits, catalog)
				}
			}
		}
	}
}
