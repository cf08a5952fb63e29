package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// Authenticator finds out who sends a request of the management APIs. The
// credentials are a token or an access credential, in X-Auth-Token, and an
// access credential (Bearer) or a signature by an access key, in Authorization;
// where a request has both the first counts. Errors:
//
//   - fault.Unauthorized, whose Detail is an iam.Reason, for every credential
//     that is not good, and for an Authorization that is no signature;
//   - fault.Foreign where X-Project-Id or X-Domain-Id, signed or not, name a
//     project or an account that is not of the caller's account;
//   - fault.TooLarge for a body over the limit, and those of the connection.
type Authenticator struct {
	iam    *iam.Authority
	origin *Origin
}

// NewAuthenticator takes the origin for what a client may have signed as host.
func NewAuthenticator(a *iam.Authority, o *Origin) *Authenticator {
	if o == nil {
		o = &Origin{}
	}
	return &Authenticator{a, o}
}

const (
	tokenHeader   = "X-Auth-Token"
	projectHeader = "X-Project-Id"
	domainHeader  = "X-Domain-Id"
)

// Identify returns who sends a request and its body, of at most limit bytes.
// known is false where there is no credential at all: the body is then not
// read.
func (a *Authenticator) Identify(r *http.Request, limit int64) (who iam.Caller, body []byte, known bool, err error) {
	c, known, err := a.credential(r)
	if err != nil || !known {
		return iam.Caller{}, nil, known, err
	}
	if body, err = ReadBody(r, limit); err != nil {
		return iam.Caller{}, nil, true, err
	}
	if c.signed == nil && len(body) > 0 {
		// A body may take its time to come: the token may be over by now.
		if c.caller, err = a.iam.APICaller(r.Context(), c.token); err != nil {
			return iam.Caller{}, nil, true, err
		}
	}
	if who, err = c.verify(r.Context(), hexSum(body)); err != nil {
		return iam.Caller{}, nil, true, err
	}
	return who, body, true, a.scope(r, who)
}

// maxUnnamed bounds the streamed body whose hash only the signature has.
const maxUnnamed = MaxJSON

// IdentifyStream is Identify for a body of any length, which the caller bounds.
// Everything but the hash of the body is verified before it returns; where the
// bytes differ from what was signed, the reader fails with fault.Unauthorized
// in place of io.EOF, so that nothing may count before the end was seen.
//
// A body of more than MaxJSON bytes has to be signed with its hash, or
// iam.UnsignedPayload, in X-Sdk-Content-Sha256: without that nothing about the
// sender could be known before the last byte, and it is Unauthorized.
func (a *Authenticator) IdentifyStream(r *http.Request) (who iam.Caller, body io.Reader, known bool, err error) {
	c, known, err := a.credential(r)
	if err != nil || !known {
		return iam.Caller{}, nil, known, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	body = r.Body
	sum := ""
	switch s := c.signed; {
	case s == nil || s.Payload() == iam.UnsignedPayload:
	case s.Payload() != "":
		sum = s.Payload()
		body = &hashed{src: r.Body, hash: sha256.New(), want: sum}
	case r.ContentLength < 0 || r.ContentLength > maxUnnamed:
		return iam.Caller{}, nil, true, fault.New(fault.Unauthorized,
			"A body of more than %d bytes is signed with its hash, or %s, in X-Sdk-Content-Sha256.", maxUnnamed, iam.UnsignedPayload).With(iam.WrongKey)
	default:
		b, err := ReadBody(r, maxUnnamed)
		if err != nil {
			return iam.Caller{}, nil, true, err
		}
		body, sum = bytes.NewReader(b), hexSum(b)
	}
	if who, err = c.verify(r.Context(), sum); err != nil {
		return iam.Caller{}, nil, true, err
	}
	return who, body, true, a.scope(r, who)
}

// A credential is a caller by a token, or a signature that needs the hash of
// the body to be verified.
type credential struct {
	caller iam.Caller
	token  string
	signed *iam.Signed
}

func (c credential) verify(ctx context.Context, sum string) (iam.Caller, error) {
	if c.signed == nil {
		return c.caller, nil
	}
	return c.signed.Verify(ctx, sum)
}

// credential looks at the headers. Strangers are refused before a body is read.
func (a *Authenticator) credential(r *http.Request) (c credential, known bool, err error) {
	if tokens := r.Header[tokenHeader]; len(tokens) > 0 && tokens[0] != "" {
		if len(tokens) > 1 {
			return c, true, fault.New(fault.Unauthorized, "X-Auth-Token comes twice.").With(iam.WrongToken)
		}
		c.token = tokens[0]
		c.caller, err = a.iam.APICaller(r.Context(), c.token)
		return c, true, err
	}
	given := r.Header["Authorization"]
	if len(given) == 0 {
		return c, false, nil
	}
	if token, ok := Bearer(given[0]); ok {
		if len(given) > 1 {
			return c, true, fault.New(fault.Unauthorized, "Authorization comes twice.").With(iam.WrongToken)
		}
		c.token = token
		c.caller, err = a.iam.APICaller(r.Context(), c.token)
		return c, true, err
	}
	c.signed, err = a.iam.Signed(r.Context(), iam.Request{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Hosts: a.origin.hosts(r), Header: r.Header,
	})
	return c, true, err
}

// Bearer returns the access credential of an Authorization. Whatever else may
// follow that scheme is no credential here.
func Bearer(authorization string) (string, bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && iam.IsCredential(token)
}

// scope refuses to work in the name of a project or an account that is not the
// caller's. Which of the account's projects it is makes no difference.
func (a *Authenticator) scope(r *http.Request, who iam.Caller) error {
	for _, id := range r.Header[projectHeader] {
		if id == "" {
			continue
		}
		own, err := a.iam.OwnsProject(r.Context(), who, id)
		if err != nil {
			return err
		}
		if !own {
			return fault.New(fault.Foreign, "X-Project-Id is no project of your account.")
		}
	}
	for _, id := range r.Header[domainHeader] {
		if id != "" && id != who.Account {
			return fault.New(fault.Foreign, "X-Domain-Id is not your account.")
		}
	}
	return nil
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
