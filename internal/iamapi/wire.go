package iamapi

import (
	"net/url"
	"strconv"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/web"
)

// Links say where a thing or a list is. Next is null where nothing follows:
// clients go on as long as it is an address.
type Links struct {
	Self     string  `json:"self"`
	Previous *string `json:"previous"`
	Next     *string `json:"next"`
}

func (a *API) links(c *call, path string) Links { return Links{Self: a.self(c, path)} }

// timeText is RFC 3339 in UTC with microseconds, always six digits of them.
func timeText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// read decodes the body. Errors: fault.Missing for none, fault.Invalid.
func (c *call) read(v any) error {
	if len(c.body) == 0 {
		return missing("a JSON body")
	}
	return web.DecodeJSON(c.body, v)
}

func missing(what string) error {
	return fault.New(fault.Missing, "The request lacks %s.", what)
}

// query returns the parameters of the request. Errors: fault.Invalid.
func (c *call) query() (url.Values, error) {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		// The text of err repeats the query, which may hold secrets.
		return nil, fault.New(fault.Invalid, "The query of the address is malformed.")
	}
	return q, nil
}

// flag reads a parameter that is true or false; nil: it is not there.
func flag(q url.Values, name string) (*bool, error) {
	v := q.Get(name)
	if v == "" {
		return nil, nil
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s is true or false.", name)
	}
	return &on, nil
}

// number reads a parameter that is a number from 1 on; 0: it is not there.
func number(q url.Values, name string) (int, error) {
	v := q.Get(name)
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil || n == 0 {
		return 0, fault.New(fault.PageInvalid, "%s is a number from 1 on.", name)
	}
	return int(n), nil
}

// Ref names an account, which clients call a domain. One of both is enough;
// the id counts.
type Ref struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (r *Ref) account() iam.AccountRef {
	if r == nil {
		return iam.AccountRef{}
	}
	return iam.AccountRef{ID: r.ID, Name: r.Name}
}

func (r *Ref) empty() bool { return r == nil || r.ID == "" && r.Name == "" }
