// Package dial connects to targets that users have chosen: clusters, webhooks,
// other registries. It refuses addresses that only this machine or its host
// should reach, and connects to exactly the address that it has looked at, so
// that a name which resolves to something else a moment later is of no use.
package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"berth.dev/berth/internal/fault"
)

// Rules are the operator's: what of the addresses that are refused is allowed,
// and what else is refused. Where both name an address, it is allowed.
type Rules struct {
	Allow, Deny []netip.Prefix
}

// Bounds of a connection.
const (
	connectTime   = 10 * time.Second
	handshakeTime = 10 * time.Second
	headerTime    = 30 * time.Second
	idleTime      = 90 * time.Second
	maxHeader     = 64 << 10 // bytes
	maxAddresses  = 8        // of one name that are tried
	maxIdle       = 16       // connections, 4 of them to one host
)

// ErrRefused is what a connection to an address that is not allowed fails with.
var ErrRefused = errors.New("dial: the operator's rules do not allow this address")

// A Dialer is safe for use by many goroutines.
type Dialer struct {
	rules    Rules
	net      net.Dialer
	resolver *net.Resolver
}

// New makes a dialer.
func New(r Rules) *Dialer {
	return &Dialer{rules: r, net: net.Dialer{Timeout: connectTime, KeepAlive: 30 * time.Second}, resolver: net.DefaultResolver}
}

// DialContext connects to host:port, if one of the host's addresses is allowed.
// Errors: ErrRefused where none is.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ips, err := d.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	failure := fmt.Errorf("%w: %s", ErrRefused, host)
	tried := 0
	for _, ip := range ips {
		if !d.Allowed(ip) {
			continue
		}
		if tried++; tried > maxAddresses {
			break
		}
		c, err := d.net.DialContext(ctx, network, net.JoinHostPort(ip.String(), port))
		if err == nil {
			return c, nil
		}
		failure = err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failure
}

func (d *Dialer) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	return d.resolver.LookupNetIP(ctx, "ip", host)
}

// Transport is one for http.Client that connects by this dialer alone, also
// where an answer redirects. t may be nil.
func (d *Dialer) Transport(t *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext:            d.DialContext,
		TLSClientConfig:        t,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    handshakeTime,
		ResponseHeaderTimeout:  headerTime,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTime,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle / 4,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// CheckURL reads an address that a user gives. What its name resolves to is
// looked at when it is connected to; an address in numbers is looked at here.
// Errors: Invalid.
func (d *Dialer) CheckURL(raw string) (*url.URL, error) {
	const most = 2048
	u, err := url.Parse(raw)
	switch {
	case len(raw) > most || err != nil:
		return nil, fault.New(fault.Invalid, "The address is no URL.")
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Opaque != "":
		return nil, fault.New(fault.Invalid, "The address begins with https:// or http:// and a host.")
	case u.User != nil:
		return nil, fault.New(fault.Invalid, "The address must not have a user or a password in it.")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fault.New(fault.Invalid, "The address has a port that is none.")
		}
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !d.Allowed(ip) {
		return nil, fault.New(fault.Invalid, "The operator of this registry does not allow connections to %s.", u.Hostname())
	}
	return u, nil
}
