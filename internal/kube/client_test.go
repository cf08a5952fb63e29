package kube

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"berth.dev/berth/internal/dial"
)

// serve answers a client by h over TLS, as an API server would; what a real one
// does is tested in conformance/kube.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	return client(t, Access{Server: s.URL, Token: "t", CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))})
}

func client(t *testing.T, a Access) *Client {
	t.Helper()
	c, err := New(a, dial.New(dial.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

var web = Ref{"deployments", "shop", "web"}

// A redirect is not followed, and the token goes nowhere else.
func TestRedirect(t *testing.T) {
	stolen := ""
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen += r.Header.Get("Authorization") + r.URL.Path }))
	defer thief.Close()
	c := serve(t, http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect).ServeHTTP)
	if _, err := c.Get(t.Context(), web); !IsCode(err, 307) || !strings.Contains(err.Error(), "redirect") {
		t.Errorf("%v", err)
	}
	if stolen != "" {
		t.Errorf("the other server got %q", stolen)
	}
}

// Each way of not getting an answer is told from the others.
func TestParts(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	defer tls.Close()
	for name, c := range map[string]struct {
		server string
		part   Part
	}{
		"refused": {"https://169.254.169.254", PartRefused},
		"nothing": {"https://127.0.0.1:1", PartConnect},
		"no TLS":  {strings.Replace(plain.URL, "http:", "https:", 1), PartTLS},
		"unknown": {tls.URL, PartTLS},
	} {
		_, err := client(t, Access{Server: c.server, Token: "t"}).Version(t.Context())
		var e *ConnectError
		if !errors.As(err, &e) || e.Part != c.part {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }).Version(t.Context())
	var e *ConnectError
	if !errors.As(err, &e) || e.Part != PartAnswer {
		t.Errorf("no JSON: %v", err)
	}
}

// What a watch brings: changes, the end, and that it has to begin again.
func TestWatch(t *testing.T) {
	object := `{"metadata":{"name":"web","resourceVersion":"7"}}`
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
		err    error
	}{
		"changes":      {200, `{"type":"MODIFIED","object":` + object + `}` + "\n" + `{"type":"DELETED","object":` + object + `}` + "\n", "7 7-", nil},
		"gone":         {200, `{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}` + "\n", "", ErrGone},
		"gone at once": {410, `{"kind":"Status","code":410}`, "", ErrGone},
		"forbidden":    {403, `{"message":"no"}`, "", &StatusError{Code: 403}},
		"cut off":      {200, `{"type":"MODI`, "", &ConnectError{}},
	} {
		var seen []string
		err := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("resourceVersion") != "6" || r.Header.Get("Authorization") != "Bearer t" {
				t.Errorf("asked for %s", r.URL)
			}
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}).Watch(context.Background(), web, "6", func(w *Workload, deleted bool) bool {
			seen = append(seen, w.Metadata.ResourceVersion+map[bool]string{true: "-"}[deleted])
			return true
		})
		if got := strings.Join(seen, " "); got != c.want {
			t.Errorf("%s: saw %s, want %s", name, got, c.want)
		}
		switch want := c.err.(type) {
		case *StatusError:
			if !IsCode(err, want.Code) {
				t.Errorf("%s: %v", name, err)
			}
		case *ConnectError:
			if !errors.As(err, &want) {
				t.Errorf("%s: %v", name, err)
			}
		default:
			if !errors.Is(err, c.err) {
				t.Errorf("%s: %v, want %v", name, err, c.err)
			}
		}
	}
}
