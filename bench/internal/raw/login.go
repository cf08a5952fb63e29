package raw

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// everyScope is the key of an authorization that serves all scopes.
const everyScope = "*"

func (e *Endpoint) authorization(scope string) string {
	if e.User == "" {
		return ""
	}
	if e.Basic {
		return e.basic()
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if a := e.tokens[scope]; a != "" {
		return a
	}
	return e.tokens[everyScope]
}

// Authorization is the header value that requests of a scope carry now, "" for none.
func (e *Endpoint) Authorization(scope string) string { return e.authorization(scope) }

// Fixed sends one authorization with every request, whatever its scope.
func (e *Endpoint) Fixed(authorization string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.User = "fixed"
	e.tokens[everyScope] = authorization
}

func (e *Endpoint) basic() string {
	e.mu.RLock()
	a := e.tokens["basic"]
	e.mu.RUnlock()
	if a == "" {
		a = "Basic " + base64.StdEncoding.EncodeToString([]byte(e.User+":"+e.Password))
		e.keep("basic", a)
	}
	return a
}

func (e *Endpoint) keep(scope, authorization string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tokens[scope] = authorization
}

// login answers a challenge: Basic directly, Bearer by fetching a token over this very
// connection, as it is part of what a client of the registry waits for. As docker does, it
// asks for all that the client is about to do, not only for what this one request lacked.
func (c *Client) login(scope, challenge string) error {
	scheme, p := parseChallenge(challenge)
	switch scheme {
	case "basic":
		c.e.keep(everyScope, c.e.basic())
		return nil
	case "bearer":
	default:
		return fmt.Errorf("unknown challenge %q", challenge)
	}
	realm, err := url.Parse(p["realm"])
	if err != nil {
		return err
	}
	if realm.Host != "" && realm.Host != c.e.Host {
		return fmt.Errorf("the token realm %q is another host than %s", p["realm"], c.e.Host)
	}
	q := realm.Query()
	if p["service"] != "" {
		q.Set("service", p["service"])
	}
	if scope == "" {
		scope = p["scope"]
	}
	for _, one := range strings.Fields(scope) {
		q.Add("scope", one)
	}
	realm.RawQuery = q.Encode()
	resp, err := c.once(&Request{Method: "GET", Path: realm.RequestURI(), Keep: true}, c.e.basic())
	if err != nil {
		return err
	}
	if resp.Status != 200 {
		return fmt.Errorf("token endpoint: %d %s", resp.Status, resp.Body)
	}
	var t struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(resp.Body, &t); err != nil {
		return err
	}
	if t.Token == "" {
		t.Token = t.AccessToken
	}
	c.e.keep(scope, "Bearer "+t.Token)
	return nil
}

// parseChallenge reads `scheme key="value",key=value`.
func parseChallenge(s string) (scheme string, params map[string]string) {
	params = map[string]string{}
	scheme, s, _ = strings.Cut(s, " ")
	for {
		var name, value string
		var found bool
		if name, s, found = strings.Cut(strings.TrimLeft(s, " ,"), "="); !found {
			return strings.ToLower(scheme), params
		}
		if strings.HasPrefix(s, `"`) {
			value, s, _ = strings.Cut(s[1:], `"`)
		} else {
			value, s, _ = strings.Cut(s, ",")
		}
		params[strings.ToLower(strings.TrimSpace(name))] = value
	}
}
