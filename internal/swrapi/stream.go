package swrapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"berth.dev/berth/internal/web"
)

// streamAbove is from how many bytes on an answer is sent piece by piece.
const streamAbove = 64 << 10

// An array is an answer that is a JSON array of any length. What is short is
// sent whole and with its length; of what is long no more than a piece is in
// memory.
type array struct {
	c    *call
	buf  bytes.Buffer
	json *json.Encoder
	sent bool // the header and some of the items
	some bool // there are items
	tail string
}

func (c *call) array() *array {
	s := &array{c: c}
	s.json = json.NewEncoder(&s.buf)
	s.json.SetEscapeHTML(false)
	s.buf.WriteByte('[')
	return s
}

// arrayIn begins an answer that is an object: the members of head, and behind
// them one that is the array.
func (c *call) arrayIn(head any, name string) (*array, error) {
	s := c.array()
	s.buf.Reset()
	if err := s.json.Encode(head); err != nil {
		return nil, err
	}
	s.buf.Truncate(s.buf.Len() - len("}\n"))
	s.buf.WriteString(`,"` + name + `":[`)
	s.tail = "}"
	return s, nil
}

// add appends an item.
func (s *array) add(v any) error {
	if s.some {
		s.buf.WriteByte(',')
	}
	s.some = true
	if err := s.json.Encode(v); err != nil {
		return err
	}
	s.buf.Truncate(s.buf.Len() - 1) // a newline
	if s.buf.Len() < streamAbove {
		return nil
	}
	return s.flush()
}

func (s *array) flush() error {
	if !s.sent {
		s.sent = true
		s.c.w.Header()["Content-Type"] = []string{"application/json"}
		s.c.w.WriteHeader(http.StatusOK)
	}
	_, err := s.c.w.Write(s.buf.Bytes())
	s.buf.Reset()
	return err
}

// end completes the answer, or with an error breaks it off: what was sent then
// can not be taken for all.
func (s *array) end(err error) error {
	if err != nil {
		if s.sent {
			web.Of(s.c.w).Failed(err)
			panic(http.ErrAbortHandler)
		}
		return err
	}
	s.buf.WriteString("]" + s.tail)
	if !s.sent {
		s.c.w.Header()["Content-Length"] = []string{strconv.Itoa(s.buf.Len())}
	}
	if err := s.flush(); err != nil {
		web.Of(s.c.w).Failed(err)
	}
	return nil
}
