package iam

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/fault"
)

// vectors are requests as real clients signed them.
type vectors struct {
	Access, Secret string
	Requests       []signedVector
}

type signedVector struct {
	Name, Method, Target, Path, Host, Body, Canonical string
	ToSign                                            string `json:"to_sign"`
	Header                                            http.Header
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/signatures.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Requests) < 20 {
		t.Fatalf("only %d vectors", len(v.Requests))
	}
	return v
}

// request is the vector as a server sees it.
func (v signedVector) request(t testing.TB) Request {
	t.Helper()
	u, err := url.ParseRequestURI(v.Target)
	if err != nil {
		t.Fatal(err)
	}
	h := maps.Clone(v.Header)
	if h["Host"] != nil {
		delete(h, "Host")
	}
	return Request{Method: v.Method, Path: u.Path, Query: u.RawQuery, Hosts: []string{v.Host}, Header: h}
}

func sumOf(s string) string {
	b := sha256.Sum256([]byte(s))
	return hex.EncodeToString(b[:])
}

// payload is what the signer took for the body.
func payload(s *signature, body string) string {
	if s.payload != "" {
		return s.payload
	}
	return sumOf(body)
}

func TestSignatureVectors(t *testing.T) {
	all := readVectors(t)
	for _, v := range all.Requests {
		t.Run(v.Name, func(t *testing.T) {
			r := v.request(t)
			if r.Path != v.Path {
				t.Fatalf("path %q, want %q", r.Path, v.Path)
			}
			s, err := parseSignature(&r)
			if err != nil {
				t.Fatal(err)
			}
			text, err := s.canonical(&r, v.Host, payload(s, v.Body))
			if err != nil || text != v.Canonical {
				t.Errorf("canonical request\n%s\nwant\n%s\n(%v)", text, v.Canonical, err)
			}
			if got := s.stringToSign(text); got != v.ToSign {
				t.Errorf("string to sign\n%s\nwant\n%s", got, v.ToSign)
			}
			if s.access != all.Access || !s.fits(&r, []byte(all.Secret), payload(s, v.Body)) {
				t.Error("the signature does not verify")
			}
		})
	}
}

// What was signed must not change, and nothing else matters.
func TestSignatureTampering(t *testing.T) {
	all := readVectors(t)
	for _, v := range all.Requests {
		t.Run(v.Name, func(t *testing.T) {
			fits := func(change func(r *Request, body *string)) bool {
				r, body := v.request(t), v.Body
				change(&r, &body)
				s, err := parseSignature(&r)
				return err == nil && s.fits(&r, []byte(all.Secret), payload(s, body))
			}
			good := v.request(t)
			sig, err := parseSignature(&good)
			if err != nil {
				t.Fatal(err)
			}
			bad := map[string]func(*Request, *string){
				"method": func(r *Request, _ *string) { r.Method = "OPTIONS" },
				"path":   func(r *Request, _ *string) { r.Path += "x" },
				"query":  func(r *Request, _ *string) { r.Query += "&added=1" },
				"date":   func(r *Request, _ *string) { r.Header["X-Sdk-Date"] = []string{"20241202T080911Z"} },
				"twice": func(r *Request, _ *string) {
					r.Header["X-Sdk-Date"] = append(r.Header["X-Sdk-Date"], "20241202T080910Z")
				},
			}
			if sig.payload == "" {
				bad["body"] = func(_ *Request, body *string) { *body += "x" }
			}
			if good.Query != "" {
				bad["query value"] = func(r *Request, _ *string) { r.Query = strings.Replace(r.Query, "e", "f", 1) }
			}
			for _, name := range sig.headers {
				key := http.CanonicalHeaderKey(name)
				if name == "host" {
					bad["host"] = func(r *Request, _ *string) { r.Hosts = []string{"other.example.test"} }
					continue
				}
				bad["alter "+name] = func(r *Request, _ *string) { r.Header[key] = []string{"altered"} }
				bad["drop "+name] = func(r *Request, _ *string) { delete(r.Header, key) }
			}
			for name, change := range bad {
				if fits(change) {
					t.Errorf("verifies with another %s", name)
				}
			}
			for name, change := range map[string]func(*Request, *string){
				"header that is not signed": func(r *Request, _ *string) { r.Header["X-Something"] = []string{"1"} },
				"trailing slash": func(r *Request, _ *string) {
					if !strings.HasSuffix(r.Path, "/") {
						r.Path += "/"
					}
				},
				"blanks":        func(r *Request, _ *string) { r.Header["X-Sdk-Date"] = []string{" " + r.Header["X-Sdk-Date"][0] + " "} },
				"host in front": func(r *Request, _ *string) { r.Hosts = append([]string{"inside"}, r.Hosts...) },
			} {
				if !fits(change) {
					t.Errorf("does not verify with another %s", name)
				}
			}
		})
	}
}

