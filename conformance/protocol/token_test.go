package protocol

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/wire"
)

// answer is what the token endpoint says.
type answer struct {
	Token        string
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token"`
	ExpiresIn    int       `json:"expires_in"`
	IssuedAt     time.Time `json:"issued_at"`
}

// challenge is what a request without login is asked for.
func (p *probe) challenge(method, to string) wire.Challenge {
	p.Helper()
	resp := p.as(noLogin).want(401, method, to, nil)
	c, err := wire.ParseChallenge(resp.Header.Get("Www-Authenticate"))
	p.must(err)
	if !strings.HasPrefix(c.Realm, p.URL()+"/") {
		p.Errorf("the realm %s is not at the address that the client used", c.Realm)
	}
	return c
}

// A challenge asks for exactly the repository and the action.
func TestChallenge(t *testing.T) {
	each(t, func(p *probe) {
		image := p.push(p.repo, "v1", p.Image(1, 100))
		layer := image.Blobs[1].Digest
		for _, c := range []struct{ method, to, scope string }{
			{"GET", wire.Manifest(p.repo, "v1"), "repository:" + p.repo + ":pull"},
			{"HEAD", wire.Blob(p.repo, layer), "repository:" + p.repo + ":pull"},
			{"GET", "/v2/" + p.repo + "/tags/list", "repository:" + p.repo + ":pull"},
			{"GET", referrersPath(p.repo, layer), "repository:" + p.repo + ":pull"},
			{"POST", wire.Uploads(p.repo), "repository:" + p.repo + ":pull,push"},
			{"PUT", wire.Manifest(p.repo, "v1"), "repository:" + p.repo + ":pull,push"},
			{"DELETE", wire.Manifest(p.repo, "v1"), "repository:" + p.repo + ":delete"},
			{"DELETE", wire.Blob(p.repo, layer), "repository:" + p.repo + ":delete"},
			{"GET", "/v2/", ""},
		} {
			got := p.challenge(c.method, c.to).Scope
			if sorted(got) != sorted(c.scope) {
				p.Errorf("%s %s asks for %q, want %q", c.method, c.to, got, c.scope)
			}
		}
		// The realm follows the name by which the client came.
		host := strings.Replace(p.Host, "127.0.0.1", "localhost", 1)
		resp, err := p.as(noLogin).Send(p.Context(), wire.Request{Method: "GET", To: "http://" + host + "/v2/"})
		p.must(err)
		c, err := wire.ParseChallenge(resp.Header.Get("Www-Authenticate"))
		p.must(err)
		if !strings.HasPrefix(c.Realm, "http://"+host+"/") {
			p.Errorf("the realm for %s is %s", host, c.Realm)
		}
		// Nobody but a proxy that the operator trusts says what that name is.
		resp = p.as(noLogin).do("GET", "/v2/", nil, "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "Forwarded", "host=evil.example")
		c, err = wire.ParseChallenge(resp.Header.Get("Www-Authenticate"))
		p.must(err)
		if !strings.HasPrefix(c.Realm, p.URL()+"/") {
			p.Errorf("the realm follows a forged header: %s", c.Realm)
		}
	})
}

// sorted puts the actions of a scope in order; clients differ in theirs.
func sorted(scope string) string {
	i := strings.LastIndex(scope, ":")
	actions := strings.Split(scope[i+1:], ",")
	slices.Sort(actions)
	return scope[:i+1] + strings.Join(actions, ",")
}

// fetch asks the token endpoint, by GET with Basic.
func (p *probe) fetch(l berthtest.Login, query url.Values) (int, answer) {
	p.Helper()
	realm := p.challenge("GET", "/v2/").Realm
	resp, err := p.client(p.T, wire.Basic, l).Send(p.Context(), wire.Request{Method: "GET", To: realm + "?" + query.Encode()})
	p.must(err)
	return resp.Status, p.parse(resp)
}

// grant asks the token endpoint by POST, as OAuth2 has it.
func (p *probe) grant(form url.Values) (int, answer) {
	p.Helper()
	resp, err := p.as(noLogin).Send(p.Context(), wire.Request{
		Method: "POST", To: p.challenge("GET", "/v2/").Realm, Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Body: []byte(form.Encode()),
	})
	p.must(err)
	return resp.Status, p.parse(resp)
}

func (p *probe) parse(resp *wire.Response) answer {
	p.Helper()
	var a answer
	if resp.Status == 200 {
		p.must(json.Unmarshal(resp.Body, &a))
		if a.AccessToken == "" {
			p.Fatalf("no token: %s", resp.Body)
		}
		if a.ExpiresIn < 60 || time.Since(a.IssuedAt) > time.Minute {
			p.Errorf("issued at %s for %d s", a.IssuedAt, a.ExpiresIn)
		}
	}
	return a
}

// status is the answer to a request with a token.
func (p *probe) status(token, method, to string) int {
	p.Helper()
	resp, err := p.SendAs(p.Context(), wire.Request{Method: method, To: to}, "Bearer "+token)
	p.must(err)
	return resp.Status
}

func TestToken(t *testing.T) {
	each(t, func(p *probe) {
		p.push(p.repo, "v1", p.Image(1, 100))
		p.push(p.org+"/other", "v1", p.Image(1, 100))
		pull, other := wire.Manifest(p.repo, "v1"), wire.Manifest(p.org+"/other", "v1")
		scope := func(scopes ...string) url.Values { return url.Values{"service": {"x"}, "scope": scopes} }

		code, a := p.fetch(p.Admin(), scope("repository:"+p.repo+":pull"))
		if code != 200 || a.Token != a.AccessToken {
			p.Fatalf("%d %+v", code, a)
		}
		// One token, one purpose: more of it asks for a wider one.
		for _, c := range []struct {
			method, to string
			want       int
		}{{"GET", pull, 200}, {"GET", other, 401}, {"POST", wire.Uploads(p.repo), 401}, {"DELETE", pull, 401}, {"GET", "/v2/", 200}} {
			if got := p.status(a.Token, c.method, c.to); got != c.want {
				p.Errorf("a token to pull: %s %s is %d, want %d", c.method, c.to, got, c.want)
			}
		}
		for _, several := range [][]string{
			{"repository:" + p.repo + ":pull,push", "repository:" + p.org + "/other:pull"},
			{"repository:" + p.repo + ":push,pull repository:" + p.org + "/other:pull"},
			{"repository:" + p.repo + ":pull", "repository:" + p.repo + ":pull,push", "repository:" + p.org + "/other:pull"},
		} {
			_, a := p.fetch(p.Admin(), scope(several...))
			if x, y, z := p.status(a.Token, "GET", pull), p.status(a.Token, "POST", wire.Uploads(p.repo)), p.status(a.Token, "GET", other); x != 200 || y != 202 || z != 200 {
				p.Errorf("%q: pull %d, push %d, other %d", several, x, y, z)
			}
		}
		if code, a := p.fetch(p.Admin(), scope("registry:catalog:*")); code != 200 || p.status(a.Token, "GET", "/v2/_catalog") != 200 {
			p.Errorf("the catalog by token: %d", code)
		}
		if code, a := p.fetch(p.Admin(), url.Values{}); code != 200 || p.status(a.Token, "GET", "/v2/") != 200 {
			p.Errorf("a login without scope: %d", code)
		}
		if got := p.status("nonsense", "GET", pull); got != 401 {
			p.Errorf("a bad token: %d", got)
		}
	})
}

// A token holds no more than its user may do.
func TestTokenOfReader(t *testing.T) {
	each(t, func(p *probe) {
		p.push(p.repo, "v1", p.Image(1, 100))
		reader := p.User(p.T, "tina-"+p.name)
		p.Grant(p.T, p.repo, reader.User, "read")
		code, a := p.fetch(reader, url.Values{"scope": {"repository:" + p.repo + ":pull,push,delete"}})
		if code != 200 {
			p.Fatalf("%d", code)
		}
		if got := p.status(a.Token, "GET", wire.Manifest(p.repo, "v1")); got != 200 {
			p.Errorf("pull: %d", got)
		}
		if got := p.status(a.Token, "POST", wire.Uploads(p.repo)); got != 403 {
			p.Errorf("push: %d", got)
		}
	})
}

func TestTokenRefused(t *testing.T) {
	each(t, func(p *probe) {
		admin := p.Admin()
		for name, l := range map[string]berthtest.Login{
			"wrong password": {User: admin.User, Password: "wrong"}, "unknown user": {User: "nobody", Password: admin.Password}, "empty password": {User: admin.User},
		} {
			if code, _ := p.fetch(l, url.Values{}); code != 401 {
				p.Errorf("GET, %s: %d", name, code)
			}
			if code, _ := p.grant(url.Values{"grant_type": {"password"}, "username": {l.User}, "password": {l.Password}, "service": {"x"}, "client_id": {"test"}}); code != 401 && code != 400 {
				p.Errorf("POST, %s: %d", name, code)
			}
		}
		for _, form := range []url.Values{{}, {"grant_type": {"magic"}}, {"grant_type": {"refresh_token"}, "refresh_token": {"made up"}, "service": {"x"}, "client_id": {"test"}}} {
			if code, _ := p.grant(form); code < 400 || code >= 500 {
				p.Errorf("%v: %d", form, code)
			}
		}
	})
}

// docker keeps a refresh token in place of the password.
func TestTokenRefresh(t *testing.T) {
	each(t, func(p *probe) {
		p.push(p.repo, "v1", p.Image(1, 100))
		l := p.Admin()
		form := url.Values{"grant_type": {"password"}, "username": {l.User}, "password": {l.Password}, "service": {"x"}, "client_id": {"test"}, "access_type": {"offline"}}
		code, a := p.grant(form)
		if code != 200 || a.RefreshToken == "" {
			p.Fatalf("%d %+v", code, a)
		}
		_, b := p.fetch(l, url.Values{"service": {"x"}, "offline_token": {"true"}, "client_id": {"test"}})
		for _, refresh := range []string{a.RefreshToken, b.RefreshToken} {
			if refresh == "" {
				continue // a GET need not give one
			}
			code, c := p.grant(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "service": {"x"}, "client_id": {"test"}, "scope": {"repository:" + p.repo + ":pull,push"}})
			if code != 200 || p.status(c.AccessToken, "GET", wire.Manifest(p.repo, "v1")) != 200 || p.status(c.AccessToken, "POST", wire.Uploads(p.repo)) != 202 {
				p.Errorf("refreshed: %d %+v", code, c)
			}
			if got := p.status(refresh, "GET", wire.Manifest(p.repo, "v1")); got != 401 {
				p.Errorf("a refresh token as a token: %d", got)
			}
		}
		// Nobody is logged in, and may still pull what is public.
		p.Public(p.T, p.repo)
		resp, err := p.as(noLogin).Send(p.Context(), wire.Request{Method: "GET", To: p.challenge("GET", "/v2/").Realm + "?scope=repository:" + p.repo + ":pull"})
		p.must(err)
		if anonymous := p.parse(resp); resp.Status != 200 || p.status(anonymous.AccessToken, "GET", wire.Manifest(p.repo, "v1")) != 200 {
			p.Errorf("a token for nobody: %d %s", resp.Status, resp.Body)
		}
	})
}
