package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"berth.dev/berth/internal/dial"
)

// A StatusError is an answer of the API server that is no success.
type StatusError struct {
	Code    int    // HTTP status
	Reason  string // NotFound, Forbidden, …
	Message string // of the server
}

func (e *StatusError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("the API server answers %d %s", e.Code, http.StatusText(e.Code))
	}
	return fmt.Sprintf("the API server answers %d: %s", e.Code, e.Message)
}

// Temporary reports an answer that may be another one later.
func (e *StatusError) Temporary() bool {
	return e.Code >= 500 || e.Code == http.StatusTooManyRequests || e.Code == http.StatusRequestTimeout
}

// IsCode reports an answer with this status.
func IsCode(err error, code int) bool {
	var e *StatusError
	return errors.As(err, &e) && e.Code == code
}

const maxMessage = 1000 // bytes of what others say

// cut makes a stranger's text fit to be stored and shown.
func cut(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return strings.ReplaceAll(s, "\x00", "")
}

func statusError(resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	e := &StatusError{Code: resp.StatusCode}
	var s struct{ Reason, Message string }
	if err == nil && json.Unmarshal(b, &s) == nil {
		e.Reason, e.Message = cut(s.Reason), cut(s.Message)
	}
	if resp.StatusCode/100 == 3 {
		e.Message = "a redirect, which is not followed: give the address of the API server itself"
	}
	return e
}

// A Part is what of a connection went wrong.
type Part string

// The parts.
const (
	PartRefused Part = "address" // the operator's rules do not let the registry connect there
	PartName    Part = "name"    // the host's name has no address
	PartConnect Part = "connect" // nothing answers
	PartTLS     Part = "tls"     // the certificate is not the right one
	PartAnswer  Part = "answer"  // it is no API server
)

// A ConnectError is no answer at all.
type ConnectError struct {
	Part Part
	Err  error
}

func (e *ConnectError) Unwrap() error { return e.Err }

func (e *ConnectError) Error() string {
	switch e.Part {
	case PartRefused:
		return "the operator of this registry does not allow connections to that address"
	case PartName:
		return "the name of the server has no address"
	case PartTLS:
		return "TLS: " + cut(e.Err.Error())
	case PartAnswer:
		return cut(e.Err.Error())
	}
	return "no connection: " + cut(why(e.Err))
}

// why is the innermost of what a failed connection says.
func why(err error) string {
	var op *net.OpError
	switch {
	case errors.Is(err, errSlow), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &op):
		return op.Err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	}
	return err.Error()
}

func connectError(err error) error {
	var (
		name      *net.DNSError
		unknown   x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		connected = &ConnectError{Part: PartConnect, Err: err}
	)
	switch {
	case errors.Is(err, dial.ErrRefused):
		connected.Part = PartRefused
	case errors.As(err, &name):
		connected.Part = PartName
	case errors.As(err, &unknown):
		connected.Part, connected.Err = PartTLS, errors.New("the certificate of the server is signed by an authority that is not known: give it as ca")
	case errors.As(err, &hostname):
		connected.Part, connected.Err = PartTLS, hostname
	case errors.As(err, &invalid):
		connected.Part, connected.Err = PartTLS, invalid
	case errors.As(err, &verify):
		connected.Part, connected.Err = PartTLS, verify
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		connected.Part, connected.Err = PartTLS, errors.New("the server does not speak TLS")
	case errors.As(err, &alert):
		connected.Part, connected.Err = PartTLS, alert
	}
	return connected
}