func TestParseAuthorization(t *testing.T) {
	const mac = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	const access = "AKEXAMPLE0000000001A"
	good := SignatureAlgorithm + " Access=" + access + ", SignedHeaders=host;x-sdk-date, Signature=" + mac
	for _, v := range []string{
		good,
		strings.ReplaceAll(good, ", ", ","),
		SignatureAlgorithm + " Signature=" + mac + ",  SignedHeaders=host;x-sdk-date, Access=" + access,
	} {
		s, err := parseAuthorization(v)
		if err != nil || s.access != access || s.mac != mac || !slices.Equal(s.headers, []string{"host", "x-sdk-date"}) {
			t.Errorf("%q: %+v, %v", v, s, err)
		}
	}
	many := make([]string, maxSignedHeaders+1)
	for i := range many {
		many[i] = "h" + strings.Repeat("x", i)
	}
	for _, v := range []string{
		"", SignatureAlgorithm, SignatureAlgorithm + " ", SignatureAlgorithm + " Access=" + access,
		strings.Replace(good, SignatureAlgorithm, "V11-HMAC-SHA256", 1),
		strings.Replace(good, SignatureAlgorithm, "SDK-HMAC-SM3", 1),
		strings.Replace(good, SignatureAlgorithm, "SDK-ECDSA-P256-SHA256", 1),
		strings.Replace(good, SignatureAlgorithm, "SDK-SM2-SM3", 1),
		strings.Replace(good, SignatureAlgorithm, "sdk-hmac-sha256", 1),
		good + ", Access=" + access, good + ",", good + "0",
		strings.Replace(good, "host;", "Host;", 1), strings.Replace(good, "host;", "host;host;", 1), strings.Replace(good, "host;", ";", 1),
		strings.Replace(good, "host;x-sdk-date", strings.Join(many, ";"), 1),
		strings.Replace(good, mac, strings.ToUpper(mac), 1), strings.Replace(good, mac, mac[1:], 1),
		strings.Replace(good, access, access[1:], 1), strings.Replace(good, access, strings.ToLower(access), 1),
	} {
		if s, err := parseAuthorization(v); err == nil {
			t.Errorf("%q parses: %+v", v, s)
		}
	}
}

func TestCanonical(t *testing.T) {
	for path, want := range map[string]string{"": "/", "/": "/", "/a": "/a/", "/a/": "/a/", "/a$b c": "/a%24b%20c/", "/ä~-_.": "/%C3%A4~-_./", "*": "%2A/"} {
		if got := canonicalPath(path); got != want {
			t.Errorf("path %q: %q, want %q", path, got, want)
		}
	}
	for query, want := range map[string]string{
		"": "", "b=2&a=1": "a=1&b=2", "a=2&a=10&a=1": "a=1&a=10&a=2", "a": "a=", "a=": "a=", "a=x+y": "a=x%20y", "a=x%2By": "a=x%2By", "A=1&a=2&B=3": "A=1&B=3&a=2",
	} {
		if got, err := canonicalQuery(query); err != nil || got != want {
			t.Errorf("query %q: %q, %v, want %q", query, got, err, want)
		}
	}
	for _, query := range []string{"a=%", "a=%zz", "a;b"} {
		if got, err := canonicalQuery(query); err == nil {
			t.Errorf("query %q: %q", query, got)
		}
	}
	r := Request{Method: "get", Path: "/", Header: http.Header{"X-A": {" b ", "a"}}}
	s := signature{headers: []string{"x-a"}}
	if got, _ := s.canonical(&r, "", "p"); got != "GET\n/\n\nx-a:a\nx-a:b\n\nx-a\np" {
		t.Errorf("repeated header: %q", got)
	}
}

