package dial

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"berth.dev/berth/internal/fault"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestAllowed(t *testing.T) {
	d := New(Rules{Allow: prefixes("127.0.0.2/32", "10.1.0.0/16"), Deny: prefixes("10.0.0.0/8", "2001:db8::/32")})
	for ip, want := range map[string]bool{
		"192.0.2.1": true, "172.16.0.1": true, "192.168.1.1": true, "2600::1": true, "fd12::1": true,
		"127.0.0.1": false, "127.0.0.2": true, "127.8.9.1": false, "::1": false, "::": false, "0.0.0.0": false, "0.1.2.3": false,
		"169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, "224.0.0.1": false, "ff02::1": false, "255.255.255.255": false,
		"100.100.100.200": false, "168.63.129.16": false, "fd00:ec2::254": false, "fd00:ec2::23": false, "fd20:ce::254": false,
		"fd00:c1::a9fe:a9fe": false, "fd00:42::42": false, "fd00:42::43": true, "::ffff:0:7f00:1": false, "::ffff:0:c000:201": true,
		"::ffff:127.0.0.1": false, "::ffff:127.0.0.2": true, "::ffff:169.254.169.254": false,
		"64:ff9b::7f00:1": false, "64:ff9b::c000:201": true, "64:ff9b:1::7f00:1": false, "64:ff9b:1::c000:201": false, "2002:7f00:1::": false, "::7f00:1": false,
		"10.2.0.1": false, "10.1.0.1": true, "2001:db8::1": false,
	} {
		if got := d.Allowed(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s is allowed: %t, want %t", ip, got, want)
		}
	}
}

func TestCheckURL(t *testing.T) {
	d := New(Rules{})
	for raw, want := range map[string]fault.Code{
		"https://example.com": "", "http://example.com:8080/x?y=z": "", "https://10.0.0.1:6443": "", "https://[2600::1]/": "",
		"": fault.Invalid, "example.com": fault.Invalid, "ftp://example.com": fault.Invalid, "https://": fault.Invalid, "https://:443": fault.Invalid,
		"https://u:p@example.com": fault.Invalid, "https://example.com:0": fault.Invalid, "https://example.com:99999": fault.Invalid, "https:example.com": fault.Invalid,
		"https://127.0.0.1": fault.Invalid, "https://[::1]:80": fault.Invalid, "http://169.254.169.254/latest": fault.Invalid, "http://[::ffff:127.0.0.1]": fault.Invalid,
		"\x00": fault.Invalid,
	} {
		if _, err := d.CheckURL(raw); fault.CodeOf(err) != want {
			t.Errorf("%q: %v, want %q", raw, err, want)
		}
	}
}

// Nothing gets through to a server on loopback, by number, by name, or by the
// redirect of one that is allowed.
func TestTransport(t *testing.T) {
	hits := 0
	inside := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	l, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Skipf("no second address of loopback here: %v", err)
	}
	_ = inside.Listener.Close()
	inside.Listener = l
	inside.Start()
	defer inside.Close()
	outside := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusFound))
	defer outside.Close()
	d := New(Rules{Allow: prefixes("127.0.0.1/32")})
	client := &http.Client{Transport: d.Transport(nil)}
	get := func(url string) error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	for _, url := range []string{inside.URL, outside.URL} {
		if err := get(url); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if hits > 0 {
		t.Errorf("%d requests came through", hits)
	}
	strict := New(Rules{})
	_, port, _ := net.SplitHostPort(outside.Listener.Addr().String())
	if _, err := strict.DialContext(context.Background(), "tcp", "localhost:"+port); !errors.Is(err, ErrRefused) {
		t.Errorf("localhost: %v", err)
	}
}
