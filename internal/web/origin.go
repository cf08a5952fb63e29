package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Origin answers where a request came from and by which address its client
// knows us. The zero value trusts no proxy and repeats what the client used.
type Origin struct {
	scheme, host string
	proxies      []netip.Prefix
}

// NewOrigin takes the configured external URL ("": none), scheme and host
// only, and the networks of proxies whose X-Forwarded-* headers count.
func NewOrigin(external string, proxies []netip.Prefix) (*Origin, error) {
	o := &Origin{proxies: slices.Clone(proxies)}
	if external == "" {
		return o, nil
	}
	u, err := url.Parse(external)
	if err != nil {
		return nil, fmt.Errorf("external URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || !validHost(u.Host) || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("external URL %q: want http(s)://host[:port] without a path", external)
	}
	o.scheme, o.host = u.Scheme, u.Host
	return o, nil
}

// External returns scheme and host[:port] for addresses that the client is
// meant to use: the configured ones, else those it used itself. Clients refuse
// a token realm or an upload location on a host other than the one they asked.
func (o *Origin) External(r *http.Request) (scheme, host string) {
	if o.host != "" {
		return o.scheme, o.host
	}
	scheme, host = "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if o.trusts(r) {
		if h := first(r.Header.Get("X-Forwarded-Host")); validHost(h) {
			host = h
		}
		if p := first(r.Header.Get("X-Forwarded-Proto")); p == "http" || p == "https" {
			scheme = p
		}
	}
	if host == "" { // HTTP/1.0
		if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
			host = a.String()
		}
	}
	return scheme, host
}

// hosts are the authorities that the client may have addressed and signed: the
// one that came, the one that a trusted proxy passed on, the configured one.
func (o *Origin) hosts(r *http.Request) []string {
	hosts := []string{r.Host}
	if o.trusts(r) {
		if h := first(r.Header.Get("X-Forwarded-Host")); validHost(h) && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	if o.host != "" && !slices.Contains(hosts, o.host) {
		hosts = append(hosts, o.host)
	}
	return hosts
}

// Client returns the address of the client, without a port where it has one:
// the nearest hop that is not a trusted proxy.
func (o *Origin) Client(r *http.Request) string {
	addr := r.RemoteAddr
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		addr = ap.Addr().Unmap().String()
	}
	if !o.trusts(r) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return addr
		}
		addr = a.Unmap().String()
		if !o.contains(a) {
			return addr
		}
	}
	return addr
}

// trusts reports whether the request came from a trusted proxy.
func (o *Origin) trusts(r *http.Request) bool {
	if len(o.proxies) == 0 {
		return false
	}
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && o.contains(ap.Addr())
}

func (o *Origin) contains(a netip.Addr) bool {
	a = a.Unmap()
	return slices.ContainsFunc(o.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

func first(list string) string {
	v, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(v)
}

// validHost is strict: the host is repeated inside quoted header values.
func validHost(h string) bool {
	if h == "" || len(h) > 255 {
		return false
	}
	for i := range len(h) {
		switch c := h[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._:[]", c) >= 0:
		default:
			return false
		}
	}
	return true
}
