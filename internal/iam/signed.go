package iam

import (
	"context"
	"crypto/hmac"
	"errors"
	"strings"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// Signed is a request whose signature is well formed, of now, and made in the
// name of a key that exists. Verify tells whether it is true.
type Signed struct {
	a      *Authority
	r      *Request
	sig    *signature
	key    signingSecret
	secret []byte
}

type signingSecret struct {
	Account, User string
	Secret        []byte
	Kind          keyKind
}

// Signed looks at everything of a signed request that can be known without its
// body. Errors: fault.Unauthorized, with WrongKey.
func (a *Authority) Signed(ctx context.Context, r Request) (*Signed, error) {
	sig, err := parseSignature(&r)
	if err != nil {
		return nil, fault.New(fault.Unauthorized, "The signature cannot be read: %v.", err).With(WrongKey)
	}
	if err := a.inTime(sig); err != nil {
		return nil, err
	}
	// The key of a login to the registry signs nothing, nor does a credential.
	key, err := db.One[signingSecret](ctx, a.db, `SELECT account, iam_user, secret, kind FROM access_key
		WHERE access = $1 AND kind IN ($2, $3)`, sig.access, string(lastingKey), string(sessionKey))
	if errors.Is(err, db.ErrNone) {
		return nil, wrongKey()
	}
	if err != nil {
		return nil, err
	}
	secret, err := a.Unseal(sealedKey(sig.access), key.Secret)
	if err != nil {
		return nil, err
	}
	if key.Kind == sessionKey && !a.belongs(&r, sig.access) {
		return nil, fault.New(fault.Unauthorized, "A temporary access key takes the security token that came with it, in X-Security-Token.").With(WrongKey)
	}
	return &Signed{a: a, r: &r, sig: sig, key: key, secret: secret}, nil
}

// inTime refuses a signature of another time than now.
func (a *Authority) inTime(sig *signature) error {
	if off := a.now().Sub(sig.date); off > signatureWindow || off < -signatureWindow {
		return fault.New(fault.Unauthorized, "The signature is of another time: X-Sdk-Date and the server's clock are more than %d minutes apart.",
			int(signatureWindow.Minutes())).With(WrongKey)
	}
	return nil
}

// wrongKey is the same whatever is wrong.
func wrongKey() error {
	return fault.New(fault.Unauthorized, "The access key is not known or not in use, or the signature does not belong to this request.").With(WrongKey)
}

// Payload is what the request itself says of its body: a SHA-256 in
// hexadecimal, UnsignedPayload, or "" where the signature covers the body
// without naming its hash.
func (s *Signed) Payload() string { return s.sig.payload }

// Verify returns who signed the request with this body; sum is the SHA-256 of
// its bytes in lower-case hexadecimal and does not count for UnsignedPayload.
// With Options.RefuseReplay a request that changes something verifies once.
// Errors: fault.Unauthorized, with WrongKey.
func (s *Signed) Verify(ctx context.Context, sum string) (Caller, error) {
	// The body may have taken its time; a signature that was used is forgotten
	// when its date is not good any more.
	if err := s.a.inTime(s.sig); err != nil {
		return Caller{}, err
	}
	payload := s.sig.payload
	switch payload {
	case UnsignedPayload:
	case "":
		payload = sum
	default:
		if !SameSum(payload, sum) {
			return Caller{}, wrongKey()
		}
	}
	if !s.sig.fits(s.r, s.secret, payload) {
		return Caller{}, wrongKey()
	}
	who, ok, err := s.a.recall(ctx, verified{account: s.key.Account, user: s.key.User, key: s.sig.access})
	if err != nil {
		return Caller{}, err
	}
	if !ok {
		return Caller{}, wrongKey()
	}
	if err := s.a.useOnce(ctx, s.r.Method, s.sig); err != nil {
		return Caller{}, err
	}
	return who, nil
}

// SameSum compares two hashes in hexadecimal, in a time that does not tell
// where they differ.
func SameSum(a, b string) bool {
	return hmac.Equal([]byte(strings.ToLower(a)), []byte(strings.ToLower(b)))
}
