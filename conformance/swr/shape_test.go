package swr

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// kinds are what may stand in the place of a value in an expected text.
var kinds = map[string]*regexp.Regexp{
	"<time>": regexp.MustCompile(`^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"$`),
	"<id>":   regexp.MustCompile(`^"[0-9a-f]{32}"$`),
	"<hex>":  regexp.MustCompile(`^"[0-9a-f]{64}"$`),
	"<int>":  regexp.MustCompile(`^\d+$`),
	"<num>":  regexp.MustCompile(`^\d+(\.\d+)?$`),
	"<str>":  regexp.MustCompile(`^".*"$`),
	"<bool>": regexp.MustCompile(`^(true|false)$`),
	"<date>": regexp.MustCompile(`^"\d{4}-\d\d-\d\d"$`),
	"<any>":  regexp.MustCompile(`(?s).`),
}

// unlike compares JSON with an expected text, in which a string such as
// "<time>" stands for every value of that kind. It returns "" where they agree:
// the same members everywhere, none more and none less.
func unlike(want, got string) string {
	if want == "" || got == "" {
		if want != got {
			return fmt.Sprintf("want %q, got %q", want, got)
		}
		return ""
	}
	w, err := decoded(want)
	if err != nil {
		return fmt.Sprintf("the expected text: %v\n%s", err, want)
	}
	g, err := decoded(got)
	if err != nil {
		return fmt.Sprintf("%v: %s", err, got)
	}
	var problems []string
	compare("", w, g, &problems)
	if problems == nil {
		return ""
	}
	return strings.Join(problems, "\n") + "\nin " + got
}

func decoded(text string) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

func compare(at string, want, got any, problems *[]string) {
	report := func(format string, args ...any) {
		*problems = append(*problems, at+": "+fmt.Sprintf(format, args...))
	}
	switch w := want.(type) {
	case string:
		text := object(got)
		if kind, ok := kinds[w]; ok {
			if !kind.MatchString(text) {
				report("%s is not %s", text, w)
			}
		} else if got != want {
			report("want %q, got %s", w, text)
		}
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			report("want an object, got %s", object(got))
			return
		}
		for name := range g {
			if _, ok := w[name]; !ok {
				report("%s is too much: %s", name, object(g[name]))
			}
		}
		for name := range w {
			if v, ok := g[name]; ok {
				compare(at+"."+name, w[name], v, problems)
			} else {
				report("%s is missing", name)
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			report("want %d items, got %s", len(w), object(got))
			return
		}
		for i := range w {
			compare(fmt.Sprintf("%s[%d]", at, i), w[i], g[i], problems)
		}
	default:
		if object(want) != object(got) {
			report("want %s, got %s", object(want), object(got))
		}
	}
}

// skeleton replaces every value of a JSON text by the name of its type and
// sorts the members, so that two answers can be compared byte for byte in what
// they have in common. Of lists the first item counts.
func skeleton(text string) (string, error) {
	v, err := decoded(text)
	if err != nil {
		return "", err
	}
	return bones(v), nil
}

func bones(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for name, below := range v {
			parts = append(parts, object(name)+":"+bones(below))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		return "[" + bones(v[0]) + "]"
	case json.Number:
		return "number"
	}
	return fmt.Sprintf("%T", v)
}
