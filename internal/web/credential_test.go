package web

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/iam/iamtest"
)

// gatekeeper is an Authenticator in front of the first account, whose user
// alice has a token, a key and a project.
type gatekeeper struct {
	*Authenticator
	t       *testing.T
	iam     *iam.Authority
	later   atomic.Int64
	alice   iam.User
	token   string
	key     iam.Key
	project string
	foreign string // project of another account
}

func keep(t *testing.T) *gatekeeper {
	t.Helper()
	g := &gatekeeper{t: t}
	var err error
	g.iam, err = iam.New(t.Context(), dbtest.Open(t), iam.Options{Master: bytes.Repeat([]byte{7}, 32), Argon: iam.Argon{Memory: 64, Passes: 1}, Now: g.now})
	g.must(err)
	t.Cleanup(func() { g.must(g.iam.Close()) })
	_, _, err = g.iam.Bootstrap(t.Context(), "admin-password")
	g.must(err)
	_, err = g.iam.CreateAccount(t.Context(), iam.Operator(), "other")
	g.must(err)
	g.alice, err = g.iam.CreateUser(t.Context(), iam.Operator(), "", "alice", "alice-password", false)
	g.must(err)
	tok, err := g.iam.PasswordToken(t.Context(), iam.UserRef{ID: g.alice.ID}, "alice-password", "", iam.Scope{Project: "region-1"})
	g.must(err)
	g.token, g.project = tok.Value, tok.Project.ID
	g.key, err = g.iam.CreateKey(t.Context(), iam.Operator(), "", "alice", "")
	g.must(err)
	projects, err := g.iam.Projects(t.Context(), iam.Operator(), "other")
	g.must(err)
	g.foreign = projects[0].ID
	g.Authenticator = NewAuthenticator(g.iam, nil)
	return g
}

func (g *gatekeeper) now() time.Time { return time.Now().Add(time.Duration(g.later.Load())) }

func (g *gatekeeper) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *gatekeeper) withToken(body string) *http.Request {
	r := httptest.NewRequest("POST", "/v2/x", strings.NewReader(body))
	r.Header.Set("X-Auth-Token", g.token)
	return r
}

