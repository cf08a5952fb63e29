package swrapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/retention"
)

// retentionPolicy is what tags a repository keeps.
type retentionPolicy struct {
	Algorithm string          `json:"algorithm"`
	ID        int64           `json:"id"`
	Rules     []retentionRule `json:"rules"`
	Scope     string          `json:"scope"`

	// Only of one that waits to be confirmed; clients of the cloud service pass
	// over members that they do not know.
	State       string `json:"state,omitempty"`
	WouldDelete *int64 `json:"would_delete,omitempty"` // of would_see tags
	WouldSee    *int64 `json:"would_see,omitempty"`
}

// retentionRule is one rule. The values of its parameters are text; numbers are
// understood as well.
type retentionRule struct {
	Template     string                     `json:"template"`
	Params       map[string]json.RawMessage `json:"params"`
	TagSelectors []tagSelector              `json:"tag_selectors"`
}

type tagSelector struct {
	Kind    string `json:"kind"`
	Pattern string `json:"pattern"`
}

// anyRule is the algorithm there is: a tag goes when any rule says so.
const anyRule = "or"

// policy reads a policy from the body. Whether it makes sense is the core's to
// say.
func (c *call) policy() (retention.Policy, error) {
	var in struct {
		Algorithm string          `json:"algorithm"`
		Rules     []retentionRule `json:"rules"`
	}
	var p retention.Policy
	if err := c.decode(&in); err != nil {
		return p, err
	}
	switch in.Algorithm {
	case anyRule:
	case "":
		return p, missing("algorithm")
	default:
		return p, fault.New(fault.Invalid, "algorithm is %s.", anyRule)
	}
	for i, r := range in.Rules {
		rule := retention.Rule{Template: retention.Template(r.Template), Except: []retention.Selector{}}
		if name := rule.Template.Parameter(); name != "" {
			var err error
			if rule.N, err = parameter(fmt.Sprintf("rules[%d].params.%s", i, name), r.Params[name]); err != nil {
				return p, err
			}
		}
		for _, s := range r.TagSelectors {
			rule.Except = append(rule.Except, retention.Selector{Kind: retention.Kind(s.Kind), Pattern: s.Pattern})
		}
		p.Rules = append(p.Rules, rule)
	}
	return p, nil
}

// parameter reads a whole number that is a JSON number or text of one.
func parameter(name string, raw json.RawMessage) (int, error) {
	text := string(raw)
	if len(raw) == 0 || text == "null" || text == `""` {
		return 0, missing(name)
	}
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return 0, err
		}
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // then n is the largest
		return 0, fault.New(fault.Invalid, "%s is a whole number in digits.", name)
	}
	return int(n), nil
}

func policyOf(v registry.Retention) retentionPolicy {
	out := retentionPolicy{Algorithm: anyRule, ID: v.ID, Rules: make([]retentionRule, len(v.Policy.Rules))}
	for i, r := range v.Policy.Rules {
		out.Rules[i] = ruleOf(r)
	}
	if v.Waits {
		out.State, out.WouldDelete, out.WouldSee = string(registry.RetentionWaits), &v.WouldDelete, &v.WouldSee
	}
	return out
}

func ruleOf(r retention.Rule) retentionRule {
	n := json.RawMessage(strconv.Quote(strconv.Itoa(r.N)))
	out := retentionRule{Template: string(r.Template), Params: map[string]json.RawMessage{r.Template.Parameter(): n}, TagSelectors: make([]tagSelector, len(r.Except))}
	for i, s := range r.Except {
		out.TagSelectors[i] = tagSelector{string(s.Kind), s.Pattern}
	}
	return out
}

// compact is v as JSON text without the escapes that are meant for HTML.
func compact(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "" // v is a type of ours that can always be encoded
	}
	return strings.TrimSuffix(b.String(), "\n")
}
