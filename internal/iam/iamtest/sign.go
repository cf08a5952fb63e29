// Package iamtest signs requests as clients of the management APIs do. It
// shares no code with what verifies signatures.
package iamtest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Sign gives a request its body and a signature of this time, by an access
// key. All headers that are set already are signed but Content-Type.
func Sign(r *http.Request, access, secret string, at time.Time, body []byte) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		r.Body = http.NoBody
	}
	SignHash(r, access, secret, at, Hash(body))
}

// SignHash is Sign for a body that is known by its hash, unless the header
// X-Sdk-Content-Sha256 is set.
func SignHash(r *http.Request, access, secret string, at time.Time, sum string) {
	stamp := at.UTC().Format("20060102T150405Z")
	r.Header.Set("X-Sdk-Date", stamp)
	if v := r.Header.Get("X-Sdk-Content-Sha256"); v != "" {
		sum = v
	}
	var names []string
	for name := range r.Header {
		if n := strings.ToLower(name); n != "content-type" && n != "authorization" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	var head strings.Builder
	for _, n := range names {
		head.WriteString(n + ":" + strings.TrimSpace(r.Header.Get(n)) + "\n")
	}
	list := strings.Join(names, ";")
	text := strings.Join([]string{r.Method, path(r.URL.Path), query(r.URL.Query()), head.String(), list, sum}, "\n")
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte("SDK-HMAC-SHA256\n" + stamp + "\n" + Hash([]byte(text))))
	r.Header.Set("Authorization", "SDK-HMAC-SHA256 Access="+access+", SignedHeaders="+list+", Signature="+hex.EncodeToString(h.Sum(nil)))
}

// Hash is a SHA-256 in hexadecimal.
func Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func encode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func path(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = encode(parts[i])
	}
	return strings.TrimSuffix(strings.Join(parts, "/"), "/") + "/"
}

func query(q url.Values) string {
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(q)) {
		slices.Sort(q[k])
		for _, v := range q[k] {
			pairs = append(pairs, encode(k)+"="+encode(v))
		}
	}
	return strings.Join(pairs, "&")
}
