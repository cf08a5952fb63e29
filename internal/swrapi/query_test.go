package swrapi

import (
	"maps"
	"net/url"
	"testing"

	"berth.dev/berth/internal/fault"
)

func readList(t *testing.T, query string) (list, error) {
	t.Helper()
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return (&call{query: q}).list(columns{"name", "updated_at"}, "namespace", "name")
}

func TestList(t *testing.T) {
	tests := []struct {
		query string
		want  list
	}{
		{"", list{}},
		{"namespace=a&name=b&unknown=c", list{values: map[string]string{"namespace": "a", "name": "b"}}},
		{"limit=10", list{}}, // half a pair
		{"limit=10&offset=20", list{paged: true, limit: 10, offset: 20}},
		{"limit=5000&offset=0", list{paged: true, limit: 1000}},
		{"order_column=name", list{}},
		{"order_column=name&order_type=desc", list{column: "name", descending: true}},
		{"filter=namespace::a|name::b|limit::10|offset::0|order_column::name|order_type::asc",
			list{filter: true, values: map[string]string{"namespace": "a", "name": "b"}, paged: true, limit: 10, column: "name"}},
		{"filter=namespace%3A%3Aa%7Clol%3A%3Ab&namespace=z&limit=1&offset=1", list{filter: true, values: map[string]string{"namespace": "a"}}}, // the filter wins
		{"filter=&namespace=z", list{values: map[string]string{"namespace": "z"}}},
		{"filter=name::a::b", list{filter: true, values: map[string]string{"name": "a::b"}}},
	}
	for _, tt := range tests {
		got, err := readList(t, tt.query)
		if err != nil {
			t.Errorf("%s: %v", tt.query, err)
			continue
		}
		values := got.values
		got.values = nil
		want := tt.want
		want.values = nil
		if !maps.Equal(values, tt.want.values) || got.filter != want.filter || got.paged != want.paged || got.limit != want.limit ||
			got.offset != want.offset || got.column != want.column || got.descending != want.descending {
			t.Errorf("%s is %+v %v", tt.query, got, values)
		}
	}
}

func TestListRefuses(t *testing.T) {
	for query, code := range map[string]fault.Code{
		"limit=0&offset=0":                  fault.PageInvalid,
		"limit=0":                           fault.PageInvalid,
		"limit=x&offset=0":                  fault.PageInvalid,
		"limit=-1&offset=0":                 fault.PageInvalid,
		"limit=%2B1&offset=0":               fault.PageInvalid,
		"limit=1&offset=1.5":                fault.PageInvalid,
		"limit=1&offset=99999999999":        fault.PageInvalid,
		"order_column=id&order_type=asc":    fault.PageInvalid,
		"order_column=name&order_type=up":   fault.PageInvalid,
		"filter=namespace":                  fault.FilterInvalid,
		"filter=::a":                        fault.FilterInvalid,
		"filter=namespace::a|limit::0":      fault.PageInvalid,
		"filter=namespace::a|order_type::x": fault.PageInvalid,
	} {
		if _, err := readList(t, query); !fault.Is(err, code) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	f.Add("namespace::a|name::b")
	f.Fuzz(func(t *testing.T, s string) {
		pairs, err := parseFilter(s)
		if (err == nil) == (pairs == nil) {
			t.Errorf("%q: %v %v", s, pairs, err)
		}
	})
}
