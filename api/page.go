package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"
)

//go:embed page.css
var style string

// methods in the order in which a page shows them.
var methods = []string{"post", "get", "head", "put", "patch", "delete"}

// page is a page on its way.
type page struct {
	whole tree
	b     strings.Builder
}

func (p *page) put(parts ...string) {
	for _, s := range parts {
		p.b.WriteString(s)
	}
}

// text puts what must not be markup. Words between backticks are code.
func (p *page) text(s string) {
	for i, part := range strings.Split(strings.TrimSpace(s), "`") {
		if i%2 == 1 {
			p.put("<code>", html.EscapeString(part), "</code>")
		} else {
			p.put(strings.ReplaceAll(html.EscapeString(part), "\n\n", "<p>"))
		}
	}
}

// operation is one row of the page.
type operation struct {
	path, method string
	op           tree
	shared       []any // parameters of the path
}

// render makes the page of a whole document.
func render(whole tree) []byte {
	p := &page{whole: whole}
	info := below(whole, "info")
	p.put("<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\"><title>Berth API</title><style>", style, "</style>")
	tags := list(whole["tags"])
	groups := p.groups()
	p.put("<nav><b>Berth API</b>")
	for _, t := range tags {
		name := str(t, "name")
		p.put("<a href=\"#", html.EscapeString(name), "\">", html.EscapeString(name), "</a>")
	}
	p.put("<a href=#errors>errors</a><a href=#credentials>credentials</a><a href=/openapi.json>openapi.json</a></nav><main><h1>", html.EscapeString(fmt.Sprint(info["title"])), " API</h1><div class=intro>")
	p.text(str(info, "description"))
	p.put("<p>A parameter or a member with <b>*</b> has to be there.</div>")
	for _, t := range tags {
		name := str(t, "name")
		p.put("<section><h2 id=\"", html.EscapeString(name), "\">", html.EscapeString(name), "</h2>")
		if d := str(t, "description"); d != "" {
			p.put("<p>")
			p.text(d)
		}
		for _, o := range groups[name] {
			p.operation(o)
		}
		p.put("</section>")
	}
	p.errors()
	p.put("<section><h2 id=credentials>credentials</h2><dl>")
	schemes := below(below(whole, "components"), "securitySchemes")
	for _, name := range slices.Sorted(maps.Keys(schemes)) {
		p.put("<dt id=\"credential-", html.EscapeString(name), "\">", html.EscapeString(name), "<dd>")
		p.text(str(schemes[name], "description"))
	}
	p.put("</dl></section></main></html>\n")
	return []byte(p.b.String())
}

// groups sorts the operations by their tags.
func (p *page) groups() map[string][]operation {
	groups := map[string][]operation{}
	paths := below(p.whole, "paths")
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths[path].(tree)
		for _, method := range methods {
			if op, ok := item[method].(tree); ok {
				tag := fmt.Sprint(list(op["tags"])[0])
				groups[tag] = append(groups[tag], operation{path, method, op, list(item["parameters"])})
			}
		}
	}
	return groups
}

func (p *page) operation(o operation) {
	id := str(o.op, "operationId")
	// The name stands inside: a browser opens what a link leads into.
	p.put("<details><summary><b class=", o.method, ">", strings.ToUpper(o.method), "</b> <code>", html.EscapeString(o.path), "</code> <span>")
	p.text(str(o.op, "summary"))
	p.put("</span></summary><p class=id id=\"", html.EscapeString(id), "\"><a href=\"#", html.EscapeString(id), "\">", html.EscapeString(id), "</a>")
	p.credentials(o.op)
	if d := str(o.op, "description"); d != "" {
		p.put("<p>")
		p.text(d)
	}
	p.parameters(append(slices.Clone(o.shared), list(o.op["parameters"])...))
	if body, ok := p.resolve(o.op["requestBody"]).(tree); ok {
		p.put("<h4>Body</h4>")
		p.content(body)
	}
	p.responses(below(o.op, "responses"))
	p.put("</details>")
}

