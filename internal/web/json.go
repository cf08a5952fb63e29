package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"berth.dev/berth/internal/fault"
)

// MaxJSON is the usual limit for ReadJSON.
const MaxJSON = 1 << 20

var jsonType = []string{"application/json"}

// ReadJSON decodes the one JSON value of a request body of at most limit bytes
// into v. Errors: fault.TooLarge, fault.Invalid, and those of the connection.
func ReadJSON(r *http.Request, limit int64, v any) error {
	b, err := ReadBody(r, limit)
	if err != nil {
		return err
	}
	return DecodeJSON(b, v)
}

// DecodeJSON is ReadJSON for a body that was read already. Errors:
// fault.Invalid.
func DecodeJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(v); err != nil {
		return fault.Wrap(fault.Invalid, err, "The body is not the JSON that is expected here.")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "Something follows the JSON value of the body.")
	}
	return nil
}

// WriteJSON answers with v. A Content-Type that is already set stays.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		// Only a type that cannot be encoded gets here.
		Of(w).Failed(err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	if len(h["Content-Type"]) == 0 {
		h["Content-Type"] = jsonType
	}
	b := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
