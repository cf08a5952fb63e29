package iam

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

func pullPush(name string) []Access {
	return []Access{{Type: "repository", Name: name, Actions: []string{"pull", "push"}}}
}

func TestTokens(t *testing.T) {
	w := open(t)
	k := w.key(w.alice)
	byKey := w.alice
	byKey.Key = k.Access
	for _, who := range []Caller{w.alice, byKey, {}} {
		tok, err := w.Issue(t.Context(), who, pullPush("team/app"))
		w.must(err)
		if tok.Life != time.Hour || !tok.Issued.Equal(w.clock.now().Truncate(time.Second)) {
			t.Errorf("%v: %+v", who, tok)
		}
		for range 2 {
			g, err := w.Token(t.Context(), tok.Value)
			if err != nil || g.Caller != who || g.Expired || !g.Issued.Equal(tok.Issued) || !g.Expires.Equal(tok.Issued.Add(time.Hour)) {
				t.Fatalf("%v: %+v, %v", who, g, err)
			}
			if diff := cmp.Diff(pullPush("team/app"), g.Access); diff != "" {
				t.Error(diff)
			}
		}
		w.quiet("a token again", func() {
			if _, err := w.Token(t.Context(), tok.Value); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := w.Issue(t.Context(), Operator(), nil); err == nil {
		t.Error("the operator got a token")
	}
	_, err := w.Issue(t.Context(), w.alice, make([]Access, maxAccess+1))
	w.want(err, fault.TooLarge)
	_, err = w.Issue(t.Context(), w.alice, pullPush(strings.Repeat("x", maxToken)))
	w.want(err, fault.TooLarge)
}

// What is remembered of a token that was just issued is what verifying it says.
func TestIssuedIsVerified(t *testing.T) {
	w := open(t)
	byKey := w.alice
	byKey.Key = w.key(w.alice).Access
	for _, who := range []Caller{w.alice, byKey} {
		for _, access := range [][]Access{nil, pullPush("team/app"), {{Type: "registry", Name: "catalog"}}} {
			tok, err := w.Issue(t.Context(), who, access)
			w.must(err)
			remembered, ok := w.tokens.get(tok.Value)
			if !ok {
				t.Fatalf("%v: nothing is remembered", access)
			}
			verified, err := parseToken(w.ring.Load(), tok.Value)
			w.must(err)
			if diff := cmp.Diff(verified, remembered, cmp.AllowUnexported(parsed{}), cmpopts.EquateComparable(&ring{})); diff != "" {
				t.Errorf("%v: %s", access, diff)
			}
		}
	}
}

func TestPermits(t *testing.T) {
	g := Grant{Access: []Access{
		{"repository", "team/app", []string{"pull"}},
		{"repository", "team/all", []string{"*"}},
		{"registry", "catalog", []string{"*"}},
		{"repository", "team/app", []string{"delete"}},
	}}
	for _, c := range []struct {
		typ, name, action string
		want              bool
	}{
		{"repository", "team/app", "pull", true},
		{"repository", "team/app", "delete", true},
		{"repository", "team/app", "push", false},
		{"repository", "team/all", "push", true},
		{"repository", "team", "pull", false},
		{"repository", "team/app/x", "pull", false},
		{"registry", "catalog", "*", true},
		{"registry", "team/app", "pull", false},
		{"repository", "catalog", "*", false},
	} {
		if got := g.Permits(c.typ, c.name, c.action); got != c.want {
			t.Errorf("Permits(%s, %s, %s) = %v", c.typ, c.name, c.action, got)
		}
	}
	g.Expired = true
	if g.Permits("repository", "team/app", "pull") {
		t.Error("an expired grant permits something")
	}
	for _, c := range []struct {
		g    Grant
		want bool
	}{{Grant{}, true}, {Grant{Access: []Access{}}, false}, {Grant{Expired: true}, false}} {
		if got := c.g.Permits("repository", "team/app", "pull"); got != c.want {
			t.Errorf("%+v permits: %v", c.g, got)
		}
	}
}

func TestTokenWithoutScope(t *testing.T) {
	w := open(t)
	tok, err := w.Issue(t.Context(), w.alice, nil)
	w.must(err)
	g, err := w.Token(t.Context(), tok.Value)
	w.must(err)
	if g.Access == nil || g.Permits("repository", "team/app", "pull") {
		t.Error("a token without a scope has no limit")
	}
}

func TestTokensExpire(t *testing.T) {
	w := open(t, func(o *Options) { o.TokenLife = 5 * time.Minute })
	tok, err := w.Issue(t.Context(), w.alice, pullPush("team/app"))
	w.must(err)
	at := func(d time.Duration) (Grant, error) {
		w.clock.mu.Lock()
		w.clock.t = tok.Issued.Add(d)
		w.clock.mu.Unlock()
		return w.Token(t.Context(), tok.Value)
	}
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{0, false}, {tok.Life - time.Millisecond, false}, {tok.Life, true}, {tok.Life + ExpiredFor - time.Millisecond, true}} {
		if g, err := at(c.after); err != nil || g.Expired != c.want || g.Caller != w.alice {
			t.Errorf("after %v: %+v, %v", c.after, g, err)
		}
	}
	_, err = at(tok.Life + ExpiredFor)
	w.want(err, fault.Unauthorized)

	// Expired or not, whoever was disabled is nobody.
	w.must(w.SetUserEnabled(t.Context(), w.boss, "", "alice", false))
	_, err = at(tok.Life)
	w.want(err, fault.Unauthorized)
}

func TestForgedTokens(t *testing.T) {
	w := open(t)
	tok, err := w.Issue(t.Context(), w.alice, nil)
	w.must(err)
	head, rest, _ := strings.Cut(tok.Value, ".")
	body, sig, _ := strings.Cut(rest, ".")
	k := w.ring.Load().current(w.clock.now(), 0)
	good := func() *claims {
		return &claims{Account: w.acme.ID, RegisteredClaims: jwt.RegisteredClaims{Subject: w.alice.User, Audience: jwt.ClaimStrings{audience},
			IssuedAt: jwt.NewNumericDate(w.clock.now()), ExpiresAt: jwt.NewNumericDate(w.clock.now().Add(time.Hour))}}
	}
	sign := func(m jwt.SigningMethod, kid, key any, c *claims) string {
		j := jwt.NewWithClaims(m, c)
		j.Header["kid"] = kid
		s, err := j.SignedString(key)
		w.must(err)
		return s
	}
	if g, err := w.Token(t.Context(), sign(jwt.SigningMethodHS256, k.kid, k.jwt, good())); err != nil || g.Access == nil {
		t.Fatalf("the good one, which says nothing of access: %+v, %v", g, err)
	}
	bent := func(change func(*claims)) string {
		c := good()
		change(c)
		return sign(jwt.SigningMethodHS256, k.kid, k.jwt, c)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	none := b64([]byte(`{"alg":"none","kid":"`+k.kid+`"}`)) + "." + body + "."
	refresh, err := w.IssueRefresh(t.Context(), w.alice)
	w.must(err)
	boss := strings.Replace(string(decode(t, body)), w.alice.User, w.boss.User, 1)
	for name, raw := range map[string]string{
		"nothing":             "",
		"dots":                "..",
		"noise":               "eyJ.a.b",
		"no signature":        head + "." + body + ".",
		"half a signature":    head + "." + body + "." + sig[:20],
		"none":                none,
		"another user":        head + "." + b64([]byte(boss)) + "." + sig,
		"another key":         sign(jwt.SigningMethodHS256, k.kid, randomBytes(32), good()),
		"another algorithm":   sign(jwt.SigningMethodHS512, k.kid, k.jwt, good()),
		"key of another use":  sign(jwt.SigningMethodHS256, k.kid, k.mac, good()),
		"unknown kid":         sign(jwt.SigningMethodHS256, "00000000", k.jwt, good()),
		"kid is no text":      sign(jwt.SigningMethodHS256, 7, k.jwt, good()),
		"another audience":    bent(func(c *claims) { c.Audience = jwt.ClaimStrings{"session"} }),
		"two audiences":       bent(func(c *claims) { c.Audience = append(c.Audience, "session") }),
		"no audience":         bent(func(c *claims) { c.Audience = nil }),
		"no expiry":           bent(func(c *claims) { c.ExpiresAt = nil }),
		"no time of issue":    bent(func(c *claims) { c.IssuedAt = nil }),
		"anonymous with key":  bent(func(c *claims) { c.Subject = "" }),
		"unknown user":        bent(func(c *claims) { c.Subject = "nobody" }),
		"unknown key":         bent(func(c *claims) { c.Key = "AAAAAAAAAAAAAAAAAAAA" }),
		"user elsewhere":      bent(func(c *claims) { c.Account = "another" }),
		"refresh token":       refresh,
		"signed upload":       w.Sign("upload", []byte("x")),
		"long":                tok.Value + strings.Repeat("A", maxToken),
		"line break":          tok.Value + "\n",
		"blank":               " " + tok.Value,
		"expired much before": bent(func(c *claims) { c.ExpiresAt = jwt.NewNumericDate(time.Unix(0, 0)) }),
	} {
		if g, err := w.Token(t.Context(), raw); !fault.Is(err, fault.Unauthorized) || !g.Anonymous() {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
	if w.Stats().Tokens > 6 { // only authentic ones are kept
		t.Errorf("the cache has %d tokens", w.Stats().Tokens)
	}
}

func decode(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTokenCacheIsBounded(t *testing.T) {
	w := open(t)
	large, err := w.Issue(t.Context(), w.alice, pullPush(strings.Repeat("x", maxCached)))
	w.must(err)
	if _, err := w.Token(t.Context(), large.Value); err != nil || w.Stats().Tokens != 0 {
		t.Errorf("a large token: %v, %d in the cache", err, w.Stats().Tokens)
	}
	for i := range 2*maxTokens + 10 {
		w.tokens.put(fmt.Sprint(i), &parsed{})
	}
	if n := w.Stats().Tokens; n > 2*maxTokens {
		t.Errorf("the cache has %d tokens", n)
	}
}

func TestRefresh(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	k := w.key(w.alice)
	byKey := w.alice
	byKey.Key = k.Access
	issue := func(who Caller) string {
		t.Helper()
		raw, err := w.IssueRefresh(ctx, who)
		w.must(err)
		got, err := w.Refresh(ctx, raw)
		if err != nil || got != who {
			t.Fatalf("Refresh = %#v, %v", got, err)
		}
		return raw
	}
	ends := func(raw, why string) {
		t.Helper()
		w.freshen()
		if who, err := w.Refresh(ctx, raw); !fault.Is(err, fault.Unauthorized) || !who.Anonymous() {
			t.Errorf("%s: %v, %v", why, who, err)
		}
	}
	user, key := issue(w.alice), issue(byKey)
	tok, err := w.Issue(ctx, w.alice, nil)
	w.must(err)
	for name, raw := range map[string]string{
		"nothing": "", "noise": "AAAA", "registry token": tok.Value, "other purpose": w.Sign("upload", decode(t, user)[4:]),
		"bent": user[:len(user)-2] + "AA", "long": strings.Repeat("A", maxSigned+1),
		"short payload": w.Sign(refreshPurpose, []byte("x")), "no names": w.Sign(refreshPurpose, make([]byte, 40)),
	} {
		ends(raw, name)
	}

	w.must(w.SetPassword(ctx, w.boss, "", "alice", "another password"))
	ends(user, "password changed")
	if _, err := w.Refresh(ctx, key); err != nil {
		t.Errorf("a key's refresh token ended with the password: %v", err)
	}
	w.must(w.SetKeyEnabled(ctx, w.boss, k.Access, false))
	ends(key, "key disabled")
	w.must(w.SetKeyEnabled(ctx, w.boss, k.Access, true))

	user = issue(w.alice)
	w.must(w.SetUserEnabled(ctx, w.boss, "", "alice", false))
	ends(user, "user disabled")
	if _, err := w.IssueRefresh(ctx, w.alice); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("a disabled user got a refresh token: %v", err)
	}
	w.must(w.SetUserEnabled(ctx, w.boss, "", "alice", true))

	w.clock.add(RefreshLife - time.Second)
	w.freshen()
	if _, err := w.Refresh(ctx, user); err != nil {
		t.Errorf("before its end: %v", err)
	}
	w.clock.add(time.Second)
	ends(user, "too old")
	for _, who := range []Caller{{}, Operator(), System("x")} {
		if _, err := w.IssueRefresh(ctx, who); err == nil {
			t.Errorf("%v got a refresh token", who)
		}
	}
}

func TestSign(t *testing.T) {
	w := open(t)
	for _, payload := range []string{"", "x", strings.Repeat("payload", 30)} {
		s := w.Sign("upload", []byte(payload))
		if got, err := w.Verify("upload", s); err != nil || string(got) != payload {
			t.Errorf("Verify = %q, %v", got, err)
		}
		if strings.ContainsAny(s, "+/=") {
			t.Errorf("%q does not fit a URL", s)
		}
		for name, bad := range map[string]string{
			"longer": s + "A", "shorter": s[:len(s)-1], "line break": s[:3] + "\n" + s[3:], "padded": s + "=", "twice": s + s,
		} {
			if got, err := w.Verify("upload", bad); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: Verify = %q, %v", name, got, err)
			}
		}
		raw := decode(t, s)
		for i := range raw {
			raw[i] ^= 1
			if _, err := w.Verify("upload", base64.RawURLEncoding.EncodeToString(raw)); err == nil {
				t.Errorf("byte %d was changed and nobody noticed", i)
			}
			raw[i] ^= 1
		}
		for _, purpose := range []string{"uploads", "uploaD", "uploa", "", "refresh"} {
			if _, err := w.Verify(purpose, s); err == nil {
				t.Errorf("%q accepts what was signed as an upload", purpose)
			}
		}
	}
}

func TestRotate(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	_, err := w.Rotate(ctx, w.boss, false)
	w.want(err, fault.Denied)

	tok, err := w.Issue(ctx, w.alice, nil)
	w.must(err)
	refresh, err := w.IssueRefresh(ctx, w.alice)
	w.must(err)
	upload := w.Sign("upload", []byte("x"))
	good := func() bool {
		w.freshen()
		_, e1 := w.Token(ctx, tok.Value)
		_, e2 := w.Refresh(ctx, refresh)
		_, e3 := w.Verify("upload", upload)
		if (e1 == nil) != (e2 == nil) || (e1 == nil) != (e3 == nil) {
			t.Errorf("the three differ: %v, %v, %v", e1, e2, e3)
		}
		return e1 == nil
	}
	w.clock.add(time.Minute)
	kid, err := w.Rotate(ctx, Operator(), false)
	w.must(err)
	if !good() {
		t.Error("a rotation ended what the previous key signed")
	}
	// A key signs once every node can have learned it.
	if first := w.ring.Load().current(w.clock.now(), settle); first.kid == kid {
		t.Error("a key signs before others know it")
	}
	if first := w.ring.Load().current(w.clock.now().Add(settle), settle); first.kid != kid {
		t.Error("the new key does not sign")
	}
	if again := authority(t, w.d, w.clock); len(again.ring.Load().keys) != 2 {
		t.Errorf("another start has %d keys", len(again.ring.Load().keys))
	}

	_, err = w.Rotate(ctx, Operator(), true)
	w.must(err)
	if good() {
		t.Error("what a dropped key signed is still good")
	}
	if n := len(w.ring.Load().keys); n != 1 {
		t.Errorf("%d keys are left", n)
	}

	// Long after, a retired key is forgotten.
	_, err = w.Rotate(ctx, Operator(), false)
	w.must(err)
	w.clock.add(keepVerify + time.Second)
	w.freshen()
	_, err = w.Rotate(ctx, Operator(), false)
	w.must(err)
	n, err := db.One[int64](ctx, w.d, `SELECT count(*) FROM signing_key`)
	if err != nil || n != 2 || len(w.ring.Load().keys) != 2 {
		t.Errorf("%d keys are left, %v", n, err)
	}
}

// Another node learns of a rotation by the poll.
func TestRotateElsewhere(t *testing.T) {
	w := open(t)
	b := authority(t, w.d, w.clock)
	tok, err := w.Issue(t.Context(), w.alice, nil)
	w.must(err)
	if _, err := b.Token(t.Context(), tok.Value); err != nil {
		t.Fatal(err)
	}
	_, err = w.Rotate(t.Context(), Operator(), true)
	w.must(err)
	w.must(b.poll(t.Context()))
	if _, err := b.Token(t.Context(), tok.Value); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("the other node takes a token of a dropped key: %v", err)
	}
	tok, err = w.Issue(t.Context(), w.alice, nil)
	w.must(err)
	if _, err := b.Token(t.Context(), tok.Value); err != nil {
		t.Errorf("the other node does not know the new key: %v", err)
	}
}

func FuzzToken(f *testing.F) {
	w := open(f)
	tok, err := w.Issue(f.Context(), w.alice, pullPush("team/app"))
	w.must(err)
	f.Add(tok.Value)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		g, err := w.Token(t.Context(), raw)
		if err == nil && raw != tok.Value {
			t.Errorf("%q is %+v", raw, g)
		}
		if err != nil && !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%q: %v", raw, err)
		}
	})
}

func FuzzVerify(f *testing.F) {
	w := open(f)
	f.Add(w.Sign("upload", []byte("payload")))
	f.Add("")
	known := w.Sign("upload", []byte("payload"))
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := w.Verify("upload", s); err == nil && s != known {
			t.Errorf("%q is %q", s, b)
		}
		if _, err := w.Refresh(t.Context(), s); err == nil {
			t.Errorf("%q refreshes", s)
		}
	})
}
