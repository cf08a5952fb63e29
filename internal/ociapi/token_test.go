package ociapi_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/ociapi"
)

type tokenAnswer struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"`
	ExpiresIn    int    `json:"expires_in"`
	IssuedAt     string `json:"issued_at"`
	RefreshToken string `json:"refresh_token"`
}

// issued reads a token answer and the access that its token carries.
func issued(t *testing.T, a answer) (tokenAnswer, []iam.Access) {
	t.Helper()
	var got tokenAnswer
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.StatusCode != 200 {
		t.Fatalf("no token: %d %s", a.StatusCode, a.body)
	}
	at, err := time.Parse(time.RFC3339, got.IssuedAt)
	if err != nil || time.Since(at).Abs() > time.Minute || got.ExpiresIn < 60 || got.AccessToken != got.Token || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("answer: %v %s", a.Header, a.body)
	}
	var claims struct{ Access []iam.Access }
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(got.Token, ".")[1])
	if err != nil || json.Unmarshal(b, &claims) != nil || claims.Access == nil {
		t.Fatalf("claims: %s, %v", b, err)
	}
	return got, claims.Access
}

func (w *world) getToken(as string, q url.Values) answer {
	w.t.Helper()
	return w.send(request{method: "GET", path: ociapi.TokenPath + "?" + q.Encode(), as: as})
}

func (w *world) postToken(form url.Values) answer {
	w.t.Helper()
	return w.send(request{method: "POST", path: ociapi.TokenPath, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, body: form.Encode()})
}

func TestTokenGrantsWhatIsAskedAndAllowed(t *testing.T) {
	w := open(t, options{})
	w.pushImage("acme/app", "v1")
	w.pushImage("acme/open", "v1")
	admin, err := w.iam.Password(t.Context(), "admin", "admin-password", "")
	w.must(err)
	public := true
	w.must(w.reg.UpdateRepo(t.Context(), admin, "acme/open", publicPatch(&public)))

	repo := func(name string, actions ...string) iam.Access {
		return iam.Access{Type: "repository", Name: name, Actions: actions}
	}
	catalog := iam.Access{Type: "registry", Name: "catalog", Actions: []string{"*"}}
	all := "repository:acme/app:*"
	for _, tt := range []struct {
		as     string
		scopes []string
		want   []iam.Access
	}{
		{"manager", []string{all}, []iam.Access{repo("acme/app", "pull", "push", "delete")}},
		{"writer", []string{all}, []iam.Access{repo("acme/app", "pull", "push")}},
		{"reader", []string{all}, []iam.Access{repo("acme/app", "pull")}},
		{"nobody", []string{all}, []iam.Access{}},
		{"", []string{all}, []iam.Access{}},
		{"admin", []string{all}, []iam.Access{repo("acme/app", "pull", "push", "delete")}},
		{"writer", []string{"repository:acme/app:push,pull"}, []iam.Access{repo("acme/app", "pull", "push")}},
		{"writer", []string{"repository:acme/app:pull"}, []iam.Access{repo("acme/app", "pull")}},
		{"manager", []string{"repository:acme/app:delete"}, []iam.Access{repo("acme/app", "delete")}},
		{"writer", []string{"repository:acme/app:pull,push repository:acme/lib:pull"}, []iam.Access{repo("acme/app", "pull", "push"), repo("acme/lib", "pull")}},
		{"writer", []string{"repository:acme/new:pull,push"}, []iam.Access{repo("acme/new", "pull", "push")}},
		{"writer", []string{"repository:nowhere/new:pull,push"}, []iam.Access{}},
		{"nobody", []string{"repository:acme/open:*"}, []iam.Access{repo("acme/open", "pull")}},
		{"", []string{"repository:acme/open:*", "repository:acme/none:pull"}, []iam.Access{repo("acme/open", "pull")}},
		{"writer", []string{"registry:catalog:*"}, []iam.Access{catalog}},
		{"", []string{"registry:catalog:*"}, []iam.Access{catalog}},
		{"writer", nil, []iam.Access{}},
		{"writer", []string{"", "nonsense", "repository:ACME:pull"}, []iam.Access{}},
	} {
		_, got := issued(t, w.getToken(tt.as, url.Values{"scope": tt.scopes, "service": {w.host}, "account": {tt.as}}))
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%q asks for %q (-want +got):\n%s", tt.as, tt.scopes, d)
		}
	}
}

