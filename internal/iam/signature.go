package iam

import (
	"errors"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// SignatureAlgorithm is the one scheme of signed requests that is understood:
// HMAC-SHA256 with the secret key itself, without a derived key.
const SignatureAlgorithm = "SDK-HMAC-SHA256"

const (
	signatureDate    = "20060102T150405Z"
	signatureWindow  = 15 * time.Minute // between the date of a signature and the clock
	maxSignedHeaders = 64
	hexSum           = 64 // digits of a SHA-256

	dateHeader    = "x-sdk-date"
	payloadHeader = "x-sdk-content-sha256"

	// UnsignedPayload stands in place of a body's hash where the signature
	// does not cover the body.
	UnsignedPayload = "UNSIGNED-PAYLOAD"
)

// A Request is what a signature can cover, apart from the body.
type Request struct {
	Method string
	Path   string              // decoded
	Query  string              // as it came
	Hosts  []string            // authorities that the client may have meant, mostly one
	Header map[string][]string // by names as net/textproto spells them, without Host
}

// values returns what a header says, by its name in lower case.
func (r *Request) values(name string) []string {
	return r.Header[textproto.CanonicalMIMEHeaderKey(name)]
}

// one returns the value of a header that may come once.
func (r *Request) one(name string) (value string, ok bool) {
	v := r.values(name)
	if len(v) != 1 {
		return "", false
	}
	return strings.TrimSpace(v[0]), true
}

// A signature is a request's claim to come from the owner of a key. It is
// well formed, and nothing of it is true yet.
type signature struct {
	access  string
	headers []string  // names in lower case, in the order of the claim
	mac     string    // 64 hex digits in lower case
	date    time.Time // when it was made, they say
	stamp   string    // the date as it was signed
	payload string    // what the request says of its body: a hash, UnsignedPayload, or nothing
}

// parseSignature reads the headers of a signed request.
func parseSignature(r *Request) (*signature, error) {
	value, ok := r.one("authorization")
	if !ok {
		return nil, errors.New("one header Authorization is needed")
	}
	s, err := parseAuthorization(value)
	if err != nil {
		return nil, err
	}
	if s.stamp, ok = r.one(dateHeader); !ok || !slices.Contains(s.headers, dateHeader) {
		return nil, errors.New("one header X-Sdk-Date is needed, and to be signed")
	}
	if s.date, err = time.Parse(signatureDate, s.stamp); err != nil {
		return nil, errors.New("X-Sdk-Date is not of the form YYYYMMDDTHHMMSSZ")
	}
	if len(r.values(payloadHeader)) > 0 {
		s.payload, ok = r.one(payloadHeader)
		switch {
		case !ok || !slices.Contains(s.headers, payloadHeader):
			return nil, errors.New("X-Sdk-Content-Sha256 counts once, and signed")
		case s.payload != UnsignedPayload && !isHexSum(strings.ToLower(s.payload)):
			return nil, errors.New("X-Sdk-Content-Sha256 is neither a SHA-256 in hexadecimal nor " + UnsignedPayload)
		}
	}
	for _, name := range s.headers {
		if name != "host" && len(r.values(name)) == 0 {
			return nil, errors.New("a header that was signed is missing")
		}
	}
	return s, nil
}

// parseAuthorization reads `SDK-HMAC-SHA256 Access=…, SignedHeaders=a;b,
// Signature=…`; the three parts may come in any order, each of them once.
func parseAuthorization(value string) (*signature, error) {
	algorithm, rest, _ := strings.Cut(value, " ")
	if algorithm != SignatureAlgorithm {
		return nil, errors.New("the header Authorization takes " + SignatureAlgorithm + ", or Bearer with an access credential; a token goes into X-Auth-Token, and a password is not taken here")
	}
	s := &signature{}
	parts := strings.SplitN(rest, ",", 4)
	if len(parts) != 3 {
		return nil, errors.New("the parts are Access, SignedHeaders and Signature")
	}
	for _, part := range parts {
		name, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case name == "Access" && s.access == "" && isAccess(v):
			s.access = v
		case name == "SignedHeaders" && s.headers == nil:
			if s.headers = signedHeaders(v); s.headers == nil {
				return nil, errors.New("SignedHeaders are names in lower case with semicolons between them")
			}
		case name == "Signature" && s.mac == "" && isHexSum(v):
			s.mac = v
		default:
			return nil, errors.New("Access, SignedHeaders or Signature is malformed or comes twice")
		}
	}
	return s, nil
}

// signedHeaders splits names; nil: there is none, one is malformed or comes
// twice, or there are too many.
func signedHeaders(list string) []string {
	names := strings.SplitN(list, ";", maxSignedHeaders+1)
	if len(names) > maxSignedHeaders {
		return nil
	}
	for i, n := range names {
		if n == "" || strings.Trim(n, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || slices.Contains(names[:i], n) {
			return nil
		}
	}
	return names
}

func isHexSum(s string) bool {
	return len(s) == hexSum && strings.Trim(s, "0123456789abcdef") == ""
}
