package internal_test

import (
	"context"
	"reflect"
	"testing"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

// Whoever calls the core says for whom, so that no surface can forget to ask
// whether the caller may: each method that takes a context takes the caller
// right behind it.
func TestRegistryMethodsTakeTheCaller(t *testing.T) {
	exempt := map[string]string{
		"Run":           "is the collector itself",
		"Collect":       "is one round of the collector",
		"PendingEvents": "is a figure",
		"ExpandEvents":  "is what Run does with events",
	}
	core := reflect.TypeFor[*registry.Registry]()
	if n := checkCallers(t.Errorf, core, exempt); n < 20 {
		t.Errorf("only %d methods of %s take a caller", n, core)
	}
}

// checkCallers returns how many methods take a context and a caller.
func checkCallers(report func(format string, args ...any), core reflect.Type, exempt map[string]string) int {
	good := 0
	used := map[string]bool{}
	for m := range core.Methods() {
		in := m.Type // its first argument is the receiver
		switch {
		case in.NumIn() < 2 || in.In(1) != reflect.TypeFor[context.Context]():
		case exempt[m.Name] != "":
			used[m.Name] = true
		case in.NumIn() < 3 || in.In(2) != reflect.TypeFor[iam.Caller]():
			report("%s.%s takes a context and not an iam.Caller behind it", core, m.Name)
		default:
			good++
		}
	}
	for name, why := range exempt {
		if !used[name] {
			report("%s.%s, which %s, is exempt for nothing", core, name, why)
		}
	}
	return good
}

type sampleCore struct{}

func (*sampleCore) Good(context.Context, iam.Caller, string) error { return nil }
func (*sampleCore) Local(string)                                   {}
func (*sampleCore) Bare(context.Context) error                     { return nil }
func (*sampleCore) Late(context.Context, string, iam.Caller)       {}
func (*sampleCore) Run(context.Context) error                      { return nil }

func TestCheckCallersFinds(t *testing.T) {
	var found []any
	report := func(_ string, args ...any) { found = append(found, args[1]) }
	if n := checkCallers(report, reflect.TypeFor[*sampleCore](), map[string]string{"Run": "runs", "Gone": "went"}); n != 1 {
		t.Errorf("%d methods are good", n)
	}
	if want := []any{"Bare", "Late", "Gone"}; !reflect.DeepEqual(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
}