// sign makes a request as a client does.
func sign(r *Request, access, secret string, date time.Time, sum string, headers ...string) {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	stamp := date.UTC().Format(signatureDate)
	r.Header["X-Sdk-Date"] = []string{stamp}
	s := &signature{access: access, headers: append(headers, dateHeader), stamp: stamp}
	slices.Sort(s.headers)
	host := ""
	if len(r.Hosts) > 0 {
		host = r.Hosts[0]
	}
	text, err := s.canonical(r, host, sum)
	if err != nil {
		panic(err)
	}
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(s.stringToSign(text)))
	r.Header["Authorization"] = []string{SignatureAlgorithm + " Access=" + access + ", SignedHeaders=" + strings.Join(s.headers, ";") + ", Signature=" + hex.EncodeToString(h.Sum(nil))}
}

// signedBy verifies a request with a body.
func (w *world) signedBy(r Request, body string) (Caller, error) {
	s, err := w.Signed(w.t.Context(), r)
	if err != nil {
		return Caller{}, err
	}
	return s.Verify(w.t.Context(), sumOf(body))
}

func (w *world) refused(what string, r Request, body string) {
	w.t.Helper()
	who, err := w.signedBy(r, body)
	if !fault.Is(err, fault.Unauthorized) || ReasonOf(err) != WrongKey || who != (Caller{}) {
		w.t.Errorf("%s: %v, %v", what, who, err)
	}
}

func TestSigned(t *testing.T) {
	w := open(t)
	k := w.key(w.alice)
	make := func(at time.Time) Request {
		r := Request{Method: "POST", Path: "/v2/x", Query: "a=1"}
		sign(&r, k.Access, k.Secret, at, sumOf("body"))
		return r
	}
	alice := w.alice
	alice.Key = k.Access
	r := make(w.now())
	for range 2 { // replays count where nobody said otherwise
		if who, err := w.signedBy(r, "body"); err != nil || who != alice {
			t.Fatal(who, err)
		}
	}
	w.refused("another body", r, "bodx")
	for _, off := range []time.Duration{-14 * time.Minute, 14 * time.Minute} {
		if _, err := w.signedBy(make(w.now().Add(off)), "body"); err != nil {
			t.Error(off, err)
		}
	}
	for _, off := range []time.Duration{-15*time.Minute - 2*time.Second, 15*time.Minute + 2*time.Second} {
		w.refused(off.String(), make(w.now().Add(off)), "body")
	}
	other := make(w.now())
	sign(&other, "AKEXAMPLE0000000001A", k.Secret, w.now(), sumOf("body"))
	w.refused("unknown key", other, "body")
	sign(&other, k.Access, "wrong", w.now(), sumOf("body"))
	w.refused("wrong secret", other, "body")

	for name, end := range map[string][2]func() error{
		"key":     {func() error { return w.SetKeyEnabled(t.Context(), Operator(), k.Access, false) }, func() error { return w.SetKeyEnabled(t.Context(), Operator(), k.Access, true) }},
		"user":    {func() error { return w.SetUserEnabled(t.Context(), Operator(), "acme", "alice", false) }, func() error { return w.SetUserEnabled(t.Context(), Operator(), "acme", "alice", true) }},
		"account": {func() error { return w.SetAccountEnabled(t.Context(), Operator(), "acme", false) }, func() error { return w.SetAccountEnabled(t.Context(), Operator(), "acme", true) }},
	} {
		if err := end[0](); err != nil {
			t.Fatal(err)
		}
		w.refused("disabled "+name, make(w.now()), "body")
		if err := end[1](); err != nil {
			t.Fatal(err)
		}
		if _, err := w.signedBy(make(w.now()), "body"); err != nil {
			t.Error(name, err)
		}
	}
	if err := w.DeleteKey(t.Context(), Operator(), k.Access); err != nil {
		t.Fatal(err)
	}
	w.refused("deleted", make(w.now()), "body")
}

