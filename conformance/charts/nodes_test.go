package charts

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/tool"
)

// within is the time after which each node must know what another one changed.
const within = 2 * time.Second

// nodes are two servers over one database, with a chart group that holds a
// chart, and clients that use a credential.
type nodes struct {
	t     *testing.T
	home  *tool.Home
	token string // of the administrator, for the API
	a, b  *berthtest.Server
}

// do sends a request and returns the status and the answer.
func (n *nodes) do(s *berthtest.Server, method, path, body string, set func(*http.Request)) (int, http.Header, []byte) {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	set(r)
	resp, err := s.Client().Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, answer
}

// admin changes something by a node's API.
func (n *nodes) admin(s *berthtest.Server, method, path, body string, want int) []byte {
	n.t.Helper()
	status, _, answer := n.do(s, method, path, body, func(r *http.Request) { r.Header.Set("X-Auth-Token", n.token) })
	if status != want {
		n.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

// statuses are what a node answers to a credential on each surface.
func (n *nodes) statuses(s *berthtest.Server, secret string) (out [4]int) {
	n.t.Helper()
	basic := func(r *http.Request) { r.SetBasicAuth("whoever", secret) }
	out[0], _, _ = n.do(s, "GET", "/auth/token?service="+s.Host+"&scope=repository:both/web:pull", "", basic)
	out[1], _, _ = n.do(s, "GET", "/v2/both/web/manifests/0.1.0", "", basic)
	out[2], _, _ = n.do(s, "GET", "/chart/both/index.yaml", "", basic)
	out[3], _, _ = n.do(s, "GET", "/v2/manage/namespaces", "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) })
	return out
}

// A credential that one node made is good on the other. What ends it on one
// node ends it there with the next request, and on the other within two
// seconds: for docker's tokens, for helm, and for the API.
func TestCredentialsOnTwoNodes(t *testing.T) {
	n := &nodes{t: t, home: tool.New(t), a: berthtest.Start(t, berthtest.Options{Postgres: true})}
	n.b = berthtest.Start(t, berthtest.Options{Beside: n.a})
	_, header, _ := n.do(n.a, "POST", "/v3/auth/tokens", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"admin","password":"`+
		n.a.Admin().Password+`","domain":{"name":"admin"}}}}}}`, func(*http.Request) {})
	n.token = header.Get("X-Subject-Token")
	if _, err := n.a.Command("", "chart-group", "create", "both"); err != nil {
		t.Fatal(err)
	}
	for _, helm := range []string{"helm", "helm4"} {
		if !tool.Has(helm) {
			berthtest.Missing(t, "clients", "%s is not installed", helm)
		}
	}
	n.home.Run("helm", "create", "web")
	n.home.Run("helm", "package", "web", "--version", "0.1.0")
	chart, err := os.ReadFile(n.home.Path("web-0.1.0.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	if status, _, answer := n.do(n.a, "POST", "/chart/api/both/charts", string(chart), func(r *http.Request) { r.SetBasicAuth("admin", n.a.Admin().Password) }); status != 201 {
		t.Fatalf("%d %s", status, answer)
	}

	make := func(on *berthtest.Server, expires string) (id, secret string) {
		t.Helper()
		var c struct{ ID, Secret string }
		if err := json.Unmarshal(n.admin(on, "POST", "/v2/manage/credentials", `{"expires":"`+expires+`"}`, 201), &c); err != nil {
			t.Fatal(err)
		}
		return c.ID, c.Secret
	}
	good, over := [4]int{200, 200, 200, 200}, [4]int{401, 401, 401, 401}
	holds := func(s *berthtest.Server, secret string, want [4]int) {
		t.Helper()
		if got := n.statuses(s, secret); got != want {
			t.Errorf("%s answers %v, want %v", s.Host, got, want)
		}
	}
	soon := func(s *berthtest.Server, secret string, want [4]int) {
		t.Helper()
		for end := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
			begun := time.Now()
			if got := n.statuses(s, secret); got == want {
				return
			} else if begun.After(end) {
				t.Errorf("%s still answers %v after %s, want %v", s.Host, got, within, want)
				return
			}
		}
	}
	for _, order := range [][2]*berthtest.Server{{n.a, n.b}, {n.b, n.a}} {
		here, there := order[0], order[1]
		id, secret := make(here, "1h")
		holds(here, secret, good)
		holds(there, secret, good) // also what it did not know was never refused
		n.admin(here, "PATCH", "/v2/manage/credentials/"+id, `{"enabled":false}`, 200)
		holds(here, secret, over)
		soon(there, secret, over)
		n.admin(there, "PATCH", "/v2/manage/credentials/"+id, `{"enabled":true}`, 200)
		holds(there, secret, good)
		soon(here, secret, good)
		n.admin(here, "DELETE", "/v2/manage/credentials/"+id, "", 204)
		holds(here, secret, over)
		soon(there, secret, over)

		ends := time.Now().Add(3 * time.Second).Truncate(time.Second)
		_, secret = make(here, ends.UTC().Format(time.RFC3339))
		holds(here, secret, good)
		holds(there, secret, good)
		time.Sleep(time.Until(ends.Add(10 * time.Millisecond)))
		holds(here, secret, over)
		holds(there, secret, over)
	}

	// And so for the clients themselves, by the login that they keep.
	id, secret := make(n.a, "1h")
	for _, helm := range []string{"helm", "helm4"} {
		h := tool.New(t)
		if err := os.Mkdir(h.Path("out"), 0o700); err != nil {
			t.Fatal(err)
		}
		h.RunInput(secret, helm, "registry", "login", n.b.Host, "--plain-http", "--username", "ci", "--password-stdin")
		h.RunInput(secret, helm, "repo", "add", "both", n.b.URL()+"/chart/both", "--username", "ci", "--password-stdin")
		uses := [][]string{
			{helm, "pull", "oci://" + n.b.Host + "/both/web", "--version", "0.1.0", "--plain-http", "-d", "out"},
			{helm, "pull", "both/web", "--version", "0.1.0", "-d", "out"},
		}
		for _, use := range uses {
			h.Run(use[0], use[1:]...)
		}
		if got, err := os.ReadFile(h.Path("out/web-0.1.0.tgz")); err != nil || !bytes.Equal(got, chart) {
			t.Errorf("%s: the chart came back different, %v", helm, err)
		}
		n.admin(n.a, "PATCH", "/v2/manage/credentials/"+id, `{"enabled":false}`, 200)
		time.Sleep(within)
		for _, use := range uses {
			h.Fails(use[0], use[1:]...)
		}
		h.FailsInput(secret, helm, "registry", "login", n.b.Host, "--plain-http", "--username", "ci", "--password-stdin")
		n.admin(n.a, "PATCH", "/v2/manage/credentials/"+id, `{"enabled":true}`, 200)
		time.Sleep(within)
	}
}