func (g *gatekeeper) signed(body string, header ...string) *http.Request {
	r := httptest.NewRequest("POST", "/v2/a$b?q=1&q=0&empty", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	iamtest.Sign(r, g.key.Access, g.key.Secret, g.now(), []byte(body))
	return r
}

func TestIdentify(t *testing.T) {
	g := keep(t)
	both := g.withToken("body")
	both.Header.Set("Authorization", "SDK-HMAC-SHA256 nonsense")
	late := g.signed("body")
	late.Header.Set("X-Project-Id", g.project)
	for name, r := range map[string]*http.Request{
		"token": g.withToken("body"), "both": both, "signature": g.signed("body"), "signed project": g.signed("body", "X-Project-Id", g.project),
		"unsigned project": late, "domain": g.signed("body", "X-Domain-Id", g.alice.Account), "unsigned payload": g.signed("body", "X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD"),
	} {
		who, body, known, err := g.Identify(r, 4)
		if err != nil || !known || who.User != g.alice.ID || string(body) != "body" {
			t.Errorf("%s: %v %q %v %v", name, who, body, known, err)
		}
	}
	nobody := httptest.NewRequest("POST", "/", strings.NewReader("body"))
	if who, body, known, err := g.Identify(nobody, 4); err != nil || known || !who.Anonymous() || body != nil {
		t.Errorf("nobody: %v %q %v %v", who, body, known, err)
	}
}

// An access credential stands in both places, and ends between the headers and
// the body too.
func TestIdentifyCredential(t *testing.T) {
	g := keep(t)
	alice := iam.Caller{Account: g.alice.Account, AccountName: g.alice.AccountName, User: g.alice.ID, UserName: g.alice.Name}
	c, err := g.iam.AddCredential(t.Context(), alice, iam.UserRef{ID: g.alice.ID}, iam.NewCredential{})
	g.must(err)
	asked := func(header, value string, body io.Reader) error {
		r := httptest.NewRequest("POST", "/v2/x", body)
		r.Header.Set(header, value)
		who, _, known, err := g.Identify(r, 10)
		if err == nil && (!known || who.User != g.alice.ID || who.Key != c.ID) {
			t.Errorf("%s: %v %v", header, who, known)
		}
		return err
	}
	for header, value := range map[string]string{"X-Auth-Token": c.Secret, "Authorization": "Bearer " + c.Secret} {
		g.must(asked(header, value, strings.NewReader("body")))
	}
	g.must(asked("Authorization", "bearer  "+c.Secret, strings.NewReader("")))
	off, on := false, true
	turn := func(enabled *bool) {
		_, err := g.iam.ChangeCredential(t.Context(), alice, c.ID, iam.CredentialChange{Enabled: enabled})
		g.must(err)
	}
	for header, value := range map[string]string{"X-Auth-Token": c.Secret, "Authorization": "Bearer " + c.Secret} {
		turn(&on)
		slow := &meanwhile{Reader: strings.NewReader("body"), do: func() { turn(&off) }}
		if err := asked(header, value, slow); iam.ReasonOf(err) != iam.WrongToken {
			t.Errorf("%s: it was disabled while the body came: %v", header, err)
		}
		if err := asked(header, value, strings.NewReader("")); iam.ReasonOf(err) != iam.WrongToken {
			t.Errorf("%s: it is disabled: %v", header, err)
		}
	}
}

// meanwhile does something before the first byte is read.
type meanwhile struct {
	io.Reader
	do func()
}

func (m *meanwhile) Read(p []byte) (int, error) {
	if m.do != nil {
		m.do()
		m.do = nil
	}
	return m.Reader.Read(p)
}

func TestIdentifyRefuses(t *testing.T) {
	g := keep(t)
	basic := httptest.NewRequest("GET", "/", nil)
	basic.SetBasicAuth("alice", "alice-password")
	bearer := httptest.NewRequest("GET", "/", nil)
	bearer.Header.Set("Authorization", "Bearer "+g.token)
	twice := g.withToken("body")
	twice.Header.Add("X-Auth-Token", g.token)
	wrong := g.withToken("body")
	wrong.Header.Set("X-Auth-Token", g.token+"x")
	altered := g.signed("body")
	altered.Body = io.NopCloser(strings.NewReader("bodx"))
	project := g.withToken("body")
	project.Header.Set("X-Project-Id", g.foreign)
	unknown := g.withToken("body")
	unknown.Header.Set("X-Project-Id", "x")
	domain := g.withToken("body")
	domain.Header.Set("X-Domain-Id", "x")
	for name, c := range map[string]struct {
		r      *http.Request
		code   fault.Code
		reason iam.Reason
	}{
		"basic": {basic, fault.Unauthorized, iam.WrongKey}, "bearer": {bearer, fault.Unauthorized, iam.WrongKey},
		"two tokens": {twice, fault.Unauthorized, iam.WrongToken}, "wrong token": {wrong, fault.Unauthorized, iam.WrongToken},
		"altered body": {altered, fault.Unauthorized, iam.WrongKey}, "large": {g.signed("body+"), fault.TooLarge, ""}, "large with token": {g.withToken("body+"), fault.TooLarge, ""},
		"foreign project": {project, fault.Foreign, ""}, "unknown project": {unknown, fault.Foreign, ""}, "foreign domain": {domain, fault.Foreign, ""},
		"signed foreign project": {g.signed("body", "X-Project-Id", g.foreign), fault.Foreign, ""},
	} {
		_, body, known, err := g.Identify(c.r, 4)
		if !fault.Is(err, c.code) || iam.ReasonOf(err) != c.reason || !known || fault.CodeOf(err) != fault.Foreign && body != nil {
			t.Errorf("%s: %q %v %v", name, body, known, err)
		}
	}
	g.later.Store(int64(25 * time.Hour))
	if _, _, _, err := g.Identify(g.withToken("body"), 4); iam.ReasonOf(err) != iam.ExpiredToken {
		t.Errorf("expired token: %v", err)
	}
}

func TestIdentifyStream(t *testing.T) {
	g := keep(t)
	large := strings.Repeat("x", MaxJSON+1)
	sum := func(body string) string { return iamtest.Hash([]byte(body)) }
	for name, r := range map[string]*http.Request{
		"token": g.withToken(large), "hash": g.signed(large, "X-Sdk-Content-Sha256", sum(large)), "unsigned": g.signed(large, "X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD"),
	} {
		who, body, known, err := g.IdentifyStream(r)
		if err != nil || !known || who.User != g.alice.ID {
			t.Errorf("%s: %v %v %v", name, who, known, err)
			continue
		}
		if b, err := io.ReadAll(body); err != nil || string(b) != large {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	if _, body, known, err := g.IdentifyStream(g.signed("small")); err != nil || !known {
		t.Error("a small body without a hash:", err)
	} else if b, err := io.ReadAll(body); err != nil || string(b) != "small" {
		t.Errorf("%q, %v", b, err)
	}
	if _, _, _, err := g.IdentifyStream(g.signed(large)); !fault.Is(err, fault.Unauthorized) {
		t.Error("a large body without a hash:", err)
	}
	wrong := g.signed(large, "X-Sdk-Content-Sha256", sum(large))
	wrong.Body = io.NopCloser(strings.NewReader(large[1:] + "y"))
	_, body, _, err := g.IdentifyStream(wrong)
	g.must(err)
	for range 2 {
		if _, err := io.Copy(io.Discard, body); !fault.Is(err, fault.Unauthorized) || errors.Is(err, io.EOF) {
			t.Error("another body than the signed one:", err)
		}
	}
	forged := g.signed(large, "X-Sdk-Content-Sha256", sum(large))
	forged.URL.Path = "/v2/other"
	if _, body, _, err := g.IdentifyStream(forged); !fault.Is(err, fault.Unauthorized) || body != nil {
		t.Error("another path than the signed one:", err)
	}
	if _, _, known, err := g.IdentifyStream(httptest.NewRequest("POST", "/", nil)); known || err != nil {
		t.Error("nobody:", known, err)
	}
}

// A client signs the host that it knows; a proxy may pass another one on.
func TestSignedHost(t *testing.T) {
	g := keep(t)
	trusting, err := NewOrigin("https://registry.example.com", proxies)
	g.must(err)
	g.Authenticator = NewAuthenticator(g.iam, trusting)
	for name, c := range map[string]struct {
		signed, host, forwarded string
		good                    bool
	}{
		"as it came":     {"a.example.com:5000", "a.example.com:5000", "", true},
		"as configured":  {"registry.example.com", "inside:5000", "", true},
		"as passed on":   {"b.example.com", "inside:5000", "b.example.com", true},
		"something else": {"evil.example.com", "a.example.com:5000", "b.example.com", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Host", c.signed)
		iamtest.Sign(r, g.key.Access, g.key.Secret, g.now(), nil)
		r.Header.Del("Host")
		r.Host, r.RemoteAddr = c.host, "10.0.0.1:1234"
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-Host", c.forwarded)
		}
		if _, _, _, err := g.Identify(r, 0); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A body may take its time, and what was good when it began need not be when
// it ends: the token was revoked, the date of the signature is long past.
func TestIdentifyLooksAgainAfterTheBody(t *testing.T) {
	g := keep(t)
	meanwhile := func(r *http.Request, fn func()) *http.Request {
		r.Body = io.NopCloser(io.MultiReader(readerFunc(func([]byte) (int, error) { fn(); return 0, io.EOF }), strings.NewReader("body")))
		return r
	}
	signed := meanwhile(g.signed("body"), func() { g.later.Add(int64(20 * time.Minute)) })
	if _, body, _, err := g.Identify(signed, 4); iam.ReasonOf(err) != iam.WrongKey || body != nil {
		t.Errorf("a signature that is over: %q, %v", body, err)
	}
	who, err := g.iam.APICaller(t.Context(), g.token)
	g.must(err)
	token := meanwhile(g.withToken("body"), func() { g.must(g.iam.RevokeToken(t.Context(), who, g.token)) })
	if _, body, _, err := g.Identify(token, 4); iam.ReasonOf(err) != iam.WrongToken || body != nil {
		t.Errorf("a token that was revoked: %q, %v", body, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A request that another one takes over must not wait for the rest of its body.
func TestSignedStreamIsInterrupted(t *testing.T) {
	g := keep(t)
	r := g.signed("body", "X-Sdk-Content-Sha256", iamtest.Hash([]byte("body")))
	src := &stuck{ReadCloser: r.Body}
	r.Body = src
	_, body, _, err := g.IdentifyStream(r)
	g.must(err)
	if i, ok := body.(interface{ Interrupt() }); ok {
		i.Interrupt()
	}
	if !src.interrupted {
		t.Error("the body still waits")
	}
}

type stuck struct {
	io.ReadCloser
	interrupted bool
}

func (s *stuck) Interrupt() { s.interrupted = true }
