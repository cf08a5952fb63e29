// Package described holds what a server does against its own description: it
// stands between a test's clients and the server, and looks at everything that
// passes. An answer with a status, a header, a member or a type that
// /openapi.json does not describe fails the test; so does one that lacks what
// is described.
package described

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// location is a name for the document inside the compiler of schemas.
const location = "berth:openapi.json"

// Document is a description that answers are held against. It may be used by
// several goroutines.
type Document struct {
	tree   map[string]any
	routes []route

	mu       sync.Mutex
	strict   *jsonschema.Compiler          // of answers: no member that is not described
	loose    *jsonschema.Compiler          // of requests: clients may send more
	compiled map[string]*jsonschema.Schema // by pointer, of both
	answered map[string]map[int]bool       // operationId -> statuses that were seen
}

// A route is one operation.
type route struct {
	method, path string
	parts        []string
	id           string
	pointer      string // to the operation
}

// Fetch reads the description of a server.
func Fetch(c *http.Client, base string) (*Document, error) {
	resp, err := c.Get(base + "/openapi.json")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("/openapi.json: %s", resp.Status)
	}
	return Parse(text)
}

// Parse reads a description.
func Parse(text []byte) (*Document, error) {
	d := &Document{compiled: map[string]*jsonschema.Schema{}, answered: map[string]map[int]bool{}}
	loose, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	strict, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	closeObjects(strict)
	d.tree, _ = loose.(map[string]any)
	d.strict, d.loose = jsonschema.NewCompiler(), jsonschema.NewCompiler()
	if err := d.strict.AddResource(location, strict); err != nil {
		return nil, err
	}
	if err := d.loose.AddResource(location, loose); err != nil {
		return nil, err
	}
	paths, _ := d.tree["paths"].(map[string]any)
	for path, item := range paths {
		for method, op := range item.(map[string]any) {
			if method == "parameters" {
				continue
			}
			id, _ := op.(map[string]any)["operationId"].(string)
			d.routes = append(d.routes, route{
				strings.ToUpper(method), path, split(path), id, "/paths/" + escape(path) + "/" + method,
			})
		}
	}
	return d, nil
}

// closeObjects forbids members that an object's schema does not name.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		_, has := v["properties"].(map[string]any)
		_, said := v["additionalProperties"]
		if has && !said && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, below := range v {
			closeObjects(below)
		}
	case []any:
		for _, below := range v {
			closeObjects(below)
		}
	}
}

func split(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func escape(s string) string { return pointerEscapes.Replace(s) }

// find returns the operation of a request, and whether the path is described at
// all.
func (d *Document) find(method, path string) (best *route, known bool) {
	parts := split(path)
	for i := range d.routes {
		r := &d.routes[i]
		if !fits(r.parts, parts) {
			continue
		}
		known = true
		if r.method == method && (best == nil || literals(r.parts) > literals(best.parts)) {
			best = r
		}
	}
	return best, known
}

// fits compares segment by segment. A name of the distribution API, and a
// repository before a tag, may have several.
func fits(pattern, path []string) bool {
	if len(path) > len(pattern) {
		for _, name := range []string{"{name}", "{repository}"} {
			if i := slices.Index(pattern, name); i >= 0 && (name == "{name}" || slices.Contains(pattern, "accessories") || slices.Contains(pattern, "references")) {
				path = slices.Concat(path[:i], []string{"x"}, path[i+1+len(path)-len(pattern):])
				break
			}
		}
	}
	if len(pattern) != len(path) {
		return false
	}
	for i, p := range pattern {
		if p != path[i] && (!strings.HasPrefix(p, "{") || path[i] == "") {
			return false
		}
	}
	return true
}

func literals(pattern []string) (n int) {
	for _, p := range pattern {
		if !strings.HasPrefix(p, "{") {
			n++
		}
	}
	return n
}

// at follows a pointer, and references on the way.
func (d *Document) at(pointer string) (any, string) {
	var v any = d.tree
	where := ""
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		v, where = d.follow(v, where)
		m, _ := v.(map[string]any)
		v = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
		where += "/" + part
	}
	return d.follow(v, where)
}

func (d *Document) follow(v any, where string) (any, string) {
	if m, ok := v.(map[string]any); ok {
		if ref, ok := m["$ref"].(string); ok {
			return d.at(strings.TrimPrefix(ref, "#"))
		}
	}
	return v, where
}

// schema compiles the schema at a pointer.
func (d *Document) schema(c *jsonschema.Compiler, kind, pointer string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.compiled[kind+pointer]; ok {
		return s, nil
	}
	s, err := c.Compile(location + "#" + pointer)
	if err == nil {
		d.compiled[kind+pointer] = s
	}
	return s, err
}

