package raw

import (
	"io"
	"net"
	"strconv"
)

// A body up to this size travels in one write with its head.
const inlineBody = 64 << 10

func (c *Client) send(r *Request, authorization string) error {
	o := c.out[:0]
	o = append(o, r.Method...)
	o = append(o, ' ')
	o = append(o, r.Path...)
	o = append(o, " HTTP/1.1\r\nHost: "...)
	o = append(o, c.e.Host...)
	o = append(o, "\r\nUser-Agent: berth-bench\r\n"...)
	o = header(o, "Accept: ", r.Accept)
	o = header(o, "Authorization: ", authorization)
	o = header(o, "X-Auth-Token: ", r.Token)
	o = header(o, "Content-Type: ", r.ContentType)
	o = header(o, "Content-Range: ", r.ContentRange)
	o = header(o, "Accept-Encoding: ", r.Encoding)
	o = header(o, "If-None-Match: ", r.Known)
	switch {
	case r.Stream != nil && r.Chunked:
		o = append(o, "Transfer-Encoding: chunked\r\n"...)
	case r.Stream != nil:
		o = length(o, r.Stream.Size())
	case r.Body != nil || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH":
		o = length(o, int64(len(r.Body)))
	}
	o = append(o, '\r', '\n')
	inline := r.Stream == nil && len(r.Body) <= inlineBody
	if inline {
		o = append(o, r.Body...)
	}
	c.out = o
	if _, err := c.conn.Write(o); err != nil {
		return err
	}
	switch {
	case r.Stream != nil:
		return c.stream(r.Stream, r.Chunked)
	case !inline:
		_, err := c.conn.Write(r.Body)
		return err
	}
	return nil
}

func (c *Client) stream(s Blocks, chunked bool) error {
	for {
		b := s.Next()
		if b == nil {
			break
		}
		if chunked {
			n := 0
			for _, p := range b {
				n += len(p)
			}
			framed := make(net.Buffers, 0, len(b)+2)
			framed = append(framed, append(strconv.AppendInt(nil, int64(n), 16), '\r', '\n'))
			framed = append(framed, b...)
			b = append(framed, []byte("\r\n"))
		}
		if _, err := b.WriteTo(c.conn); err != nil {
			return err
		}
	}
	if chunked {
		_, err := io.WriteString(c.conn, "0\r\n\r\n")
		return err
	}
	return nil
}

func header(o []byte, name, value string) []byte {
	if value == "" {
		return o
	}
	o = append(o, name...)
	o = append(o, value...)
	return append(o, '\r', '\n')
}

func length(o []byte, n int64) []byte {
	o = append(o, "Content-Length: "...)
	o = strconv.AppendInt(o, n, 10)
	return append(o, '\r', '\n')
}
