package retention_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/retention"
)

func one(r retention.Rule) retention.Policy { return retention.Policy{Rules: []retention.Rule{r}} }

func TestValidate(t *testing.T) {
	age := retention.Rule{Template: retention.ByAge, N: 30}
	except := func(s ...retention.Selector) retention.Policy {
		return one(retention.Rule{Template: retention.ByNumber, N: 5, Except: s})
	}
	many := func(n int, r retention.Rule) retention.Policy {
		p := retention.Policy{}
		for range n {
			p.Rules = append(p.Rules, r)
		}
		return p
	}
	selectors := make([]retention.Selector, retention.MaxSelectors+1)
	for i := range selectors {
		selectors[i] = retention.Selector{Kind: retention.Label, Pattern: "v1"}
	}
	for name, c := range map[string]struct {
		policy retention.Policy
		limits retention.Limits
		code   fault.Code // "": valid
		names  string     // the member that the message must name
	}{
		"by age":              {policy: one(age)},
		"a day":               {policy: one(retention.Rule{Template: retention.ByAge, N: 1})},
		"a year":              {policy: one(retention.Rule{Template: retention.ByAge, N: 365})},
		"a thousand":          {policy: one(retention.Rule{Template: retention.ByNumber, N: 1000})},
		"exceptions":          {policy: except(retention.Selector{retention.Label, "v5"}, retention.Selector{retention.Regexp, "^123$"})},
		"no exceptions":       {policy: except()},
		"many rules":          {policy: many(retention.MaxRules, age)},
		"many exceptions":     {policy: except(selectors[:retention.MaxSelectors]...)},
		"no rules":            {policy: many(0, age), code: fault.Missing, names: "rules"},
		"too many rules":      {policy: many(retention.MaxRules+1, age), code: fault.Invalid, names: "rules"},
		"too many exceptions": {policy: except(selectors...), code: fault.Invalid, names: "rules[0].tag_selectors"},
		"no template":         {policy: one(retention.Rule{N: 5}), code: fault.Missing, names: "rules[0].template"},
		"unknown template":    {policy: one(retention.Rule{Template: "size_rule", N: 5}), code: fault.Invalid, names: "rules[0].template"},
		"no day":              {policy: one(retention.Rule{Template: retention.ByAge}), code: fault.Invalid, names: "rules[0].params.days"},
		"more than a year":    {policy: one(retention.Rule{Template: retention.ByAge, N: 366}), code: fault.Invalid, names: "rules[0].params.days"},
		"negative":            {policy: one(retention.Rule{Template: retention.ByNumber, N: -1}), code: fault.Invalid, names: "rules[0].params.num"},
		"too many":            {policy: one(retention.Rule{Template: retention.ByNumber, N: 1001}), code: fault.Invalid, names: "rules[0].params.num"},
		"second rule":         {policy: retention.Policy{Rules: []retention.Rule{age, {Template: retention.ByNumber}}}, code: fault.Invalid, names: "rules[1].params.num"},
		"empty pattern":       {policy: except(retention.Selector{Kind: retention.Label}), code: fault.Invalid, names: "rules[0].tag_selectors[0].pattern"},
		"empty expression":    {policy: except(retention.Selector{Kind: retention.Regexp}), code: fault.Invalid, names: "rules[0].tag_selectors[0].pattern"},
		"unknown kind":        {policy: except(selectors[0], retention.Selector{"glob", "v*"}), code: fault.Invalid, names: "rules[0].tag_selectors[1].kind"},
		"no kind":             {policy: except(retention.Selector{Pattern: "v"}), code: fault.Invalid, names: "rules[0].tag_selectors[0].kind"},
		"label no tag":        {policy: except(retention.Selector{retention.Label, "a/b"}), code: fault.Invalid, names: "rules[0].tag_selectors[0].pattern"},
		"expression broken":   {policy: except(retention.Selector{retention.Regexp, "["}), code: fault.Invalid, names: "rules[0].tag_selectors[0].pattern"},
		"longer by setting":   {policy: one(retention.Rule{Template: retention.ByAge, N: 3650}), limits: retention.Limits{Days: 3650}},
		"fewer by setting":    {policy: one(retention.Rule{Template: retention.ByNumber, N: 11}), limits: retention.Limits{Num: 10}, code: fault.Invalid, names: "from 1 to 10"},
	} {
		err := c.policy.Validate(c.limits)
		if fault.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
		if err != nil && !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v does not name %s", name, err, c.names)
		}
	}
}

// A policy that is accepted can be acted on and is stored as it is; one that is
// not is the client's fault, in a sentence that is not long.
func FuzzValidate(f *testing.F) {
	f.Add("date_rule", 30, "label", "v5", "regexp", "^123$", 1)
	f.Add("tag_rule", 0, "", "", "glob", "(", 20)
	f.Fuzz(func(t *testing.T, template string, n int, kind1, pattern1, kind2, pattern2 string, rules int) {
		r := retention.Rule{Template: retention.Template(template), N: n, Except: []retention.Selector{
			{retention.Kind(kind1), pattern1}, {retention.Kind(kind2), pattern2}}}
		p := retention.Policy{}
		for range min(max(rules, 0), 100) {
			p.Rules = append(p.Rules, r)
		}
		if err := p.Validate(retention.Limits{}); err != nil {
			if c := fault.CodeOf(err); c != fault.Invalid && c != fault.Missing {
				t.Fatalf("%v", err)
			}
			if len(err.Error()) > 2000 {
				t.Fatalf("the message has %d bytes", len(err.Error()))
			}
			return
		}
		if len(p.Rules) < 1 || len(p.Rules) > retention.MaxRules || r.N < 1 || r.N > 1000 || r.Template == retention.ByAge && r.N > 365 {
			t.Fatalf("accepted: %+v", p)
		}
		for _, s := range r.Except {
			if s.Kind == retention.Label {
				if _, err := oci.ParseTag(s.Pattern); err != nil {
					t.Fatal(err)
				}
			} else if _, err := oci.ParsePattern(s.Pattern); err != nil {
				t.Fatal(err)
			}
		}
		text, err := json.Marshal(p.Rules)
		if err != nil {
			t.Fatal(err)
		}
		var back []retention.Rule
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, p.Rules) {
			t.Fatalf("stored as %s, read as %+v: %v", text, back, err)
		}
	})
}
