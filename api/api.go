// Package api holds the description of everything that Berth serves over HTTP,
// as an OpenAPI document and as a page.
//
// openapi.yaml is the head. Each other file describes a part: its paths, and the
// components that came with them. A file that says `every: NAME` gets for each
// of its operations what the head keeps under that name, and `tag` as its tag,
// where the operation does not say otherwise.
package api

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"sync"

	"sigs.k8s.io/yaml"
)

//go:embed *.yaml
var files embed.FS

// head is the file that the others are joined to.
const head = "openapi.yaml"

// A File is something to serve, whole.
type File struct {
	Type string // of its content
	ETag string
	Body []byte
}

// Document returns the OpenAPI document as JSON. It is made once, when it is
// first asked for.
var Document = sync.OnceValues(func() (File, error) {
	tree, err := join(files)
	if err != nil {
		return File{}, err
	}
	text, err := json.Marshal(tree)
	return newFile("application/json", text), err
})

// Page returns the same for people: HTML that loads nothing else.
var Page = sync.OnceValues(func() (File, error) {
	tree, err := join(files)
	if err != nil {
		return File{}, err
	}
	return newFile("text/html; charset=utf-8", render(tree)), nil
})

func newFile(contentType string, body []byte) File {
	sum := sha256.Sum256(body)
	return File{contentType, `"` + hex.EncodeToString(sum[:12]) + `"`, body}
}

// tree is a part of a document.
type tree = map[string]any

// join reads the head and adds the other files to it.
func join(dir fs.FS) (tree, error) {
	whole, err := read(dir, head)
	if err != nil {
		return nil, err
	}
	templates := below(whole, "every")
	delete(whole, "every")
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if name == head {
			continue
		}
		part, err := read(dir, name)
		if err == nil {
			err = add(whole, part, templates)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return whole, nil
}

func read(dir fs.FS, name string) (tree, error) {
	text, err := fs.ReadFile(dir, name)
	if err != nil {
		return nil, err
	}
	var t tree
	if err := yaml.UnmarshalStrict(text, &t); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// add joins a part to the whole.
func add(whole, part, templates tree) error {
	template := tree{}
	if name, ok := part["every"].(string); ok {
		if template, ok = templates[name].(tree); !ok {
			return fmt.Errorf("the head has no %q", name)
		}
	}
	paths := below(whole, "paths")
	for path, item := range below(part, "paths") {
		if paths[path] != nil {
			return fmt.Errorf("%s is described twice", path)
		}
		for method, op := range item.(tree) {
			if method != "parameters" {
				complete(op.(tree), template, part["tag"])
			}
		}
		paths[path] = item
	}
	components := below(whole, "components")
	for kind, list := range below(part, "components") {
		into := below(components, kind)
		for name, c := range list.(tree) {
			if into[name] != nil {
				return fmt.Errorf("%s %s is there twice", kind, name)
			}
			into[name] = c
		}
	}
	return nil
}

// complete gives an operation what its file says of every one.
func complete(op, template tree, tag any) {
	if op["tags"] == nil {
		op["tags"] = []any{tag}
	}
	if op["security"] == nil {
		op["security"] = template["security"]
	}
	responses := below(op, "responses")
	for status, r := range below(template, "responses") {
		if responses[status] == nil {
			responses[status] = r
		}
	}
}

// below returns the object under a name, which it makes if there is none.
func below(t tree, name string) tree {
	if m, ok := t[name].(tree); ok {
		return m
	}
	m := tree{}
	t[name] = m
	return m
}
