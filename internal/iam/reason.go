package iam

import (
	"errors"

	"berth.dev/berth/internal/fault"
)

// A Reason says what is wrong with a credential of the management API, for
// surfaces that have codes for it: the Detail of a fault.Unauthorized or, for
// Disabled alone, of a fault.Denied.
type Reason string

// The reasons.
const (
	WrongPassword Reason = "password"
	WrongToken    Reason = "token"
	ExpiredToken  Reason = "expired"
	WrongKey      Reason = "signature"
	Disabled      Reason = "disabled" // the credential is right, and the user or account is disabled
)

// ReasonOf returns the reason that an error carries, "" for one without.
func ReasonOf(err error) Reason {
	var f *fault.Error
	if !errors.As(err, &f) {
		return ""
	}
	r, _ := f.Detail.(Reason)
	return r
}
