package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// validate checks what no single value can know. Every problem names its key.
func (c *Config) validate() error {
	var problems []error
	bad := func(key, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s: "+format, append([]any{key}, args...)...))
	}
	if c.Data == "" {
		bad("data", "a directory is needed")
	}
	if err := checkAddress(c.Listen); err != nil {
		bad("listen", "%w", err)
	} else if c.TLS.Cert == "" && c.TLS.Key == "" && !c.AllowPlainHTTP && !loopback(c.Listen) {
		bad("listen", "%s is reachable from other machines, and passwords would cross the network in the clear: set tls.cert and tls.key, or allow_plain_http where something in front speaks TLS", c.Listen)
	}
	if c.AdminListen != "" {
		if err := checkAddress(c.AdminListen); err != nil {
			bad("admin_listen", "%w", err)
		}
		if c.AdminListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
			bad("admin_listen", "must differ from listen")
		}
	}
	if c.ExternalURL != "" {
		if err := checkExternalURL(c.ExternalURL); err != nil {
			bad("external_url", "%w", err)
		}
	}
	if !validRegion(c.Region) {
		bad("region", "1 to 64 lower-case letters, digits and hyphens, beginning with a letter")
	}
	switch {
	case c.TLS.Cert != "" && c.TLS.Key == "":
		bad("tls.key", "needed beside tls.cert")
	case c.TLS.Key != "" && c.TLS.Cert == "":
		bad("tls.cert", "needed beside tls.key")
	}
	if c.Errors != errorList && c.Errors != errorObject {
		bad("errors", "%q is neither list nor object", c.Errors)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		bad("log.format", "%q is neither text nor json", c.Log.Format)
	}
	for _, r := range c.ranges() {
		if r.value < r.min || r.value > r.max {
			bad(r.key, "must be between %s and %s", r.text(r.min), r.text(r.max))
		}
	}
	if c.Collection.Grace < c.Uploads.Life {
		bad("collection.grace", "must not be shorter than uploads.life, or layers could go while their image is being pushed")
	}
	return errors.Join(problems...)
}

// A span is what a number may be.
type span struct {
	key             string
	value, min, max int64
	text            func(int64) string
}

func (c *Config) ranges() []span {
	duration := func(n int64) string { v := durationValue(n); return v.String() }
	size := func(n int64) string { v := Size(n); return v.String() }
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	const day = 24 * time.Hour
	between := func(key string, v, low, high time.Duration) span {
		return span{key, int64(v), int64(low), int64(high), duration}
	}
	return []span{
		{"limits.requests", int64(c.Limits.Requests), 1, 1 << 20, number},
		{"limits.upload_memory", int64(c.Limits.UploadMemory), 8 << 20, 1 << 40, size},
		{"limits.cache_memory", int64(c.Limits.CacheMemory), 1 << 20, 1 << 40, size},
		{"limits.header", int64(c.Limits.Header), 4 << 10, 1 << 20, size},
		between("limits.header_timeout", c.Limits.HeaderTimeout, time.Second, 5*time.Minute),
		between("limits.idle", c.Limits.Idle, time.Second, time.Hour),
		between("limits.progress", c.Limits.Progress, time.Second, time.Hour),
		between("limits.drain", c.Limits.Drain, 0, time.Hour),
		between("tokens.life", c.Tokens.Life, 5*time.Minute, day),
		between("tokens.management_life", c.Tokens.ManagementLife, 5*time.Minute, 30*day),
		between("uploads.life", c.Uploads.Life, time.Second, 30*day),
		between("collection.grace", c.Collection.Grace, 0, 365*day),
		between("collection.undelete", c.Collection.Undelete, 0, 365*day),
		between("collection.sweep", c.Collection.Sweep, 100*time.Millisecond, day),
		{"uploads.open", int64(c.Uploads.Open), 1, 1 << 20, number},
		{"archives.max_size", int64(c.Archives.MaxSize), 1 << 20, 1 << 44, size},
		{"charts.max_size", int64(c.Charts.MaxSize), 64 << 10, 1 << 30, size},
		{"charts.cache_memory", int64(c.Charts.CacheMemory), 1 << 20, 1 << 40, size},
		{"charts.per_account", int64(c.Charts.PerAccount), 0, 1 << 31, number},
		{"organizations.per_account", int64(c.Organizations.PerAccount), 0, 1 << 31, number},
		{"retention.days", int64(c.Retention.Days), 1, 36500, number},
		{"retention.num", int64(c.Retention.Num), 1, 1 << 20, number},
		{"quotas.repositories", int64(c.Quotas.Repositories), 0, 1 << 31, number},
		{"quotas.tags", int64(c.Quotas.Tags), 0, 1 << 31, number},
		{"quotas.shares", int64(c.Quotas.Shares), 0, 10000, number},
		between("logins.life", c.Logins.Life, time.Minute, 365*day),
		between("credentials.max_life", c.Credentials.MaxLife, time.Hour, 100*365*day),
		between("triggers.deadline", c.Triggers.Deadline, time.Second, time.Hour),
		{"storage.reserve_bytes", int64(c.Storage.ReserveBytes), 0, 1 << 50, size},
		{"storage.reserve_percent", int64(c.Storage.ReservePercent), 0, 50, number},
	}
}

func checkAddress(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not host:port, such as 127.0.0.1:5000 or :5000", s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is not a port", port)
	}
	return nil
}

func checkExternalURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%q is not a URL such as https://registry.example.com", s)
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("%q must be scheme and host alone: registry clients know no path in front of /v2/", s)
	}
	return nil
}

// loopback says that only this machine can reach the address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func validRegion(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
