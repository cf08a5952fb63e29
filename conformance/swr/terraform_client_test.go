package swr

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
)

// terraform behaves as the client under Terraform's provider does: it signs
// every header that is there, adds the project after it has signed, takes
// exactly the statuses that an operation names, and decodes what it gets.
type terraform struct {
	*fixture
	http    *http.Client
	key     berthtest.AccessKey
	token   string // in place of signatures
	project string
}

// withKey is a client that signs. It starts as the provider does: it looks for
// its project and its account.
func (f *fixture) withKey(k berthtest.AccessKey) *terraform {
	f.Helper()
	c := &terraform{fixture: f, http: f.client(), key: k}
	var projects struct{ Projects []struct{ ID, Name string } }
	c.read("/v3/projects?name="+region, &projects)
	if len(projects.Projects) != 1 || projects.Projects[0].Name != region {
		f.Fatalf("the projects of this name are %s", object(projects))
	}
	c.project = projects.Projects[0].ID
	c.account(k.Account, k.AccountName)
	return c
}

// withPassword is a client that logs in, twice, as the provider does.
func (f *fixture) withPassword(l berthtest.Login, account, userID string) *terraform {
	f.Helper()
	c := &terraform{fixture: f, http: f.client()}
	c.key.User, c.key.UserName = userID, l.User
	login := func(scope string) (string, loginAnswer) {
		resp, body := c.send("POST", "/v3/auth/tokens", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"`+l.User+`","password":"`+l.Password+
			`","domain":{"name":"`+account+`"}}}},"scope":`+scope+`}}`)
		if resp.StatusCode != 201 {
			f.Fatalf("login: %d %s", resp.StatusCode, body)
		}
		var answer loginAnswer
		if err := json.Unmarshal(body, &answer); err != nil || !answer.Token.ExpiresAt.After(time.Now()) || answer.Token.Catalog == nil || answer.Token.Roles == nil {
			f.Fatalf("login: %v: %s", err, body)
		}
		return resp.Header.Get("X-Subject-Token"), answer
	}
	var answer loginAnswer
	c.token, answer = login(`{"project":{"name":"` + region + `","domain":{"name":"` + account + `"}}}`)
	c.project = answer.Token.Project.ID
	if _, domain := login(`{"domain":{"name":"` + account + `"}}`); domain.Token.Domain.Name != account || domain.Token.Project.ID != "" {
		f.Errorf("the token for the account is of %s", object(domain))
	}
	c.account(answer.Token.User.Domain.ID, account)
	var users struct {
		Users []struct {
			ID, Name string
			DomainID string `json:"domain_id"`
		}
	}
	c.read("/v3/users?name="+l.User, &users)
	if len(users.Users) != 1 || users.Users[0].ID != userID {
		f.Errorf("the users of this name are %s", object(users))
	}
	return c
}

type loginAnswer struct {
	Token struct {
		ExpiresAt time.Time `json:"expires_at"`
		Catalog   []any     `json:"catalog"`
		Roles     []any     `json:"roles"`
		Project   struct{ ID, Name string }
		Domain    struct{ ID, Name string }
		User      struct {
			ID, Name string
			Domain   struct{ ID, Name string }
		}
	}
}

// account checks that the caller sees its account and no other.
func (c *terraform) account(id, name string) {
	c.Helper()
	var domains struct{ Domains []struct{ ID, Name string } }
	c.read("/v3/auth/domains", &domains)
	if len(domains.Domains) != 1 || domains.Domains[0].ID != id || domains.Domains[0].Name != name {
		c.Errorf("the accounts are %s, want %s %s", object(domains), id, name)
	}
}

