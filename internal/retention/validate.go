package retention

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// How large a policy may be: every tag of the repository is compared with all
// of it.
const (
	MaxRules     = 15
	MaxSelectors = 100 // of one rule
)

// Limits bound the numbers in rules, and the time for them.
type Limits struct {
	Days int           // default 365
	Num  int           // default 1000
	Time time.Duration // for the regular expressions of one run; default 1 min
}

// max is the greatest N of a rule of the template.
func (l Limits) max(t Template) int {
	if t == ByAge {
		return cmp.Or(l.Days, 365)
	}
	return cmp.Or(l.Num, 1000)
}

// Validate tells whether the policy can be acted on. A fault names the member
// that is wrong, as clients write it. Errors: Missing, Invalid.
func (p Policy) Validate(l Limits) error {
	if len(p.Rules) == 0 {
		return fault.New(fault.Missing, "rules has no rule; a policy has 1 to %d.", MaxRules)
	}
	if len(p.Rules) > MaxRules {
		return fault.New(fault.Invalid, "rules has %d rules; a policy has 1 to %d.", len(p.Rules), MaxRules)
	}
	for i, r := range p.Rules {
		if err := r.validate(fmt.Sprintf("rules[%d]", i), l); err != nil {
			return err
		}
	}
	return nil
}

func (r Rule) validate(at string, l Limits) error {
	switch {
	case r.Template == "":
		return fault.New(fault.Missing, "%s.template is missing; it is %s or %s.", at, ByAge, ByNumber)
	case r.Template.Parameter() == "":
		return fault.New(fault.Invalid, "%s.template is %s or %s.", at, ByAge, ByNumber)
	}
	if most := l.max(r.Template); r.N < 1 || r.N > most {
		return fault.New(fault.Invalid, "%s.params.%s is a whole number from 1 to %d.", at, r.Template.Parameter(), most)
	}
	if len(r.Except) > MaxSelectors {
		return fault.New(fault.Invalid, "%s.tag_selectors has %d selectors; a rule has at most %d.", at, len(r.Except), MaxSelectors)
	}
	for i, s := range r.Except {
		if err := s.validate(fmt.Sprintf("%s.tag_selectors[%d]", at, i)); err != nil {
			return err
		}
	}
	return nil
}

func (s Selector) validate(at string) error {
	if s.Pattern == "" {
		return fault.New(fault.Invalid, "%s.pattern is empty.", at)
	}
	var err error
	switch s.Kind {
	case Label:
		_, err = oci.ParseTag(s.Pattern)
	case Regexp:
		_, err = oci.ParsePattern(s.Pattern)
	default:
		return fault.New(fault.Invalid, "%s.kind is %s or %s.", at, Label, Regexp)
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return fault.Wrap(fault.Invalid, err, "%s.pattern: %s", at, f.Msg)
	}
	return err
}
