package iam

import (
	"strings"
	"time"

	"berth.dev/berth/internal/fault"
)

// An Expiry says when a credential ends: after a time, at a moment, or never.
// The zero value is the default of the installation.
type Expiry struct {
	After time.Duration
	At    time.Time
	Never bool
}

const (
	minCredentialLife     = time.Second
	defaultCredentialLife = 7 * 24 * time.Hour
	defaultCredentialMax  = 365 * 24 * time.Hour
	maxExpiryText         = 64 // bytes
)

// ParseExpiry reads hours and minutes ("1h", "30m", "1h30m"), a moment by RFC
// 3339, a date, at whose end in UTC it is over, or "never"; "" is the default.
// Errors: fault.Invalid.
func ParseExpiry(s string) (Expiry, error) {
	bad := fault.New(fault.Invalid, "expires is hours or minutes such as 1h or 30m, a date such as 2031-12-31, a time such as 2031-12-31T16:00:00Z, or never.")
	switch {
	case s == "":
		return Expiry{}, nil
	case s == "never":
		return Expiry{Never: true}, nil
	case len(s) > maxExpiryText:
		return Expiry{}, bad
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return Expiry{At: t.AddDate(0, 0, 1)}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return Expiry{At: t.UTC()}, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || strings.Trim(s, "0123456789hm") != "" {
		return Expiry{}, bad
	}
	return Expiry{After: d}, nil
}

// ends is the moment in microseconds at which a credential that is made now
// ends, nil for one that does not. Errors: fault.Invalid.
func (a *Authority) ends(e Expiry, now time.Time) (*int64, error) {
	most := a.o.CredentialMaxLife
	var at time.Time
	switch {
	case e.Never && !a.o.CredentialUnlimited:
		return nil, fault.New(fault.Invalid, "expires: a credential of this registry ends after %s at the latest.", spoken(most))
	case e.Never:
		return nil, nil
	case e.After != 0:
		at = now.Add(min(e.After, 100*365*24*time.Hour))
	case !e.At.IsZero():
		at = e.At
	default:
		at = now.Add(min(defaultCredentialLife, most))
	}
	switch life := at.Sub(now); {
	case life < minCredentialLife:
		return nil, fault.New(fault.Invalid, "expires: a credential lasts at least a second.")
	case life > most:
		return nil, fault.New(fault.Invalid, "expires: a credential lasts at most %s.", spoken(most))
	}
	us := at.UnixMicro()
	return &us, nil
}

// spoken is a duration as people write it in an expiry.
func spoken(d time.Duration) string {
	s := d.Round(time.Minute).String()
	s = strings.TrimSuffix(s, "0s")
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
