package described

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

const small = `{"openapi": "3.1.0", "paths": {
	"/things": {"get": {"operationId": "list", "responses": {"200": {"$ref": "#/components/responses/Page"}}}},
	"/things/{id}": {"get": {"operationId": "show", "responses": {"200": {"$ref": "#/components/responses/Thing"}, "404": {"description": "No."}}},
		"put": {"operationId": "change", "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}, "responses": {"204": {"description": "Done."}}}},
	"/repos/{repository}/{tag}/accessories": {"get": {"operationId": "attached", "responses": {"204": {"description": "None."}}}}},
	"components": {
		"headers": {"Range": {"schema": {"type": "string", "pattern": "^[0-9]+/[0-9]+$"}}, "Left": {"schema": {"type": "integer"}}},
		"responses": {
			"Page": {"headers": {"X-Range": {"$ref": "#/components/headers/Range"}, "X-Left": {"$ref": "#/components/headers/Left"}},
				"content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}}}},
			"Thing": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}, "example": {"name": "x"}}}}},
		"schemas": {"Thing": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "size": {"type": "integer"}}}}}}`

// Whatever is not as described is found.
func TestCheck(t *testing.T) {
	d, err := Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, path, request string
		status                int
		header                string // name: value, one a line
		body                  string
		want                  string // of the problem; "": none
	}{
		{"GET", "/things", "", 200, "", `[]`, ""},
		{"GET", "/things", "", 200, "X-Range: 1/2\nX-Left: 3", `[{"name":"a"},{"name":"b","size":7}]`, ""},
		{"GET", "/things", "", 200, "X-Range: 1-2", `[]`, "X-Range"},
		{"GET", "/things", "", 200, "X-Left: many", `[]`, "X-Left"},
		{"GET", "/things", "", 200, "", `null`, "got null, want array"},
		{"GET", "/things", "", 200, "", `[{"size":7}]`, "missing property 'name'"},
		{"GET", "/things", "", 200, "", `[{"name":"a","color":"red"}]`, "additional properties 'color'"},
		{"GET", "/things", "", 200, "", `[{"name":"a","size":1.5}]`, "want integer"},
		{"GET", "/things", "", 200, "", `[`, "no JSON"},
		{"GET", "/things", "", 200, "Content-Type: text/plain", `[]`, "text/plain"},
		{"GET", "/things", "", 201, "", `[]`, "status is not described"},
		{"GET", "/things", "", 200, "X-Request-Id: ", `[]`, "X-Request-Id"},
		{"GET", "/things/a", "", 404, "", ``, ""},
		{"GET", "/things/a", "", 404, "", `{}`, "none is described"},
		{"PUT", "/things/a", `{"name":"a","color":"red"}`, 204, "", ``, ""}, // clients may send more
		{"PUT", "/things/a", `{"name":1}`, 204, "", ``, "want string"},
		{"DELETE", "/things/a", "", 405, "Allow: GET, PUT", `{}`, ""},
		{"DELETE", "/things/a", "", 204, "", ``, "is not described"},
		{"GET", "/nothing", "", 404, "", `{}`, ""},
		{"GET", "/nothing", "", 200, "", `{}`, "is not described"},
		{"GET", "/repos/a/b/c/latest/accessories", "", 204, "", ``, ""},
	} {
		resp := &http.Response{StatusCode: tt.status, Header: http.Header{"X-Request-Id": {"1"}, "Content-Type": {"application/json"}}}
		for line := range strings.Lines(tt.header) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			resp.Header.Set(name, value)
		}
		err := d.Check(tt.method, tt.path, []byte(tt.request), resp, []byte(tt.body))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s %d %s: %v, want %q", tt.method, tt.path, tt.status, tt.body, err, tt.want)
		}
	}
	if got := d.Unseen("/things"); !slices.Equal(got, []string{"show"}) {
		t.Errorf("unseen are %v", got)
	}
	if problems := d.CheckExamples(); problems != nil {
		t.Error(problems)
	}
	bad, err := Parse([]byte(strings.Replace(small, `{"name": "x"}`, `{"nam": "x"}`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if problems := bad.CheckExamples(); len(problems) != 1 {
		t.Errorf("a bad example: %v", problems)
	}
}
