package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// deepest bounds how far a page follows schemas into one another.
const deepest = 6

// kind is a schema in a word or two.
func (p *page) kind(v any) string {
	s, ok := p.resolve(v).(tree)
	if !ok {
		return "any"
	}
	if c, ok := s["const"]; ok {
		return plain(c)
	}
	if values := list(s["enum"]); values != nil {
		var words []string
		for _, v := range values {
			words = append(words, plain(v))
		}
		return strings.Join(words, " | ")
	}
	for _, name := range []string{"oneOf", "anyOf"} {
		var words []string
		for _, v := range list(s[name]) {
			words = append(words, p.kind(v))
		}
		if words != nil {
			return strings.Join(words, " or ")
		}
	}
	if all := list(s["allOf"]); len(all) > 0 {
		return p.kind(all[0])
	}
	switch t := s["type"].(type) {
	case string:
		if t == "array" {
			return "array of " + p.kind(s["items"])
		}
		return t
	case []any:
		return strings.ReplaceAll(strings.Trim(fmt.Sprint(t), "[]"), " ", " or ")
	}
	return "any"
}

func plain(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// schema writes a schema as lines: a member, its kind, what it means.
func (p *page) schema(b *strings.Builder, v any, indent string, depth int) {
	s, _ := p.resolve(v).(tree)
	if depth == 0 {
		b.WriteString(p.kind(v) + "\n")
	}
	if depth > deepest {
		return
	}
	if s["type"] == "array" {
		p.schema(b, s["items"], indent, depth+1)
		return
	}
	for i, one := range append(list(s["oneOf"]), list(s["anyOf"])...) {
		if i > 0 {
			b.WriteString(indent + "or\n")
		}
		p.schema(b, one, indent, depth+1)
	}
	required := list(s["required"])
	members := below(maps.Clone(s), "properties")
	if more, ok := s["additionalProperties"].(tree); ok && len(members) == 0 {
		members = tree{"(any name)": more}
	}
	for _, name := range order(members, required) {
		mark := ""
		if slices.Contains(required, any(name)) {
			mark = "*"
		}
		fmt.Fprintf(b, "%s  %-20s %s", indent, name+mark, p.kind(members[name]))
		if d := str(p.resolve(members[name]), "description"); d != "" {
			b.WriteString("   " + strings.ReplaceAll(d, "`", ""))
		}
		b.WriteString("\n")
		p.schema(b, members[name], indent+"  ", depth+1)
	}
}

// order is that of the required members, then the rest by name.
func order(members tree, required []any) []string {
	var names []string
	for _, r := range required {
		if name := fmt.Sprint(r); members[name] != nil {
			names = append(names, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