func (p *page) credentials(op tree) {
	var names []string
	for _, s := range list(op["security"]) {
		if len(s.(tree)) == 0 {
			names = append(names, "nobody needs to log in")
		}
		for name := range s.(tree) {
			names = append(names, "<a href=\"#credential-"+html.EscapeString(name)+"\">"+html.EscapeString(name)+"</a>")
		}
	}
	p.put(" · ", strings.Join(names, " or "))
}

func (p *page) parameters(all []any) {
	if len(all) == 0 {
		return
	}
	p.put("<h4>Parameters</h4><table>")
	for _, item := range all {
		q := p.resolve(item).(tree)
		p.put("<tr><td><code>", html.EscapeString(str(q, "name")), "</code>")
		if q["required"] == true {
			p.put("*")
		}
		p.put("<td>", html.EscapeString(str(q, "in")), "<td>", html.EscapeString(p.kind(q["schema"])), "<td>")
		p.text(str(q, "description"))
	}
	p.put("</table>")
}

// responses shows successes in full and failures in a line: their bodies are
// of a few kinds, which the page shows once.
func (p *page) responses(all tree) {
	p.put("<h4>Answers</h4>")
	var failures []string
	for _, status := range slices.Sorted(maps.Keys(all)) {
		if status >= "4" {
			failures = append(failures, status)
			continue
		}
		r := p.resolve(all[status]).(tree)
		p.put("<p><b>", html.EscapeString(status), "</b> ")
		p.text(str(r, "description"))
		headers := below(r, "headers")
		for _, name := range slices.Sorted(maps.Keys(headers)) {
			p.put("<p><code>", html.EscapeString(name), "</code> ")
			p.text(str(p.resolve(headers[name]), "description"))
		}
		p.content(r)
	}
	p.put("<table>")
	for _, status := range failures {
		r := p.resolve(all[status]).(tree)
		p.put("<tr><td><b>", html.EscapeString(status), "</b><td>")
		p.text(str(r, "description"))
	}
	p.put("</table><p class=id><a href=\"#errors\">what errors look like</a>")
}

// errors shows the bodies of failures: every schema whose name says so.
func (p *page) errors() {
	p.put("<section><h2 id=errors>errors</h2>")
	schemas := below(below(p.whole, "components"), "schemas")
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		s := schemas[name].(tree)
		if e, ok := s["example"]; ok && strings.Contains(name, "Error") {
			p.put("<p>")
			p.text(str(s, "description"))
			p.content(tree{"content": tree{"application/json": tree{"schema": s, "example": e}}})
		}
	}
	p.put("</section>")
}

// content shows the schemas of a body and its example.
func (p *page) content(body tree) {
	content := below(body, "content")
	for _, mediaType := range slices.Sorted(maps.Keys(content)) {
		c, _ := content[mediaType].(tree)
		p.put("<p><code>", html.EscapeString(mediaType), "</code>")
		if s := c["schema"]; s != nil {
			var b strings.Builder
			p.schema(&b, s, "", 0)
			p.put("<pre>", html.EscapeString(b.String()), "</pre>")
		}
		if e, ok := c["example"]; ok {
			if text, err := json.MarshalIndent(e, "", "  "); err == nil {
				p.put("<pre class=example>", html.EscapeString(string(text)), "</pre>")
			}
		}
	}
}

// resolve follows a reference.
func (p *page) resolve(v any) any {
	for range 8 { // references to references, with an end
		ref := str(v, "$ref")
		if ref == "" {
			break
		}
		v = find(p.whole, ref)
	}
	return v
}

// find returns what a reference inside the document means, nil for nothing.
func find(whole tree, ref string) any {
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil
	}
	var at any = whole
	for part := range strings.SplitSeq(path, "/") {
		m, _ := at.(tree)
		at = m[part]
	}
	return at
}

// str returns a member of an object as text, "" where it is none.
func str(v any, name string) string {
	m, _ := v.(tree)
	s, _ := m[name].(string)
	return s
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}
