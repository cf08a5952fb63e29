package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// A request of the distribution API. Its body is opened again where the login
// has to be renewed.
type request struct {
	method, url string
	header      http.Header
	length      int64
	body        func() (io.ReadCloser, error) // nil: none
}

// An answer has been read: what matters of it is short.
type answer struct {
	status int
	header http.Header
	text   []byte // the beginning of the body
}

func (t *target) do(ctx context.Context, r request) (answer, error) {
	q, err := http.NewRequestWithContext(ctx, r.method, r.url, nil)
	if err != nil {
		return answer{}, err
	}
	for k, v := range r.header {
		q.Header[k] = v
	}
	if r.body != nil && r.length > 0 {
		if q.Body, err = r.body(); err != nil {
			return answer{}, err
		}
		q.GetBody, q.ContentLength = r.body, r.length
	}
	resp, err := t.client.Do(q)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return answer{resp.StatusCode, resp.Header, text}, err
}

const maxAnswer = 16 << 10

// refused is the answer as an error.
func (a answer) refused() error {
	e := &refusal{status: a.status}
	var body struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(a.text, &body) == nil && len(body.Errors) > 0 {
		e.code, e.message = body.Errors[0].Code, body.Errors[0].Message
	} else if !bytes.HasPrefix(bytes.TrimSpace(a.text), []byte("<")) {
		e.message = string(a.text)
	}
	return e
}

// A refusal is what the other side says no with.
type refusal struct {
	status        int
	code, message string
}

func (e *refusal) Error() string {
	s := fmt.Sprintf("it answers %d %s", e.status, http.StatusText(e.status))
	if e.code != "" {
		s += " " + e.code
	}
	if e.message != "" {
		s += ": " + e.message
	}
	return s
}

// refusalOf finds a refusal in an error, also of those of the client library.
func refusalOf(err error) (*refusal, bool) {
	var r *refusal
	if errors.As(err, &r) {
		return r, true
	}
	var e *errcode.ErrorResponse
	if errors.As(err, &e) {
		r = &refusal{status: e.StatusCode}
		if len(e.Errors) > 0 {
			r.code, r.message = e.Errors[0].Code, e.Errors[0].Message
		}
		return r, true
	}
	if errors.Is(err, errdef.ErrNotFound) {
		return &refusal{status: http.StatusNotFound}, true
	}
	return nil, false
}

const maxReason = 300

// reason is an error as one line for people: what the other side said, or why
// it could not be reached. It has no credentials in it: they stand in headers
// alone.
func reason(err error) string {
	s := err.Error()
	if r, ok := refusalOf(err); ok {
		s = r.Error()
	} else if errors.Is(err, context.DeadlineExceeded) {
		s = "it does not answer in time"
	} else if u := (*url.Error)(nil); errors.As(err, &u) {
		s = u.Err.Error() // without the address, which may be good for something
	}
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == utf8.RuneError {
			return ' '
		}
		return c
	}, s)
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return strings.TrimSuffix(strings.TrimSpace(s), ".")
}
