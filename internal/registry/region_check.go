package registry

import (
	"crypto/x509"
	"net/url"
	"strings"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// Bounds of what a region says of itself.
const (
	maxRegionURL   = 512
	maxRegionLogin = 512
	maxPassword    = 8 << 10
	maxCA          = 256 << 10
	maxPrefix      = 128
)

func validRegion(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// patchRegion changes a region's row and checks what comes of it.
func (r *Registry) patchRegion(v *regionRow, p RegionPatch) error {
	for _, m := range []struct {
		to   *string
		from *string
	}{{&v.URL, p.URL}, {&v.Type, p.Type}, {&v.Prefix, p.Prefix}, {&v.Username, p.Username}, {&v.CA, p.CA}} {
		if m.from != nil {
			*m.to = *m.from
		}
	}
	if p.Optional != nil {
		v.Optional = *p.Optional
	}
	if p.Password != nil {
		if len(*p.Password) > maxPassword || strings.ContainsAny(*p.Password, "\r\n\x00") {
			return fault.New(fault.Invalid, "password is one line of at most %d bytes.", maxPassword)
		}
		v.Password = nil
		if *p.Password != "" {
			v.Password = r.iam.Seal(regionPurpose(v.Name), []byte(*p.Password))
		}
	}
	plain := p.PlainHTTP != nil && *p.PlainHTTP || p.PlainHTTP == nil && p.URL == nil // what is there was allowed
	return v.check(plain)
}

func (v *regionRow) check(plain bool) error {
	u, err := url.Parse(v.URL)
	v.URL = strings.TrimSuffix(v.URL, "/")
	switch {
	case v.URL == "":
		return fault.New(fault.Missing, "The member url is missing.")
	case err != nil || len(v.URL) > maxRegionURL || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return fault.New(fault.Invalid, "url is scheme and host of a registry, such as https://registry.example.com.")
	case u.Scheme == "http" && !plain:
		return fault.New(fault.Invalid, "url begins with http: passwords and images would cross the network in the clear; say insecure_http where that is meant.")
	case v.Type != string(RegionBerth) && v.Type != string(RegionOCI) && v.Type != string(RegionSWR):
		return fault.New(fault.Invalid, "type is berth, oci or swr, not %s.", shown(v.Type))
	case !isLine(v.Username, maxRegionLogin) || strings.Contains(v.Username, ":"):
		return fault.New(fault.Invalid, "username is one line without a colon, of at most %d bytes.", maxRegionLogin)
	case len(v.Password) > 0 && v.Username == "":
		return fault.New(fault.Invalid, "username is missing beside the password.")
	case v.Username != "" && len(v.Password) == 0:
		return fault.New(fault.Invalid, "password is missing beside the username.")
	}
	if v.Prefix != "" {
		if _, err := oci.ParseRepository(v.Prefix); err != nil || len(v.Prefix) > maxPrefix {
			return fault.New(fault.Invalid, "prefix is the beginning of a repository's name, of at most %d bytes, without a slash at its end.", maxPrefix)
		}
	}
	if v.CA != "" && (len(v.CA) > maxCA || !x509.NewCertPool().AppendCertsFromPEM([]byte(v.CA))) {
		return fault.New(fault.Invalid, "ca holds no certificate in PEM.")
	}
	return nil
}
