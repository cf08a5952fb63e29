package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// Print writes c as a configuration file that gives the same configuration
// again, except for passwords, which are hidden. Behind each value stands
// where it came from.
func (c *Config) Print(w io.Writer) error {
	section := ""
	for _, k := range c.Keys() {
		head, name, nested := strings.Cut(k.Name, ".")
		indent := ""
		if !nested {
			name = head
		} else {
			indent = "  "
			if head != section {
				if _, err := fmt.Fprintf(w, "%s:\n", head); err != nil {
					return err
				}
				section = head
			}
		}
		text, err := json.Marshal(plain(k)) // JSON scalars and lists are YAML
		if err != nil {
			return err
		}
		origin := c.origins[k.Name]
		if origin == "" {
			origin = "default"
		}
		if _, err := fmt.Fprintf(w, "%-48s # %s\n", indent+name+": "+string(text), origin); err != nil {
			return err
		}
	}
	return nil
}

// Settings is c as nested maps for JSON, passwords hidden.
func (c *Config) Settings() map[string]any {
	out := map[string]any{}
	for _, k := range c.Keys() {
		head, name, nested := strings.Cut(k.Name, ".")
		if !nested {
			out[head] = plain(k)
			continue
		}
		sub, _ := out[head].(map[string]any)
		if sub == nil {
			sub = map[string]any{}
			out[head] = sub
		}
		sub[name] = plain(k)
	}
	return out
}

// plain is a key's value as JSON would have it: numbers, booleans and lists as
// such, everything else as its text.
func plain(k Key) any {
	switch v := k.Value.(type) {
	case *boolValue:
		return bool(*v)
	case *intValue:
		return int(*v)
	case *prefixesValue:
		if *v == nil {
			return []netip.Prefix{}
		}
		return []netip.Prefix(*v)
	}
	return k.Value.String()
}