func TestSignedPayload(t *testing.T) {
	w := open(t)
	k := w.key(w.alice)
	with := func(payload string, headers ...string) Request {
		r := Request{Method: "POST", Path: "/", Header: http.Header{"X-Sdk-Content-Sha256": {payload}}}
		sign(&r, k.Access, k.Secret, w.now(), payload, headers...)
		return r
	}
	if _, err := w.signedBy(with(UnsignedPayload, payloadHeader), "whatever"); err != nil {
		t.Error(err)
	}
	if _, err := w.signedBy(with(sumOf("body"), payloadHeader), "body"); err != nil {
		t.Error(err)
	}
	if _, err := w.signedBy(with(strings.ToUpper(sumOf("body")), payloadHeader), "body"); err != nil {
		t.Error(err)
	}
	w.refused("another body", with(sumOf("body"), payloadHeader), "bodx")
	w.refused("not signed", with(UnsignedPayload), "")
	w.refused("neither", with("something", payloadHeader), "")
}

func TestReplayRefused(t *testing.T) {
	w := open(t, func(o *Options) { o.RefuseReplay = true })
	k := w.key(w.alice)
	r := Request{Method: "DELETE", Path: "/x"}
	sign(&r, k.Access, k.Secret, w.now(), sumOf(""))
	if _, err := w.signedBy(r, ""); err != nil {
		t.Fatal(err)
	}
	w.refused("replay", r, "")
	other := authority(t, w.d, w.clock, func(o *Options) { o.RefuseReplay = true })
	s, err := other.Signed(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), sumOf("")); !fault.Is(err, fault.Unauthorized) {
		t.Error("another node accepts a replay:", err)
	}
	get := Request{Method: "GET", Path: "/x"}
	sign(&get, k.Access, k.Secret, w.now(), sumOf(""))
	for range 2 {
		if _, err := w.signedBy(get, ""); err != nil {
			t.Error(err)
		}
	}
	if n := w.count("used_signature"); n != 1 {
		t.Errorf("%d signatures are remembered", n)
	}
	w.clock.add(signatureWindow + 2*time.Minute)
	if err := w.removeExpired(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.count("used_signature"); n != 0 {
		t.Errorf("%d signatures are remembered after their time", n)
	}
}

func FuzzSignature(f *testing.F) {
	for _, v := range readVectors(f).Requests {
		f.Add(v.Header.Get("Authorization"), v.Header.Get("X-Sdk-Date"), v.Header.Get("X-Sdk-Content-Sha256"), v.Path, "a=b&c")
	}
	f.Fuzz(func(t *testing.T, authorization, date, sum, path, query string) {
		r := Request{Method: "POST", Path: path, Query: query, Hosts: []string{"h"}, Header: http.Header{"Authorization": {authorization}, "X-Sdk-Date": {date}}}
		if sum != "" {
			r.Header["X-Sdk-Content-Sha256"] = []string{sum}
		}
		s, err := parseSignature(&r)
		if err != nil {
			return
		}
		if !slices.Contains(s.headers, dateHeader) || len(s.headers) > maxSignedHeaders || !isHexSum(s.mac) || !isAccess(s.access) {
			t.Errorf("%+v", s)
		}
		if s.fits(&r, []byte("secret"), "payload") {
			t.Error("a signature was guessed")
		}
	})
}
