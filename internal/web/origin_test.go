package web

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

func TestExternal(t *testing.T) {
	tests := []struct {
		name     string
		external string
		from     string
		host     string
		tls      bool
		header   map[string]string
		want     string
	}{
		{name: "what the client used", from: "192.0.2.1:5", host: "reg.test:5000", want: "http://reg.test:5000"},
		{name: "over TLS", from: "192.0.2.1:5", host: "reg.test", tls: true, want: "https://reg.test"},
		{name: "configured", external: "https://hub.test/", from: "10.0.0.1:5", host: "reg.test", header: map[string]string{"X-Forwarded-Host": "x"}, want: "https://hub.test"},
		{name: "trusted proxy", from: "10.1.2.3:5", host: "inner", header: map[string]string{"X-Forwarded-Host": "hub.test:443, mid", "X-Forwarded-Proto": "https"}, want: "https://hub.test:443"},
		{name: "trusted proxy, mapped address", from: "[::ffff:10.1.2.3]:5", host: "inner", header: map[string]string{"X-Forwarded-Proto": "https"}, want: "https://inner"},
		{name: "anyone else", from: "192.0.2.1:5", host: "reg.test", header: map[string]string{"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "https"}, want: "http://reg.test"},
		{name: "malformed headers of a proxy", from: "10.1.2.3:5", host: "reg.test", header: map[string]string{"X-Forwarded-Host": `a" b`, "X-Forwarded-Proto": "gopher"}, want: "http://reg.test"},
		{name: "HTTP/1.0", from: "192.0.2.1:5", host: "", want: "http://127.0.0.1:5000"},
	}
	for _, tt := range tests {
		o, err := NewOrigin(tt.external, proxies)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Host = tt.from, tt.host
		if tt.tls {
			r.TLS = &tls.ConnectionState{}
		}
		for k, v := range tt.header {
			r.Header.Set(k, v)
		}
		local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000}
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
		if scheme, host := o.External(r); scheme+"://"+host != tt.want {
			t.Errorf("%s: %s://%s, want %s", tt.name, scheme, host, tt.want)
		}
	}
}

func TestExternalURLRefused(t *testing.T) {
	for _, s := range []string{"hub.test", "ftp://hub.test", "https://", "https://hub.test/registry", "https://u:p@hub.test", "https://hub.test?x=1", "https://a b", "://"} {
		if _, err := NewOrigin(s, nil); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

func TestClient(t *testing.T) {
	tests := []struct {
		from  string
		hops  []string
		want  string
		trust []netip.Prefix
	}{
		{"192.0.2.1:5", nil, "192.0.2.1", nil},
		{"[2001:db8::1]:5", nil, "2001:db8::1", nil},
		{"[::ffff:192.0.2.1]:5", nil, "192.0.2.1", nil},
		{"@", nil, "@", nil}, // a local socket
		{"192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1", proxies},
		{"10.0.0.1:5", []string{"198.51.100.7"}, "198.51.100.7", proxies},
		{"10.0.0.1:5", []string{"1.1.1.1, 198.51.100.7", "10.0.0.9"}, "198.51.100.7", proxies},
		{"10.0.0.1:5", []string{"10.0.0.8, 10.0.0.9"}, "10.0.0.8", proxies},
		{"10.0.0.1:5", []string{"198.51.100.7, unknown, 10.0.0.9"}, "10.0.0.9", proxies},
		{"10.0.0.1:5", nil, "10.0.0.1", proxies},
		{"10.0.0.1:5", []string{"198.51.100.7"}, "10.0.0.1", nil},
	}
	for _, tt := range tests {
		o, _ := NewOrigin("", tt.trust)
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.from
		r.Header["X-Forwarded-For"] = tt.hops
		if got := o.Client(r); got != tt.want {
			t.Errorf("%s %v: %s, want %s", tt.from, tt.hops, got, tt.want)
		}
	}
}
