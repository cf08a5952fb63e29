package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The values of keys. Each reads and prints the text form used alike in the
// file, the environment and flags; its errors say what would be right.

type textValue string

func (v *textValue) Set(s string) error { *v = textValue(s); return nil }
func (v *textValue) String() string     { return string(*v) }

type boolValue bool

func (v *boolValue) IsBoolFlag() bool { return true }
func (v *boolValue) String() string   { return strconv.FormatBool(bool(*v)) }
func (v *boolValue) Set(s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	*v = boolValue(b)
	return nil
}

type intValue int

func (v *intValue) String() string { return strconv.Itoa(int(*v)) }
func (v *intValue) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return fmt.Errorf("%q is not a whole number", s)
	}
	*v = intValue(n)
	return nil
}

type levelValue slog.Level

func (v *levelValue) String() string { return strings.ToLower(slog.Level(*v).String()) }
func (v *levelValue) Set(s string) error {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[strings.ToLower(s)]
	if !ok {
		return fmt.Errorf("%q is none of debug, info, warn, error", s)
	}
	*v = levelValue(l)
	return nil
}

// prefixesValue is a list of networks; a bare address is a network of one.
type prefixesValue []netip.Prefix

func (v *prefixesValue) String() string {
	var out []string
	for _, p := range *v {
		out = append(out, p.String())
	}
	return strings.Join(out, ",")
}

func (v *prefixesValue) Set(s string) error {
	var out []netip.Prefix
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			a, err := netip.ParseAddr(part)
			if err != nil {
				return fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", part)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	*v = out
	return nil
}

// databaseValue is a URL that may carry a password; String hides it, since
// everything that prints a configuration goes through String.
type databaseValue string

func (v *databaseValue) Set(s string) error {
	if s != "" && !strings.HasPrefix(s, "sqlite:") && !strings.HasPrefix(s, "postgres://") && !strings.HasPrefix(s, "postgresql://") {
		// The text is not repeated: it may be a connection string with a password.
		return errors.New("a database is postgres://USER@HOST/NAME or sqlite:PATH")
	}
	if !strings.HasPrefix(s, "sqlite:") {
		if _, err := url.Parse(s); err != nil {
			return errors.New("the database URL does not parse")
		}
	}
	*v = databaseValue(s)
	return nil
}

func (v *databaseValue) String() string {
	if strings.HasPrefix(string(*v), "sqlite:") {
		return string(*v)
	}
	u, err := url.Parse(string(*v))
	if err != nil {
		return "(hidden)"
	}
	if q := u.Query(); q.Has("password") || q.Has("sslpassword") {
		for _, name := range []string{"password", "sslpassword"} {
			if q.Has(name) {
				q.Set(name, "hidden")
			}
		}
		u.RawQuery = q.Encode()
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "hidden")
	}
	return u.String()
}

// A durationValue is written as Go does (90s, 1h30m), or in whole days (7d).
type durationValue time.Duration

func (v *durationValue) Set(s string) error {
	bad := fmt.Errorf("%q is not a time such as 30s, 15m, 24h or 7d", s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > 36500 {
			return bad
		}
		*v = durationValue(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return bad
	}
	*v = durationValue(d)
	return nil
}

func (v *durationValue) String() string {
	const day = 24 * time.Hour
	d := time.Duration(*v)
	if d >= 2*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// Size is a number of bytes, written plainly or with a unit: 512KiB, 10GiB,
// 1TB. KiB, MiB, GiB and TiB are powers of 1024; KB, MB, GB and TB of 1000.
type Size int64

// sizeUnits from the largest, so that String finds the shortest form.
var sizeUnits = [...]struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"KB", 1e3}, {"B", 1},
}

// Set implements flag.Value.
func (v *Size) Set(s string) error {
	bad := fmt.Errorf("%q is not a size such as 65536, 64KiB or 10GiB", s)
	number, factor := strings.TrimSpace(s), int64(1)
	for _, u := range sizeUnits {
		if head, ok := cutUnit(number, u.name); ok {
			number, factor = head, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return bad
	}
	*v = Size(n * factor)
	return nil
}

func cutUnit(s, unit string) (string, bool) {
	at := len(s) - len(unit)
	if at <= 0 || !strings.EqualFold(s[at:], unit) {
		return s, false
	}
	return strings.TrimSpace(s[:at]), true
}

// String gives the shortest text that means exactly v.
func (v *Size) String() string {
	n := int64(*v)
	for _, u := range sizeUnits {
		if n != 0 && u.bytes > 1 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
