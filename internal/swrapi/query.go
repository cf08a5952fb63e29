package swrapi

import (
	"strconv"
	"strings"

	"berth.dev/berth/internal/fault"
)

// A list is what a request asks of a list: filters, a window and an order. All
// of it comes from the query, or from its filter where that is present:
// `key::value` pairs joined by `|`.
type list struct {
	values map[string]string
	filter bool // the values come from a filter

	paged         bool // limit and offset were given
	limit, offset int
	column        string // order_column, "": the default order
	descending    bool
}

// maxLimit is the most that one page holds; more is asked for in vain.
const maxLimit = 1000

// columns are the names that order_column may have.
type columns []string

// list reads the query: filters, window and order. Errors: FilterInvalid,
// PageInvalid.
func (c *call) list(order columns, keys ...string) (list, error) {
	l, get, err := c.parameters(keys)
	if err != nil {
		return l, err
	}
	return l, l.window(get, order)
}

// filters reads the query of a list without window and order, as list does.
func (c *call) filters(keys ...string) (list, error) {
	l, _, err := c.parameters(keys)
	return l, err
}

// parameters finds out where the parameters stand, in the query or in its
// filter. keys are those that the operation knows; others are ignored.
func (c *call) parameters(keys []string) (l list, get func(string) string, err error) {
	l = list{values: map[string]string{}}
	get = c.query.Get
	if f := c.query.Get("filter"); f != "" {
		pairs, err := parseFilter(f)
		if err != nil {
			return l, get, err
		}
		l.filter = true
		get = func(k string) string { return pairs[k] }
	}
	for _, k := range keys {
		if v := get(k); v != "" {
			l.values[k] = v
		}
	}
	return l, get, nil
}

// parseFilter reads `key::value|key::value`.
func parseFilter(s string) (map[string]string, error) {
	pairs := map[string]string{}
	for part := range strings.SplitSeq(s, "|") {
		if part == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "::")
		if !ok || key == "" {
			return nil, fault.New(fault.FilterInvalid, "The filter is malformed: it is made of key::value pairs joined by |.")
		}
		pairs[key] = value
	}
	return pairs, nil
}

// window reads paging and order. They count as pairs: one of two alone has no
// effect.
func (l *list) window(get func(string) string, order columns) error {
	limit, offset := get("limit"), get("offset")
	n, err := digits("limit", limit)
	if err != nil {
		return err
	}
	o, err := digits("offset", offset)
	if err != nil {
		return err
	}
	if limit != "" && n == 0 {
		return fault.New(fault.PageInvalid, "limit is at least 1.")
	}
	if limit != "" && offset != "" {
		l.paged, l.limit, l.offset = true, min(n, maxLimit), o
	}
	column, direction := get("order_column"), get("order_type")
	if column != "" && !contains(order, column) {
		return fault.New(fault.PageInvalid, "order_column is one of %s.", strings.Join(order, ", "))
	}
	if direction != "" && direction != "asc" && direction != "desc" {
		return fault.New(fault.PageInvalid, "order_type is asc or desc.")
	}
	if column != "" && direction != "" {
		l.column, l.descending = column, direction == "desc"
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// digits reads a number that is not negative; "" is 0.
func digits(name, s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || s[0] == '+' {
		return 0, fault.New(fault.PageInvalid, "%s is a number of digits.", name)
	}
	return int(n), nil
}

// contentRange tells which part of how many items an answer holds.
func (c *call) contentRange(offset, items int, total int64) {
	c.w.Header()["Content-Range"] = []string{strconv.Itoa(offset) + "-" + strconv.Itoa(items) + "/" + strconv.FormatInt(total, 10)}
}
