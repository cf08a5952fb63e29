package swrapi

import (
	"errors"
	"net/http"
	"testing"
)

// A client is told what is wrong in its own terms, and not in ours.
func TestDecodeRefuses(t *testing.T) {
	type inner struct {
		Enable *string `json:"enable"`
	}
	type body struct {
		inner
		Public *bool `json:"is_public"`
		Auth   int64 `json:"auth"`
		Params struct {
			Days []string `json:"days"`
		} `json:"params"`
	}
	for text, want := range map[string]struct {
		code code
		msg  string
	}{
		``:                          {badBody, "The request has no body; JSON is expected here."},
		` `:                         {badBody, "The request has no body; JSON is expected here."},
		`{`:                         {badBody, "The body is not well-formed JSON."},
		`{} {}`:                     {badBody, "Something follows the JSON value of the body."},
		`[]`:                        {badBody, "The body must be an object, not an array."},
		`7`:                         {badBody, "The body must be an object, not a number."},
		`{"is_public":"true"}`:      {badPublic, "is_public is true or false, without quotes."},
		`{"is_public":1}`:           {badPublic, "is_public is true or false, without quotes."},
		`{"enable":true}`:           {badBody, "The member enable must not be true or false."},
		`{"auth":"7"}`:              {badBody, "The member auth must not be text."},
		`{"auth":7.5}`:              {badBody, "The member auth must not be the number 7.5."},
		`{"params":{"days":{}}}`:    {badBody, "The member days must not be an object."},
		`{"params":{"days":[[1]]}}`: {badBody, "The member days must not be an array."},
	} {
		c := &call{r: &http.Request{Header: http.Header{}}, body: []byte(text)}
		var v body
		err := c.decode(&v)
		var got *wireError
		if !errors.As(err, &got) || got.code != want.code || got.msg != want.msg {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDecodeSaysWhichKindIsWanted(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:     "The body must be an array, not an object.",
		`"7"`:    "The body must be an array, not text.",
		`["7"]`:  "An element of the body must not be text.",
		`[7, 8]`: "An element of the body must not be a number.",
	} {
		c := &call{r: &http.Request{Header: http.Header{}}, body: []byte(text)}
		var v []struct{ Auth int64 }
		err := c.decode(&v)
		var got *wireError
		if !errors.As(err, &got) || got.code != badBody || got.msg != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}
