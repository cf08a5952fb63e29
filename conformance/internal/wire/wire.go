// Package wire speaks the OCI distribution protocol byte by byte, for tests
// that must see each status and header. It retries nothing and hides nothing;
// only the token flow, where asked for, happens behind the caller's back.
package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// maxBody bounds what a response may hold.
const maxBody = 256 << 20

// Scheme is how a client proves who it is.
type Scheme string

// The schemes.
const (
	Anonymous Scheme = "anonymous"
	Basic     Scheme = "basic" // with each request
	Token     Scheme = "token" // fetched as each challenge says
)

// Client sends requests to one registry. It may be used by several goroutines.
type Client struct {
	base           *url.URL
	http           *http.Client
	scheme         Scheme
	user, password string

	mu     sync.Mutex
	tokens map[string]string // by repository and right
}

// New returns a client for the registry at base. It follows no redirects:
// none is due.
func New(base string, h *http.Client, scheme Scheme, user, password string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: u, http: h, scheme: scheme, user: user, password: password, tokens: map[string]string{}}, nil
}

// Request is one request.
type Request struct {
	Method string
	To     string // path with query, or a Location
	Header http.Header
	Body   []byte
	Stream io.Reader // a body without a length, in place of Body
}

// Response is one response with its whole body.
type Response struct {
	Request *Request
	Status  int
	Header  http.Header
	Body    []byte
}

// Send sends a request as the client's scheme has it.
func (c *Client) Send(ctx context.Context, r Request) (*Response, error) {
	authorization := ""
	switch c.scheme {
	case Basic:
		authorization = basic(c.user, c.password)
	case Token:
		authorization = c.cached(r)
	}
	resp, err := c.SendAs(ctx, r, authorization)
	if err != nil || c.scheme != Token || resp.Status != http.StatusUnauthorized || r.Stream != nil {
		return resp, err
	}
	challenge, err := ParseChallenge(resp.Header.Get("WWW-Authenticate"))
	if err != nil {
		return resp, err
	}
	token, err := c.Fetch(ctx, challenge)
	if refused := (StatusError{}); errors.As(err, &refused) {
		return refused.Response, nil
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.tokens[tokenKey(r)] = token
	c.mu.Unlock()
	return c.SendAs(ctx, r, "Bearer "+token)
}

// SendAs sends a request with an Authorization header of the caller's choice.
func (c *Client) SendAs(ctx context.Context, r Request, authorization string) (*Response, error) {
	u, err := c.base.Parse(r.To)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	if r.Stream != nil {
		body = r.Stream
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if authorization != "" && req.Header.Get("Authorization") == "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, err
	}
	return &Response{Request: &r, Status: resp.StatusCode, Header: resp.Header, Body: data}, nil
}

// Challenge is what a 401 asks for.
type Challenge struct{ Realm, Service, Scope string }

// ParseChallenge parses a Bearer challenge.
func ParseChallenge(header string) (Challenge, error) {
	var c Challenge
	rest, ok := strings.CutPrefix(header, "Bearer ")
	if !ok {
		return c, fmt.Errorf("no Bearer challenge: %q", header)
	}
	fields := map[string]*string{"realm": &c.Realm, "service": &c.Service, "scope": &c.Scope}
	for rest != "" {
		name, tail, ok := strings.Cut(rest, `="`)
		if !ok {
			return c, fmt.Errorf("broken challenge: %q", header)
		}
		value, tail, ok := strings.Cut(tail, `"`)
		if !ok {
			return c, fmt.Errorf("broken challenge: %q", header)
		}
		if field := fields[strings.Trim(name, ", ")]; field != nil {
			*field = value
		}
		rest = tail
	}
	return c, nil
}

// Fetch gets the token that a challenge asks for.
func (c *Client) Fetch(ctx context.Context, challenge Challenge) (string, error) {
	query := url.Values{"service": {challenge.Service}}
	if challenge.Scope != "" {
		query["scope"] = []string{challenge.Scope}
	}
	resp, err := c.SendAs(ctx, Request{Method: http.MethodGet, To: challenge.Realm + "?" + query.Encode()}, basic(c.user, c.password))
	if err != nil {
		return "", err
	}
	if resp.Status != http.StatusOK {
		return "", StatusError{resp}
	}
	var answer struct{ Token string }
	if err := json.Unmarshal(resp.Body, &answer); err != nil {
		return "", err
	}
	return answer.Token, nil
}

func (c *Client) cached(r Request) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if token := c.tokens[tokenKey(r)]; token != "" {
		return "Bearer " + token
	}
	return ""
}

// tokenKey is what requests have in common that one token serves.
func tokenKey(r Request) string {
	name, right := r.To, "push"
	for _, kind := range []string{"/manifests/", "/blobs/", "/tags/", "/referrers/"} {
		if before, _, found := strings.Cut(r.To, kind); found {
			name = before
		}
	}
	if i := strings.Index(name, "/v2/"); i >= 0 {
		name = name[i:]
	}
	switch {
	case slices.Contains([]string{http.MethodGet, http.MethodHead}, r.Method) && !strings.Contains(r.To, "/blobs/uploads/"):
		right = "pull"
	case r.Method == http.MethodDelete && !strings.Contains(r.To, "/blobs/uploads/"):
		right = "delete"
	}
	return name + " " + right
}

func basic(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}
