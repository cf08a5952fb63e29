package iam

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// canonical is the text that the hash of a signed request is made of. payload
// is the hash of the body, or what stands in its place.
func (s *signature) canonical(r *Request, host, payload string) (string, error) {
	query, err := canonicalQuery(r.Query)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(strings.ToUpper(r.Method) + "\n")
	b.WriteString(canonicalPath(r.Path) + "\n")
	b.WriteString(query + "\n")
	for _, name := range s.headers {
		values := r.values(name)
		if name == "host" {
			values = []string{host}
		}
		values = slices.Clone(values)
		for i := range values {
			values[i] = strings.TrimSpace(values[i])
		}
		slices.Sort(values)
		for _, v := range values {
			b.WriteString(name + ":" + v + "\n")
		}
	}
	b.WriteString("\n" + strings.Join(s.headers, ";") + "\n")
	b.WriteString(payload)
	return b.String(), nil
}

// stringToSign is what the secret key is applied to.
func (s *signature) stringToSign(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return SignatureAlgorithm + "\n" + s.stamp + "\n" + hex.EncodeToString(sum[:])
}

// fits reports whether the owner of the secret made the signature, for one of
// the hosts where the host was signed at all.
func (s *signature) fits(r *Request, secret []byte, payload string) bool {
	hosts := r.Hosts
	if !slices.Contains(s.headers, "host") {
		hosts = []string{""}
	}
	for _, host := range hosts {
		text, err := s.canonical(r, host, payload)
		if err != nil {
			return false
		}
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(s.stringToSign(text)))
		if hmac.Equal([]byte(hex.EncodeToString(h.Sum(nil))), []byte(s.mac)) {
			return true
		}
	}
	return false
}

// canonicalPath ends in a slash, whether the path does or not.
func canonicalPath(path string) string {
	var b strings.Builder
	for i := range len(path) {
		if path[i] == '/' {
			b.WriteByte('/')
		} else {
			escape(&b, path[i])
		}
	}
	if !strings.HasSuffix(path, "/") {
		b.WriteByte('/')
	}
	return b.String()
}

// canonicalQuery sorts by keys and, for one key, by values. A key without a
// value is one with an empty value.
func canonicalQuery(raw string) (string, error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return "", errors.New("the query of the address is malformed")
	}
	keys := make([]string, 0, len(q))
	for k := range q {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, k := range keys {
		slices.Sort(q[k])
		for _, v := range q[k] {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			escapeAll(&b, k)
			b.WriteByte('=')
			escapeAll(&b, v)
		}
	}
	return b.String(), nil
}

func escapeAll(b *strings.Builder, s string) {
	for i := range len(s) {
		escape(b, s[i])
	}
}

// escape leaves the unreserved bytes of RFC 3986 alone.
func escape(b *strings.Builder, c byte) {
	const digits = "0123456789ABCDEF"
	if isAlphanumeric(c) || c == '-' || c == '_' || c == '.' || c == '~' {
		b.WriteByte(c)
		return
	}
	b.WriteByte('%')
	b.WriteByte(digits[c>>4])
	b.WriteByte(digits[c&15])
}
