package swrapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/web"
)

// decode reads the JSON of the body into v. Members that are not known are
// ignored: clients send more than this API has a use for.
func (c *call) decode(v any) error {
	if t := c.r.Header.Get("Content-Type"); t != "" && len(c.body) > 0 {
		if media, _, err := mime.ParseMediaType(t); err != nil || media != "application/json" {
			return problemf(badBody, "Send the body as application/json.")
		}
	}
	if len(bytes.TrimSpace(c.body)) == 0 {
		return problemf(badBody, "The request has no body; JSON is expected here.")
	}
	d := json.NewDecoder(bytes.NewReader(c.body))
	if err := d.Decode(v); err != nil {
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) {
			return wrongType(te, reflect.TypeOf(v).Elem())
		}
		return problemf(badBody, "The body is not well-formed JSON.")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return problemf(badBody, "Something follows the JSON value of the body.")
	}
	return nil
}

// kinds are values of JSON in words.
var kinds = map[string]string{"object": "an object", "array": "an array", "string": "text", "number": "a number", "bool": "true or false"}

// maxShown is how much of a number is repeated to who sent it.
const maxShown = 80

// wrongType says what is wrong in the words of JSON. Of the path to a member
// only the end is: names of our types may stand before it.
func wrongType(te *json.UnmarshalTypeError, whole reflect.Type) error {
	member := te.Field[strings.LastIndexByte(te.Field, '.')+1:]
	kind := kinds[te.Value]
	if kind == "" {
		kind = "the " + te.Value[:min(len(te.Value), maxShown)] // "number 7.5", which is none of the right kind
	}
	switch member {
	case "is_public":
		return problemf(badPublic, "is_public is true or false, without quotes.")
	case "":
		switch {
		case te.Type != whole:
			return problemf(badBody, "An element of the body must not be "+kind+".")
		case whole.Kind() == reflect.Slice:
			return problemf(badBody, "The body must be an array, not "+kind+".")
		}
		return problemf(badBody, "The body must be an object, not "+kind+".")
	}
	return problemf(badBody, "The member "+member+" must not be "+kind+".")
}

// missing is the error for a mandatory member that is not there.
func missing(member string) error {
	return fault.New(fault.Missing, "The member %s is missing.", member)
}

// empty is the body of a success that has nothing to say: clients decode it.
type empty struct{}

func (c *call) ok(v any) error      { return c.answer(http.StatusOK, v) }
func (c *call) created(v any) error { return c.answer(http.StatusCreated, v) }

func (c *call) answer(status int, v any) error {
	web.WriteJSON(c.w, status, v)
	return nil
}

func (c *call) noContent() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// A stamp is a time as clients read it: RFC 3339 in UTC with at most six
// digits of a second.
type stamp time.Time

func (s stamp) MarshalJSON() ([]byte, error) {
	return []byte(`"` + time.Time(s).UTC().Format("2006-01-02T15:04:05.999999Z") + `"`), nil
}

// registryHost is the address of the registry without a scheme, as image names
// and login commands begin.
func (a *API) registryHost(c *call) string {
	_, host := a.origin.External(c.r)
	return host
}

// imagePath is where an image is pulled from: host, organization, repository.
func (a *API) imagePath(c *call, parts ...string) string {
	return strings.Join(append([]string{a.registryHost(c)}, parts...), "/")
}
