// Package kube is a small client of the Kubernetes API: what a trigger needs
// to change a workload and to see how that goes, and nothing else. It runs no
// programs, reads no files, and connects by the dialer it is given.
package kube

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"strings"

	"berth.dev/berth/internal/fault"
)

// Access is how an API server is reached, and who asks. The members stand in
// the order in which they matter; Token, ClientCert and ClientKey are secret.
type Access struct {
	Server     string `json:"server"`      // https://host[:port][/path]
	CA         string `json:"ca"`          // PEM; empty: the system's authorities
	ServerName string `json:"server_name"` // that the certificate is for; empty: the host
	Insecure   bool   `json:"insecure"`    // the certificate is not checked
	Token      string `json:"token"`
	ClientCert string `json:"client_certificate"` // PEM, with its key in place of a token or beside it
	ClientKey  string `json:"client_key"`
}

// Bounds of what an account gives, in bytes.
const (
	maxServer     = 1024
	maxCredential = 64 << 10
	maxName       = 253
)

func invalid(format string, args ...any) error { return fault.New(fault.Invalid, format, args...) }

// Check tells whether the access makes sense by itself. insecure says that the
// operator lets certificates go unchecked. A fault names the member as clients
// write it. Errors: Missing, Invalid.
func (a Access) Check(insecure bool) error {
	u, err := url.Parse(a.Server)
	switch {
	case a.Server == "":
		return fault.New(fault.Missing, "The member server is missing.")
	case len(a.Server) > maxServer || err != nil || u.Host == "":
		return invalid("server is the address of a Kubernetes API server, such as https://10.0.0.1:6443.")
	case u.Scheme != "https":
		return invalid("server begins with https://: the credentials would be readable on the way.")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return invalid("server is an address without a user, a query or a fragment.")
	case a.Token == "" && a.ClientCert == "":
		return fault.New(fault.Missing, "The member token is missing.")
	case len(a.Token) > maxCredential || strings.ContainsFunc(a.Token, func(c rune) bool { return c <= ' ' || c > '~' }):
		return invalid("token is a bearer token in one line of printable characters, %d at most.", maxCredential)
	case (a.ClientCert == "") != (a.ClientKey == ""):
		return invalid("client_certificate and client_key belong together.")
	case len(a.CA) > maxCredential || len(a.ClientCert) > maxCredential || len(a.ClientKey) > maxCredential:
		return invalid("ca, client_certificate and client_key have at most %d bytes.", maxCredential)
	case len(a.ServerName) > maxName || strings.ContainsAny(a.ServerName, "/: \x00"):
		return invalid("tls_server_name is a name of a host.")
	case a.Insecure && !insecure:
		return invalid("insecure_skip_tls_verify is not allowed by the operator of this registry: give ca instead.")
	}
	_, err = a.tls()
	return err
}

// tls is the client's side of TLS. Errors: Invalid.
func (a Access) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: a.ServerName, InsecureSkipVerify: a.Insecure}
	if a.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(a.CA)) {
			return nil, invalid("ca has no certificate in PEM.")
		}
	}
	if a.ClientCert != "" {
		pair, err := tls.X509KeyPair([]byte(a.ClientCert), []byte(a.ClientKey))
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "client_certificate and client_key are no certificate in PEM and its key.")
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
