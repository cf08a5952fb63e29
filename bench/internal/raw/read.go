package raw

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Kept bodies are lists and error envelopes; nothing longer is expected.
const maxKept = 64 << 20

// read parses one response into c.resp and consumes its body.
func (c *Client) read(r *Request) (*Response, error) {
	resp := &c.resp
	chunked, last := false, false
	for {
		*resp = Response{Length: -1, Body: resp.Body[:0]}
		var err error
		if chunked, last, err = c.head(resp); err != nil {
			return nil, err
		}
		if resp.Status >= 200 {
			break
		}
	}
	c.used = true
	keep := r.Keep || resp.Status >= 400
	var err error
	switch {
	case r.Method == "HEAD" || resp.Status == 204 || resp.Status == 304:
	case chunked:
		err = c.chunks(keep)
	case resp.Length >= 0:
		err = c.body(resp.Length, keep)
	default: // until the server closes
		last = true
		resp.Received, err = io.Copy(io.Discard, c.br)
	}
	if last || err != nil {
		c.Close()
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

func (c *Client) head(resp *Response) (chunked, last bool, err error) {
	line, err := c.br.ReadSlice('\n')
	if err != nil {
		return false, false, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return false, false, fmt.Errorf("not a status line: %q", line)
	}
	if resp.Status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return false, false, fmt.Errorf("not a status line: %q", line)
	}
	for {
		line, err := c.br.ReadSlice('\n')
		if err != nil {
			return false, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return chunked, last, nil
		}
		i := bytes.IndexByte(line, ':')
		if i < 0 {
			continue
		}
		name, value := line[:i], bytes.TrimSpace(line[i+1:])
		switch len(name) { // cheaper than comparing every name with every line
		case len("link"):
			if fold(name, "link") {
				resp.Link = string(value)
			}
		case len("location"):
			if fold(name, "location") {
				resp.Location = string(value)
			}
		case len("connection"):
			if fold(name, "connection") {
				last = fold(value, "close")
			}
		case len("content-length"):
			if fold(name, "content-length") {
				if resp.Length, err = strconv.ParseInt(string(value), 10, 64); err != nil || resp.Length < 0 {
					return false, false, fmt.Errorf("bad Content-Length %q", value)
				}
			}
		case len("www-authenticate"):
			// of several challenges the token flow is preferred
			if fold(name, "www-authenticate") && (resp.Challenge == "" || strings.HasPrefix(strings.ToLower(string(value)), "bearer")) {
				resp.Challenge = string(value)
			}
		case len("transfer-encoding"):
			if fold(name, "transfer-encoding") {
				chunked = fold(value, "chunked")
			}
		}
	}
}

func (c *Client) chunks(keep bool) error {
	for {
		line, err := c.br.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, _, _ := strings.Cut(string(bytes.TrimRight(line, "\r\n")), ";")
		n, err := strconv.ParseInt(size, 16, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("bad chunk size %q", size)
		}
		if n == 0 {
			break
		}
		if err := c.body(n, keep); err != nil {
			return err
		}
		if _, err := c.br.Discard(2); err != nil {
			return err
		}
	}
	for { // trailers
		line, err := c.br.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return nil
		}
	}
}

func (c *Client) body(n int64, keep bool) error {
	c.resp.Received += n
	if keep {
		if c.resp.Received > maxKept {
			return fmt.Errorf("body over %d bytes", maxKept)
		}
		off := len(c.resp.Body)
		c.resp.Body = append(c.resp.Body, make([]byte, n)...)
		_, err := io.ReadFull(c.br, c.resp.Body[off:])
		return err
	}
	d, err := c.br.Discard(int(min(n, int64(c.br.Buffered()))))
	if err != nil {
		return err
	}
	n -= int64(d)
	if n < 32<<10 {
		_, err := c.br.Discard(int(n))
		return err
	}
	if c.sink == nil {
		c.sink = make([]byte, 256<<10)
	}
	for n > 0 { // past the buffered reader: one copy less
		m, err := c.conn.Read(c.sink[:min(int64(len(c.sink)), n)])
		n -= int64(m)
		if err != nil && n > 0 {
			return err
		}
	}
	return nil
}

// fold compares b with s, which is in lower case, without regard to the case of b.
func fold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, ch := range b {
		if 'A' <= ch && ch <= 'Z' {
			ch += 'a' - 'A'
		}
		if ch != s[i] {
			return false
		}
	}
	return true
}