func (f *fixture) client() *http.Client {
	return &http.Client{
		Transport:     f.transport(),
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// agent has what proxies like to rewrite; it is signed.
const agent = "HashiCorp Terraform/1.9 (+https://www.terraform.io) terraform-provider-huaweicloud/1.80; golangsdk/2.0.0#"

// send sends a request and reads its answer.
func (c *terraform) send(method, to, body string) (*http.Response, []byte) {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), method, c.URL()+to, nil)
	if err != nil {
		c.Fatal(err)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", agent)
	if body != "" {
		body += "\n" // Go's encoder ends with one
		r.Header.Set("Content-Type", "application/json")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	}
	switch {
	case c.token != "":
		r.Header.Set("X-Auth-Token", c.token)
	case c.key.Access != "":
		sign(r, c.key.Access, c.key.Secret, []byte(body))
	}
	if c.project != "" {
		r.Header.Set("X-Project-Id", c.project) // behind the signature
	}
	resp, err := c.http.Do(r)
	if err != nil {
		c.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatal(err)
	}
	return resp, answer
}

// do sends a request that must be answered with one of the statuses. Where the
// provider decodes the answer, so does do: an empty body is an error there.
func (c *terraform) do(method, to, body string, decode bool, statuses ...int) (http.Header, []byte) {
	c.Helper()
	resp, answer := c.send(method, to, body)
	if !slices.Contains(statuses, resp.StatusCode) {
		c.Errorf("%s %s: %d, want %v\n%s", method, to, resp.StatusCode, statuses, answer)
	}
	if decode {
		var v any
		if err := json.Unmarshal(answer, &v); err != nil || v == nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
			c.Errorf("%s %s: the body does not decode: %v: %s", method, to, err, answer)
		}
	}
	if resp.StatusCode == 204 && len(answer) > 0 {
		c.Errorf("%s %s: 204 with a body", method, to)
	}
	return resp.Header, answer
}

// read is a GET whose answer is decoded.
func (c *terraform) read(to string, v any) http.Header {
	c.Helper()
	h, body := c.do("GET", to, "", true, 200)
	if err := json.Unmarshal(body, v); err != nil {
		c.Fatalf("GET %s: %v: %s", to, err, body)
	}
	return h
}

// want is a GET whose whole answer is known.
func (c *terraform) want(to, answer string) {
	c.Helper()
	_, body := c.do("GET", to, "", true, 200)
	if d := unlike(answer, string(body)); d != "" {
		c.Errorf("GET %s: %s", to, d)
	}
}

// gone is a GET that Terraform must take for a sign that the thing is gone.
func (c *terraform) gone(to string) {
	c.Helper()
	c.do("GET", to, "", false, 404)
}

// sign signs a request with every header that it has, and rewrites its query to
// the one that was signed.
func sign(r *http.Request, access, secret string, body []byte) {
	r.Header.Set("X-Sdk-Date", time.Now().UTC().Format("20060102T150405Z"))
	query := canonicalQuery(r.URL.Query())
	r.URL.RawQuery = query
	var names []string
	for name := range r.Header {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	var b bytes.Buffer
	b.WriteString(r.Method + "\n" + canonicalPath(r.URL.Path) + "\n" + query + "\n")
	for _, name := range names {
		values := slices.Clone(r.Header.Values(name))
		slices.Sort(values)
		for _, v := range values {
			b.WriteString(name + ":" + strings.TrimSpace(v) + "\n")
		}
	}
	signed := strings.Join(names, ";")
	b.WriteString("\n" + signed + "\n" + sum(body))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("SDK-HMAC-SHA256\n" + r.Header.Get("X-Sdk-Date") + "\n" + sum(b.Bytes())))
	r.Header.Set("Authorization", "SDK-HMAC-SHA256 Access="+access+", SignedHeaders="+signed+", Signature="+hex.EncodeToString(mac.Sum(nil)))
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func canonicalPath(path string) string {
	var parts []string
	for _, p := range strings.Split(path, "/") {
		parts = append(parts, escaped(p))
	}
	return strings.TrimSuffix(strings.Join(parts, "/"), "/") + "/"
}

func canonicalQuery(q url.Values) string {
	var parts []string
	for key, values := range q {
		for _, v := range values {
			parts = append(parts, escaped(key)+"="+escaped(v))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "&")
}

func escaped(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return b.String()
}
