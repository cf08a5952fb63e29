package web

import (
	"io"
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// Authenticator finds out who sends a request of the management APIs.
type Authenticator struct{}

// NewAuthenticator returns one that takes no credential.
func NewAuthenticator(*iam.Authority, *Origin) *Authenticator { return &Authenticator{} }

// Identify reads the body, at most limit bytes, and verifies the credential;
// known is false where there is none. Errors: fault.Unauthorized, fault.TooLarge.
func (a *Authenticator) Identify(r *http.Request, limit int64) (who iam.Caller, body []byte, known bool, err error) {
	if _, _, known, err = a.IdentifyStream(r); err == nil {
		body, err = ReadBody(r, limit)
	}
	return who, body, known, err
}

// IdentifyStream verifies the credential without reading the body.
// Errors: fault.Unauthorized.
func (a *Authenticator) IdentifyStream(r *http.Request) (who iam.Caller, body io.Reader, known bool, err error) {
	if r.Header.Get("X-Auth-Token") == "" && r.Header.Get("Authorization") == "" {
		return who, r.Body, false, nil
	}
	return who, r.Body, true, fault.New(fault.Unauthorized, "This credential is not valid.")
}