// Check compares an exchange with the description and returns what differs.
func (d *Document) Check(method, path string, request []byte, resp *http.Response, body []byte) error {
	op, known := d.find(method, path)
	switch {
	case op == nil && known && resp.StatusCode == http.StatusMethodNotAllowed && resp.Header.Get("Allow") != "":
		return nil
	case op == nil && !known && resp.StatusCode == http.StatusNotFound:
		return nil
	case op == nil && method == http.MethodHead:
		return nil
	case op == nil:
		return fmt.Errorf("%s %s is not described and answers %d", method, path, resp.StatusCode)
	}
	if err := d.checkAnswer(op, resp, body); err != nil {
		return fmt.Errorf("%s %s (%s) answers %d: %w\n%.2000s", method, path, op.id, resp.StatusCode, err, body)
	}
	if resp.StatusCode < 300 {
		if err := d.checkRequest(op, request); err != nil {
			return fmt.Errorf("%s %s (%s) takes a body that is not described: %w\n%.2000s", method, path, op.id, err, request)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.answered[op.id] == nil {
		d.answered[op.id] = map[int]bool{}
	}
	d.answered[op.id][resp.StatusCode] = true
	return nil
}

func (d *Document) checkAnswer(op *route, resp *http.Response, body []byte) error {
	if resp.Header.Get("X-Request-Id") == "" {
		return fmt.Errorf("X-Request-Id is missing")
	}
	described, where := d.at(op.pointer + "/responses/" + fmt.Sprint(resp.StatusCode))
	answer, ok := described.(map[string]any)
	if !ok {
		return fmt.Errorf("the status is not described")
	}
	if err := d.checkHeaders(answer, where, resp.Header); err != nil {
		return err
	}
	content, _ := answer["content"].(map[string]any)
	if content == nil {
		if len(body) > 0 {
			return fmt.Errorf("there is a body, and none is described")
		}
		return nil
	}
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("Content-Type: %w", err)
	}
	if content[mediaType] == nil {
		if content["*/*"] != nil {
			return nil
		}
		return fmt.Errorf("the body is %s, which is not described", mediaType)
	}
	if mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json") {
		return nil
	}
	return d.validate(d.strict, "answer", where+"/content/"+escape(mediaType)+"/schema", body)
}

// checkHeaders looks at the described headers that an answer has.
func (d *Document) checkHeaders(answer map[string]any, where string, h http.Header) error {
	headers, _ := answer["headers"].(map[string]any)
	for name := range headers {
		value := h.Get(name)
		if value == "" {
			continue
		}
		_, at := d.at(where + "/headers/" + escape(name))
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if kind, _ := d.at(at + "/schema/type"); kind == "integer" {
			text = []byte(value)
		}
		if err := d.validate(d.strict, "answer", at+"/schema", text); err != nil {
			return fmt.Errorf("the header %s is %q: %w", name, value, err)
		}
	}
	return nil
}

func (d *Document) checkRequest(op *route, body []byte) error {
	v, where := d.at(op.pointer + "/requestBody")
	described, _ := v.(map[string]any)
	content, _ := described["content"].(map[string]any)
	if content["application/json"] == nil || len(bytes.TrimSpace(body)) == 0 {
		if len(body) > 0 && described == nil {
			return fmt.Errorf("none is")
		}
		return nil
	}
	return d.validate(d.loose, "request", where+"/content/application~1json/schema", body)
}

func (d *Document) validate(c *jsonschema.Compiler, kind, pointer string, body []byte) error {
	if v, _ := d.at(pointer); v == nil {
		return nil
	}
	s, err := d.schema(c, kind, pointer)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the body is no JSON: %w", err)
	}
	return s.Validate(v)
}

// CheckExamples holds the examples of the description against its schemas.
func (d *Document) CheckExamples() (problems []error) {
	var walk func(v any, pointer string)
	walk = func(v any, pointer string) {
		switch v := v.(type) {
		case map[string]any:
			if e, ok := v["example"]; ok && v["schema"] != nil {
				if err := d.checkExample(e, pointer+"/schema"); err != nil {
					problems = append(problems, fmt.Errorf("%s: %w", pointer, err))
				}
			}
			for name, below := range v {
				walk(below, pointer+"/"+escape(name))
			}
		case []any:
			for i, below := range v {
				walk(below, fmt.Sprintf("%s/%d", pointer, i))
			}
		}
	}
	walk(d.tree, "")
	return problems
}

func (d *Document) checkExample(example any, pointer string) error {
	s, err := d.schema(d.strict, "answer", pointer)
	if err != nil {
		return err
	}
	return s.Validate(example)
}

// Operations lists the names of what is described below some prefixes.
func (d *Document) Operations(prefixes ...string) (ids []string) {
	for _, r := range d.routes {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(r.path, p) }) {
			ids = append(ids, r.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Unseen lists the operations below a prefix that never answered with success.
func (d *Document) Unseen(prefixes ...string) (ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range d.Operations(prefixes...) {
		seen := false
		for status := range d.answered[id] {
			seen = seen || status < 300
		}
		if !seen {
			ids = append(ids, id)
		}
	}
	return ids
}

// Transport passes requests on to Base and reports every exchange that is not
// as described.
type Transport struct {
	Base     http.RoundTripper
	Document *Document
	Report   func(error)
}

// most is the longest body that is looked at.
const most = 8 << 20

// RoundTrip is that of http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var request []byte
	if r.Body != nil && r.ContentLength < most {
		var err error
		if request, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(request))
	}
	resp, err := t.Base.RoundTrip(r)
	if err != nil || resp.ContentLength > most {
		return resp, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err := t.Document.Check(r.Method, r.URL.EscapedPath(), request, resp, body); err != nil {
		t.Report(err)
	}
	return resp, nil
}
