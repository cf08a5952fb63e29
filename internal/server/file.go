package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// A setting is one leaf of the configuration file.
type setting struct {
	key  string
	text string
	line int
}

// parseFile flattens YAML into dotted keys with the line of each. What a key
// may be called and hold is decided by whoever sets it.
func parseFile(text []byte) ([]setting, error) {
	doc, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, fmt.Errorf("not valid YAML: %w", err)
	}
	if bytes.Equal(doc, []byte("null")) {
		return nil, nil // nothing but comments
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var root map[string]any
	if err := d.Decode(&root); err != nil {
		return nil, errors.New("the file must hold keys and values")
	}
	lines := strings.Split(string(text), "\n")
	var out []setting
	if err := flatten(&out, lines, "", root, 0); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b setting) int { return a.line - b.line })
	return out, nil
}

// flatten appends the leaves of m, whose own key stands before line from.
func flatten(out *[]setting, lines []string, prefix string, m map[string]any, from int) error {
	for name, v := range m {
		line := lineOf(lines, name, from, prefix != "")
		key := prefix + name
		if sub, ok := v.(map[string]any); ok {
			if prefix != "" {
				return fmt.Errorf("line %d: %s holds keys where a value is expected", line, key)
			}
			if err := flatten(out, lines, key+".", sub, line); err != nil {
				return err
			}
			continue
		}
		text, err := leaf(v)
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", line, key, err)
		}
		*out = append(*out, setting{key, text, line})
	}
	return nil
}

// leaf is the text of a scalar, or of a list of scalars joined by commas. A
// key without value is empty text.
func leaf(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case []any:
		var parts []string
		for _, item := range v {
			if _, nested := item.([]any); nested {
				return "", errors.New("a list of lists")
			}
			text, err := leaf(item)
			if err != nil {
				return "", err
			}
			parts = append(parts, text)
		}
		return strings.Join(parts, ","), nil
	case map[string]any:
		return "", errors.New("keys where a value is expected")
	default:
		return fmt.Sprint(v), nil
	}
}

// lineOf finds the line (from 1) on which a key of a valid document stands:
// the first behind line from that begins with it, indented or not. A key in
// {flow: style} has the line of what it stands in.
func lineOf(lines []string, name string, from int, indented bool) int {
	for i := from; i < len(lines); i++ {
		line := lines[i]
		bare := strings.TrimLeft(line, " ")
		inside := bare != line
		if !inside && indented && bare != "" && bare[0] != '#' {
			break // the mapping has ended
		}
		rest, ok := strings.CutPrefix(strings.NewReplacer(`"`, "", `'`, "").Replace(bare), name)
		if ok && inside == indented && strings.HasPrefix(strings.TrimLeft(rest, " "), ":") {
			return i + 1
		}
	}
	return max(from, 1)
}
