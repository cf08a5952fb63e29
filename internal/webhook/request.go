package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"berth.dev/berth/internal/registry"
)

// Signature signs a delivery as the Standard Webhooks specification says:
// "v1," and HMAC-SHA256 over id, time in seconds since 1970, and body, joined
// by dots, in base64.
func Signature(key []byte, id string, at time.Time, body []byte) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	m.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// request is one attempt: the same bytes and the same id each time, a time and
// a signature of its own.
func request(ctx context.Context, d registry.Delivery, to registry.WebhookTarget, at time.Time) (*http.Request, error) {
	body := []byte(d.Body)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	r.Header.Set("User-Agent", "Berth")
	r.Header.Set("Webhook-Id", d.ID)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	r.Header.Set("Webhook-Signature", Signature(to.Key, d.ID, at, body))
	return r, nil
}

// pool is the system's authorities and those of ca, in PEM. nil: the system's.
func pool(ca string) (*x509.CertPool, error) {
	if ca == "" {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM([]byte(ca)) {
		return nil, errors.New("the webhook's ca has no certificate")
	}
	return roots, nil
}

// retryAfter reads how long a receiver wants to be left alone, an hour at most.
func retryAfter(v string, now time.Time) time.Duration {
	if v == "" {
		return 0
	}
	var wait time.Duration
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		wait = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), longPause)
}

// some keeps so many headers of an answer as there is room for.
func some(h http.Header) http.Header {
	out, size := http.Header{}, 0
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range h[name] {
			if size += len(name) + len(v); size > maxHeaders {
				return out
			}
			out.Add(name, text([]byte(v)))
		}
	}
	return out
}

// text makes bytes of others fit to be stored and shown.
func text(b []byte) string {
	return strings.ReplaceAll(strings.ToValidUTF8(string(b), "\uFFFD"), "\x00", "\uFFFD")
}
