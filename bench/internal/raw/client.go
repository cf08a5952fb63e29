// Package raw is a lean HTTP/1.1 client for load generation.
//
// Load generator and server share the machine's cores. The standard client costs
// about as much CPU as a whole registry request, which would hide differences
// between servers; this one writes prebuilt bytes on one persistent connection per
// worker and parses only the header fields that a registry's client needs. It is
// not a general client: no redirects, no compression, no pipelining.
package raw

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"
)

// Blocks yields a large body piece by piece without copying it.
type Blocks interface {
	Next() net.Buffers // nil at the end; valid until the next call
	Size() int64
}

// Request is one request. The zero value of a field leaves its header out.
type Request struct {
	Method       string
	Path         string // path and query
	ContentType  string
	Accept       string
	ContentRange string
	Encoding     string // that the client takes
	Known        string // entity tag that the client has
	Body         []byte
	Stream       Blocks // instead of Body
	Chunked      bool   // send Stream with Transfer-Encoding: chunked
	Scope        string // of the token to send, blanks between several
	Token        string // of the management API
	Keep         bool   // keep the response body
}

// Response belongs to its Client and is valid until the client's next request.
type Response struct {
	Status    int
	Location  string
	Link      string
	Challenge string
	Length    int64 // Content-Length, -1 if absent
	Received  int64 // bytes of the body
	Body      []byte
}

// Endpoint is what all clients of one server share: its address and credentials.
type Endpoint struct {
	Scheme, Addr, Host string
	User, Password     string
	Basic              bool          // send Basic at once instead of answering the challenge
	Timeout            time.Duration // of one whole request

	mu     sync.RWMutex
	tokens map[string]string // scope -> Authorization value
}

// NewEndpoint takes a base URL such as http://127.0.0.1:5000.
func NewEndpoint(base, user, password string) (*Endpoint, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not an http or https address", base)
	}
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	return &Endpoint{Scheme: u.Scheme, Addr: addr, Host: u.Host, User: user, Password: password,
		Timeout: 3 * time.Minute, tokens: map[string]string{}}, nil
}

// New makes a client with a connection of its own, dialled by the first request.
func (e *Endpoint) New() *Client { return &Client{e: e} }

// Client is one connection. It is not for concurrent use.
type Client struct {
	e    *Endpoint
	conn net.Conn
	br   *bufio.Reader
	out  []byte // the request's head
	sink []byte // large bodies are read into it and dropped
	resp Response
	used bool // the connection has carried a whole exchange
}

// Close ends the connection; the next request dials again.
func (c *Client) Close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// Do sends r and reads the whole answer. A connection that the server closed while it
// was idle is dialled again once, and a 401 is answered with a fresh token, unless the
// body is a stream, which cannot be sent twice.
func (c *Client) Do(r *Request) (*Response, error) {
	for attempt := 0; ; attempt++ {
		used := c.used
		resp, err := c.once(r, c.e.authorization(r.Scope))
		switch {
		case err != nil:
			c.Close()
			if used && r.Stream == nil && attempt == 0 {
				continue
			}
			return nil, err
		case resp.Status == 401 && c.e.User != "" && r.Stream == nil && attempt < 2:
			if err := c.login(r.Scope, resp.Challenge); err != nil {
				return nil, err
			}
		default:
			return resp, nil
		}
	}
}

// Once sends r without credentials and without any retry.
func (c *Client) Once(r *Request) (*Response, error) { return c.once(r, "") }

func (c *Client) once(r *Request, authorization string) (*Response, error) {
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return nil, err
		}
	}
	if err := c.conn.SetDeadline(time.Now().Add(c.e.Timeout)); err != nil {
		return nil, err
	}
	if err := c.send(r, authorization); err != nil {
		// A server that refuses a body answers before it has read all of it.
		resp, readErr := c.read(r)
		c.Close()
		if readErr == nil {
			return resp, nil
		}
		return nil, err
	}
	return c.read(r)
}

func (c *Client) dial() error {
	d := net.Dialer{Timeout: 10 * time.Second}
	conn, err := d.Dial("tcp", c.e.Addr)
	if err != nil {
		return err
	}
	if c.e.Scheme == "https" {
		host, _, _ := net.SplitHostPort(c.e.Addr)
		// The address is the tester's own; its certificate proves nothing here.
		conn = tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	}
	c.conn, c.used = conn, false
	if c.br == nil {
		c.br = bufio.NewReaderSize(conn, 32<<10)
	} else {
		c.br.Reset(conn)
	}
	return nil
}