func TestTokenWorks(t *testing.T) {
	w := open(t, options{})
	key, err := w.iam.CreateKey(t.Context(), iam.Operator(), "admin", "writer", "")
	w.must(err)
	projects, err := w.iam.Projects(t.Context(), iam.Operator(), "admin")
	w.must(err)
	const scope = "repository:acme/app:pull,push"
	keyUser, keyPassword := projects[0].Name+"@"+key.Access, iam.KeyPassword(key.Access, key.Secret)
	byKey := map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(keyUser+":"+keyPassword))}
	password := url.Values{"grant_type": {"password"}, "username": {"admin/writer"}, "password": {"writer-password"}, "client_id": {"x"}, "service": {w.host}, "scope": {scope}}
	for name, a := range map[string]answer{
		"GET":             w.getToken("writer", url.Values{"scope": {scope}}),
		"GET with a key":  w.send(request{method: "GET", path: ociapi.TokenPath + "?scope=" + scope, header: byKey}),
		"POST":            w.postToken(password),
		"POST with a key": w.postToken(url.Values{"grant_type": {"password"}, "username": {keyUser}, "password": {keyPassword}, "scope": {scope}}),
	} {
		got, _ := issued(t, a)
		if got.RefreshToken != "" {
			t.Errorf("%s: a refresh token that nobody asked for", name)
		}
		as := "Bearer " + got.Token
		b := []byte(name)
		w.check(name+": push", w.send(request{"POST", "/v2/acme/app/blobs/uploads/?digest=" + digestOf(b), as, nil, b, 0}), created("acme/app", digestOf(b)))
		w.check(name+": pull", w.send(request{"GET", "/v2/acme/app/blobs/" + digestOf(b), as, nil, nil, 0}), want{200, nil, name})
		w.check(name+": ping", w.send(request{"GET", "/v2/", as, nil, nil, 0}), want{200, nil, "{}"})
	}
}

func TestRefreshToken(t *testing.T) {
	w := open(t, options{})
	const scope = "repository:acme/app:pull,push"
	byGet, _ := issued(t, w.getToken("writer", url.Values{"scope": {scope}, "offline_token": {"true"}}))
	byPost, _ := issued(t, w.postToken(url.Values{"grant_type": {"password"}, "username": {"writer"}, "password": {"writer-password"}, "access_type": {"offline"}}))
	for _, refresh := range []string{byGet.RefreshToken, byPost.RefreshToken} {
		if refresh == "" {
			t.Fatal("no refresh token")
		}
		got, access := issued(t, w.postToken(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "scope": {scope}}))
		if len(access) != 1 || got.RefreshToken != "" {
			t.Errorf("%v, refresh token %q", access, got.RefreshToken)
		}
	}
	if a, _ := issued(t, w.getToken("", url.Values{"offline_token": {"true"}})); a.RefreshToken != "" {
		t.Error("a refresh token for nobody")
	}
	for _, bad := range []string{"", "x", byGet.Token} {
		if a := w.postToken(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {bad}}); a.StatusCode != 401 {
			t.Errorf("refresh token %q: %d %s", bad, a.StatusCode, a.body)
		}
	}
	w.must(w.iam.SetPassword(t.Context(), iam.Operator(), "admin", "writer", "another-password"))
	if a := w.postToken(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {byGet.RefreshToken}}); a.StatusCode != 401 {
		t.Errorf("after a change of the password: %d %s", a.StatusCode, a.body)
	}
}

func TestTokenRefused(t *testing.T) {
	w := open(t, options{})
	basic := func(user, password string) map[string]string {
		return map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
	}
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	unauthorized := want{401, map[string]string{"Www-Authenticate": `Basic realm="HOST"`}, refused("UNAUTHORIZED", "The user name or the password is wrong.")}
	for _, tt := range []struct {
		name string
		request
		want
	}{
		{"wrong password", request{method: "GET", header: basic("writer", "wrong")}, unauthorized},
		{"unknown user", request{method: "GET", header: basic("stranger", "wrong")}, unauthorized},
		{"wrong password in a form", request{method: "POST", header: form, body: "grant_type=password&username=writer&password=wrong"}, unauthorized},
		{"no password in a form", request{method: "POST", header: form, body: "grant_type=password"}, unauthorized},
		{"a token instead of a password", request{method: "GET", as: w.token("writer")}, want{401, nil, "*"}},
		{"malformed Basic", request{method: "GET", header: map[string]string{"Authorization": "Basic ???"}}, want{401, nil, "*"}},
		{"no grant type", request{method: "POST", header: form, body: ""}, want{400, nil, "*"}},
		{"another grant type", request{method: "POST", header: form, body: "grant_type=client_credentials"}, want{400, nil, "*"}},
		{"JSON", request{method: "POST", header: map[string]string{"Content-Type": "application/json"}, body: "{}"}, want{400, nil, "*"}},
		{"a malformed form", request{method: "POST", header: form, body: "grant_type=%zz"}, want{400, nil, "*"}},
		{"a malformed query", request{method: "GET", path: "?scope=%zz"}, want{400, nil, "*"}},
		{"a large form", request{method: "POST", header: form, body: "grant_type=password&x=" + strings.Repeat("x", 70<<10)}, want{413, nil, refused("SIZE_INVALID", "The body is larger than 65536 bytes.")}},
		{"too many scopes", request{method: "POST", header: form, body: "grant_type=password&username=writer&password=writer-password&scope=" + manyScopes()}, want{400, nil, "*"}},
		{"PUT", request{method: "PUT"}, want{405, map[string]string{"Allow": "GET, POST"}, "*"}},
	} {
		tt.path = ociapi.TokenPath + tt.path
		w.check(tt.name, w.send(tt.request), tt.want)
	}
}

func manyScopes() string {
	var s []string
	for i := range 100 {
		s = append(s, "repository:acme/app"+strings.Repeat("x", i)+":pull")
	}
	return url.QueryEscape(strings.Join(s, " "))
}
